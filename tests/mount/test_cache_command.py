"""`llmergefs cache`: what it says and does to a folder that mounts made, and
are using."""

import fcntl
import json
import os
import re
import subprocess

import pytest

from mounts import PROGRAM, mounted, recipe, run, wait_until

WEIGHTS = "model.safetensors"


def objects(cache):
    return sorted(path for kind in ("surveys", "states", "chunks")
                  for path in (cache / kind).glob("*/*"))


def cache_run(action, cache, *options):
    return run("cache", action, "--cache-dir", cache, *options)


def listed(cache):
    done = cache_run("ls", cache, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def cache(kit, tmp_path, spot):
    """A folder with states and chunks, as a mount that ended has left it."""
    folder = tmp_path / "kept"
    with mounted(kit.recipes["ties"], spot, "--cache=all", "--cache-dir",
                 folder) as mount:
        assert (mount / WEIGHTS).read_bytes() == kit.weights["ties"]
    assert objects(folder)
    return folder


def leave_behind(cache, size=5000):
    path = cache / "staging/0123456789abcdef"
    path.write_bytes(bytes(size))
    return path


def test_ls_tells_what_the_files_are(cache):
    """The table, and in JSON every object, by the name of its file."""
    leave_behind(cache)
    (cache / "states/notes").write_text("mine")
    seen = listed(cache)
    assert seen["schema"] == "llmergefs-cache-1"
    assert seen["dir"] == str(cache)
    names = {f"{each['class']}/{each['key'][:2]}/{each['key']}"
             for each in seen["objects"]}
    assert names == {str(path.relative_to(cache)) for path in objects(cache)}
    for kind in ("states", "chunks"):
        own = [each for each in seen["objects"] if each["class"] == kind]
        assert seen[kind]["objects"] == len(own) > 0
        assert seen[kind]["bytes"] == sum(each["bytes"] for each in own)
        assert seen[kind]["oldest"] == min(each["used"] for each in own)
        assert seen[kind]["newest"] == max(each["used"] for each in own)
    total = sum(-(-path.stat().st_size // 4096) * 4096
                for path in objects(cache))
    assert seen["total"]["bytes"] == total
    assert seen["leftovers"] == {
        "files": 1, "bytes": 8192, "oldest": seen["leftovers"]["oldest"],
        "newest": seen["leftovers"]["newest"]}
    assert seen["writing"] == {"files": 0, "bytes": 0}

    text = cache_run("ls", cache).stdout
    lines = text.splitlines()
    assert lines[0] == str(cache)
    assert lines[2].startswith("surveys ")
    assert re.match(r"states +\d+ +\S+ \w+  \d{4}-\d\d-\d\d \d\d:\d\d  ",
                    lines[3])
    assert lines[5].startswith("shards ")
    assert re.match(rf"total +{len(names)} ", lines[6])
    assert "left by killed writers" in lines[7] and "1 file, " in lines[7]


@pytest.mark.parametrize("action", ["ls", "verify", "clear", "gc"])
def test_a_missing_folder_is_an_empty_cache(tmp_path, action):
    options = ["--max-bytes", "1M"] if action == "gc" else []
    for json_too in ([], ["--json"]):
        done = cache_run(action, tmp_path / "none", *options, *json_too)
        assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer.get("bytes", 0) == 0
    assert not (tmp_path / "none").exists()


def test_verify_finds_removes_and_names_what_is_bad(cache):
    assert cache_run("verify", cache).returncode == 0
    count, bad = len(objects(cache)), objects(cache)[0]
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    left = leave_behind(cache)
    done = cache_run("verify", cache)
    assert done.returncode == 1
    assert done.stderr == f"llmergefs: {bad.relative_to(cache)}: not what " \
        "its checksum says; removed\n"
    assert f"{count - 1} sound objects" in done.stdout
    assert "; 1 bad; removed what killed writers left, 1 file" in done.stdout
    assert not bad.exists() and not left.exists()
    done = cache_run("verify", cache, "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert (answer["sound"], answer["bad"]) == (count - 1, 0)


def test_verify_goes_on_after_each_bad_object(cache):
    for path in objects(cache):
        os.truncate(path, 70)
    count = len(objects(cache))
    done = cache_run("verify", cache, "-q")
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == count
    assert objects(cache) == []


def test_gc_leaves_at_most_that_and_states_longest(cache):
    before = listed(cache)
    states = before["states"]["bytes"]
    assert 0 < states < before["total"]["bytes"]
    done = cache_run("gc", cache, "--max-bytes", states)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"{cache}: removed "
        f"{before['chunks']['objects'] + before['surveys']['objects']} object")
    after = listed(cache)
    assert after["states"] == before["states"]
    assert after["chunks"]["objects"] == after["surveys"]["objects"] == 0
    done = cache_run("gc", cache, "--max-bytes=0", "--json")
    assert json.loads(done.stdout)["removed"]["bytes"] == states
    assert objects(cache) == []


@pytest.mark.parametrize("argv, text", [
    (["gc"], "cache gc takes the size that is to be left: llmergefs cache gc "
             "--max-bytes 5GB"),
    (["gc", "--max-bytes", "much"], "--max-bytes takes a size such as"),
    (["purge"], 'cache does one of ls, verify, gc and clear, not "purge"'),
])
def test_wrong_words_are_a_sentence(tmp_path, argv, text):
    done = run("cache", *argv, "--cache-dir", tmp_path)
    assert done.returncode == 2
    assert text in done.stderr


@pytest.mark.parametrize("action", ["ls", "verify", "clear", "gc"])
def test_a_folder_that_is_no_cache_is_let_be(tmp_path, action):
    key = "00" * 16
    mine = tmp_path / f"mine/chunks/00/{key}"
    mine.parent.mkdir(parents=True)
    mine.write_text("a file of that name")
    options = ["--max-bytes=0"] if action == "gc" else []
    done = cache_run(action, tmp_path / "mine", *options)
    assert done.returncode == 2
    assert f"{tmp_path}/mine is not a cache of llmergefs" in done.stderr
    assert done.stdout == ""
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["chunks"]
    assert mine.read_text() == "a file of that name"


def test_clear_leaves_what_is_not_the_caches(cache):
    mine = [cache / "notes", cache / "states/notes", cache / "staging/notes"]
    for path in mine:
        path.write_text("mine")
    outside = cache.parent / "outside"
    outside.write_text("kept")
    link = cache / "chunks/00" / ("00" * 16)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    assert cache_run("clear", cache).returncode == 0
    assert objects(cache) == [link]
    assert all(path.read_text() == "mine" for path in mine)
    assert outside.read_text() == "kept"
    assert (cache / "CACHEDIR.TAG").exists()


def read_again(mount, expected):
    """Past the kernel's copy of what was read before."""
    fd = os.open(mount / WEIGHTS, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    assert (mount / WEIGHTS).read_bytes() == expected


def test_clear_and_gc_under_a_mount_cost_it_nothing_but_time(kit, spot, cache):
    """What it misses, it makes and keeps again; a state that it holds in
    memory, the next mount."""
    before = objects(cache)
    options = ["--cache=all", "--cache-dir", cache, "--cache-mem=64K"]
    with mounted(kit.recipes["ties"], spot, *options) as mount:
        for action in (["clear"], ["gc", "--max-bytes=0"], ["verify"]):
            done = run("cache", *action, "--cache-dir", cache)
            assert done.returncode == 0, done.stderr
            read_again(mount, kit.weights["ties"])
        stats = mount.stats()
        assert stats["errors"] == 0
        assert stats["cache"]["disk_bad"] == 0
        assert stats["cache"]["disk_write_errors"] == 0
    chunks = [path for path in before if path.parent.parent.name == "chunks"]
    assert objects(cache) == chunks
    with mounted(kit.recipes["ties"], spot, *options) as mount:
        read_again(mount, kit.weights["ties"])
    assert objects(cache) == before
    assert cache_run("verify", cache).returncode == 0


def test_equal_states_are_shared_by_mounts_at_once(kit, tmp_path, spot):
    """A state that one mount made another finds, while both live."""
    folder = tmp_path / "shared"
    other = recipe(tmp_path / "other.json", "ties",
                   [(kit.top / "b", {"weight": 0.25, "density": 0.5})],
                   base_model=str(kit.top / "a"))
    with mounted(kit.recipes["ties"], spot, "--cache-dir", folder) as one:
        assert (one / WEIGHTS).read_bytes() == kit.weights["ties"]
        # Readers are answered before what was made is kept.
        wait_until(lambda: one.stats()["cache"]["disk_writes"], "it is kept")
        with mounted(other, tmp_path / "mnt2", "--cache-dir", folder) as two:
            (two / WEIGHTS).read_bytes()
            stats = two.stats()["cache"]
            assert stats["disk_hits"] > 0
            assert stats["disk_writes"] == 0


def test_a_lock_that_is_held_is_a_sentence(cache):
    """Of a cleaning in another process, or of one that was stopped."""
    with open(cache / "account", "rb") as account:
        fcntl.flock(account, fcntl.LOCK_EX)
        for action in (["clear"], ["gc", "--max-bytes=0"]):
            done = run("cache", *action, "--cache-dir", cache)
            assert done.returncode == 1
            assert "being cleaned up by another process" in done.stderr
        assert listed(cache)["total"]["objects"] == len(objects(cache)) > 0


def test_a_pipe_that_closes_is_no_crash(cache):
    """`llmergefs cache ls --json | head -1`."""
    process = subprocess.Popen(
        [PROGRAM, "cache", "ls", "--json", "--cache-dir", str(cache)],
        stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(20) != -11
