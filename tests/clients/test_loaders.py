"""Real loaders on a real mount: all see what `llmergefs export` writes."""

import mmap
import os
import random
import subprocess
import sys
from pathlib import Path
from string import Template

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from support import (Mount, assert_same_tensors, export, same_bits, shards,
                     tensors)

# name: (family, recipe). One file and many, tied and untied, each dtype.
MERGES = {
    "llama-linear-f32": ("llama", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.3}}
  - {model: $b, parameters: {weight: 0.7}}
"""),
    "llama-ties-tied-shards": ("llama-tied-sharded", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.3, density: 0.4}}
  - {model: $b, parameters: {weight: 0.7, density: [0.2, 0.8]}}
parameters: {rescale: true}
dtype: float32
llmergefs: {shard_size: 200KB}
"""),
    "qwen2-slerp-bf16-tied": ("qwen2-tied-bf16", """
merge_method: slerp
base_model: $base
models: [{model: $base}, {model: $a}]
parameters: {t: [0.2, 0.8]}
dtype: bfloat16
"""),
    "qwen3-dare-bf16-shards": ("qwen3-bf16-sharded", """
merge_method: dare_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.3, density: 0.4}}
  - {model: $b, parameters: {weight: 0.7, density: 0.6}}
out_dtype: bfloat16
llmergefs: {shard_size: 100KB, seed: 3}
"""),
    "llama-passthrough-out-f16": ("llama-bf16-sharded", """
merge_method: passthrough
slices:
  - sources: [{model: $a, layer_range: [0, 3]}]
  - sources: [{model: $b, layer_range: [2, 4]}]
out_dtype: float16
"""),
}


@pytest.fixture(scope="module", params=MERGES)
def merged(request, family, tmp_path_factory):
    """(the mount, the export) of one recipe."""
    name, recipe = MERGES[request.param]
    folder = tmp_path_factory.mktemp("merged")
    path = folder / "recipe.yml"
    path.write_text(Template(recipe).substitute(family(name)))
    exported = export(path, folder / "exported")
    with Mount(path, folder / "mnt") as mounted:
        yield mounted, exported


def files(folder):
    """Relative paths of all files but those of .llmergefs/."""
    return sorted(str(path.relative_to(folder))
                  for path in Path(folder).rglob("*")
                  if path.is_file() and ".llmergefs" not in path.parts)


def test_export_writes_the_files_of_the_mount(merged):
    mounted, exported = merged
    assert files(mounted) == files(exported)
    for name in files(exported):
        assert (mounted / name).stat().st_size == \
            (exported / name).stat().st_size
        assert (mounted / name).read_bytes() == (exported / name).read_bytes()


def test_transformers_loads_and_generates_the_same(merged):
    mounted, exported = merged
    ours = AutoModelForCausalLM.from_pretrained(mounted).eval()
    theirs = AutoModelForCausalLM.from_pretrained(exported).eval()
    assert ours.dtype == theirs.dtype
    assert_same_tensors(dict(ours.state_dict()), dict(theirs.state_dict()))
    text = AutoTokenizer.from_pretrained(mounted)("merged when read",
                                                  return_tensors="pt")
    how = dict(max_new_tokens=12, do_sample=False)
    assert torch.equal(ours.generate(**text, **how),
                       theirs.generate(**text, **how))


