"""Where the kernel reads ahead by little (128 KiB, unless somebody may raise
that), what is dear to make is made by chunks ahead of those who read on and on;
the bytes are the same, and who reads here and there gets what was asked for."""

import mmap
import os
import random
import shutil

import pytest

from many import WEIGHTS, make_trio
from mounts import mounted, recipe

SHAPES = {f"model.layers.{i}.mlp.up_proj.weight": [1300, 700] for i in (0, 1)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    top = make_trio(tmp_path_factory.mktemp("models"), SHAPES)
    for name in "ab":
        shutil.copytree(top / name, top / f"{name}-too")
    return top


@pytest.fixture
def dear(models, tmp_path):
    """Four models and their base, elementwise."""
    return recipe(tmp_path / "r.json", "dare_ties", [
        (models / name, {"weight": weight, "density": 0.5})
        for name, weight in (("a", 0.5), ("b", 0.25), ("a-too", 0.75),
                             ("b-too", 1))],
        base_model=str(models / "base"), dtype="bfloat16")


def made(mount):
    return mount.stats()["chunks_made"]


def mapped(path, begin, end):
    """Page by page, as a loader touches them."""
    with open(path, "rb") as file, mmap.mmap(
            file.fileno(), 0, prot=mmap.PROT_READ) as whole:
        return b"".join(whole[off:off + 4096]
                        for off in range(begin, end, 4096))


def test_chunks_come_ahead_of_a_mapped_reader(dear, spot, exports):
    whole = exports(dear)
    with mounted(dear, spot, "--cache=off", "--readahead-kb=128") as mount:
        assert mapped(mount / WEIGHTS, 0, len(whole)) == whole
        stats = mount.stats()
        # All chunks of the tensors, and nothing twice.
        assert stats["chunks_made"] == 4
        assert stats["bytes_from_chunks"] > 0.8 * len(whole)
        assert stats["errors"] == 0


def test_readers_side_by_side(dear, spot, exports):
    whole = exports(dear)
    with mounted(dear, spot, "--cache=off", "--readahead-kb=128") as mount:
        parts = []
        with open(mount / WEIGHTS, "rb", buffering=0) as file:
            for off in range(0, 1 << 19, 1 << 16):
                for begin in (0, 1 << 20, 2 << 20, 3 << 20):
                    parts.append((begin + off, os.pread(
                        file.fileno(), 1 << 16, begin + off)))
        assert all(whole[off:off + len(part)] == part for off, part in parts)
        assert mount.stats()["errors"] == 0


def test_who_reads_here_and_there_gets_no_chunks(dear, spot, exports):
    whole = exports(dear)
    draw = random.Random(3)
    with mounted(dear, spot, "--cache=off", "--readahead-kb=128") as mount:
        with open(mount / WEIGHTS, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for off in draw.sample(range(0, len(whole), 3 << 18), 4):
                assert os.pread(file.fileno(), 4096, off) == \
                    whole[off:off + 4096]
        assert made(mount) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to raise that")
def test_a_kernel_that_reads_far_ahead_needs_none(dear, spot, exports):
    whole = exports(dear)
    with mounted(dear, spot, "--cache=off") as mount:
        assert mapped(mount / WEIGHTS, 0, len(whole)) == whole
        assert made(mount) == 0
