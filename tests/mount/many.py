"""What the tests of many recipes share: models, recipes of them, the bytes
that those make, and processes that read without a pause."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys

from mounts import (DEADLINE, PROGRAM, floats, make_model, recipe, run,
                    wait_until)

TENSORS = {"model.layers.0.self_attn.q_proj.weight": [300, 250],
           "model.layers.0.mlp.up_proj.weight": [500, 301],
           "model.layers.1.self_attn.q_proj.weight": [300, 250],
           "model.layers.1.mlp.up_proj.weight": [500, 301]}
WEIGHTS = "model.safetensors"


def make_trio(top, tensors=None):
    """base, a and b below `top`, with these tensors of binary32."""
    tensors = tensors or TENSORS
    for seed, name in enumerate(("base", "a", "b"), 1):
        make_model(top / name, {
            tensor: ("F32", shape, floats(shape[0] * shape[1], seed * 100 + i))
            for i, (tensor, shape) in enumerate(tensors.items())})
    return top


def linear(path, top, weight=0.5, **more):
    return recipe(path, "linear", [(top / "a", {"weight": weight}),
                                   (top / "b", {"weight": 0.5})], **more)


def ties(path, top, weight=0.5, **more):
    half = {"weight": weight, "density": 0.5}
    return recipe(path, "ties", [(top / "a", half), (top / "b", half)],
                  base_model=str(top / "base"), **more)


class Exports:
    """The weights that recipes make, by `export`, each made once."""

    def __init__(self, folder):
        self.folder, self.made = folder, {}

    def __call__(self, path, *options):
        key = (path.read_text(), *map(str, options))
        if key not in self.made:
            target = self.folder / hashlib.sha1(repr(key).encode()).hexdigest()
            done = run("export", "-q", "--cache=off", path, target, *options)
            assert done.returncode == 0, done.stderr
            self.made[key] = (target / WEIGHTS).read_bytes()
        return self.made[key]


def digest(data):
    return hashlib.sha1(data).hexdigest()


# Reads a file from its path to its end, again and again, until its standard
# input is closed: prints what it has seen, {digest: times}, and how often there
# was no such file; any other error ends it.
READER = """
import collections, hashlib, json, mmap, os, random, select, sys
path, how = sys.argv[1:3]
seen, missing, draw = collections.Counter(), 0, random.Random(os.getpid())

def whole(fd):
    size = os.fstat(fd).st_size
    if how == "map":
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
            return mapped[:]
    parts, off = [], 0
    while off < size:
        part = os.pread(fd, draw.choice([4097, 70001, 1 << 20]), off)
        assert part, "the file is shorter than it says"
        parts.append(part)
        off += len(part)
    return b"".join(parts)

print("reading", flush=True)
while not select.select([0], [], [], 0)[0]:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        missing += 1
        continue
    seen[hashlib.sha1(whole(fd)).hexdigest()] += 1
    os.close(fd)
print(json.dumps({"seen": seen, "missing": missing}), flush=True)
"""


class Reading:
    def __init__(self, processes):
        self.processes = processes
        self.seen, self.missing = {}, 0

    def end(self):
        """What was seen, {digest: times}; none may have failed."""
        for process in self.processes:
            out, err = process.communicate(timeout=DEADLINE)
            assert process.returncode == 0, err
            told = json.loads(out)
            self.missing += told["missing"]
            for key, times in told["seen"].items():
                self.seen[key] = self.seen.get(key, 0) + times
        self.processes = []


@contextlib.contextmanager
def reading(paths, how=("read", "map")):
    """A process a path and a way of reading, until the end of the block; what
    they have seen is then known."""
    processes = [subprocess.Popen(
        [sys.executable, "-c", READER, str(path), way], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for path in paths for way in how]
    readers = Reading(processes)
    try:
        for process in processes:
            assert process.stdout.readline() == "reading\n"
        yield readers
        readers.end()
    finally:
        for process in readers.processes:
            process.kill()
            process.communicate()


def start(*argv):
    """The program, in the background."""
    return subprocess.Popen([PROGRAM, *map(str, argv)], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def names(mount):
    """What stands in the root but for what is the mount's own."""
    return sorted(name for name in os.listdir(mount.path)
                  if name not in (".llmergefs", "current"))


def shows(mount, *expected):
    wait_until(lambda: names(mount) == sorted(expected), f"{expected}")


def weights(mount, name="."):
    return (mount / name / WEIGHTS).read_bytes()


def generation(mount, name):
    return next(entry["generation"] for entry in mount.stats()["recipes"]
                if entry["name"] == name)


def inodes(folder):
    """Of a folder and all that is in it."""
    return {entry.stat().st_ino for entry in [folder, *folder.rglob("*")]}


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
