"""Sources that change under a mount, and caches that fail it: an error and a
line in the log, never wrong bytes."""

import contextlib
import errno
import os
import shutil
import subprocess

import pytest

from mounts import floats, make_model, mounted, recipe

ROWS, COLS = 1000, 1000


def truncate(path):
    os.truncate(path, 100_000)


def rewrite(path):
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")


def replace(path):
    """As rsync and `hf download` do: another file under the name."""
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[:-4] + b"abcd")
    os.replace(other, path)


# method: (values of the model that changes, the rest of the recipe)
METHODS = {
    "passthrough": ({}, lambda top: {}),
    "task_arithmetic": ({"weight": 0.5},
                        lambda top: {"base_model": str(top / "b")}),
    "ties": ({"weight": 1, "density": 0.5},
             lambda top: {"base_model": str(top / "b")}),
}


@pytest.mark.parametrize("how", [truncate, rewrite, replace])
@pytest.mark.parametrize("method", METHODS)
def test_no_wrong_bytes_of_a_changed_source(tmp_path, spot, method, how):
    """Whatever is read, copied or merged or reduced: EIO and a line that names
    the source, or, where the file that was opened is still whole, its bytes."""
    data = floats(1000, 9) * (ROWS * COLS // 1000)
    for name in ("a", "b"):
        make_model(tmp_path / name, {"x.weight": ("F32", [ROWS, COLS], data)})
    values, more = METHODS[method]
    path = recipe(tmp_path / "r.json", method, [(tmp_path / "a", values)],
                  **more(tmp_path))
    done = tmp_path / "export"
    with mounted(path, spot, "--cache=off") as mount:
        shutil.copytree(mount.path, done)
    whole = (done / "model.safetensors").read_bytes()
    with mounted(path, spot, "--cache=off") as mount:
        with open(mount / "model.safetensors", "rb", buffering=0) as file:
            how(tmp_path / "a/model.safetensors")
            for off in (len(whole) - 1000, len(whole) // 2, 50_000):
                try:
                    got = os.pread(file.fileno(), 1000, off)
                except OSError as error:
                    assert error.errno == errno.EIO
                else:
                    assert how is replace and got == whole[off:off + 1000]
        if how is not replace:
            assert "a/model.safetensors" in mount.log()
            assert "changed since it was opened" in mount.log()
            assert mount.stats()["errors"] >= 3


def test_a_changed_file_beside_the_weights_is_an_error(tmp_path, spot):
    """Its size was told to the kernel: fewer bytes would be padded with zeros,
    others would be cut."""
    model = make_model(tmp_path / "a", {"x.weight": ("F32", [10],
                                                     floats(10, 1))})
    path = recipe(tmp_path / "r.json", "passthrough", [(model, {})])
    with mounted(path, spot) as mount:
        (model / "code/modeling_x.py").write_text("Y = 22222\n")
        with pytest.raises(OSError) as refused:
            (mount / "code/modeling_x.py").read_bytes()
        assert refused.value.errno == errno.EIO
        assert "modeling_x.py" in mount.log()
        assert (mount / "model.safetensors").read_bytes()


@contextlib.contextmanager
def read_only(folder):
    """No permission keeps root from writing; a read-only mount does."""
    def call(*argv):
        subprocess.run(argv, check=True, capture_output=True)

    try:
        call("mount", "--bind", str(folder), str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("folders cannot be bound here")
    try:
        call("mount", "-o", "remount,ro,bind", str(folder))
        yield
    finally:
        call("umount", "-l", str(folder))


def objects(cache):
    return [path for kind in ("surveys", "states", "chunks")
            for path in (cache / kind).glob("*/*") if path.is_file()]


def fill(kit, spot, cache):
    with mounted(kit.recipes["ties"], spot, "--cache=all", "--cache-dir",
                 cache) as mount:
        assert (mount / "model.safetensors").read_bytes() == \
            kit.weights["ties"]
    # A daemon that has ended has written what it kept.
    assert {path.parent.parent.name for path in objects(cache)} >= \
        {"states", "chunks"}


@pytest.mark.parametrize("full", [False, True])
def test_a_read_only_cache_serves(kit, tmp_path, spot, full):
    """Empty, nothing is kept and a warning says so; full, it is used."""
    cache = tmp_path / "kept"
    cache.mkdir(mode=0o700)
    if full:
        fill(kit, spot, cache)
    with read_only(cache), mounted(kit.recipes["ties"], spot, "--cache=all",
                                   "--cache-dir", cache) as mount:
        assert (mount / "model.safetensors").read_bytes() == \
            kit.weights["ties"]
        stats = mount.stats()
        assert stats["errors"] == 0
        assert (stats["cache"]["made"] == 0) == full
        assert full or "warning" in mount.log()


@pytest.mark.parametrize("kind", ["flipped", "short", "empty"])
def test_a_bad_object_is_made_again(kit, tmp_path, spot, kind):
    """Checksums: never wrong bytes, and the next mount finds good ones."""
    cache = tmp_path / "kept"
    fill(kit, spot, cache)
    for path in objects(cache):
        data = bytearray(path.read_bytes())
        if kind == "flipped":
            data[len(data) // 2] ^= 1
        path.write_bytes({"flipped": data, "short": data[:-1],
                          "empty": b""}[kind])
    bad = len(objects(cache))
    for turn in range(2):
        with mounted(kit.recipes["ties"], spot, "--cache=all", "--cache-dir",
                     cache) as mount:
            assert (mount / "model.safetensors").read_bytes() == \
                kit.weights["ties"]
            stats = mount.stats()["cache"]
        assert stats["disk_bad"] == (0 if turn else bad)
        assert (stats["made"] == 0) == (turn == 1)
