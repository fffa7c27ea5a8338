"""Small models made by hand, and mounts that always end."""

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("LLMERGEFS", str(ROOT / "llmergefs"))
SLOW = 5 if os.environ.get("SAN") else 1
DEADLINE = 20 * SLOW


def run(*argv, **options):
    return subprocess.run([PROGRAM, *map(str, argv)], text=True,
                          capture_output=True, timeout=120, **options)


def header(tensors):
    """8 bytes of length and the JSON of {name: (dtype, shape, bytes)}."""
    entries, off = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape,
                         "data_offsets": [off, off + size]}
        off += size
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def make_model(folder, tensors):
    """tensors: {name: (dtype, shape, bytes of data)}."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "torch_dtype": "float32",\n'
        ' "num_hidden_layers": 2, "rope_theta": 10000.0}\n')
    (folder / "code").mkdir()
    (folder / "code/modeling_x.py").write_text("X = 1\n")
    with open(folder / "model.safetensors", "wb") as file:
        file.write(header({name: (dtype, shape, len(data)) for
                           name, (dtype, shape, data) in tensors.items()}))
        for _, _, data in tensors.values():
            file.write(data)
    return folder


def floats(count, seed):
    """Floats that look random, without numpy: a congruential generator."""
    x, values = seed * 2654435761 % 2**32, []
    for _ in range(count):
        x = (x * 1664525 + 1013904223) % 2**32
        values.append((x / 2**32 - 0.5) / 8)
    return struct.pack(f"<{count}f", *values)


def recipe(path, method, models, **more):
    path.write_text(json.dumps({"merge_method": method, "models": [
        {"model": str(model), "parameters": parameters}
        for model, parameters in models], **more}))
    return path


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        time.sleep(0.01)


class Mount:
    """A daemon in the foreground of a process that we own."""

    def __init__(self, path, process):
        self.path, self.process = path, process

    def __truediv__(self, name):
        return self.path / name

    def stats(self):
        return json.loads((self.path / ".llmergefs/stats.json").read_text())

    def log(self):
        return (self.path / ".llmergefs/log").read_text()

    def errors(self):
        return (self.path / ".llmergefs/errors").read_text()

    def ask(self, **command):
        """One command through the control file, and its answer."""
        with conversation(self.path) as talk:
            return talk(**command)

    def ended(self):
        return self.process.poll() is not None


@contextlib.contextmanager
def conversation(point):
    """Yields a function that sends a command and returns its answer."""
    fd = os.open(Path(point) / ".llmergefs/control", os.O_RDWR)

    def talk(line=None, **command):
        os.write(fd, (json.dumps(command) if line is None else line).encode()
                 + b"\n")
        return json.loads(os.read(fd, 1 << 20))

    try:
        yield talk
    finally:
        os.close(fd)


@contextlib.contextmanager
def mounted(recipes, point, *options):
    """Mount one recipe, a folder of them, or several (a list)."""
    point.mkdir(exist_ok=True)
    if not isinstance(recipes, (list, tuple)):
        recipes = [recipes]
    process = subprocess.Popen(
        [PROGRAM, "-f", *map(str, [*recipes, point, *options])],
        stderr=subprocess.DEVNULL)
    mount = Mount(point, process)
    try:
        wait_until(lambda: mount.ended() or os.path.ismount(point), "mounted")
        assert not mount.ended(), f"exit code {process.returncode}"
        yield mount
    finally:
        ended = clean_up(point, process)
    assert ended, "the daemon did not end by itself"


def clean_up(point, process=None):
    """Whether the process has ended without being killed."""
    for flags in ("-u", "-uz"):
        subprocess.run(["fusermount3", "-q", flags, str(point)], check=False)
    if process:
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
    return True


def daemon_of(point):
    """The process that serves a mount in the background."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if argv[0] == PROGRAM.encode() and str(point).encode() in argv:
                return int(entry.name)
    return None


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


def mount_type(point):
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4] == str(point):
            return re.search(r" - (\S+) (\S+)", line).groups()
    return None
