"""Mounts that change for long, are full, or end in the midst of everything."""

import os
import re
import signal
import subprocess
import time

import pytest

from many import (WEIGHTS, digest, linear, make_trio, open_files, reading,
                  resident, start, ties)
from mounts import DEADLINE, SLOW, conversation, kill, mounted, run, wait_until
from test_cache_budget import weigh

WEIGHT = "models[0].parameters.weight"
GENERATIONS = 200 // SLOW
SHAPES = {f"model.layers.{i}.mlp.weight": [700, 600] for i in range(4)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_trio(tmp_path_factory.mktemp("models"), SHAPES)


@pytest.fixture
def sweep(models, tmp_path):
    return ties(tmp_path / "s.yml", models, llmergefs={
        "sweep": {"parameters.lambda": [i / 16 for i in range(1, 17)]}})


# --- many generations -------------------------------------------------------


def test_two_hundred_generations_leave_nothing_behind(trio, tmp_path, spot,
                                                      exports):
    """With a reader of the first, and readers of each: memory and descriptors
    do not grow with them."""
    path = ties(tmp_path / "a.yml", trio)
    old = exports(path)
    with mounted([path, linear(tmp_path / "b.yml", trio)], spot) as mount, \
            conversation(spot) as talk:

        def change(i):
            assert talk(op="set", name="a", settings=[
                f"{WEIGHT}={1 + i / 1000}"])["ok"]
            with open(mount / "a" / WEIGHTS, "rb") as file:
                file.read(5000)
            os.listdir(mount / "a")

        first = open(mount / "a" / WEIGHTS, "rb", buffering=0)
        for i in range(GENERATIONS // 4):
            change(i)
        wait_until(lambda: mount.stats()["retired_generations"] <= 1, "gone")
        files, memory = open_files(mount.process.pid), \
            resident(mount.process.pid)
        for i in range(GENERATIONS // 4, GENERATIONS):
            change(i)
        wait_until(lambda: mount.stats()["retired_generations"] <= 1, "gone")
        assert mount.stats()["retired_generations"] == 1
        assert open_files(mount.process.pid) <= files
        # Freed memory is not all given back at once, least by sanitizers.
        assert SLOW > 1 or resident(mount.process.pid) < memory + (8 << 20)
        assert first.read() == old
        first.close()
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "gone")
        wait_until(lambda: mount.stats()["shared"]["tensors"] == 8, "closed")
        assert mount.stats()["shared"]["reductions"] == 4


def test_recipes_that_come_and_go(trio, tmp_path, spot):
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    linear(folder / "stays.yml", trio)
    with mounted(folder, spot) as mount:
        files = open_files(mount.process.pid)
        for i in range(40):
            path = linear(folder / f"r{i}.yml", trio, 1 + i / 100)
            wait_until((mount / f"r{i}" / WEIGHTS).exists, "there")
            with open(mount / f"r{i}" / WEIGHTS, "rb") as file:
                file.read(1000)
                path.unlink()
                wait_until(lambda: not (mount / f"r{i}").exists(), "gone")
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "gone")
        assert open_files(mount.process.pid) <= files + 2
        wait_until(lambda: mount.stats()["shared"]["tensors"] == 4, "closed")
        assert sorted(os.listdir(spot)) == [".llmergefs", "current", "stays"]


def test_a_folder_that_nobody_left_is_forgotten_once_they_do(trio, tmp_path,
                                                             spot):
    """A working directory, and what is looked up from it after it was
    replaced."""
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    path = linear(folder / "a.yml", trio)
    with mounted(folder, spot) as mount:
        with subprocess.Popen(
                ["sh", "-c", f"read x; cat config.json {WEIGHTS} | wc -c; "
                 "ls code; read x"], cwd=mount / "a", text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
            path.unlink()
            wait_until(lambda: not (mount / "a").exists(), "gone")
            shell.stdin.write("\n")
            shell.stdin.flush()
            assert int(shell.stdout.readline()) > 1_000_000
            assert shell.stdout.readline() == "modeling_x.py\n"
            assert mount.stats()["retired_generations"] == 1
            shell.communicate("\n")
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "gone")


@pytest.mark.parametrize("name", ["code", ".llmergefs", "."])
def test_a_name_that_is_not_there_keeps_no_folder(name, trio, tmp_path, spot):
    """The kernel keeps that, too, and the folder with it."""
    files = [linear(tmp_path / f"{stem}.yml", trio) for stem in "ab"]
    with mounted(files, spot) as mount:
        folder = os.open(mount / "a" / name, os.O_PATH)
        assert mount.ask(op="set", name="a", settings=[f"{WEIGHT}=2"])["ok"]
        time.sleep(0.2)     # it has been told once
        with pytest.raises(FileNotFoundError):
            os.stat("none", dir_fd=folder)
        os.close(folder)
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "gone")


