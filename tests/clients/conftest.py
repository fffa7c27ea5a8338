"""Fixtures: families of models made once a session, an own cache folder."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")

import pytest
import torch

import support
import synthetic


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """The user's cache is neither used nor filled."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("LLMERGEFS_CACHE", None)


FAMILIES = {
    "llama": dict(),
    "llama-bf16": dict(dtype=torch.bfloat16),
    "llama-f16": dict(dtype=torch.float16),
    "llama-tied-sharded": dict(tied=True, shard="200KB"),
    "llama-bf16-sharded": dict(dtype=torch.bfloat16, shard="100KB"),
    "qwen2": dict(architecture="qwen2"),
    "qwen2-tied-bf16": dict(architecture="qwen2", tied=True,
                            dtype=torch.bfloat16),
    "qwen3-bf16-sharded": dict(architecture="qwen3", dtype=torch.bfloat16,
                               shard="100KB"),
}


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """family("llama"): {"base", "a", "b", "c"}, folders of like models."""
    made = {}

    def get(name):
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            made[name] = synthetic.family(root, **FAMILIES[name])
        return made[name]

    return get


@pytest.fixture
def mount(tmp_path):
    """mount(recipe, *options): mounted until the test ends."""
    mounts = []

    def start(recipe, *options):
        mounts.append(support.Mount(recipe, tmp_path / f"mnt{len(mounts)}",
                                    *options))
        return mounts[-1].__enter__()

    yield start
    for each in mounts:
        each.stop()
