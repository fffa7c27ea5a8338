"""What the command line answers: for each wrong input its exact sentence and
exit code, and for right ones the same sums however they are made."""

import json
import os
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path
from string import Template

import pytest
import torch
import xxhash

import support
from support import PROGRAM, export, llmergefs, shards, tensors

TWO = """
models:
  - {model: $a, parameters: {weight: 1}}
  - {model: $b, parameters: {weight: 1}}
"""
METHODS = ("linear, slerp, nuslerp, multislerp, karcher, model_stock, "
           "task_arithmetic, ties, dare_linear, dare_ties, breadcrumbs, "
           "breadcrumbs_ties, della_linear, della, sce, nearswap, ram, "
           "ramplus_tl, arcee_fusion, consensus_ta, emr, magmax, bitdelta, "
           "cabs, metagpt, tsv_m, iso_c, "
           "core_space, wudi, passthrough")
NEEDS_WEIGHT = ("linear needs a weight for each model: give it under the "
                "model's `parameters`, or for all under the recipe's")
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi"))

# name: (the recipe, lines of standard error, exit code). $a, $b, $base are
# models; each line follows "llmergefs: ".
WRONG = {
    "empty.yml": ("", [
        "empty.yml: must be an object with keys such as `merge_method` and "
        "`models`, not null"], 2),
    "list.yml": ("- 1\n", [
        "list.yml: must be an object with keys such as `merge_method` and "
        "`models`, not a list"], 2),
    "tab.yml": ("a:\n\t- b\n", [
        "tab.yml: line 2, column 1: found character that cannot start any "
        "token while scanning for the next token"], 2),
    "doubled.yml": ("merge_method: linear\nmerge_method: ties\n", [
        'doubled.yml: line 2, column 1: the key "merge_method" is doubled'],
        2),
    "alias.yml": ("a: &a [*a]\n", [
        "alias.yml: line 1, column 8: the alias *a stands inside what it "
        "names"], 2),
    "bomb.yml": (BOMB, [
        "bomb.yml: line 7, column 11: with all aliases written out there are "
        "more than 1000000 values"], 2),
    "tag.yml": ("merge_method: !!python/object:os.system linear\n", [
        "tag.yml: line 1, column 15: the tag !!python/object:os.system has no "
        "meaning here"], 2),
    "trailing.json": ('{"merge_method": "linear"} x', [
        "trailing.json: line 1, column 28: something follows the end of the "
        "value"], 2),
    "doubled.json": ('{"a": 1, "a": 2}', [
        'doubled.json: line 1, column 10: the name "a" is doubled'], 2),
    "nul.json": (r'{"a\u0000": 1}', [
        "nul.json: line 1, column 4: a string must not hold NUL"], 2),
    "utf8.json": (b'{"a": "\xff"}', [
        "utf8.json: line 1, column 8: the text is not valid UTF-8"], 2),
    "deep.json": ("[" * 1000, [
        "deep.json: line 1, column 65: lists and objects are nested deeper "
        "than 64 levels"], 2),
    "comma.json": ('{"a": 1,}', [
        "comma.json: line 1, column 9: expected a member's name in double "
        "quotes"], 2),
    "case.json": ('{"Merge_Method": "linear", "models": [{"model": "$a"}]}', [
        f"case.json: merge_method: missing; one of {METHODS}",
        'warning: case.json: Merge_Method: unknown key, ignored; did you mean '
        '"merge_method"?'], 2),
    "method.yml": ("merge_method: lineer\n" + TWO, [
        'method.yml: merge_method: no method is called "lineer"; did you mean '
        f'"linear"? Supported are {METHODS}'], 2),
    "none.yml": ("merge_method: linear\n", [
        "none.yml: exactly one of `models`, `slices` and `modules` must be "
        "present and not empty"], 2),
    "modules.yml": ("merge_method: linear\nmodules: {default: {}}\n", [
        "modules.yml: modules: not supported yet; `models` merges all modules "
        "of the models alike"], 2),
    "typo.yml": ("merge_method: linear\nmodels: [{model: $a, parameters: "
                 "{wieght: 1}}]\n", [
        "warning: typo.yml: models[0].parameters.wieght: linear has no such "
        'parameter, ignored; did you mean "weight"?',
        f"typo.yml: models[0]: {NEEDS_WEIGHT}"], 2),
    "level.yml": ("merge_method: linear\nmodels: [{model: $a, weight: 1}]\n", [
        "warning: level.yml: models[0].weight: unknown key, ignored; did you "
        'mean "parameters: {weight: ...}"?',
        f"level.yml: models[0]: {NEEDS_WEIGHT}"], 2),
    "dtype.yml": ("merge_method: linear\ndtype: bf16\n" + TWO, [
        'dtype.yml: dtype: "bf16" is no dtype; did you mean "bfloat16"? '
        "(bfloat16, float16, float32 or float64)"], 2),
    "nobase.yml": ("merge_method: ties\n" + TWO, [
        "nobase.yml: base_model: missing; ties needs the model that the "
        "others were made from"], 2),
    "three.yml": ("merge_method: slerp\nbase_model: $base\nparameters: {t: 1}"
                  "\nmodels: [{model: $a}, {model: $b}]\n", [
        "three.yml: models: slerp takes exactly 2 models with base_model one "
        "of them; got 3"], 2),
    "lora.yml": ("merge_method: linear\nparameters: {weight: 1}\n"
                 "models: [{model: x+lora}]\n", [
        "lora.yml: models[0].model: x+lora: LoRA adapters are not supported "
        "yet; merge the adapter into its model first (peft: "
        "merge_and_unload) and name the result"], 2),
    "own.yml": ("merge_method: linear\nllmergefs: {sead: 1}\n" + TWO, [
        'own.yml: llmergefs.sead: unknown key; did you mean "seed"?'], 2),
    "null.yml": ("merge_method: linear\nparameters: {weight: null}\n"
                 "models: [{model: $a}]\n", [
        "null.yml: parameters.weight: null is no value; leave the parameter "
        "out"], 2),
    "word.yml": ("merge_method: linear\nparameters: {weight: much}\n"
                 "models: [{model: $a}]\n", [
        'word.yml: parameters.weight: "much" is not a finite number'], 2),
    "negative.yml": ("merge_method: dare_linear\nbase_model: $base\n"
                     "parameters: {density: -1, weight: 1}\n"
                     "models: [{model: $a}]\n", [
        "negative.yml: parameters.density: -1 must be at least 0"], 2),
    "range.yml": ("merge_method: passthrough\nslices: [{sources: [{model: $a, "
                  "layer_range: [2, 9]}]}]\n", [
        "range.yml: slices[0].sources[0]: layer_range [2, 9] ends beyond $a, "
        "which has 4 layers model.layers.N"], 2),
    "missing.yml": ("merge_method: linear\nparameters: {weight: 1}\n"
                    "models: [{model: ./gone}]\n", [
        'missing.yml: models[0]: model "./gone": no such folder in $cwd'], 3),
    "hub.yml": ("merge_method: linear\nparameters: {weight: 1}\n"
                "models: [{model: org/name@v1}]\n", [
        'hub.yml: models[0]: model "org/name@v1": no such folder in $cwd, nor '
        "in the Hugging Face cache $cwd/hub: get it with `hf download org/name --revision v1`"],
        3),
    "depth.yml": ("merge_method: linear\nparameters: {weight: 1}\n"
                  "models: [{model: $a}, {model: $short}]\n", [
        "depth.yml: models[1]: $short has 2 layers model.layers.N, $a has 4; "
        "`models` needs models of one depth, `slices` does not"], 4),
}


