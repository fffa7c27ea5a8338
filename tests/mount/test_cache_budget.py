"""The budget on disk with real mounts: several share one folder, readers make
them write and evict all the while, and some of them are killed.

The folder is weighed under its lock, which stops reserving and evicting, but
not publishing: objects first, then what is being written, so that nothing is
counted twice.
"""

import contextlib
import fcntl
import os
import random
import threading
import time

from mounts import clean_up, mounted, recipe, run, wait_until

BLOCK = 4096
BUDGET = 3_000_000  # less than what two make
SMALL = 1_200_000  # less than what one of them makes
MIN_WRITES = 30


def charge(path):
    with contextlib.suppress(FileNotFoundError):
        return -(-path.lstat().st_size // BLOCK) * BLOCK
    return 0


def staged(cache):
    return [path for path in (cache / "staging").glob("*")]


def weigh(cache):
    with open(cache / "account", "rb") as account:
        fcntl.flock(account, fcntl.LOCK_EX)
        files = [*(cache / "chunks").glob("*/*"),
                 *(cache / "states").glob("*/*"),
                 *(cache / "surveys").glob("*/*")]
        return sum(map(charge, files)) + sum(map(charge, staged(cache)))


class Readers:
    """Threads that read a file at random places, past the kernel's cache, and
    compare; a daemon that is killed is no error of theirs."""

    def __init__(self, path, expected, count=2):
        self.path, self.expected = path, expected
        self.done, self.wrong = threading.Event(), []
        self.threads = [threading.Thread(target=self.read, args=[seed])
                        for seed in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong

    def read(self, seed):
        chosen = random.Random(seed)
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECT)
            try:
                while not self.done.is_set():
                    self.read_one(fd, chosen)
            finally:
                os.close(fd)

    def read_one(self, fd, chosen):
        off = chosen.randrange(len(self.expected)) // BLOCK * BLOCK
        buffer = bytearray(256 * 1024)
        view = memoryview(buffer)
        got = os.preadv(fd, [view], off)
        if view[:got] != self.expected[off:off + got]:
            self.wrong.append(off)


def variants(kit, folder, count):
    """Recipes that share no chunk, and what they make."""
    made = []
    for i in range(count):
        path = recipe(folder / f"v{i}.json", "ties",
                      [(kit.top / "b", {"weight": 0.5 + i, "density": 0.5})],
                      base_model=str(kit.top / "a"))
        done = run("export", "-q", "--cache=off", path, folder / f"v{i}")
        assert done.returncode == 0, done.stderr
        made.append((path, (folder / f"v{i}/model.safetensors").read_bytes()))
    return made


@contextlib.contextmanager
def reading(variant, point, cache, budget):
    path, expected = variant
    with mounted(path, point, "--cache=all", "--cache-dir", cache,
                 "--cache-disk", budget, "--cache-mem", "64K") as mount, \
            Readers(mount / "model.safetensors", expected):
        yield mount


def weigh_while(cache, seconds, most):
    """Weigh until the time is over; false: it was too much, once."""
    end, right = time.monotonic() + seconds, True
    while right and time.monotonic() < end:
        right = weigh(cache) <= most
        time.sleep(0.005)
    return right


def writes(mount):
    return mount.stats()["cache"]["disk_writes"]


def test_two_mounts_keep_one_budget(kit, tmp_path, spot):
    cache, points = tmp_path / "shared", [spot, tmp_path / "mnt2"]
    one, two = variants(kit, tmp_path, 2)
    with reading(one, points[0], cache, BUDGET) as first, \
            reading(two, points[1], cache, BUDGET) as second:
        wait_until(lambda: (cache / "account").exists(), "the first write")
        assert weigh_while(cache, 2, BUDGET)
        wait_until(lambda: min(writes(first), writes(second)) > MIN_WRITES,
                   "both write")
        assert first.stats()["errors"] == second.stats()["errors"] == 0
    assert BUDGET / 2 < weigh(cache) <= BUDGET
    assert staged(cache) == []


def test_mounts_with_unequal_budgets_share_a_folder(kit, tmp_path, spot):
    """The larger bounds both; alone, the smaller keeps its own."""
    cache, points = tmp_path / "shared", [spot, tmp_path / "mnt2"]
    one, two = variants(kit, tmp_path, 2)
    with reading(two, points[1], cache, SMALL) as second:
        with reading(one, points[0], cache, BUDGET) as first:
            wait_until(lambda: min(writes(first), writes(second)) > MIN_WRITES,
                       "both write")
            assert weigh_while(cache, 1, BUDGET)
        before = writes(second)
        wait_until(lambda: writes(second) > before + 2, "the smaller writes")
        assert weigh_while(cache, 0.5, SMALL)


def test_killed_mounts_leave_the_budget_kept(kit, tmp_path, spot):
    """kill -9 in the midst, again and again, beside one that lives."""
    cache, other = tmp_path / "shared", tmp_path / "mnt2"
    one, two = variants(kit, tmp_path, 2)
    with reading(one, spot, cache, SMALL) as living:
        wait_until(lambda: (cache / "account").exists(), "the first write")
        for turn in range(6):
            with reading(two, other, cache, SMALL) as victim:
                wait_until(lambda: writes(victim) > turn, "it writes")
                assert weigh_while(cache, 0.05 * turn, SMALL)
                victim.process.kill()
                victim.process.wait()
                assert weigh_while(cache, 0.1, SMALL)
            clean_up(other)
        before = writes(living)
        wait_until(lambda: writes(living) > before, "the living one writes")
        assert living.stats()["errors"] == 0
    assert weigh(cache) <= SMALL
    done = run("cache", "verify", "--cache-dir", cache)
    assert done.returncode == 0, done.stderr
    assert staged(cache) == []
