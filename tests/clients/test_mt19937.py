"""`rng: mt19937`: the masks of `mergekit-yaml --random-seed N`, bit for bit.

Without `rescale` every element is compared to the bit; with it, sums over
whole tensors enter, whose last bits depend on the order of summing: there the
masks are compared, and the rest within a few steps of the last bit."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest
import torch
from safetensors.torch import load_file, save_file

import synthetic
from peer import mergekit
from support import (assert_same_tensors, copy_model, export, llmergefs,
                     same_bits, tensors)

SEED = 20240517


@dataclass
class Case:
    name: str
    recipe: str
    seed: int = SEED


MODELS = """
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.35}}
  - {model: $base}
  - {model: $b, parameters: {weight: -0.4, density: 0.8}}
  - {model: $c, parameters: {weight: 0.5, density: 0.5}}
dtype: float32
"""

CASES = [
    Case("dare_linear", "merge_method: dare_linear" + MODELS +
         "parameters: {rescale: false}"),
    Case("dare_ties", "merge_method: dare_ties" + MODELS +
         "parameters: {rescale: false, normalize: true, lambda: 0.9}"),
    Case("della", "merge_method: della" + MODELS +
         "parameters: {rescale: false, epsilon: 0.1}"),
    Case("della_linear", "merge_method: della_linear" + MODELS +
         "parameters: {rescale: false, epsilon: -0.15}"),
    Case("seed-0", "merge_method: dare_linear" + MODELS +
         "parameters: {rescale: false}", 0),
    Case("seed-of-32-bits", "merge_method: dare_linear" + MODELS +
         "parameters: {rescale: false}", 2 ** 32 - 1),
    Case("all-of-one-model", """
merge_method: dare_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 1}}
  - {model: $b, parameters: {weight: 0.4, density: 0.7}}
parameters: {rescale: false}
dtype: float32
"""),
    Case("nothing-of-one-model", """
merge_method: dare_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0}}
  - {model: $b, parameters: {weight: 0.4, density: 0.7}}
parameters: {rescale: false}
dtype: float32
"""),
    Case("nothing-of-one-model-della", """
merge_method: della_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0}}
  - {model: $b, parameters: {weight: 0.4, density: 0.7}}
parameters: {rescale: false}
dtype: float32
"""),
    Case("no-weight-draws-too", """
merge_method: dare_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 0, density: 0.5}}
  - {model: $b, parameters: {weight: 0.4, density: 0.7}}
parameters: {rescale: false}
dtype: float32
"""),
    Case("gradients-and-filters", """
merge_method: dare_linear
base_model: $base
models:
  - model: $a
    parameters:
      weight: 0.6
      density: [0.1, 0.6, 1.2]
  - model: $b
    parameters:
      weight: 0.4
      density:
        - {filter: mlp, value: 1}
        - {filter: embed, value: 0.25}
        - {value: [0.9, 0.3]}
parameters: {rescale: false}
dtype: float32
"""),
    Case("vocabulary-of-the-tokenizer", "merge_method: dare_linear" + MODELS +
         "tokenizer_source: base\nparameters: {rescale: false}"),
    Case("slices-of-other-layers", """
merge_method: dare_linear
base_model: $base
slices:
  - sources:
      - {model: $base, layer_range: [0, 4]}
      - {model: $a, layer_range: [4, 8]}
  - sources:
      - {model: $base, layer_range: [8, 12]}
      - {model: $a, layer_range: [1, 5]}
      - {model: $b, layer_range: [0, 4]}
parameters: {rescale: false, weight: 0.7, density: 0.6}
dtype: float32
"""),
    Case("slices-again", """
merge_method: dare_ties
base_model: $base
slices:
  - sources:
      - {model: $base, layer_range: [0, 12]}
      - {model: $a, layer_range: [0, 12], parameters: {density: 1}}
      - {model: $b, layer_range: [0, 12]}
  - sources:
      - {model: $base, layer_range: [0, 12]}
      - {model: $a, layer_range: [0, 12]}
      - {model: $b, layer_range: [0, 12]}
