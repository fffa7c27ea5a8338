"""`warm`, and --warm at the mount: what is made before anybody asks."""

import os
import pty
import re
import signal
import time

import pytest

from many import WEIGHTS, linear, make_trio, reading, start, ties
from mounts import (DEADLINE, PROGRAM, SLOW, conversation, mounted, run,
                    wait_until)

SHAPES = {f"model.layers.{i}.{kind}.weight": [300, 200]
          for i in range(2) for kind in ("mlp", "self_attn")}
SIZE = 4 * 300 * 200
MANY = 200 // SLOW


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_trio(tmp_path_factory.mktemp("models"), SHAPES)


@pytest.fixture
def two(models, tmp_path):
    """One with reductions, and one without."""
    return [linear(tmp_path / "a.yml", models),
            ties(tmp_path / "b.yml", models)]


@pytest.fixture
def many(models, tmp_path):
    """So many points that to make them all takes a while."""
    return ties(tmp_path / "many.yml", models, llmergefs={
        "sweep": {"parameters.lambda": [i / MANY for i in range(1, MANY + 1)]}})


def made(mount):
    stats = mount.stats()
    return stats["reductions_made"], stats["chunks_made"]


def settled(mount):
    """What was made, once nothing more is."""
    before = None
    while (now := made(mount)) != before:
        before = now
        time.sleep(0.3)
    return now


def warm(*argv):
    done = run("warm", *argv)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


# --- what is made ------------------------------------------------------


@pytest.mark.parametrize("option", [[], ["--reductions"]])
def test_reductions_are_made_beforehand(two, spot, option):
    with mounted(two, spot) as mount:
        assert warm(spot, *option) == "4 of 4 reductions\n"
        assert made(mount) == (4, 0)
        for name in ("a", "b"):
            assert (mount / name / WEIGHTS).read_bytes()
        assert made(mount) == (4, 0)
        assert warm(spot) == "4 of 4 reductions\n"
        assert made(mount) == (4, 0)


def test_a_folder_is_warmed_alone(two, spot):
    with mounted(two, spot) as mount:
        assert warm(spot / "a") == "0 of 0 reductions\n"
        assert made(mount) == (0, 0)
        assert warm(spot / "b") == "4 of 4 reductions\n"
        assert made(mount) == (4, 0)


def test_a_point_of_a_sweep_is_warmed_alone(models, tmp_path, spot):
    path = ties(tmp_path / "s.yml", models, llmergefs={
        "sweep": {"models[0].parameters.density": [0.25, 0.5]}})
    with mounted(path, spot) as mount:
        warm(spot / "density=0.25")
        assert made(mount) == (4, 0)
        warm(spot)
        assert made(mount) == (8, 0)


def test_all_is_made_and_kept(two, spot, exports):
    """Then nothing more is made for a reader, of this mount or of the next."""
    with mounted(two, spot) as mount:
        assert warm(spot, "--all") == "4 of 4 reductions, 1.9 MB of 1.9 MB " \
            "of tensors\n"
        assert made(mount) == (4, 8)
        for path in two:
            assert (mount / path.stem / WEIGHTS).read_bytes() == exports(path)
        assert made(mount) == (4, 8)
        assert mount.stats()["bytes_merged"] == 0
    with mounted(two, spot, "--cache=all") as mount:
        for path in two:
            assert (mount / path.stem / WEIGHTS).read_bytes() == exports(path)
        assert made(mount) == (0, 0)


def test_a_pattern_chooses(two, spot):
    with mounted(two, spot) as mount:
        assert warm(spot / "b", "--pattern", "*.0.mlp.*").startswith(
            "1 of 1 reductions, 240 kB of 240 kB")
        assert made(mount) == (1, 1)
        (mount / "b" / WEIGHTS).read_bytes()
        assert made(mount) == (4, 1)
        assert mount.stats()["bytes_from_chunks"] == SIZE


@pytest.mark.parametrize("argv, sentence", [
    (["--pattern", "mlp"], 'try "*mlp*"'),
    (["--all", "--reductions"], "one of"),
    (["--all", "--pattern", "*"], "one of"), (["--pattern"], "--pattern"),
])
def test_what_is_wrong_is_a_sentence(two, spot, argv, sentence):
    with mounted(two, spot) as mount:
        done = run("warm", spot, *argv)
        assert done.returncode == 2 and sentence in done.stderr
        done = run("warm", spot / "none")
        assert done.returncode == 2 and "no folder" in done.stderr
        assert made(mount) == (0, 0)


def test_nothing_can_be_kept_without_a_cache(two, spot):
    with mounted(two, spot, "--cache=off") as mount:
        done = run("warm", spot, "--all")
        assert done.returncode == 2 and "where none are kept" in done.stderr
        assert warm(spot) == "4 of 4 reductions\n"
        assert made(mount) == (4, 0)


def test_what_fails_is_said_and_the_rest_goes_on(models, tmp_path, spot):
    bad = make_trio(tmp_path / "bad", SHAPES)
    paths = [ties(tmp_path / "good.yml", models), ties(tmp_path / "x.yml", bad)]
    with mounted(paths, spot) as mount:
        os.truncate(bad / "a" / WEIGHTS, 100_000)
        done = run("warm", spot)
        assert done.returncode == 1
        assert "8 of 8 reductions" in done.stdout
        assert "4 could not be made; the first: " in done.stderr
        assert "changed since it was opened" in done.stderr
        assert made(mount) == (4, 0)