# --- budgets ----------------------------------------------------------------


def test_budgets_are_kept_while_all_is_read(sweep, spot, exports):
    """In memory and on disk, and after kill -9 in the midst; and the bytes are
    right all the while."""
    memory, disk, cache = 8 << 20, 20 << 20, spot.parent / "cache/llmergefs"
    options = ["--cache=all", f"--cache-mem={memory}", f"--cache-disk={disk}"]
    points = [f"lambda={i / 16}" for i in range(1, 17, SLOW)]
    good = {digest(exports(sweep, "--point", point)) for point in points[::4]}

    def watch(mount, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert weigh(cache) <= disk
            stats = mount.stats()["cache"]
            assert stats["memory_bytes"] <= memory
            assert stats["memory_budget"] == memory
            assert stats["disk_budget"] == disk

    for how in ("kill", "end"):
        with mounted(sweep, spot, *options) as mount:
            with reading([mount / point / WEIGHTS for point in points[::4]],
                         ["read"]) as readers:
                for point in points:
                    (mount / point / WEIGHTS).read_bytes()
                    watch(mount, 0.05)
                readers.end()
                assert set(readers.seen) == good
                stats = mount.stats()["cache"]
                assert stats["disk_writes"] > len(points) and stats["disk_bad"] == 0
                if how == "kill":
                    clients = [start("warm", spot, "--all")]
                    time.sleep(0.2)
                    kill(mount.process.pid)
                    mount.process.wait()
                    for client in clients:
                        client.communicate(timeout=DEADLINE)
                        assert client.returncode == 1
        assert weigh(cache) <= disk


# --- ends -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["SIGTERM", "fusermount3"])
def test_it_ends_in_the_midst_of_everything(sweep, trio, tmp_path, spot, how):
    """A watcher of it, a warming, readers, a conversation, a folder that
    changes: it ends, with exit code 0, and leaves no mount and no process."""
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    (folder / "s.yml").write_text(sweep.read_text())
    path = linear(folder / "a.yml", trio)
    clients = []
    with mounted(folder, spot, "--warm", "--cache=all") as mount:
        with reading([mount / "s/lambda=0.5" / WEIGHTS], ["read"]) as readers:
            clients = [start("status", "--watch", "--json", spot),
                       start("warm", spot, "--all")]
            held = open(mount / "a" / WEIGHTS, "rb")
            talk = os.open(mount / ".llmergefs/control", os.O_RDWR)
            os.write(talk, b'{"op": "warm", "what": "all"}\n{"op": "swi')
            linear(path, trio, 0.25)
            time.sleep(0.3)
            if how == "SIGTERM":
                mount.process.terminate()
            else:
                subprocess.run(["fusermount3", "-uz", str(spot)], check=True)
            wait_until(lambda: not os.path.ismount(spot), "detached")
            # Those who have something open are served to the end.
            assert len(held.read()) > 1_000_000
            held.close()
            os.close(talk)
            for process in readers.processes:
                process.kill()
                process.communicate()
            readers.processes = []
        # The warm command holds the control file open: it is told to end.
        clients[1].terminate()
        assert mount.process.wait(DEADLINE) == 0
    for client in clients:
        client.communicate(timeout=DEADLINE)
    assert os.listdir(spot) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_clients_of_a_mount_that_ends_end(sweep, spot, number):
    """They are told so, and do not hang."""
    with mounted(sweep, spot, "--cache=all") as mount:
        clients = [start("status", "--watch", "--json", spot),
                   start("warm", spot, "--all")]
        assert clients[0].stdout.readline()
        wait_until(lambda: mount.stats()["chunks_made"] > 0, "it is at work")
        mount.process.send_signal(number)
        if number == signal.SIGKILL:
            for client in clients:
                _, err = client.communicate(timeout=DEADLINE)
                assert client.returncode == 1
                assert re.match(r"llmergefs: .*mnt", err), err
        else:
            # What is begun is finished.
            out, err = clients[1].communicate(timeout=DEADLINE)
            assert clients[1].returncode == 0 and "16 of" not in err, err
            assert "of tensors" in out
            clients[0].communicate(timeout=DEADLINE)
            assert mount.process.wait(DEADLINE) == 0
    assert run("switch", spot, "x").returncode != 0