parameters: {rescale: false, weight: 0.7, density: [0.6, 0.2]}
dtype: float32
"""),
]


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Twelve layers: 10 comes before 2."""
    return synthetic.family(tmp_path_factory.mktemp("deep"), layers=12,
                            hidden_size=32, intermediate_size=40,
                            num_attention_heads=2)


def both(text, folders, tmp_path, seed, ours=""):
    """The merge by mergekit and by us: tensors by name."""
    text = Template(text).substitute(folders)
    theirs = mergekit(text, tmp_path / "mergekit", random_seed=seed)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(text + f"\nllmergefs: {{rng: mt19937, seed: {seed}"
                      f"{ours}}}\n")
    return tensors(theirs), tensors(export(recipe, tmp_path / "ours"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_merges_are_mergekits_to_the_bit(case, deep, tmp_path):
    theirs, ours = both(case.recipe, deep, tmp_path, case.seed)
    assert_same_tensors(theirs, ours)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della",
                                    "della_linear"])
def test_rescaled_merges_have_the_same_masks(method, deep, tmp_path):
    theirs, ours = both(f"merge_method: {method}" + MODELS, deep, tmp_path,
                        SEED)
    base = tensors(deep["base"])
    assert theirs.keys() == ours.keys()
    for name in theirs:
        assert torch.equal(theirs[name] == base[name],
                           ours[name] == base[name]), name
        step = torch.finfo(torch.float32).eps * base[name].abs().max()
        assert (theirs[name] - ours[name]).abs().max() <= 8 * step, name


@pytest.mark.parametrize("base, tuned", [("tied", "own"), ("own", "tied"),
                                         ("tied", "tied"), ("own", "own")])
def test_tied_heads_have_their_turn(base, tuned, tmp_path):
    """Of the head that is an embedding, its label: after the embedding."""
    folders = {}
    for name, kind, seed in (("base", base, 0), ("a", tuned, 1)):
        synthetic.make(tmp_path / name, tied=kind == "tied", seed=seed)
        folders[name] = tmp_path / name
    theirs, ours = both("""
merge_method: dare_linear
base_model: $base
models: [{model: $a, parameters: {weight: 0.5, density: 0.5}}]
parameters: {rescale: false}
dtype: float32
""", folders, tmp_path, SEED)
    assert_same_tensors(theirs, ours)


def test_tensors_that_some_lack(tmp_path):
    """What the base alone has takes no numbers; what one model lacks takes
    those of the others."""
    how = dict(architecture="granite", attention_bias=True)
    base = synthetic.make(tmp_path / "base", **how)
    for seed, name in enumerate("abc", 1):
        synthetic.make(tmp_path / f"whole-{name}", like=base, seed=seed, **how)
    lacks = {"a": ("layers.1.self_attn.q_proj.bias",
                   "layers.0.self_attn.v_proj.bias"),
             "b": ("layers.1.self_attn.q_proj.bias",),
             "c": ("layers.1.self_attn.q_proj.bias",
                   "layers.2.self_attn.k_proj.bias")}
    folders = {"base": tmp_path / "base"}
    for name, ends in lacks.items():
        folders[name] = copy_model(tmp_path / f"whole-{name}",
                                   tmp_path / name,
                                   leave=("model.safetensors",))
        kept = {key: value for key, value in load_file(
            tmp_path / f"whole-{name}/model.safetensors").items()
            if not key.endswith(ends)}
        save_file(kept, folders[name] / "model.safetensors", {"format": "pt"})
    theirs, ours = both("merge_method: dare_linear" + MODELS +
                        "parameters: {rescale: false}", folders, tmp_path,
                        SEED)
    assert_same_tensors(theirs, ours)
    alone = "model.layers.1.self_attn.q_proj.bias"
    assert same_bits(ours[alone], tensors(folders["base"])[alone])


