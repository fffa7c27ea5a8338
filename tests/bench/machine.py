"""The machine that is measured on: what it is, its memory and page cache, room
on its disks, and the C programs that measure."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("LLMERGEFS", str(ROOT / "llmergefs"))
PROGRAMS = Path(os.environ.get("BENCH_PROGRAMS",
                               ROOT / "build/release/tests/bench"))
FOLDER = Path(os.environ.get("BENCH_FOLDER", ROOT / "build/bench"))
TMPFS = Path("/dev/shm")
BIN = Path(sys.executable).parent # of the virtual environment
CORES = len(os.sched_getaffinity(0))

GIB = 1 << 30
SPARE = 2 * GIB # what is left free of a disk, and of memory
RESIDENT = 0.999
TRIES = 3


class Trouble(Exception):
    """A sentence for a person."""


def tool(name, *args):
    """What a C program of the benchmark prints: a list, a line each."""
    run = subprocess.run([str(PROGRAMS / name), *map(str, args)], text=True,
                         capture_output=True, stdin=subprocess.DEVNULL)
    if run.returncode:
        raise Trouble(f"{name} {' '.join(map(str, args))}: "
                      f"{run.stderr.strip() or run.returncode}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def timed(argv, log, synced="-"):
    """Run a command to its end; what it took, and its memory."""
    took, = tool("measure", log, synced, *argv)
    if took["status"]:
        end = Path(log).read_text(errors="replace")[-2000:]
        raise Trouble(f"{' '.join(map(str, argv))}: "
                      f"status {took['status']}\n{end}")
    return took


def warm(files):
    """All of the files into the page cache, or no figure is worth anything."""
    for _ in range(TRIES):
        there, = tool("pages", "resident", *files)
        if there["resident"] >= RESIDENT:
            return
        tool("pages", "warm", *files)
    raise Trouble(f"the page cache keeps {100 * there['resident']:.0f}% of "
                  f"{there['bytes'] / 1e9:.1f} GB of sources: use smaller "
                  "models (BENCH_GB)")


def drop(files):
    """None of them in the page cache."""
    for _ in range(TRIES):
        there, = tool("pages", "drop", *files)
        if there["resident"] <= 1 - RESIDENT:
            return
        time.sleep(0.2)
    raise Trouble(f"{files[0]}: stays in the page cache")


def memory(name):
    """A line of /proc/meminfo, in bytes."""
    text = Path("/proc/meminfo").read_text()
    return int(re.search(rf"^{name}:\s+(\d+)", text, flags=re.M)[1]) << 10


def need_room(folder, size, what):
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise Trouble(f"{folder}: {what} takes {size / 1e9:.1f} GB and 2 GiB "
                      f"are left free, but there are {free / 1e9:.1f}")
    if Path(folder).is_relative_to(TMPFS) and \
            memory("MemAvailable") < size + SPARE:
        raise Trouble(f"{what} takes {size / 1e9:.1f} GB of memory: use "
                      "smaller models (BENCH_GB)")


class Hold:
    """Memory that is given back in pieces so small that a virtual machine's
    host does not take it away; see pages.c."""

    def __init__(self, gib):
        self.size = int(memory("MemAvailable") - 2 * SPARE
                        if gib == "auto" else float(gib) * GIB)
        self.process = None

    def __enter__(self):
        if self.size < GIB:
            return self
        self.process = subprocess.Popen(
            [str(PROGRAMS / "pages"), "hold", str(self.size)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            ready = self.process.stdout.readline() == "ready\n"
        except BaseException:
            self.__exit__()
            raise
        if not ready:
            self.__exit__()
            raise Trouble("no memory to hold: use --hold 0")
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.stdin.close()
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


class Work:
    """Folders for what is made and thrown away: on the disk of the models, and
    in memory. They carry our process id: what a killed run left is removed."""

    def __init__(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.disk = FOLDER / f"work.{os.getpid()}"
        self.tmpfs = TMPFS / f"llmergefs-bench.{os.getpid()}"
        self.points = 0

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        for folder in (*FOLDER.glob("work.*"),
                       *TMPFS.glob("llmergefs-bench.*")):
            if not Path(f"/proc/{folder.suffix[1:]}").exists():
                remove_work(folder)
        for folder in (self.disk, self.tmpfs):
            folder.mkdir()
        return self

    def __exit__(self, *_):
        for folder in (self.disk, self.tmpfs):
            remove_work(folder)

    def point(self):
        """A new folder to mount on."""
        self.points += 1
        point = self.disk / f"mnt.{self.points}"
        point.mkdir()
        return point

    def log(self):
        return self.disk / "log"

    def fresh(self, name, where=None):
        """A path that does not exist, whatever was there."""
        path = (where or self.disk) / name
        shutil.rmtree(path, ignore_errors=True)
        return path


def unmount(point):
    """Lazily if it must be. Whether it went by itself."""
    for flags in ("-u", "-uz"):
        if not is_mount(point):
            return flags == "-uz"
        subprocess.run(["fusermount3", "-q", flags, str(point)], check=False)
    return False


def is_mount(point):
    """Without asking who serves it, who may be gone."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(point) for line in lines)


def remove_work(folder):
    for point in folder.glob("mnt.*"):
        unmount(point)
    shutil.rmtree(folder, ignore_errors=True)


def busy(seconds=1.0):
    """The share of all cores that is used, by whomever, while we sleep."""
    def ticks():
        line = Path("/proc/stat").read_text().splitlines()[0]
        numbers = [int(number) for number in line.split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]

    total, idle = ticks()
    time.sleep(seconds)
    total, idle = (now - before for now, before in zip(ticks(), (total, idle)))
    return 1 - idle / max(total, 1)


def output_of(*argv):
    run = subprocess.run(argv, text=True, capture_output=True, cwd=ROOT)
    return run.stdout.strip() if run.returncode == 0 else ""


def describe():
    """What figures depend on, for whoever compares them."""
    cpu = re.search(r"^model name\s*:\s*(.*)",
                    Path("/proc/cpuinfo").read_text(), flags=re.M)
    version = output_of(PROGRAM, "--version")
    level = re.search(r"CPU level (\w+)", version)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": CORES,
        "level": level[1] if level else "",
        "memory_gib": round(memory("MemTotal") / GIB, 1),
        "kernel": platform.release(),
        "disk": output_of("findmnt", "-no", "FSTYPE,SOURCE", "-T", str(FOLDER)),
        "program": version.splitlines()[0] if version else PROGRAM,
        "commit": output_of("git", "describe", "--always", "--dirty"),
        "busy_before": round(busy(), 2),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
