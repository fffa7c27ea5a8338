"""--cache-shards: finished files are kept whole, and read by the kernel where it
can (passthrough), else by us; the bytes are the same whoever reads them."""

import contextlib
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from many import WEIGHTS, linear, make_trio, ties
from mounts import DEADLINE, mounted, run, wait_until

SHAPES = {f"model.layers.{i}.{kind}.weight": [400, 300]
          for i in range(2) for kind in ("mlp", "self_attn")}
SHARDED = {"llmergefs": {"shard_size": 500_000}}
PASSES = pytest.mark.skipif(
    os.geteuid() != 0 or tuple(
        int(part) for part in os.uname().release.split(".")[:2]) < (6, 9),
    reason="the kernel reads files for root alone, from Linux 6.9 on")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_trio(tmp_path_factory.mktemp("models"), SHAPES)


@pytest.fixture(params=[linear, ties])
def path(request, models, tmp_path):
    return request.param(tmp_path / "r.yml", models)


def figures(mount, *names):
    stats = mount.stats()
    return tuple(stats[name] for name in names)


def kept(mount, count=1):
    """Wait until so many files are kept."""
    wait_until(lambda: mount.stats()["shards_kept"] == count, "kept")


def files_of_cache(tmp_path):
    return sorted((tmp_path / "cache").rglob("shards/*/*.*"))


def mapped(path):
    with open(path, "rb") as file, mmap.mmap(
            file.fileno(), 0, prot=mmap.PROT_READ) as whole:
        return whole[:]


def read_once(mount):
    """Read, and closed, so that it is kept."""
    data = (mount / WEIGHTS).read_bytes()
    kept(mount)
    return data


# --- who reads what ------------------------------------------------------


@PASSES
def test_what_was_read_is_kept_and_the_kernel_reads_it(path, spot, exports):
    """Of this mount and of the next no byte goes through us any more."""
    whole = exports(path)
    with mounted(path, spot, "--cache-shards") as mount:
        assert read_once(mount) == whole
        before = figures(mount, "reads", "bytes_served")
        assert (mount / WEIGHTS).read_bytes() == whole
        assert mapped(mount / WEIGHTS) == whole
        assert figures(mount, "reads", "bytes_served") == before
        assert figures(mount, "passthrough_opens", "shards_kept") == (2, 1)
    with mounted(path, spot) as mount:
        assert mapped(mount / WEIGHTS) == whole
        with open(mount / WEIGHTS, "rb", buffering=0) as file:
            for _ in range(50):
                off = random.randrange(len(whole))
                assert os.pread(file.fileno(), 5000, off) == \
                    whole[off:off + 5000]
            assert os.pread(file.fileno(), 1, len(whole)) == b""
            assert os.fstat(file.fileno()).st_size == len(whole)
        assert figures(mount, "reads", "reductions_made",
                       "passthrough_opens") == (0, 0, 2)


def test_without_passthrough_we_read_it(path, spot, exports):
    whole = exports(path)
    options = ["--cache-shards", "--passthrough=off"]
    with mounted(path, spot, *options) as mount:
        assert read_once(mount) == whole
    for options in [], ["-o", "passthrough=off,cache_shards"]:
        with mounted(path, spot, "--passthrough=off", *options) as mount:
            assert (mount / WEIGHTS).read_bytes() == whole
            assert figures(mount, "bytes_from_shards", "passthrough_opens",
                           "reductions_made") == (len(whole), 0, 0)


@PASSES
def test_a_kernel_that_refuses_is_no_trouble(path, tmp_path, spot, exports):
    """It takes no file of a stacked file system, such as a container's."""
    whole = exports(path)
    dirs = [tmp_path / name for name in ("lower", "upper", "work", "merged")]
    for folder in dirs:
        folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o",
         "lowerdir={},upperdir={},workdir={}".format(*dirs), dirs[-1]],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no overlay here: {done.stderr}")
    try:
        options = ["--cache-shards", "--cache-dir", dirs[-1] / "cache"]
        with mounted(path, spot, *options) as mount:
            assert read_once(mount) == whole
            assert (mount / WEIGHTS).read_bytes() == whole
            assert mapped(mount / WEIGHTS) == whole
            assert figures(mount, "passthrough_opens", "errors") == (0, 0)
            assert "warning" not in mount.log()
    finally:
        subprocess.run(["umount", dirs[-1]], check=True)


@PASSES
def test_the_first_to_open_decides_for_all(path, spot, exports):
    """What is open through our pages stays so until all have closed it."""
    whole = exports(path)
    with mounted(path, spot, "--cache-shards") as mount:
        with open(mount / WEIGHTS, "rb") as first:
            assert first.read() == whole
            assert read_once(mount) == whole
            with open(mount / WEIGHTS, "rb") as second:
                assert second.read() == whole
            assert figures(mount, "passthrough_opens") == (0,)
        wait_until(lambda: mount.stats()["readers"]["files"] == 0, "closed")
        with open(mount / WEIGHTS, "rb") as first:
            with open(mount / WEIGHTS, "rb") as second:
                assert first.read() == second.read() == whole
            assert figures(mount, "passthrough_opens") == (2,)


@PASSES
def test_many_open_at_once(path, spot, exports):
    """Before it is kept, while it is, and after."""
    whole = exports(path)
    script = ("import sys\nfor _ in range(60):\n"
              "    data = open(sys.argv[1], 'rb').read()\n"
              "    assert data == open(sys.argv[2], 'rb').read()\n")
    copy = spot.parent / "copy"
    copy.write_bytes(whole)
    with mounted(path, spot, "--cache-shards") as mount:
        readers = [subprocess.Popen([sys.executable, "-c", script,
                                     mount / WEIGHTS, copy])
                   for _ in range(4)]
        assert [reader.wait(3 * DEADLINE) for reader in readers] == [0] * 4
        assert mount.stats()["errors"] == 0
        kept(mount)


