"""`make bench`: mount time, sequential reads, memory.

Every figure is the median of RUNS, each on a fresh mount; sources are in the
page cache. Compare ratios of one run, not figures of two: the machine's memory
and neighbours move the figures more than a change of code does. On a virtual
machine whose host takes free memory back, `--hold GIB` first touches so much
memory and keeps one page of each huge page, so that none is given back.
"""

import argparse
import json
import mmap
import os
import shutil
import statistics
import struct
import subprocess
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("LLMERGEFS", str(ROOT / "llmergefs"))
FOLDER = ROOT / "build/bench"
RUNS = 5
MIB = 1 << 20

# (layers, hidden, intermediate, key and value rows, vocabulary), and how many
# bytes of tensors make a shard.
ONE_GB = (8, 2048, 8192, 512, 32000), 1 << 40
SEVENTY_B = (80, 8192, 28672, 1024, 128256), 4_700_000_000


def hold(gib):
    """Touch gib GiB, then keep a page in each 2 MiB block of it."""
    memory = mmap.mmap(-1, gib << 30)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    np.frombuffer(memory, dtype=np.uint8)[::4096] = 1
    for off in range(0, gib << 30, 2 * MIB):
        memory.madvise(mmap.MADV_DONTNEED, off + 4096, 2 * MIB - 4096)
    return memory


def llama(layers, hidden, intermediate, rows, vocabulary):
    """(name, shape) of each tensor of a Llama type."""
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for i in range(layers):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (hidden,)
        yield layer + "mlp.down_proj.weight", (hidden, intermediate)
        yield layer + "mlp.gate_proj.weight", (intermediate, hidden)
        yield layer + "mlp.up_proj.weight", (intermediate, hidden)
        yield layer + "post_attention_layernorm.weight", (hidden,)
        yield layer + "self_attn.k_proj.weight", (rows, hidden)
        yield layer + "self_attn.o_proj.weight", (hidden, hidden)
        yield layer + "self_attn.q_proj.weight", (hidden, hidden)
        yield layer + "self_attn.v_proj.weight", (rows, hidden)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocabulary, hidden)


def header(tensors):
    """(header bytes, data bytes) of a bfloat16 safetensors file."""
    entries, off = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        size = 2 * int(np.prod(shape))
        entries[name] = {"dtype": "BF16", "shape": shape,
                         "data_offsets": [off, off + size]}
        off += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, off


def cut(tensors, shard_bytes):
    """Lists of tensors, each of at most shard_bytes."""
    shards, size = [[]], 0
    for name, shape in tensors:
        more = 2 * int(np.prod(shape))
        if shards[-1] and size + more > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += more
    return shards