def test_transformers_loads_without_mmap(merged):
    mounted, exported = merged
    ours = AutoModelForCausalLM.from_pretrained(mounted, disable_mmap=True)
    theirs = AutoModelForCausalLM.from_pretrained(exported)
    assert_same_tensors(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_safe_open_reads_tensors_and_slices(merged):
    mounted, exported = merged
    for shard in shards(exported):
        with safe_open(mounted / shard.name, "pt") as ours, \
                safe_open(shard, "pt") as theirs:
            assert ours.metadata()["format"] == "pt"
            assert ours.keys() == theirs.keys()
            for name in reversed(list(theirs.keys())):
                assert same_bits(ours.get_tensor(name),
                                 theirs.get_tensor(name))
                whole = theirs.get_tensor(name)
                if whole.dim() == 2:
                    cut = ours.get_slice(name)[3:7, 1:]
                    assert same_bits(cut, whole[3:7, 1:])


def test_safe_open_by_pread(merged):
    mounted, exported = merged
    for shard in shards(exported):
        with safe_open(mounted / shard.name, "pt", backend="pread") as ours:
            found = {name: ours.get_tensor(name) for name in ours.keys()}
        assert_same_tensors(found, load_file(shard))


def test_load_file(merged):
    mounted, exported = merged
    for shard in shards(exported):
        assert_same_tensors(load_file(mounted / shard.name), load_file(shard))


def test_pread_at_odd_offsets(merged):
    mounted, exported = merged
    draw = random.Random(0)
    for shard in shards(exported):
        whole = shard.read_bytes()
        fd = os.open(mounted / shard.name, os.O_RDONLY)
        try:
            for _ in range(200):
                off = draw.randrange(len(whole))
                size = draw.choice((1, 2, 3, 7, 63, 4097, 70001))
                assert os.pread(fd, size, off) == whole[off:off + size]
            assert os.pread(fd, 10, len(whole)) == b""
        finally:
            os.close(fd)


def test_o_direct(merged):
    mounted, exported = merged
    for shard in shards(exported):
        whole = shard.read_bytes()
        fd = os.open(mounted / shard.name, os.O_RDONLY | os.O_DIRECT)
        buffer = mmap.mmap(-1, 1 << 16) # page-aligned, as O_DIRECT wants
        try:
            for off in range(0, len(whole), len(buffer)):
                size = os.preadv(fd, [buffer], off)
                assert buffer[:size] == whole[off:off + len(buffer)]
        finally:
            os.close(fd)


@pytest.mark.parametrize("flags", [mmap.MAP_PRIVATE, mmap.MAP_SHARED],
                         ids=["private", "shared"])
def test_mmap(merged, flags):
    mounted, exported = merged
    draw = random.Random(1)
    for shard in shards(exported):
        whole = shard.read_bytes()
        with open(mounted / shard.name, "rb") as file, \
                mmap.mmap(file.fileno(), 0, flags, mmap.PROT_READ) as mapped:
            for _ in range(50):
                off = draw.randrange(len(whole))
                assert mapped[off:off + 5000] == whole[off:off + 5000]


READER = """
import hashlib, random, sys
seed, paths = int(sys.argv[1]), sys.argv[2:]
for path in paths:
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, 2)
        parts = list(range(0, size, 8191))
        random.Random(seed).shuffle(parts)
        read = {}
        for off in parts:
            file.seek(off)
            read[off] = file.read(8191)
    print(hashlib.sha256(b"".join(read[o] for o in sorted(read))).hexdigest())
"""


def test_eight_processes_at_once(merged):
    mounted, exported = merged
    names = [shard.name for shard in shards(exported)]

    def start(folder, seed):
        return subprocess.Popen(
            [sys.executable, "-c", READER, str(seed),
             *(str(folder / name) for name in names)],
            stdout=subprocess.PIPE, text=True)

    readers = [start(mounted, seed) for seed in range(8)]
    hashes = [reader.communicate()[0] for reader in readers]
    expected = start(exported, 0).communicate()[0]
    assert expected and hashes == [expected] * 8


def test_fastsafetensors(merged):
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    mounted, exported = merged
    loader = SafeTensorsFileLoader(SingleGroup(), device="cpu", nogds=True)
    loader.add_filenames({0: [str(shard) for shard in shards(mounted)]})
    buffers = loader.copy_files_to_device()
    try:
        found = {name: buffers.get_tensor(name).clone()
                 for name in loader.get_keys()}
    finally:
        buffers.close()
        loader.close()
    assert_same_tensors(found, tensors(exported))


def test_runai_model_streamer(merged):
    from runai_model_streamer import SafetensorsStreamer

    mounted, exported = merged
    found = {}
    with SafetensorsStreamer() as streamer:
        for shard in shards(mounted):
            streamer.stream_file(str(shard))
            found.update({name: tensor.clone()
                          for name, tensor in streamer.get_tensors()})
    assert_same_tensors(found, tensors(exported))


def test_second_mount_from_the_cache_is_the_same(merged, tmp_path):
    """Everything made is kept; the next mount serves what was kept."""
    mounted, exported = merged
    recipe = mounted.parent / "recipe.yml"
    for _ in range(2):
        with Mount(recipe, tmp_path / "mnt", "--cache=all",
                   f"--cache-dir={tmp_path / 'cache'}") as again:
            assert_same_tensors(tensors(again), tensors(exported))
