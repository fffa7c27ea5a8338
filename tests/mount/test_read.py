"""What a mount shows: names, attributes, bytes, and no change."""

import errno
import json
import mmap
import os
import random
import stat
import subprocess
import sys

import pytest

from mounts import floats, make_model, mounted, mount_type, recipe, run

SHAPES = {"model.embed_tokens.weight": [700, 64],
          "model.layers.0.mlp.weight": [300, 1001],
          "model.layers.1.mlp.weight": [513, 511],
          "model.norm.weight": [64]}


def count(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three models, recipes that copy, merge and reduce, and their exports."""
    top = tmp_path_factory.mktemp("read")
    os.environ["XDG_CACHE_HOME"] = str(top / "cache")
    for seed, name in enumerate(("base", "a", "b"), 1):
        make_model(top / name, {
            tensor: ("F32", shape, floats(count(shape), seed * 100 + i))
            for i, (tensor, shape) in enumerate(SHAPES.items())})
    half = {"weight": 0.5, "density": 0.4}
    recipe(top / "copy.json", "passthrough", [(top / "a", {})])
    recipe(top / "linear.json", "linear",
           [(top / "a", half), (top / "b", half)],
           llmergefs={"shard_size": 600_000})
    recipe(top / "ties.json", "ties", [(top / "a", half), (top / "b", half)],
           base_model=str(top / "base"), dtype="float32",
           out_dtype="bfloat16")
    recipe(top / "slerp.json", "slerp", [(top / "a", {})],
           base_model=str(top / "base"), parameters={"t": 0.3})
    for name in ("copy", "linear", "ties", "slerp"):
        done = run("export", "--quiet", top / f"{name}.json",
                   top / f"{name}-export")
        assert done.returncode == 0, done.stderr
    return top


@pytest.fixture(params=["copy", "linear", "ties", "slerp"])
def both(place, request):
    """(mount, folder of the export) of each recipe."""
    name = request.param
    with mounted(place / f"{name}.json", place / "mnt") as mount:
        yield mount, place / f"{name}-export"


def files(folder):
    return sorted(str(path.relative_to(folder))
                  for path in folder.rglob("*") if path.is_file()
                  and ".llmergefs" not in path.parts)


def test_files_and_bytes_are_those_of_export(both):
    mount, export = both
    assert files(mount.path) == files(export)
    for name in files(export):
        assert (mount / name).read_bytes() == (export / name).read_bytes()


def test_any_piece_is_that_of_the_whole(both):
    mount, export = both
    draw = random.Random(7)
    for name in files(export):
        if not name.endswith(".safetensors"):
            continue
        whole = (export / name).read_bytes()
        with open(mount / name, "rb", buffering=0) as file:
            for _ in range(100):
                off = draw.randrange(len(whole) + 10)
                size = draw.choice([1, 3, 4095, 4097, 70001, len(whole)])
                assert os.pread(file.fileno(), size, off) == \
                    whole[off:off + size]


def test_mappings_and_direct_reads(both):
    mount, export = both
    for name in files(export):
        whole = (export / name).read_bytes()
        with open(mount / name, "rb") as file:
            for kind in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
                with mmap.mmap(file.fileno(), 0, flags=kind,
                               prot=mmap.PROT_READ) as mapped:
                    assert mapped[:] == whole
        fd = os.open(mount / name, os.O_RDONLY | os.O_DIRECT)
        try:
            buffer = mmap.mmap(-1, 1 << 20)
            got = b""
            while size := os.preadv(fd, [buffer], len(got)):
                got += buffer[:size]
            assert got == whole
        finally:
            os.close(fd)


READER = """
import sys
data = open(sys.argv[1], "rb").read()
sys.exit(data != open(sys.argv[2], "rb").read())
"""


def test_eight_processes_at_once(both):
    mount, export = both
    name = next(n for n in files(export) if n.endswith(".safetensors"))
    readers = [subprocess.Popen([sys.executable, "-c", READER,
                                 str(mount / name), str(export / name)])
               for _ in range(8)]
    assert [reader.wait() for reader in readers] == [0] * 8


def test_attributes(both):
    """Modes, exact sizes, numbers and times that stay, a type that tools
    know."""
    mount, export = both
    for name in files(export):
        first, second = (os.stat(mount / name) for _ in range(2))
        assert stat.S_IMODE(first.st_mode) == 0o444
        assert first.st_size == os.stat(export / name).st_size
        assert first.st_ino == second.st_ino > 1
        assert first.st_mtime == second.st_mtime > 0
    assert stat.S_IMODE(os.stat(mount.path).st_mode) == 0o555
    assert mount_type(mount.path)[0] == "fuse.llmergefs"
    assert mount_type(mount.path)[1].endswith(".json")
    numbers = os.statvfs(mount.path)
    assert numbers.f_bfree == 0 and numbers.f_namemax == 255
    assert not (mount / "pytorch_model.bin").exists()


CHANGES = {
    "open": lambda p: os.open(p / "config.json", os.O_WRONLY),
    "append": lambda p: os.open(p / "README.md", os.O_RDWR | os.O_APPEND),
    "create": lambda p: os.open(p / "new", os.O_CREAT | os.O_WRONLY),
    "truncate": lambda p: os.truncate(p / "config.json", 0),
    "mkdir": lambda p: os.mkdir(p / "new"),
    "mknod": lambda p: os.mknod(p / "new"),
    "unlink": lambda p: os.unlink(p / "config.json"),
    "rmdir": lambda p: os.rmdir(p / "code"),
    "rename": lambda p: os.rename(p / "config.json", p / "other"),
    "link": lambda p: os.link(p / "config.json", p / "other"),
    "symlink": lambda p: os.symlink("config.json", p / "other"),
    "chmod": lambda p: os.chmod(p / "config.json", 0o600),
    "chown": lambda p: os.chown(p / "config.json", 1, 1),
    "utime": lambda p: os.utime(p / "config.json", (1, 1)),
    "setxattr": lambda p: os.setxattr(p / "config.json", "user.a", b"1"),
}


@pytest.fixture(scope="module")
def linear(place):
    (place / "changes").mkdir()
    with mounted(place / "linear.json", place / "changes") as mount:
        yield mount


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused(linear, change):
    with pytest.raises(OSError) as refused:
        CHANGES[change](linear.path)
    assert refused.value.errno == errno.EROFS


def test_it_tells_of_itself(linear):
    """.llmergefs: the recipe, the plan, live numbers, the log."""
    folder = linear.path / ".llmergefs"
    assert sorted(os.listdir(folder)) == [
        "control", "errors", "log", "metrics", "plan.json", "recipe.json",
        "stats.json"]
    assert json.loads((folder / "recipe.json").read_text())
    assert json.loads((folder / "plan.json").read_text())
    before = linear.stats()["bytes_served"]
    name = next(n for n in files(linear.path) if n.endswith(".safetensors"))
    size = len((linear / name).read_bytes())
    assert linear.stats()["bytes_served"] >= before + size
    assert "mounted on" in linear.log()


def test_shards_are_aligned_and_named(linear):
    """Data starts at a page, the header says "pt" and the recipe's hash."""
    index = json.loads((linear / "model.safetensors.index.json").read_text())
    shards = set(index["weight_map"].values())
    assert len(shards) > 1 and set(index["weight_map"]) == set(SHAPES)
    for name in shards:
        head = (linear / name).read_bytes()
        size = int.from_bytes(head[:8], "little")
        metadata = json.loads(head[8:8 + size])["__metadata__"]
        assert (8 + size) % 4096 == 0
        assert metadata["format"] == "pt"
        assert len(metadata["llmergefs_recipe"]) == 32


def test_a_cache_of_everything_computes_nothing_again(place):
    """--cache all: the same bytes, and the second mount makes none."""
    cache = place / "all"
    export = place / "ties-export/model.safetensors"
    for turn in range(2):
        with mounted(place / "ties.json", place / "mnt", "--cache", "all",
                     "--cache-dir", cache) as mount:
            assert (mount / "model.safetensors").read_bytes() == \
                export.read_bytes()
            stats = mount.stats()
        made = (stats["cache"]["made"], stats["reductions_made"],
                stats["chunks_made"], stats["bytes_merged"])
        assert (made == (0, 0, 0, 0)) == (turn == 1)


def test_numbers_that_overflow_are_counted(place):
    big = make_model(place / "big", {
        "x.weight": ("F32", [8], floats(7, 1) + b"\xff\xff\x7f\x7f")})
    path = recipe(place / "big.json", "linear", [(big, {"weight": 3})],
                  parameters={"normalize": False})
    with mounted(path, place / "mnt") as mount:
        (mount / "model.safetensors").read_bytes()
        assert mount.stats()["nonfinite_tensors"] == {"x.weight": 1}
        assert "x.weight: infinite or NaN" in mount.log()