def make_model(folder, size, seed=None):
    """A model of small random numbers; without a seed, of holes."""
    if folder.exists():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / "config.json").write_text('{"architectures": ["LlamaForCausalLM"],'
                                      ' "dtype": "bfloat16"}')
    dimensions, shard_bytes = size
    shards = cut(llama(*dimensions), shard_bytes)
    index = {}
    for i, tensors in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else \
            f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        head, data = header(tensors)
        with open(part / name, "wb") as file:
            file.write(head)
            if seed is not None:
                write_random(file, data, seed)
            file.truncate(len(head) + data)
        index.update({tensor: name for tensor, _ in tensors})
    if len(shards) > 1:
        (part / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": index}))
    part.rename(folder)
    return folder


def write_random(file, size, seed):
    draw = np.random.default_rng(seed)
    block = draw.standard_normal(8 * MIB, dtype=np.float32) * np.float32(0.02)
    block = (block.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    while size > 0:
        file.write(block[:size])
        size -= len(block)


class Mounted:
    """A mount in the background, as a person starts it; `seconds` is what the
    command took, until the mount answered."""

    def __init__(self, recipe, *options):
        self.path = FOLDER / "mnt"
        self.argv = [PROGRAM, str(recipe), str(self.path), *options]

    def __enter__(self):
        self.path.mkdir(exist_ok=True)
        start = time.perf_counter()
        subprocess.run(self.argv, check=True, stderr=subprocess.DEVNULL)
        self.seconds = time.perf_counter() - start
        return self

    def __exit__(self, *_):
        subprocess.run(["fusermount3", "-u", str(self.path)], check=False)
        while os.path.ismount(self.path):
            subprocess.run(["fusermount3", "-uz", str(self.path)], check=False)

    def memory(self):
        """(now, at most) in MiB, resident, of the daemon."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                argv = (process / "cmdline").read_bytes().split(b"\0")
                status = (process / "status").read_text()
            except OSError:
                continue
            if argv[:2] == [PROGRAM.encode(), self.argv[1].encode()]:
                lines = dict(line.split(":", 1) for line in status.split("\n")
                             if ":" in line)
                return tuple(int(lines[name].split()[0]) / 1024
                             for name in ("VmRSS", "VmHWM"))
        raise RuntimeError("the daemon is gone")


def read_all(path):
    """GB/s of a file read from its first byte to its last, 1 MiB at a time."""
    buffer = bytearray(MIB)
    total = 0
    fd = os.open(path, os.O_RDONLY)
    start = time.perf_counter()
    while size := os.readv(fd, [buffer]):
        total += size
    seconds = time.perf_counter() - start
    os.close(fd)
    return total / seconds / 1e9


def map_all(path):
    """The same by a mapping: one byte of each page, in order."""
    with open(path, "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        start = time.perf_counter()
        pages = np.frombuffer(mapped, dtype=np.uint8)[::4096]
        total = int(pages.sum())
        seconds = time.perf_counter() - start
        del pages
        assert total >= 0
        return len(mapped) / seconds / 1e9


def show(name, figures, unit, note=""):
    middle = statistics.median(figures)
    print(f"{name:34}{middle:9.2f} {unit:5} ({min(figures):.2f} to "
          f"{max(figures):.2f}){note}", flush=True)
    return middle


def mount_times(name, recipe):
    seconds = []
    for _ in range(RUNS):
        with Mounted(recipe, "--cache=off") as mounted:
            seconds.append(1000 * mounted.seconds)
    show(f"mount, {name}", seconds, "ms")


def reads(name, recipe, how):
    """Median GB/s of a cold read of the whole merged file."""
    speeds, memory = [], (0, 0)
    for _ in range(RUNS):
        with Mounted(recipe, "--cache=off") as mounted:
            speeds.append(how(mounted.path / "model.safetensors"))
            memory = mounted.memory()
    return show(name, speeds, "GB/s",
                f", daemon {memory[0]:.0f} MiB, at most {memory[1]:.0f}")


def write_recipe(name, method, models, **more):
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({
        "merge_method": method,
        "models": [{"model": str(model), "parameters": parameters}
                   for model, parameters in models], **more}))
    return path


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hold", type=int, default=0, metavar="GIB")
    gib = options.parse_args().hold
    held = hold(gib) if gib else None

    FOLDER.mkdir(parents=True, exist_ok=True)
    a, b = (make_model(FOLDER / name, ONE_GB, seed)
            for seed, name in enumerate("ab"))
    big = [make_model(FOLDER / name, SEVENTY_B) for name in ("70a", "70b")]
    half = {"weight": 0.5}
    linear = write_recipe("linear", "linear", [(a, half), (b, half)])
    copy = write_recipe("copy", "passthrough", [(a, {})])
    headers = write_recipe("70b", "linear", [(m, half) for m in big])

    mount_times("2 x 1 GB", linear)
    mount_times("2 x 70B headers", headers)
    for how, title in ((read_all, "read"), (map_all, "mmap")):
        for source in (a, b): # into the page cache
            read_all(source / "model.safetensors")
        plain = show(f"{title}, plain file", [
            how(a / "model.safetensors") for _ in range(RUNS)], "GB/s")
        copied = reads(f"{title}, passthrough mount", copy, how)
        merged = reads(f"{title}, linear of two bf16", linear, how)
        print(f"{title}: linear is {merged / copied:.2f} of passthrough, "
              f"passthrough {copied / plain:.2f} of the plain file")
    del held


if __name__ == "__main__":
    main()
