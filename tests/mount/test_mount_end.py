"""The end of a mount: whose it is, who still reads, who may not unmount."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mounts import (DEADLINE, PROGRAM, SLOW, daemon_of, header, kill,
                    make_model, mounted, recipe, run, wait_until)

# Elements of the reduction that readers wait for: a second or two of it.
ROWS, COLS = (500 if SLOW == 1 else 30), 1_000_000


def test_a_hangup_unmounts(kit, spot):
    with mounted(kit.recipes["copy"], spot) as mount:
        os.listdir(spot)
        mount.process.send_signal(signal.SIGHUP)
        assert mount.process.wait(DEADLINE) == 0
        assert not os.path.ismount(spot)


def test_what_is_in_use_is_not_unmounted_from_outside(kit, spot):
    """fusermount3 -u says that it is busy, and the mount goes on."""
    with mounted(kit.recipes["linear"], spot) as mount:
        with open(mount / "model.safetensors", "rb") as file:
            assert subprocess.run(["fusermount3", "-q", "-u", str(spot)],
                                  check=False).returncode != 0
            assert file.read() == kit.weights["linear"]
        assert not mount.ended()


def test_a_detached_one_leaves_the_next_alone(kit, spot):
    """The first still serves a reader while a second is mounted in its place;
    as it ends, it does not unmount the second."""
    with mounted(kit.recipes["copy"], spot) as first:
        with open(first / "model.safetensors", "rb") as file:
            first.process.terminate()
            wait_until(lambda: not os.path.ismount(spot), "detached")
            with mounted(kit.recipes["linear"], spot) as second:
                assert file.read() == kit.weights["copy"]
                file.close()
                assert first.process.wait(DEADLINE) == 0
                assert os.path.ismount(spot) and not second.ended()
                assert (second / "model.safetensors").read_bytes() == \
                    kit.weights["linear"]


def test_a_signal_to_a_covered_one_leaves_the_upper(kit, spot):
    """Two on one folder: the upper is not the lower's to unmount."""
    with mounted(kit.recipes["copy"], spot) as lower:
        wait_until(lambda: "mounted on" in lower.log(), "greeted")
        # Open, the log is that of the moment; its folder is the lower's.
        folder = os.open(spot, os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert run(kit.recipes["linear"], spot).returncode == 0
            lower.process.terminate()

            def heard():
                with open(os.open(".llmergefs/log", os.O_RDONLY,
                                  dir_fd=folder), encoding="utf-8") as log:
                    return "is not ours to unmount" in log.read()

            wait_until(heard, "the signal is heard")
        finally:
            os.close(folder)
        assert (spot / "model.safetensors").read_bytes() == \
            kit.weights["linear"]
        # The second signal does what the first could not.
        lower.process.terminate()
        assert lower.process.wait(DEADLINE) == 128 + signal.SIGTERM
        assert (spot / "README.md").read_bytes()


# What of a mount was looked at before its daemon was killed: the kernel keeps
# it, and answers for the dead.
LOOKS = {
    "nothing": lambda point: None,
    "stat": os.stat,
    "ls": os.listdir,
    "ls, stat": lambda point: (os.listdir(point), os.stat(point)),
    "a file": lambda point: (point / "config.json").read_bytes(),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_dead_mount_is_recovered_whatever_the_kernel_kept(kit, spot, look):
    """One mount is there after it, not a second on top of the dead one."""
    assert run(kit.recipes["copy"], spot).returncode == 0
    LOOKS[look](spot)
    kill(daemon_of(spot))

    def is_dead():
        try:
            os.statvfs(spot)
        except OSError:
            return daemon_of(spot) is None
        return False

    wait_until(is_dead, "dead")
    done = run(kit.recipes["linear"], spot)
    assert done.returncode == 0, done.stderr
    assert "killed llmergefs left" in done.stderr
    assert Path("/proc/self/mountinfo").read_text().count(f" {spot} ") == 1
    assert (spot / "model.safetensors").read_bytes() == kit.weights["linear"]


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A recipe that reduces one tensor of zeros, which take no disk."""
    top = tmp_path_factory.mktemp("slow")
    size = 4 * ROWS * COLS
    head = header({"big.weight": ("F32", [ROWS, COLS], size)})
    for name in "ab":
        make_model(top / name, {"x": ("F32", [0], b"")})
        with open(top / name / "model.safetensors", "wb") as file:
            file.write(head)
            file.truncate(len(head) + size)
    return recipe(top / "r.json", "ties",
                  [(top / "b", {"weight": 1, "density": 0.5})],
                  base_model=str(top / "a"))


@contextlib.contextmanager
def reading(mount, *argv):
    """A child that waits for the reduction."""
    child = subprocess.Popen([*argv, str(mount / "model.safetensors")],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: mount.stats()["cache"]["making"] >= 1, "making")
        yield child
    finally:
        child.kill()
        child.communicate()


# A reader that asks us directly, and has a handler of its own for Ctrl-C.
DIRECT = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
try:
    os.preadv(fd, [mmap.mmap(-1, 4096)], 1 << 20)
except KeyboardInterrupt:
    sys.exit(7)
"""


# reader: (its command, its exit code at Ctrl-C, whether we get to know)
READERS = {
    "cat": (["cat"], -signal.SIGINT, False),
    "direct": ([sys.executable, "-c", DIRECT], 7, True),
}


@pytest.mark.parametrize("name", READERS)
def test_ctrl_c_ends_a_waiting_reader_within_a_second(slow, spot, name):
    argv, code, told = READERS[name]
    with mounted(slow, spot, "--cache=off") as mount:
        with reading(mount, *argv) as child:
            wait_until(lambda: mount.stats()["parked"] > 0, "parked")
            begin = time.monotonic()
            child.send_signal(signal.SIGINT)
            assert child.wait(DEADLINE) == code
            assert time.monotonic() - begin < SLOW
            stats = mount.stats()
        assert stats["cache"]["making"] >= 1, "over too soon to tell"
        assert stats["cancelled"] == told and stats["errors"] == 0


def test_a_waiting_read_is_answered_after_a_signal(slow, spot):
    """The reduction goes on behind a detached mount, and then all ends."""
    with mounted(slow, spot, "--cache=off") as mount:
        with reading(mount, "head", "-c", "100000") as child:
            mount.process.terminate()
            wait_until(lambda: not os.path.ismount(spot), "detached")
            assert not mount.ended()
            got, _ = child.communicate(timeout=DEADLINE)
            assert child.returncode == 0 and len(got) == 100_000
            assert mount.process.wait(DEADLINE) == 0


def test_a_second_signal_frees_a_waiting_reader(slow, spot):
    """It gets an error, at once, and does not hang."""
    with mounted(slow, spot, "--cache=off") as mount:
        with reading(mount, "cat") as child:
            mount.process.terminate()
            wait_until(lambda: not os.path.ismount(spot), "detached")
            begin = time.monotonic()
            mount.process.terminate()
            assert mount.process.wait(DEADLINE) == 128 + signal.SIGTERM
            assert child.wait(DEADLINE) == 1
            assert time.monotonic() - begin < SLOW


# In a mount namespace of its own, where everybody may open /dev/fuse; then as
# nobody: mount, open, a signal, read on.
NOBODY = 65534
AS_NOBODY = """
import os, signal, subprocess, sys, time
box, nobody = sys.argv[1], int(sys.argv[2])
os.chdir(box)
for argv in (["mount", "-t", "tmpfs", "none", "dev"],
             ["mknod", "-m", "666", "dev/fuse", "c", "10", "229"],
             ["mount", "--bind", "dev/fuse", "/dev/fuse"]):
    if subprocess.run(argv).returncode != 0:
        sys.exit(77)
os.setgroups([])
os.setresgid(nobody, nobody, nobody)
os.setresuid(nobody, nobody, nobody)
daemon = subprocess.Popen(["./llmergefs", "-f", "--cache=off", "r.json", "mnt"])
try:
    def wait_until(condition):
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)
    wait_until(lambda: os.path.ismount("mnt"))
    with open("mnt/model.safetensors", "rb") as file:
        daemon.terminate()
        wait_until(lambda: not os.path.ismount("mnt"))
        assert daemon.poll() is None
        assert file.read() == open("whole", "rb").read()
    assert daemon.wait(20) == 0
finally:
    daemon.kill()
    subprocess.run(["fusermount3", "-q", "-uz", "mnt"])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become nobody")
def test_who_is_not_root_detaches_too(kit):
    """Through fusermount3: a reader is served to the end, as for root."""
    # Not below pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as name:
        box = Path(name)
        box.chmod(0o755)
        shutil.copy(PROGRAM, box / "llmergefs")
        for model in "ab":
            shutil.copytree(kit.top / model, box / model)
        recipe(box / "r.json", "linear", [
            (box / model, {"weight": 0.5}) for model in "ab"])
        (box / "dev").mkdir()
        (box / "mnt").mkdir()
        os.chown(box / "mnt", NOBODY, NOBODY)
        assert run("export", "-q", "--cache=off", box / "r.json",
                   box / "export").returncode == 0
        shutil.copy(box / "export/model.safetensors", box / "whole")
        (box / "whole").chmod(0o644)
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", sys.executable,
             "-c", AS_NOBODY, str(box), str(NOBODY)],
            capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 77:
            pytest.skip("no mount namespace with a /dev/fuse for all")
        assert done.returncode == 0, done.stderr