@pytest.fixture(scope="module")
def folders(family, tmp_path_factory):
    import synthetic

    short = tmp_path_factory.mktemp("odd") / "short"
    synthetic.make(short, layers=2)
    return {name: str(path) for name, path in
            {**family("llama"), "short": short}.items()}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_recipe(name, folders, tmp_path, monkeypatch):
    recipe, lines, code = WRONG[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    places = {**folders, "cwd": str(tmp_path)}
    if isinstance(recipe, str):
        recipe = Template(recipe).substitute(places).encode()
    Path(name).write_bytes(recipe)
    run = llmergefs("check", name)
    expected = [f"llmergefs: {Template(line).substitute(places)}"
                for line in lines]
    assert run.stderr.splitlines() == expected
    assert (run.returncode, run.stdout) == (code, "")
    mount = llmergefs(name, tmp_path)
    assert (mount.returncode, mount.stderr) == (code, run.stderr)


def shard(header, data=b"", length=None):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    size = len(header) if length is None else length
    return struct.pack("<Q", size) + header + data


def tensor(**changes):
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8],
                  **changes}}


# name: (the bytes of a shard, the sentence after its path)
MALFORMED = {
    "short": (b"abc", "not a safetensors file: it has only 3 bytes"),
    "long": (shard(tensor(), length=1 << 40),
             "not a safetensors file: its header would take 1099511627776 "
             "bytes, the limit is 100000000"),
    "cut-header": (shard(b'{"w":'),
                   "the header is no JSON: line 1, column 6: the text ends "
                   "where a value is expected"),
    "hole": (shard(tensor(data_offsets=[4, 12]), bytes(12)),
             'tensor "w" begins at byte 4 of the data, a hole of 4 after the '
             "one before"),
    "cut-data": (shard(tensor(), bytes(4)),
                 "the file is cut short, download it again: its tensors take 8 "
                 "bytes, 4 are there"),
    "more": (shard(tensor(), bytes(12)),
             "4 bytes follow the data of the last tensor"),
    "shape": (shard(tensor(shape=[3]), bytes(8)),
              'tensor "w": F32 of shape 3 takes 12 bytes, data_offsets give '
              "8"),
    "dtype": (shard(tensor(dtype="F33"), bytes(8)),
              'tensor "w": unknown dtype "F33"'),
    "overflow": (shard(tensor(shape=[1 << 40, 1 << 40]), bytes(8)),
                 'tensor "w": "shape" overflows'),
    "metadata": (shard({"__metadata__": {"a": 1}, **tensor()}, bytes(8)),
                 '__metadata__: "a" must be a string, not a number'),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_shard(name, tmp_path):
    content, sentence = MALFORMED[name]
    path = tmp_path / "model/model.safetensors"
    path.parent.mkdir()
    path.write_bytes(content)
    (path.parent / "config.json").write_text("{}")
    recipe = support.write_recipe(tmp_path / "recipe.yml", {
        "merge_method": "passthrough", "models": [{"model": "model"}]})
    whole = f"{recipe}: models[0]: {path}: {sentence}"
    run = llmergefs("check", recipe)
    assert run.stderr == f"llmergefs: {whole}\n"
    assert run.returncode == 4
    told = json.loads(llmergefs("check", "--json", recipe).stdout)
    assert (told["ok"], told["errors"]) == (False, [whole])


# arguments: (the sentence, exit code)
USAGE = {
    (): "mount takes RECIPE... MOUNTPOINT",
    ("chek", "x"):
        'there is no subcommand and no recipe "chek"; did you mean "check"?',
    ("check",): "check takes RECIPE",
    ("check", "a", "b"): 'check takes RECIPE, and not "b"',
    ("check", "--jsn", "x"): 'unknown option --jsn; did you mean "--json"?',
    ("--frobnicate",): "unknown option --frobnicate",
    ("sum", "--threads", "0", "x"):
        '--threads takes a number from 1 to 256, not "0"',
    ("export", "--cache-mem", "much", "a", "b"):
        '--cache-mem takes a size such as 512M, 2GiB or 20GB, not "much"',
    ("methods", "tyes"): 'there is no method "tyes"; did you mean "ties"?',
    ("check", "gone.yml"): "gone.yml: No such file or directory",
    ("switch",): "switch takes MOUNT NAME",
    ("set", "/"): "/ is no mount of llmergefs, nor a folder of one",
    ("status", "/"): "/ is no mount of llmergefs, nor a folder of one",
    ("warm", "--all", "/"): "/ is no mount of llmergefs, nor a folder of one",
    ("mount", "a", "b", "--point", "c"): "mount does not take --point",
}


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_wrong_usage(args):
    run = llmergefs(*args)
    assert run.stderr.splitlines()[0] == f"llmergefs: {USAGE[args]}"
    assert (run.returncode, run.stdout) == (2, "")


def test_help_and_version_are_no_errors():
    for args in ("--help", "--version", "check --help", "methods"):
        run = llmergefs(*args.split())
        assert (run.returncode, run.stderr) == (0, "") and run.stdout


TIES = """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 1, density: 0.4}}
  - {model: $b, parameters: {weight: 0.5, density: [0.3, 0.7]}}
parameters: {rescale: true}
dtype: float32
out_dtype: bfloat16
llmergefs: {shard_size: 150KB}
"""


@pytest.fixture(scope="module")
def ties(folders, tmp_path_factory):
    path = tmp_path_factory.mktemp("ties") / "ties.yml"
    path.write_text(Template(TIES).substitute(folders))
    return path


SWEEP = """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $a, parameters: {weight: 1}}
parameters: {lambda: 1}
dtype: float32
llmergefs: {sweep: {parameters.lambda: [0.25, 0.50]}}
"""


@pytest.fixture(scope="module")
def sweep(folders, tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "sweep.yml"
    path.write_text(Template(SWEEP).substitute(folders))
    return path


def test_a_sweep_is_checked_as_a_whole(sweep):
    """Every point with its hash, which is the hash of the point checked alone,
    and of the same recipe written by hand."""
    told = json.loads(llmergefs("check", "--json", sweep).stdout)
    assert told["ok"]
    assert [p["name"] for p in told["points"]] == ["lambda=0.25",
                                                   "lambda=0.50"]
    text = llmergefs("check", sweep).stdout
    by_hand = sweep.parent / "by-hand.yml"
    head = sweep.read_text().split("llmergefs:")[0]
    for point in told["points"]:
        assert point["hash"] in text
        alone = llmergefs("check", "--json", sweep, "--point", point["name"])
        assert json.loads(alone.stdout)["hash"] == point["hash"]
        by_hand.write_text(head.replace("lambda: 1", point["name"].replace(
            "=", ": ")))
        alone = llmergefs("check", "--json", by_hand)
        assert json.loads(alone.stdout)["hash"] == point["hash"]


@pytest.mark.parametrize("args, sentence", [
    (["sum", "@"], "@ is a sweep of 2 points; name one, such as --point "
                   "lambda=0.25"),
    (["export", "@", "out"], "@ is a sweep of 2 points; name one, such as "
                             "--point lambda=0.25"),
    (["sum", "@", "--point", "lambda=1"],
     '@ has no point "lambda=1"; the first is lambda=0.25'),
    (["sum", "@", "--set", "parameters.lambda=1"],
     "@: parameters.lambda: the sweep gives parameters.lambda its values; set "
     "something else, or change llmergefs.sweep"),
    (["check", "@", "--set", "models[3].model=x"],
     "@: models[3]: there is 1, counted from 0"),
])
def test_a_point_has_to_be_named(sweep, args, sentence):
    run = llmergefs(*[arg.replace("@", str(sweep)) for arg in args])
    assert run.stderr == f"llmergefs: {sentence}\n".replace("@", str(sweep))
    assert run.returncode == 2


def test_set_is_as_if_it_stood_in_the_recipe(sweep, tmp_path):
    """Sums of a point, of --set on a plain recipe, and of the file by hand."""
    plain = tmp_path / "plain.yml"
    plain.write_text(sweep.read_text().split("llmergefs:")[0])
    point = sums(sweep, "--point", "lambda=0.50")
    assert [x for x in sums(plain, "--set", "parameters.lambda=0.5")
            if " tensor " in x] == [x for x in point if " tensor " in x]
    assert sums(plain)[-1] != point[-1]
    out = export_args(sweep, tmp_path / "out", "--point", "lambda=0.50")
    again = sums(out / "mergekit_config.yml")
    assert again[-1] == point[-1]


def export_args(recipe, out, *options):
    run = llmergefs("export", "--quiet", *options, recipe, out)
    assert (run.returncode, run.stderr) == (0, "")
    return out


def sums(recipe, *options):
    run = llmergefs("sum", "--quiet", *options, recipe)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


def test_sum_is_of_the_exported_bytes(ties, tmp_path):
    """Each line is the XXH3-128 of what export writes."""
    exported = export(ties, tmp_path / "exported")
    kinds = {"tensor": {}, "file": {}, "merge": {}}
    for line in sums(ties):
        digest, rest = line.split("  ", 1)
        kind, name = rest.split(" ", 1)
        kinds[kind][name] = digest
    assert len(shards(exported)) > 1
    files = [path for path in exported.rglob("*") if path.is_file()]
    assert kinds["file"] == {
        str(path.relative_to(exported)):
            xxhash.xxh3_128_hexdigest(path.read_bytes()) for path in files}
    assert kinds["tensor"] == {
        name: xxhash.xxh3_128_hexdigest(
            value.contiguous().view(torch.uint8).numpy().tobytes())
        for name, value in tensors(exported).items()}
    assert len(kinds["merge"]) == 1


def levels():
    """CPU levels that this machine has."""
    return [level for level in ("baseline", "avx2", "avx512")
            if "no such level" not in
            llmergefs("sum", "--cpu", level, "gone").stderr]


def test_sums_do_not_depend_on_threads_levels_or_cache(ties):
    expected = sums(ties)
    assert "baseline" in levels()
    ways = [("--cpu", level) for level in levels()]
    ways += [("--threads", "1"), ("--threads", "5"), ("--cache", "off"),
             ("--cache", "all"), ("--cache", "all", "--cache-mem", "1M")]
    for way in ways:
        assert sums(ties, *way) == expected, way


def test_json_and_yaml_are_one_recipe(ties, tmp_path):
    import yaml

    other = tmp_path / "ties.json"
    other.write_text(json.dumps(yaml.safe_load(ties.read_text())))

    def weights(recipe):
        return [line for line in sums(recipe) if "  file " not in line]

    assert weights(other) == weights(ties)


def test_export_refuses_a_folder_that_holds_something(ties, tmp_path):
    target = tmp_path / "there"
    target.mkdir()
    (target / "mine").write_text("mine")
    run = llmergefs("export", ties, target)
    assert run.returncode != 0 and str(target) in run.stderr
    assert [path.name for path in target.iterdir()] == ["mine"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM,
                                  signal.SIGKILL])
def test_a_stopped_export_leaves_no_half_model(stop, folders, tmp_path):
    """Whatever stops it, nothing stands under the final name; what a kill
    leaves is removed by the next export."""
    big = tmp_path / "big"
    big.mkdir()
    shutil.copy(Path(folders["a"]) / "config.json", big)
    size = 2 << 30 # of holes: quick to make, slow enough to write
    head = json.dumps({"w": {"dtype": "F32", "shape": [size // 4],
                             "data_offsets": [0, size]}}).encode()
    with open(big / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + size)
    recipe = support.write_recipe(tmp_path / "recipe.yml", {
        "merge_method": "linear", "out_dtype": "bfloat16",
        "models": [{"model": "big", "parameters": {"weight": 0.5}}]})
    before = set(os.listdir(tmp_path))
    target = tmp_path / "out"
    run = subprocess.Popen([PROGRAM, "export", "--quiet", recipe, target],
                           stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while set(os.listdir(tmp_path)) == before and time.monotonic() < end:
        time.sleep(0.002)
    run.send_signal(stop)
    assert run.wait(60) != 0
    assert not target.exists()
    if stop != signal.SIGKILL:
        assert set(os.listdir(tmp_path)) == before
        return
    (big / "model.safetensors").unlink()
    shutil.copy(Path(folders["a"]) / "model.safetensors", big)
    export(recipe, target)
    assert set(os.listdir(tmp_path)) == before | {"out"}
