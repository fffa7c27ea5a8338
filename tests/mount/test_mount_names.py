"""Folders and attributes as tools see them, changes in every place, and the
ways of reading that go past a plain read."""

import errno
import mmap
import os
import random
import stat
import subprocess

import pytest

from mounts import floats, make_model, mounted, recipe

MANY = 3000


@pytest.fixture(scope="module")
def shown(tmp_path_factory, kit):
    """A mount of a model with many small files, and the folder of the model."""
    top = tmp_path_factory.mktemp("names")
    model = make_model(top / "m", {"x.weight": ("F32", [300_000],
                                                floats(3000, 4) * 100)})
    deep = model / "code/deep/er"
    deep.mkdir(parents=True)
    for i in range(MANY):
        (deep / f"part_{i:05}.py").write_text(f"X = {i}\n")
    os.utime(deep / "part_00000.py", (10**9, 10**9))
    path = recipe(top / "r.json", "linear", [(model, {"weight": 1})])
    with mounted(path, top / "mnt", "--cache=off") as mount:
        yield mount, model


def test_a_large_folder_is_listed_whole(shown):
    """Its entries come in many answers: each name once, and types, numbers as
    stat says them."""
    mount, model = shown
    deep = mount / "code/deep/er"
    names = os.listdir(deep)
    assert sorted(names) == sorted(os.listdir(model / "code/deep/er"))
    with os.scandir(deep) as entries:
        for entry in entries:
            assert entry.is_file(follow_symlinks=False)
            assert entry.inode() == os.stat(entry.path).st_ino
    assert (deep / f"part_{MANY - 1:05}.py").read_text() == f"X = {MANY - 1}\n"


def test_find_sees_each_node_once(shown):
    """Folders are 0555, files 0444, the control file 0600; numbers differ,
    links are counted."""
    mount, _ = shown
    found = subprocess.run(
        ["find", str(mount.path), "-printf", "%y %m %i %p\\n"],
        capture_output=True, text=True, check=True).stdout.splitlines()
    nodes = [line.split(" ", 3) for line in found]
    assert {(kind, mode) for kind, mode, _, _ in nodes} == \
        {("d", "555"), ("f", "444"), ("f", "600")}
    assert len({number for _, _, number, _ in nodes}) == len(nodes) > MANY
    for folder in ("", "code", "code/deep"):
        status = os.stat(mount / folder)
        below = [e for e in os.scandir(mount / folder) if e.is_dir()]
        assert status.st_nlink == 2 + len(below)


def test_times_and_owners(shown):
    """A donor's file has its own time; made ones have that of the newest of
    recipe and sources. All belong to who mounts."""
    mount, model = shown
    assert os.stat(mount / "code/deep/er/part_00000.py").st_mtime == 10**9
    newest = max(os.stat(model / "model.safetensors").st_mtime_ns,
                 os.stat(model.parent / "r.json").st_mtime_ns)
    for name in ("model.safetensors", "README.md"):
        status = os.stat(mount / name)
        assert status.st_mtime_ns >= newest
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
        assert status.st_blocks == (status.st_size + 511) // 512
    total = sum(os.stat(os.path.join(folder, name)).st_size
                for folder, _, names in os.walk(mount.path) for name in names)
    numbers = os.statvfs(mount.path)
    assert 0 <= numbers.f_blocks * numbers.f_frsize - total < numbers.f_frsize
    assert numbers.f_bavail == numbers.f_ffree == 0


def test_names_that_are_not_there(shown):
    """Asked twice: the second answer is the kernel's own. No weights of
    another kind, no folder beside it, no path through a file."""
    mount, _ = shown
    for name in ("config", "model.safetensors.old", "nope", "code/nope",
                 "code/deep/er/part_99999.py", ".llmergefs/nope", "x" * 255):
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                os.stat(mount / name)
    with pytest.raises(NotADirectoryError):
        os.stat(mount / "config.json/x")


INNER = ".llmergefs/stats.json"
DEEP = "code/deep/er/part_00001.py"
# Beside those of the files at the top: what is live, what lies deep, folders.
CHANGES = {
    "write live": lambda p: os.open(p / INNER, os.O_WRONLY),
    "truncate live": lambda p: os.open(p / INNER, os.O_RDONLY | os.O_TRUNC),
    "unlink live": lambda p: os.unlink(p / INNER),
    "chmod live": lambda p: os.chmod(p / INNER, 0o600),
    "create live": lambda p: (p / ".llmergefs/new").touch(),
    "rename live": lambda p: os.rename(p / INNER, p / "config.json"),
    "rmdir hidden": lambda p: os.rmdir(p / ".llmergefs"),
    "write deep": lambda p: os.open(p / DEEP, os.O_RDWR),
    "unlink deep": lambda p: os.unlink(p / DEEP),
    "create deep": lambda p: (p / "code/deep/new").touch(),
    "link deep": lambda p: os.link(p / DEEP, p / "code/other"),
    "rename folder": lambda p: os.rename(p / "code", p / "other"),
    "chmod folder": lambda p: os.chmod(p / "code", 0o777),
    "utime root": lambda p: os.utime(p),
    "fifo": lambda p: os.mkfifo(p / "new"),
    "removexattr": lambda p: os.removexattr(p / DEEP, "user.a"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused_everywhere(shown, change):
    mount, _ = shown
    with pytest.raises(OSError) as refused:
        CHANGES[change](mount.path)
    assert refused.value.errno == errno.EROFS


def test_direct_reads_at_odd_places(shown):
    """O_DIRECT asks us, past the page cache, for exactly these bytes."""
    mount, _ = shown
    whole = (mount / "model.safetensors").read_bytes()
    draw = random.Random(11)
    fd = os.open(mount / "model.safetensors", os.O_RDONLY | os.O_DIRECT)
    try:
        for _ in range(100):
            off = draw.randrange(len(whole) + 10)
            size = draw.choice([1, 511, 4096, 70_001])
            buffer = mmap.mmap(-1, 1 << 17)
            got = os.preadv(fd, [memoryview(buffer)[:size]], off)
            assert buffer[:got] == whole[off:off + size]
            assert got == len(whole[off:off + size])
    finally:
        os.close(fd)


def test_copies_by_the_kernel_and_by_cp(shown, tmp_path):
    """sendfile, and cp -a of the whole: bytes, modes and times."""
    mount, _ = shown
    whole = (mount / "model.safetensors").read_bytes()
    with open(mount / "model.safetensors", "rb") as source, \
            open(tmp_path / "sent", "w+b") as target:
        while os.sendfile(target.fileno(), source.fileno(), None, 1 << 20):
            pass
        target.seek(0)
        assert target.read() == whole
    subprocess.run(["cp", "-a", str(mount.path), str(tmp_path / "copy")],
                   check=True)
    assert (tmp_path / "copy/model.safetensors").read_bytes() == whole
    assert (tmp_path / "copy" / INNER).stat().st_size > 0
    for name in ("README.md", DEEP):
        first, second = os.stat(mount / name), os.stat(tmp_path / "copy" / name)
        assert stat.S_IMODE(second.st_mode) == 0o444
        assert second.st_mtime == first.st_mtime
    subprocess.run(["chmod", "-R", "u+w", str(tmp_path / "copy")], check=True)


def test_a_copied_private_page_may_be_written(shown):
    """A private mapping is the reader's own; a shared one is refused."""
    mount, _ = shown
    with open(mount / "model.safetensors", "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            before = mapped[5000]
            mapped[5000] = before ^ 255
            assert mapped[5000] == before ^ 255
        with pytest.raises(OSError):
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE)
        assert os.pread(file.fileno(), 1, 5000)[0] == before
