"""How a mount begins, lives through trouble, and ends."""

import mmap
import os
import signal
import subprocess
import sys
import time

import pytest

from mounts import (DEADLINE, PROGRAM, SLOW, clean_up, daemon_of, floats,
                    header, kill, make_model, mounted, recipe, run, wait_until)

COUNT = 3_000_000
SMALL = 16 << 20
ANSWER_SECONDS = 0.05 * SLOW


@pytest.fixture(scope="module", autouse=True)
def top(tmp_path_factory):
    top = tmp_path_factory.mktemp("life")
    os.environ["XDG_CACHE_HOME"] = str(top / "cache")
    data = floats(COUNT // 100, 3) * 100
    for name in "ab":
        make_model(top / name, {"x.weight": ("F32", [COUNT], data)})
    (top / "alone").mkdir()
    for path in ("r.json", "alone/r.json"):
        recipe(top / path, "linear", [(top / "a", {"weight": 1}),
                                      (top / "b", {"weight": 1})])
    return top


@pytest.fixture
def point(top):
    point = top / "mnt"
    point.mkdir(exist_ok=True)
    yield point
    pid = daemon_of(point)
    clean_up(point)
    if pid:
        wait_until(lambda: daemon_of(point) is None, "the daemon has ended")


def test_it_answers_when_the_command_returns(top, point):
    begin = time.monotonic()
    done = run(top / "r.json", point)
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in os.listdir(point)
    assert time.monotonic() - begin < SLOW
    assert daemon_of(point)


# what is wrong: (recipe, mountpoint, part of the sentence, exit code)
REFUSED = {
    "no mountpoint": ("r.json", "none", "make the folder first", 5),
    "a file": ("r.json", "a/config.json", "is not a folder", 5),
    "over the models": ("alone/r.json", ".", "would be hidden by a mount", 5),
    "over the recipe": ("alone/r.json", "alone",
                        "alone/r.json, the recipe, would be hidden", 5),
    "no recipe": ("none.json", "mnt", "No such file", 2),
    "a model as recipe": ("a", "mnt", "is the folder of a model", 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(top, point, name):
    path, target, sentence, code = REFUSED[name]
    done = run(top / path, top / target)
    clean_up(top / target)
    assert sentence in done.stderr
    assert done.returncode == code
    assert not os.path.ismount(point)


def test_fusermount_ends_the_daemon(top, point):
    with mounted(top / "r.json", point) as mount:
        subprocess.run(["fusermount3", "-u", str(point)], check=True)
        assert mount.process.wait(DEADLINE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts(top, point, number):
    with mounted(top / "r.json", point) as mount:
        mount.process.send_signal(number)
        assert mount.process.wait(DEADLINE) == 0
        assert not os.path.ismount(point)


def exported(top):
    export = top / "export"
    if not export.exists():
        assert run("export", "-q", top / "r.json", export).returncode == 0
    return (export / "model.safetensors").read_bytes()


# Maps the file, says so, waits for a line, then reads every page.
MAPPED = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("mapped", flush=True)
sys.stdin.readline()
sys.stdout.buffer.write(mapped[:])
"""


def test_a_mapped_reader_is_served_to_the_end(top, point):
    """SIGTERM while a file is mapped: no SIGBUS, the right bytes, and then the
    daemon ends."""
    with mounted(top / "r.json", point, "--cache=off") as mount:
        with subprocess.Popen(
                [sys.executable, "-c", MAPPED, str(mount / "model.safetensors")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
            assert reader.stdout.readline() == b"mapped\n"
            mount.process.terminate()
            wait_until(lambda: not os.path.ismount(point), "detached")
            assert not mount.ended()
            got, _ = reader.communicate(b"go\n", DEADLINE)
            assert reader.returncode == 0
        assert mount.process.wait(DEADLINE) == 0
    assert got == exported(top)


def test_a_second_signal_ends_at_once(top, point):
    with mounted(top / "r.json", point) as mount:
        with open(mount / "model.safetensors", "rb"):
            mount.process.terminate()
            wait_until(lambda: not os.path.ismount(point), "detached")
            assert not mount.ended()
            mount.process.terminate()
            assert mount.process.wait(DEADLINE) == 128 + signal.SIGTERM


def test_the_mount_of_another_is_left_alone(top, point):
    """Ours was detached by somebody else, and there is another in its place: a
    signal does not unmount that one."""
    with mounted(top / "r.json", point) as ours:
        folder = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            subprocess.run(["fusermount3", "-uz", str(point)], check=True)
            with mounted(top / "r.json", point) as other:
                ours.process.terminate()
                wait_until(lambda: "is not ours" in log_below(folder),
                           "the signal is heard")
                assert not ours.ended() and not other.ended()
                assert os.path.ismount(point) and other.stats()
        finally:
            os.close(folder)
        assert ours.process.wait(DEADLINE) == 0


def log_below(folder):
    fd = os.open(".llmergefs/log", os.O_RDONLY, dir_fd=folder)
    with open(fd, encoding="utf-8") as log:
        return log.read()


def test_closed_standard_files_do_no_harm(top, point):
    """What the daemon opens does not take their place."""
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', PROGRAM,
                           str(top / "r.json"), str(point)],
                          timeout=DEADLINE, check=False)
    assert done.returncode == 0
    assert (point / "model.safetensors").read_bytes() == exported(top)


def test_what_a_killed_one_left_is_recovered(top, point):
    assert run(top / "r.json", point).returncode == 0
    kill(daemon_of(point))
    with pytest.raises(OSError):
        wait_until(lambda: os.stat(point) is None, "dead")
    done = run(top / "r.json", point)
    assert done.returncode == 0 and "killed llmergefs left" in done.stderr
    assert "config.json" in os.listdir(point)


@pytest.mark.parametrize("how", ["truncated", "rewritten"])
def test_a_changed_source_is_an_error_not_wrong_bytes(top, point, how):
    data = floats(1000, 9) * 1000
    model = make_model(top / how, {"x.weight": ("F32", [1_000_000], data)})
    path = recipe(top / f"{how}.json", "linear", [(model, {"weight": 2})])
    with mounted(path, point) as mount:
        with open(mount / "model.safetensors", "rb", buffering=0) as file:
            file.read(10)
            source = model / "model.safetensors"
            if how == "truncated":
                os.truncate(source, 100_000)
            else:
                source.write_bytes(source.read_bytes()[:-4] + b"abcd")
            with pytest.raises(OSError):
                os.pread(file.fileno(), 1000, 3_990_000)
        assert "changed since it was opened" in mount.log()
        assert mount.stats()["errors"] >= 1


def test_a_cache_that_cannot_be_written_serves(top, point):
    """A folder that is none: a warning, and the bytes are served."""
    half = {"weight": 1, "density": 0.5}
    path = recipe(top / "t.json", "ties", [(top / "b", half)],
                  base_model=str(top / "a"))
    with mounted(path, point, "--cache-dir", top / "a/config.json") as mount:
        assert (mount / "model.safetensors").read_bytes()
        assert mount.stats()["errors"] == 0
        assert "warning" in mount.log()


def sparse_model(folder, rows, cols):
    """A tensor as large as it says, of zeros that take no disk; and before it
    one that the kernel's read-ahead does not reach beyond."""
    make_model(folder, {"x": ("F32", [0], b"")})
    size = 4 * rows * cols
    head = header({"a.weight": ("F32", [SMALL // 4], SMALL),
                   "big.weight": ("F32", [rows, cols], size)})
    with open(folder / "model.safetensors", "wb") as file:
        file.write(head + floats(1024, 5) * (SMALL // 4096))
        file.truncate(len(head) + SMALL + size)
    return folder


# Reads at an offset, as a file or as a mapping of single pages (of which the
# kernel says to us that the reader gave up); Ctrl-C has its plain meaning.
WAITING = """
import mmap, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
fd, off = os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[3])
if sys.argv[2] == "read":
    os.pread(fd, 4096, off)
mapped = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
mapped.madvise(mmap.MADV_RANDOM)
mapped[off]
"""


def long_reduction(top, name):
    rows = 500 if SLOW == 1 else 50
    base, model = (sparse_model(top / f"{name}-{part}", rows, 1_000_000)
                   for part in ("base", "model"))
    return recipe(top / f"{name}.json", "ties",
                  [(model, {"weight": 1, "density": 0.5})],
                  base_model=str(base))


def test_a_signal_ends_what_is_finished_after_the_mount(top, point):
    """Unmounted while it reduces, the daemon finishes; a signal ends it."""
    path = long_reduction(top, "end")
    with mounted(path, point, "--cache=off") as mount:
        reader = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(mount / "model.safetensors"),
             "read", str(2 * SMALL)])
        wait_until(lambda: mount.stats()["cache"]["making"] >= 1, "making")
        reader.kill()
        reader.wait()
        wait_until(lambda: subprocess.run(
            ["fusermount3", "-q", "-u", str(point)],
            check=False).returncode == 0, "unmounted")
        time.sleep(0.2)
        assert not mount.ended(), "the reduction was over too soon to tell"
        mount.process.terminate()
        assert mount.process.wait(SLOW) == -signal.SIGTERM


@pytest.mark.parametrize("how", ["read", "map"])
def test_a_long_reduction_holds_nobody_up(top, point, how):
    """While 500 M elements are reduced: stat and ls answer, another tensor is
    served, and a reader that waits ends at Ctrl-C."""
    path = long_reduction(top, how)
    with mounted(path, point, "--cache=off") as mount:
        file = str(mount / "model.safetensors")
        reader = subprocess.Popen(
            [sys.executable, "-c", WAITING, file, how, str(2 * SMALL)],
            stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: mount.stats()["cache"]["making"] >= 1, "making")
            waits = []
            for i in range(40):
                begin = time.monotonic()
                os.stat(mount / "config.json")
                assert not (mount / f"none-{i}").exists()
                os.listdir(mount.path)
                (mount / ".llmergefs/log").read_text()
                waits.append(time.monotonic() - begin)
            with open(file, "rb", buffering=0) as whole:
                assert len(os.pread(whole.fileno(), 4096, 8192)) == 4096
            assert mount.stats()["cache"]["making"] >= 1, \
                "the reduction was over too soon to tell"
            assert reader.poll() is None
            # One hiccup of a busy machine is not the daemon's doing.
            assert sorted(waits)[-2] < ANSWER_SECONDS
            reader.send_signal(signal.SIGINT)
            assert reader.wait(DEADLINE) == -signal.SIGINT
            assert mount.stats()["cache"]["making"] >= 1
            assert mount.stats()["cancelled"] == (how == "map")
        finally:
            reader.kill()
            reader.wait()
