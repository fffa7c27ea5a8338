"""What is refused before anything is mounted, and what a mount may be called:
its paths, its words."""

import errno
import os

import pytest

from conftest import COUNT
from mounts import (SLOW, floats, make_model, mount_type, mounted, recipe, run,
                    wait_until)


def write(text):
    return lambda top: (top / "r.json").write_text(text)


def missing_source(top):
    recipe(top / "r.json", "linear", [(top / "nowhere", {"weight": 1})])


def unlike_shapes(top):
    for name, rows in (("p", 10), ("q", 20)):
        make_model(top / name, {"x.weight": ("F32", [rows, 10],
                                             floats(rows * 10, 1))})
    recipe(top / "r.json", "linear", [(top / "p", {"weight": 1}),
                                      (top / "q", {"weight": 1})])


def short_shard(top):
    make_model(top / "p", {"x.weight": ("F32", [10], floats(10, 1))})
    os.truncate(top / "p/model.safetensors", 30)
    recipe(top / "r.json", "linear", [(top / "p", {"weight": 1})])


# what is wrong: (how it is made, exit code, part of the sentence)
WRONG = {
    "no JSON": (write('{"merge_method": "linear"'), 2, "r.json"),
    "no such method": (write('{"merge_method": "liner", "models": '
                             '[{"model": "m"}]}'), 2, "liner"),
    "no models": (write('{"merge_method": "linear"}'), 2, "models"),
    "no such source": (missing_source, 3, "nowhere"),
    "unlike shapes": (unlike_shapes, 4, "x.weight"),
    "a short shard": (short_shard, 4, "model.safetensors"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_recipe_mounts_nothing(tmp_path, spot, name):
    """The exit code says whose fault it is, a sentence says where; nothing is
    mounted at any time, and no daemon stays."""
    make, code, sentence = WRONG[name]
    make(tmp_path)
    done = run(tmp_path / "r.json", spot)
    assert (done.returncode, sentence in done.stderr) == (code, True), \
        done.stderr
    assert "mounted on" not in done.stderr
    assert not os.path.ismount(spot)


# words after -o: (exit code, part of the sentence)
WORDS = {
    "nonsense": (2, "-o nonsense"),
    "cache=bad": (2, "auto, all or off"),
    "cache": (2, "takes a value"),
    "threads=0": (2, "from 1 to"),
}


@pytest.mark.parametrize("words", WORDS)
def test_wrong_words_are_refused(kit, spot, words):
    code, sentence = WORDS[words]
    done = run("-o", words, kit.recipes["copy"], spot)
    assert done.returncode == code and sentence in done.stderr
    assert not os.path.ismount(spot)


@pytest.mark.parametrize("words", [
    "ro,nofail,x-systemd.automount,_netdev", "cache=off,threads=1",
    "cache_mem=1M,default_permissions"])
def test_words_of_fstab_and_our_own_are_taken(kit, spot, words):
    """`ro` included: a change is still answered by us."""
    done = run("-o", words, kit.recipes["ties"], spot)
    assert done.returncode == 0, done.stderr
    assert (spot / "model.safetensors").read_bytes() == kit.weights["ties"]
    with pytest.raises(OSError) as refused:
        os.mkdir(spot / "new")
    assert refused.value.errno == errno.EROFS


@pytest.mark.parametrize("there", [True, False])
def test_a_cache_below_the_mountpoint_is_refused(kit, spot, there):
    """Whether its folder is there already or would be made: it would be hidden
    by the mount. Nothing is left behind."""
    if there:
        (spot / "deep/cache").mkdir(parents=True)
    before = sorted(spot.rglob("*"))
    done = run("--cache-dir", spot / "deep/cache", kit.recipes["ties"], spot)
    assert done.returncode == 5, done.stderr
    assert "would be hidden by a mount" in done.stderr
    assert sorted(spot.rglob("*")) == before


def test_a_source_below_the_mountpoint_by_a_link_is_refused(tmp_path, spot):
    """The real path counts, not the one that the recipe names."""
    make_model(spot / "m", {"x.weight": ("F32", [10], floats(10, 1))})
    os.symlink(spot / "m", tmp_path / "link")
    path = recipe(tmp_path / "r.json", "passthrough", [(tmp_path / "link", {})])
    done = run(path, spot)
    assert done.returncode == 5 and "would be hidden" in done.stderr


def test_a_path_may_hold_any_byte(kit, spot):
    """In the recipe's name and the mountpoint's, as /proc/mounts writes them:
    the read-ahead is set, and what a killed daemon left would be found."""
    folder = spot.parent / "a b,c\\d\t%s"
    folder.mkdir()
    path = folder / "r,1 \\.json"
    path.write_bytes(kit.recipes["copy"].read_bytes())
    point = folder / "m nt,x"
    with mounted(path, point, "--readahead-kb", 2048) as mount:
        assert (mount / "model.safetensors").read_bytes() == \
            kit.weights["copy"]
        wait_until(lambda: "mounted on" in mount.log(), "greeted")
        if os.geteuid() == 0 and os.access("/sys/class/bdi", os.W_OK):
            device = os.stat(point).st_dev
            with open(f"/sys/class/bdi/{os.major(device)}:"
                      f"{os.minor(device)}/read_ahead_kb") as number:
                assert number.read() == "2048\n"
        mount.process.terminate()
        assert mount.process.wait(20 * SLOW) == 0
        assert not os.path.ismount(point)


def test_relative_paths_in_the_background(kit, tmp_path, spot):
    """A daemon leaves its working folder; recipe, mountpoint and cache are
    meant from where it was started."""
    for name in "ab":
        os.symlink(kit.top / name, tmp_path / name)
    half = {"weight": 0.5, "density": 0.5}
    recipe(tmp_path / "r.json", "ties", [("b", half)], base_model="a")
    done = run("--cache-dir", "kept", "r.json", "mnt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # The header names the recipe, which is not the same text.
    data = 4 * COUNT
    assert (spot / "model.safetensors").read_bytes()[-data:] == \
        kit.weights["ties"][-data:]
    assert mount_type(spot) == ("fuse.llmergefs", str(tmp_path / "r.json"))
    wait_until(lambda: list((tmp_path / "kept/states").glob("*/*")), "kept")