# --- how it ends --------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGKILL])
def test_a_signal_ends_it(many, spot, number):
    with mounted(many, spot) as mount:
        process = start("warm", spot, "--all")
        wait_until(lambda: made(mount)[1] > 10, "it has begun")
        process.send_signal(number)
        assert process.wait(DEADLINE) == -number
        process.communicate()
        _, chunks = settled(mount)
        assert 10 < chunks < 4 * MANY, "it was over too soon to tell"
        assert (mount / "lambda=0.5" / WEIGHTS).read_bytes()


def test_progress_is_shown_on_a_terminal(many, spot):
    ours, theirs = pty.openpty()
    with mounted(many, spot) as mount:
        pid = os.posix_spawn(PROGRAM, [PROGRAM, "warm", spot, "--all"],
                             os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs, 2)])
        os.close(theirs)
        seen = b""
        while seen.count(b"warm: ") < 3:
            seen += os.read(ours, 4096)
        os.kill(pid, signal.SIGINT)
        os.waitpid(pid, 0)
        done = [int(count) for count in
                re.findall(rb"warm: (\d+) of %d reductions" % (4 * MANY), seen)]
        assert len(done) >= 2 and done == sorted(done)
        assert not mount.ended()
    os.close(ours)


def test_a_conversation_tells_of_its_own(two, spot):
    with mounted(two, spot) as mount, conversation(spot) as talk, \
            conversation(spot) as other:
        assert talk(op="warm", name="b") == {"ok": True}
        assert not other(op="progress")["ok"]
        wait_until(lambda: talk(op="progress")["ended"], "warm")
        told = talk(op="progress")
        assert told == {"ok": True, "reductions": 4, "reductions_done": 4,
                        "bytes": 0, "bytes_done": 0, "failed": 0,
                        "ended": True}
        assert talk(op="warm", name="a", what="all") == {"ok": True}
        wait_until(lambda: talk(op="progress")["ended"], "the other")
        assert talk(op="progress")["bytes_done"] == 4 * SIZE
        assert made(mount) == (4, 4)


def test_a_retired_generation_is_left(many, spot):
    """The command ends, and the generation goes."""
    with mounted(many, spot) as mount:
        process = start("warm", spot, "--all")
        wait_until(lambda: made(mount)[1] > 10, "it has begun")
        assert run("set", spot, "models[0].parameters.weight=1").returncode == 0
        out, err = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0 and err == ""
        _, chunks = settled(mount)
        assert chunks < 4 * MANY, "it was over too soon to tell"
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "gone")


def test_one_that_is_retired_before_its_turn_is_left_out(many, models, tmp_path,
                                                         spot):
    """It is gone by then; the others are made."""
    last = ties(tmp_path / "z.yml", models, 0.25)
    with mounted([many, last], spot) as mount:
        process = start("warm", spot, "--all")
        wait_until(lambda: made(mount)[1] > 10, "it has begun")
        assert run("set", spot / "z",
                   "models[0].parameters.weight=1").returncode == 0
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "gone")
        assert process.poll() is None, "it was over too soon to tell"
        out, err = process.communicate(timeout=3 * DEADLINE)
        assert process.returncode == 0 and err == ""
        # Its reductions were made, and are those of the others, too.
        assert made(mount) == (4, 4 * MANY)
        left = re.fullmatch(r".*, (.*) of (.*) of tensors\n", out).groups()
        assert left[0] == left[1]


def test_readers_go_first(many, spot):
    """Reads are served while everything is warmed, at once."""
    with mounted(many, spot) as mount:
        with reading([mount / "lambda=0.5" / WEIGHTS]) as readers:
            process = start("warm", spot, "--all")
            waits = []
            for i in range(1, min(MANY, 41)):
                begin = time.monotonic()
                (mount / f"lambda={i / MANY}" / WEIGHTS).read_bytes()
                waits.append(time.monotonic() - begin)
            assert process.poll() is None, "it was over too soon to tell"
            process.terminate()
            process.communicate()
        assert len(readers.seen) == 1
        assert sorted(waits)[-3] < 1


# --- at the mount -------------------------------------------------------


def test_each_generation_is_warmed_by_the_mount(models, tmp_path, spot):
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    ties(folder / "a.yml", models)
    with mounted(folder, spot, "--warm") as mount:
        wait_until(lambda: made(mount) == (4, 0), "the first")
        ties(folder / "b.yml", models, llmergefs={
            "sweep": {"parameters.density": [0.25, 0.75]}})
        settled(mount)
        run("set", spot / "a", "models[0].parameters.density=0.125")
        wait_until(lambda: made(mount)[0] >= 8, "the next")
        (mount / "a" / WEIGHTS).read_bytes()
        reductions, chunks = settled(mount)
        assert chunks == 0
        (mount / "a" / WEIGHTS).read_bytes()
        assert made(mount) == (reductions, 0)