def test_buffers_of_old_checkpoints_draw_last(tmp_path):
    """mergekit drops them, so the others must not feel them."""
    folders = synthetic.family(tmp_path)
    for folder in folders.values():
        file = folder / "model.safetensors"
        held = load_file(file)
        for layer in range(4):
            held[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = \
                torch.linspace(1, 0, 8)
        save_file(held, file, {"format": "pt"})
    theirs, ours = both("merge_method: dare_linear" + MODELS +
                        "parameters: {rescale: false}", folders, tmp_path,
                        SEED)
    assert not any("inv_freq" in name for name in theirs)
    assert_same_tensors(theirs, {name: tensor for name, tensor in ours.items()
                                 if "inv_freq" not in name})


def test_the_command_line_draws_the_same(deep, tmp_path):
    """What the peer runs in this process is `mergekit-yaml --random-seed`."""
    text = Template("merge_method: dare_linear" + MODELS +
                    "parameters: {rescale: false}").substitute(deep)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(text + "\nllmergefs: {rng: mt19937, seed: 99}\n")
    program = Path(sys.executable).parent / "mergekit-yaml"
    subprocess.run([program, recipe, tmp_path / "mergekit", "--random-seed",
                    "99", "--no-write-model-card"], check=True,
                   capture_output=True)
    assert_same_tensors(tensors(tmp_path / "mergekit"),
                        tensors(export(recipe, tmp_path / "ours")))


def sums(*command):
    """Of the tensors: files beside them tell of the recipe's text."""
    run = llmergefs("sum", *command)
    assert run.returncode == 0, run.stderr
    return [line for line in run.stdout.splitlines()
            if line.split()[1] not in ("file", "merge")]


def test_only_32_bits_of_the_seed_count(deep, tmp_path):
    found = []
    for seed in (5, 2 ** 32 + 5, 6):
        recipe = tmp_path / f"{seed}.yml"
        recipe.write_text(Template(
            "merge_method: dare_ties" + MODELS +
            "parameters: {rescale: false}\n").substitute(deep) +
            f"llmergefs: {{rng: mt19937, seed: {seed}}}\n")
        found.append(sums(recipe))
    assert found[0] == found[1] != found[2]


def test_a_mount_gives_the_same_in_any_order(deep, mount, tmp_path):
    """Pages of a mount, read from the end to the beginning, and by fours."""
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(
        "merge_method: dare_ties" + MODELS).substitute(deep) +
        "llmergefs: {rng: mt19937, seed: 5}\n")
    whole = (export(recipe, tmp_path / "ours") /
             "model.safetensors").read_bytes()
    path = mount(recipe) / "model.safetensors"
    size = path.stat().st_size
    assert size == len(whole)
    with open(path, "rb", buffering=0) as file:
        for start in [*range(0, size, 4 * 4096),
                      *reversed(range(0, size, 4096))]:
            file.seek(start)
            assert file.read(4096) == whole[start:start + 4096], start


def test_sweeps_over_seeds_and_generators(deep, tmp_path):
    """A point of a sweep is the recipe that it stands for."""
    text = Template("merge_method: dare_linear" + MODELS +
                    "parameters: {rescale: false}\n").substitute(deep)
    swept = tmp_path / "swept.yml"
    swept.write_text(text + """
llmergefs:
  sweep:
    llmergefs.seed: [1, 2]
    llmergefs.rng: [counter, mt19937]
""")
    found = set()
    for seed in (1, 2):
        for rng in ("counter", "mt19937"):
            plain = tmp_path / f"{seed}-{rng}.yml"
            plain.write_text(text +
                             f"llmergefs: {{rng: {rng}, seed: {seed}}}\n")
            want = sums(plain)
            assert want == sums(swept, "--point", f"seed={seed},rng={rng}")
            found.add(tuple(want))
    assert len(found) == 4
