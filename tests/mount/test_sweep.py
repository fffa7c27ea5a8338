"""A sweep in one mount: its folders, its index, and the bytes of each point."""

import json
import os
import subprocess
import sys
import time

import pytest

from many import WEIGHTS, digest, linear, make_trio, ties
from mounts import DEADLINE, SLOW, mounted, recipe, run, wait_until

POINTS = 100 // SLOW
READERS = 8
LAMBDAS = [round(i / POINTS, 2) for i in range(1, POINTS + 1)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three models of four small tensors."""
    return make_trio(tmp_path_factory.mktemp("small"), {
        f"model.layers.{i}.{kind}.weight": [60 + i, 50]
        for i in range(2) for kind in ("mlp", "self_attn")})


@pytest.fixture
def hundred(small, tmp_path):
    return ties(tmp_path / "hundred.yml", small, llmergefs={
        "sweep": {"parameters.lambda": LAMBDAS}})


def folders(path):
    return sorted(name for name in os.listdir(path)
                  if name not in (".llmergefs", "current", "index.json"))


def checked(path, *options):
    done = run("check", "--json", path, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- what stands in the mount -----------------------------------------------


@pytest.mark.parametrize("sweep, names", [
    ({"parameters.lambda": [0.2, 0.4], "models[1].parameters.density": [0.3]},
     ["lambda=0.2,density=0.3", "lambda=0.4,density=0.3"]),
    ({"models[0].parameters.weight": [0.2], "models[1].parameters.weight":
      [0.8, 1]}, ["models.0.weight=0.2,models.1.weight=0.8",
                  "models.0.weight=0.2,models.1.weight=1"]),
    ([{"models[0].parameters.weight": 0.25,
       "models[1].parameters.weight": 0.75},
      {"models[0].parameters.weight": 0.5, "models[1].parameters.weight": 0.5}],
     ["models.0.weight=0.25,models.1.weight=0.75",
      "models.0.weight=0.5,models.1.weight=0.5"]),
    ({"merge_method": ["ties", "task_arithmetic"]},
     ["merge_method=task_arithmetic", "merge_method=ties"]),
])
def test_a_folder_a_point_named_as_it_is_written(small, tmp_path, spot, sweep,
                                                 names):
    path = ties(tmp_path / "s.yml", small, llmergefs={"sweep": sweep})
    with mounted(path, spot) as mount:
        assert folders(spot) == names
        assert sorted(point["name"] for point in json.loads(
            (mount / "index.json").read_text())["points"]) == names
        assert (mount / "current").readlink().name in names


def test_the_index_has_every_recipe_and_its_hash(hundred, tmp_path, spot):
    """The hash is that of the point, by `check`, and of the same recipe written
    by hand; the recipe in the index is that one."""
    with mounted(hundred, spot) as mount:
        points = json.loads((mount / "index.json").read_text())["points"]
        assert [point["name"] for point in points] == \
            [f"lambda={value}" for value in LAMBDAS]
        assert len({point["hash"] for point in points}) == POINTS
        told = checked(hundred)["points"]
        assert {point["name"]: point["hash"] for point in told} == \
            {point["name"]: point["hash"] for point in points}
        for point in points[::20]:
            assert checked(hundred, "--point", point["name"])["hash"] == \
                point["hash"]
            assert point["recipe"]["parameters"]["lambda"] == \
                float(point["name"].split("=")[1])
            by_hand = tmp_path / "by-hand.json"
            by_hand.write_text(json.dumps(point["recipe"]))
            assert checked(by_hand)["hash"] == point["hash"]


def test_a_sweep_among_others_has_its_own_folder(small, hundred, tmp_path, spot,
                                                 exports):
    with mounted([hundred, linear(tmp_path / "one.yml", small)], spot) as mount:
        assert folders(spot) == ["hundred", "one"]
        assert len(folders(mount / "hundred")) == POINTS
        assert (mount / "hundred/index.json").exists()
        assert (mount / "hundred/lambda=0.5" / WEIGHTS).read_bytes() == \
            exports(hundred, "--point", "lambda=0.5")


def test_a_sweep_that_is_changed_keeps_its_readers(small, tmp_path, spot,
                                                   exports):
    folder = tmp_path / "recipes.d"
    folder.mkdir()

    def write(values):
        return ties(folder / "s.yml", small, llmergefs={
            "sweep": {"parameters.lambda": values}})

    old = exports(write([0.25, 0.5]), "--point", "lambda=0.5")
    with mounted(folder, spot) as mount:
        with open(mount / "s/lambda=0.5" / WEIGHTS, "rb",
                  buffering=0) as file:
            assert file.read(10) == old[:10]
            path = write([0.75, 1])
            wait_until(lambda: folders(mount / "s") == ["lambda=0.75",
                                                        "lambda=1"], "new")
            assert file.read() == old[10:]
        new = mount / "s/lambda=0.75" / WEIGHTS
        assert new.read_bytes() == exports(path, "--point", "lambda=0.75")
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "closed")


@pytest.mark.parametrize("sweep, sentence", [
    ({"parameters.lambda": []}, "parameters.lambda"),
    ({"parameters.lambda": [1, 1]}, "lambda=1"),
    ({"parameters.lambda": [1, "x"]}, "lambda"),
    ({"models[9].parameters.weight": [1]}, "models[9]"),
    ([{"parameters.lambda": 1}, {"parameters.lambda": 1}], "lambda=1"),
    ({"parameters.lambda": list(range(1, 2000)), "dtype": ["bfloat16"] * 900},
     ""),
])
def test_a_wrong_sweep_is_a_sentence(small, tmp_path, spot, sweep, sentence):
    path = ties(tmp_path / "s.yml", small, llmergefs={"sweep": sweep})
    done = run(path, spot)
    assert done.returncode == 2 and sentence in done.stderr
    assert not os.path.ismount(spot)


# --- a hundred points -------------------------------------------------------


def test_a_hundred_points_mount_at_once(hundred, spot, record_property):
    begin = time.monotonic()
    with mounted(hundred, spot):
        assert len(folders(spot)) == POINTS
        seconds = time.monotonic() - begin
    record_property("mount_seconds", seconds)
    # Under a second, on a machine that has nothing else to do.
    assert seconds < 5 * SLOW


# Reads all points, in an order of its own, and prints their digests.
READ_ALL = """
import hashlib, json, os, random, sys
root, seed = sys.argv[1:]
names = [name for name in os.listdir(root) if name.startswith("lambda=")]
random.Random(int(seed)).shuffle(names)
print(json.dumps({name: hashlib.sha1(open(
    f"{root}/{name}/model.safetensors", "rb").read()).hexdigest()
    for name in names}))
"""


@pytest.mark.parametrize("cache", ["auto", "all"])
def test_eight_read_what_export_writes(hundred, spot, exports, cache):
    expected = {f"lambda={value}": digest(
        exports(hundred, "--point", f"lambda={value}")) for value in LAMBDAS}
    assert len(set(expected.values())) == POINTS
    with mounted(hundred, spot, f"--cache={cache}") as mount:
        readers = [subprocess.Popen(
            [sys.executable, "-c", READ_ALL, spot, str(seed)], text=True,
            stdout=subprocess.PIPE) for seed in range(READERS)]
        for reader in readers:
            out, _ = reader.communicate(timeout=DEADLINE)
            assert json.loads(out) == expected
        stats = mount.stats()
        assert stats["reductions_made"] == 4
        assert stats["errors"] == 0
        sources = [os.readlink(f"/proc/{mount.process.pid}/fd/{fd}")
                   for fd in os.listdir(f"/proc/{mount.process.pid}/fd")]
        sources = [path for path in sources if path.endswith(WEIGHTS)]
        assert len(sources) == len(set(sources)) == 3


def test_sum_and_mount_agree_on_a_point(small, tmp_path, spot):
    """As does a recipe of that point alone."""
    path = recipe(tmp_path / "s.yml", "linear",
                  [(small / "a", {"weight": 1}), (small / "b", {"weight": 1})],
                  llmergefs={"sweep": {"models[0].parameters.weight": [1, 3]}})
    alone = recipe(tmp_path / "alone.yml", "linear",
                   [(small / "a", {"weight": 3}), (small / "b", {"weight": 1})])
    tensors = [[line for line in done.stdout.splitlines()
                if line.split()[1] in ("tensor", "merge")]
               for done in (run("sum", path, "--point", "weight=3"),
                            run("sum", alone))]
    assert tensors[0] == tensors[1] and len(tensors[0]) == 5
    with mounted([path, alone], spot) as mount:
        pieces = [(mount / name / WEIGHTS).read_bytes()[-40_000:]
                  for name in ("s/weight=3", "alone")]
        assert pieces[0] == pieces[1]
