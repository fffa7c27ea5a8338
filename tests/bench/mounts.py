"""Mounts: llmergefs as a person starts it, and the FUSE that computes nothing.
Each is fresh for its `with` block, and gone after it."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import machine
from machine import Trouble

END_SECONDS = 30
WEIGHTS = "model.safetensors"


class Mount:
    """llmergefs in the background. `start` is what the command took, until the
    mount answered."""

    def __init__(self, work, recipe, *options):
        self.work, self.recipe, self.options = work, recipe, options
        self.path = work.point()
        self.weights = self.path / WEIGHTS
        self.pid = None

    def __enter__(self):
        try:
            self.start = machine.timed(
                [machine.PROGRAM, str(self.recipe), str(self.path),
                 *self.options], self.work.log())
            self.pid = self.find()
        except BaseException:
            self.__exit__()
            raise
        return self

    def find(self):
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                argv = (process / "cmdline").read_bytes().split(b"\0")
                if str(self.path).encode() in argv:
                    return int(process.name)
        raise Trouble(f"{self.path}: the daemon is gone")

    def memory(self):
        """Of the daemon, in bytes: resident now, at most, and its own."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return {"rss": int(lines["VmRSS"].split()[0]) << 10,
                "peak": int(lines["VmHWM"].split()[0]) << 10,
                "anon": int(lines["RssAnon"].split()[0]) << 10}

    def __exit__(self, *_):
        machine.unmount(self.path)
        end_process(self.pid)
        self.path.rmdir()


def end_process(pid):
    """A daemon ends by itself after its mount; what does not is killed."""
    if not pid:
        return
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            end = time.monotonic() + END_SECONDS
            while time.monotonic() < end and is_alive(pid):
                time.sleep(0.01)
            if is_alive(pid):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)


def is_alive(pid):
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


class Plain:
    """plainfs.c: `how` is hot, or sources."""

    def __init__(self, work, how, files):
        self.path = work.point()
        self.weights = self.path / WEIGHTS
        self.argv = [str(machine.PROGRAMS / "plainfs"), str(self.path), how,
                     *map(str, files)]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            self.argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            text=True)
        try:
            ready = self.process.stdout.readline() == "ready\n"
        except BaseException:
            self.__exit__()
            raise
        if not ready:
            self.__exit__()
            raise Trouble(f"{' '.join(self.argv)}: no mount")
        return self

    def __exit__(self, *_):
        machine.unmount(self.path)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.path.rmdir()


def read(how, processes, *paths):
    """GB/s, read or mapped, by so many processes."""
    return machine.tool("reader", how, processes, *paths)[0]["gbps"]