# --- what is kept ----------------------------------------------------------


def test_what_was_hardly_read_is_not_kept(path, tmp_path, spot):
    with mounted(path, spot, "--cache-shards") as mount:
        with open(mount / WEIGHTS, "rb", buffering=0) as file:
            assert len(os.pread(file.fileno(), 4096, 0)) == 4096
        time.sleep(0.3)
        assert figures(mount, "shards_kept") == (0,)
        assert files_of_cache(tmp_path) == []


def test_nothing_is_kept_unasked(path, tmp_path, spot, exports):
    with mounted(path, spot) as mount:
        assert (mount / WEIGHTS).read_bytes() == exports(path)
        assert run("warm", spot, "--all").returncode == 0
    assert files_of_cache(tmp_path) == []


def test_warm_all_keeps_files_instead_of_tensors(models, tmp_path, spot):
    path = ties(tmp_path / "r.yml", models, **SHARDED)
    target = tmp_path / "export"
    assert run("export", "-q", path, target).returncode == 0
    names = sorted(file.name for file in target.glob("*.safetensors"))
    assert len(names) > 1
    with mounted(path, spot, "--cache-shards") as mount:
        done = run("warm", spot, "--all")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("4 of 4 reductions, ")
        assert figures(mount, "shards_kept", "chunks_made", "reads") == \
            (len(names), 0, 0)
        before = mount.stats()["bytes_merged"]
        for name in names:
            assert (mount / name).read_bytes() == (target / name).read_bytes()
        assert mount.stats()["bytes_merged"] == before
        assert run("warm", spot, "--all").returncode == 0
        assert figures(mount, "shards_kept") == (len(names),)


def test_a_setting_is_another_file(models, tmp_path, spot, exports):
    """What was kept is of other bytes, and is not shown."""
    path = linear(tmp_path / "r.yml", models)
    with mounted(path, spot, "--cache-shards") as mount:
        assert read_once(mount) == exports(path)
        setting = "models[0].parameters.weight=0.25"
        assert run("set", spot, setting).returncode == 0
        assert (mount / WEIGHTS).read_bytes() == exports(path, "--set", setting)
        kept(mount, 2)
        assert mapped(mount / WEIGHTS) == exports(path, "--set", setting)
    assert len(files_of_cache(tmp_path)) == 2


def test_a_bad_file_is_removed_and_made_anew(path, tmp_path, spot, exports):
    whole = exports(path)
    with mounted(path, spot, "--cache-shards") as mount:
        read_once(mount)
    [file] = files_of_cache(tmp_path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    with mounted(path, spot, "--cache-shards") as mount:
        assert (mount / WEIGHTS).read_bytes() == whole
        assert figures(mount, "shards_bad") == (1,)
        assert "not sound" in mount.log()
        kept(mount)
    assert files_of_cache(tmp_path) == [file]
    assert file.read_bytes() == whole
    done = run("cache", "verify")
    assert done.returncode == 0 and "0 bad" in done.stdout


def test_one_that_is_evicted_while_it_is_read(path, tmp_path, spot, exports):
    whole = exports(path)
    with mounted(path, spot, "--cache-shards") as mount:
        read_once(mount)
        with open(mount / WEIGHTS, "rb") as first:
            assert first.read(5000) == whole[:5000]
            assert run("cache", "clear").returncode == 0
            assert files_of_cache(tmp_path) == []
            assert first.read() == whole[5000:]
            assert (mount / WEIGHTS).read_bytes() == whole
        wait_until(lambda: mount.stats()["readers"]["files"] == 0, "closed")
        assert (mount / WEIGHTS).read_bytes() == whole
        assert mount.stats()["errors"] == 0


def test_a_budget_that_is_too_small_is_a_warning(path, tmp_path, spot, exports):
    with mounted(path, spot, "--cache-shards", "--cache-disk=500KB") as mount:
        assert (mount / WEIGHTS).read_bytes() == exports(path)
        wait_until(lambda: "raise --cache-disk" in mount.log(), "the warning")
        assert (mount / WEIGHTS).read_bytes() == exports(path)
        done = run("warm", spot, "--all")
        assert done.returncode == 1 and "--cache-disk" in done.stderr
        assert mount.stats()["errors"] == 0
    assert files_of_cache(tmp_path) == []


def test_a_killed_mount_leaves_no_half_of_one(models, tmp_path, spot, exports):
    path = ties(tmp_path / "r.yml", models)
    with contextlib.suppress(AssertionError), \
            mounted(path, spot, "--cache-shards") as mount:
        (mount / WEIGHTS).read_bytes()
        mount.process.send_signal(signal.SIGKILL)
        mount.process.wait()
    with mounted(path, spot) as mount:
        assert (mount / WEIGHTS).read_bytes() == exports(path)
        assert figures(mount, "errors", "shards_bad") == (0, 0)


@pytest.mark.parametrize("options, sentence", [
    (["--passthrough=maybe"], "auto or off"),
    (["--cache-shards", "--cache=off"], "leave --cache off out"),
])
def test_what_is_wrong_is_a_sentence(path, spot, options, sentence):
    done = run(path, spot, *options)
    assert done.returncode == 2 and sentence in done.stderr
    assert not Path(spot).is_mount()
