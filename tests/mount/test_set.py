"""`set`: the next generation of a recipe, without editing its file."""

import os
from pathlib import Path

import pytest

from many import (WEIGHTS, generation, inodes, linear, open_files, reading,
                  start, ties, weights)
from mounts import (DEADLINE, clean_up, daemon_of, mounted, recipe, run,
                    wait_until)

WEIGHT = "models[0].parameters.weight"


@pytest.fixture
def sweep(trio, tmp_path):
    return ties(tmp_path / "sweep.yml", trio, llmergefs={
        "sweep": {"parameters.lambda": [0.5, 1]}})


def test_set_makes_the_next_generation(two, pair, spot, exports):
    """The same as export with the setting; who reads the old one goes on."""
    old, others, before = weights(pair, "a"), inodes(pair / "b"), \
        inodes(pair / "a")
    with open(pair / "a" / WEIGHTS, "rb", buffering=0) as file:
        assert file.read(100) == old[:100]
        done = run("set", spot / "a", f"{WEIGHT}=0.25")
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout == f"{spot}/a is generation 2\n"
        assert weights(pair, "a") == exports(two[0], "--set", f"{WEIGHT}=0.25")
        assert not before & inodes(pair / "a")
        assert old[100:] == file.read()
    assert inodes(pair / "b") == others
    assert '"weight": 0.25' in (pair / "a/mergekit_config.yml").read_text()


def test_settings_add_up_and_are_taken_back(two, pair, spot, exports):
    for argv, expected in (
            ([f"{WEIGHT}=0.25"], [f"{WEIGHT}=0.25"]),
            (["models[1].parameters.weight=0.125", "dtype=bfloat16"],
             [f"{WEIGHT}=0.25", "models[1].parameters.weight=0.125",
              "dtype=bfloat16"]),
            ([f"{WEIGHT}=0.75"], [f"{WEIGHT}=0.75", "dtype=bfloat16",
                                  "models[1].parameters.weight=0.125"]),
            ([], [])):
        assert run("set", spot / "a", *argv).returncode == 0
        options = [word for one in expected for word in ("--set", one)]
        assert weights(pair, "a") == exports(two[0], *options)


def test_set_prints_warnings(pair, spot):
    done = run("set", spot / "a", "parameters.wieght=1")
    assert done.returncode == 0
    assert "warning: " in done.stderr and "wieght" in done.stderr
    assert generation(pair, "a") == 2


@pytest.mark.parametrize("name, setting, sentence", [
    ("a", f"{WEIGHT}=heavy", "weight"), ("a", "models[7].model=x", "models[7]"),
    ("a", "merge_method=blend", "blend"), ("a", "nonsense", "="),
    ("a", "models[0].model=/nowhere", "/nowhere"), ("a", "=1", ""),
    ("c", f"{WEIGHT}=1", 'no folder "c"'),
    ("", f"{WEIGHT}=1", "name a recipe"),
    ("a/b", f"{WEIGHT}=1", "no folder"),
])
def test_a_setting_that_is_wrong_changes_nothing(pair, spot, name, setting,
                                                 sentence):
    before = inodes(pair / "a")
    done = run("set", spot / name, setting)
    assert done.returncode in (2, 3) and sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert inodes(pair / "a") == before and pair.errors() == ""
    assert generation(pair, "a") == 1
    assert pair.stats()["recipes"][0]["settings"] == 0


def test_set_on_a_sweep_is_for_all_points(sweep, spot, exports):
    with mounted(sweep, spot) as mount:
        assert run("set", spot, f"{WEIGHT}=0.25").returncode == 0
        for point in ("lambda=0.5", "lambda=1"):
            assert weights(mount, point) == exports(
                sweep, "--set", f"{WEIGHT}=0.25", "--point", point)
        for path, setting, sentence in (
                (spot / "lambda=1", f"{WEIGHT}=1", "is a point of a sweep"),
                (spot, "parameters.lambda=1", "sweep")):
            done = run("set", path, setting)
            assert done.returncode == 2 and sentence in done.stderr
        assert generation(mount, "") == 2


def test_set_mends_what_is_broken_until_its_file_changes(trio, tmp_path, spot,
                                                         exports):
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    path = linear(folder / "a.yml", trio, "much")
    with mounted(folder, spot) as mount:
        assert mount.errors() and not (mount / "a").exists()
        done = run("set", spot / "a", f"{WEIGHT}=0.5")
        assert done.returncode == 0, done.stderr
        assert mount.errors() == ""
        assert weights(mount, "a") == exports(path, "--set", f"{WEIGHT}=0.5")
        assert os.readlink(mount / "current") == "a"
        linear(path, trio, 0.125)
        wait_until(lambda: generation(mount, "a") == 2, "the file's own")
        assert weights(mount, "a") == exports(path)
        assert "what was set from outside is dropped" in mount.log()


def test_a_failed_set_hides_no_change_of_the_file(trio, tmp_path, spot,
                                                  exports):
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    # Of what a link points to the daemon is not told: it looks now and then.
    path = linear(tmp_path / "elsewhere.yml", trio)
    (folder / "a.yml").symlink_to(path)
    with mounted(folder, spot) as mount:
        linear(path, trio, 0.125)
        assert not mount.ask(op="set", name="a", settings=["x"])["ok"]
        wait_until(lambda: generation(mount, "a") == 2, "the file's own")
        assert weights(mount, "a") == exports(path)


def test_a_recipe_without_a_folder_cannot_be_set(trio, tmp_path, spot):
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    for name in ("a.json", "a.yml", "current.yml"):
        linear(folder / name, trio)
    with mounted(folder, spot) as mount:
        for name, sentence in (("a.yml", "rename one of them"),
                               ("current.yml", "rename the file")):
            done = run("set", spot / name, f"{WEIGHT}=1")
            assert done.returncode == 2 and sentence in done.stderr
        assert sorted(os.listdir(spot)) == [".llmergefs", "a", "current"]
        assert len(mount.errors().splitlines()) == 2


def test_a_daemon_is_set_from_anywhere(trio, spot, exports):
    """It has left the working directory that its recipes and models were named
    from, and so does who commands it."""
    top = spot.parent
    (top / "deep").mkdir()
    recipe(top / "deep/a.yml", "passthrough", [("models/a", {})])
    (top / "models").symlink_to(trio)
    done = run("deep/a.yml", "mnt", cwd=top)
    assert done.returncode == 0, done.stderr
    try:
        assert daemon_of("mnt")
        for i, (cwd, path, model) in enumerate([
                (top, "mnt", "models/b"),
                (top / "deep", "../mnt", "../models/a"),
                (spot, ".", "models/b"),
                (Path("/"), spot, str(trio / "a"))], 2):
            done = run("set", path, f"models[0].model={model}", cwd=cwd)
            assert done.returncode == 0, done.stderr
            assert f"generation {i}" in done.stdout
            same = recipe(top / "same.yml", "passthrough",
                          [(trio / Path(model).name, {})])
            # The header has the hash of the recipe, which is another.
            assert weights(spot)[-1_800_000:] == exports(same)[-1_800_000:]
    finally:
        clean_up(spot)
        wait_until(lambda: daemon_of("mnt") is None, "the daemon has ended")


def test_many_set_at_once(pair, spot):
    """One after the other, each a generation; readers are served meanwhile, and
    what is replaced goes."""
    files = open_files(pair.process.pid)
    with reading([pair / "a" / WEIGHTS, pair / "b" / WEIGHTS]) as readers:
        clients = [start("set", spot / "a", f"{WEIGHT}={i + 1}", "-q")
                   for i in range(12)]
        for client in clients:
            assert client.communicate(timeout=DEADLINE) == ("", "")
            assert client.returncode == 0
    assert generation(pair, "a") == 13 and readers.missing == 0
    wait_until(lambda: pair.stats()["retired_generations"] == 0, "closed")
    wait_until(lambda: open_files(pair.process.pid) <= files + 4, "few files")
