"""DARE below density 1, against an independent numpy version of the generator
that core/rng.h documents, and the statistics of its masks."""

import struct
from string import Template

import numpy as np
import pytest
import torch
import xxhash

from support import export, tensors

BLOCK = 4096
LOW = 0xffffffffffffffff


def draws(seed, position, name, elements):
    """The 32-bit draw of each element: core/rng.h, in numpy."""
    made = np.empty(elements, dtype=np.uint32)
    named = xxhash.xxh3_128_intdigest(name.encode())
    for block in range(-(-elements // BLOCK)):
        message = struct.pack("<QIQQQ", seed, position, block, named & LOW,
                              named >> 64)
        key = xxhash.xxh3_128_intdigest(message) & LOW
        k0, k1 = np.uint32(key & 0xffffffff), np.uint32(key >> 32)
        first = block * BLOCK
        x = np.arange(min(BLOCK, elements - first), dtype=np.uint32)
        x *= np.uint32(0x9e3779b9)
        x += k0
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7feb352d)
        x ^= x >> np.uint32(15)
        x ^= k1
        x *= np.uint32(0x846ca68b)
        x ^= x >> np.uint32(16)
        made[first:first + len(x)] = x
    return made


def mask(seed, position, name, elements, density):
    threshold = round(float(np.float32(density)) * 2 ** 32)
    return draws(seed, position, name, elements) < threshold


RECIPE = """
merge_method: $method
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $base}
  - {model: $b, parameters: {weight: -0.4, density: 1}}
  - {model: $c, parameters: {weight: 0.5, density: 0.75}}
parameters: {rescale: $rescale, normalize: $normalize, lambda: 0.9}
dtype: float32
llmergefs: {seed: 11}
"""
WEIGHTS = (0.6, -0.4, 0.5)
DENSITIES = (0.3, 1.0, 0.75)


def by_numpy(method, rescale, normalize, models, name):
    """The merge of one tensor, each operation in binary32; sums over the whole
    tensor are exact, then rounded."""
    f = np.float32
    base = models[0]
    weighted, weights = [], []
    for position, (model, weight, density) in enumerate(
            zip(models[1:], WEIGHTS, DENSITIES)):
        delta = model - base
        if density < 1:
            kept = np.where(mask(11, position, name, delta.size, density),
                            delta, f(0))
            whole, left = (f(np.abs(each, dtype=np.float64).sum())
                           for each in (delta, kept))
            if rescale and whole >= 1e-7 and left >= 1e-7:
                kept = kept * (whole / left)
            delta = kept
        weights.append(f(weight))
        weighted.append(delta * weights[-1])
    if method == "dare_ties":
        total = sum(weighted, np.zeros_like(base))
        majority = np.where(total >= 0, f(1), f(-1))
        agree = [np.sign(each) == majority for each in weighted]
    else:
        agree = [np.ones(base.shape, dtype=bool)] * len(weighted)
    mixed, divisor = np.zeros_like(base), np.zeros_like(base)
    for each, weight, yes in zip(weighted, weights, agree):
        mixed = mixed + np.where(yes, each, f(0))
        divisor = divisor + np.where(yes, weight, f(0))
    if normalize:
        mixed = mixed / np.where(divisor == 0, f(1), divisor)
    return base + mixed * f(0.9)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("method, normalize",
                         [("dare_linear", False), ("dare_ties", False),
                          ("dare_ties", True)])
def test_dare_is_the_documented_generator(method, normalize, rescale, family,
                                          tmp_path):
    folders = family("llama-bf16")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(RECIPE).substitute(
        folders, method=method, rescale=str(rescale).lower(),
        normalize=str(normalize).lower()))
    merged = tensors(export(recipe, tmp_path / "ours"))
    models = [tensors(folders[name]) for name in ("base", "a", "b", "c")]
    for name, result in merged.items():
        arrays = [model[name].float().numpy().ravel() for model in models]
        expected = by_numpy(method, rescale, normalize, arrays, name)
        assert (result.numpy().ravel() == expected).all(), name


MASKS = """
merge_method: dare_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 1, density: $density}}
parameters: {rescale: false}
dtype: float32
llmergefs: {seed: $seed}
"""


def kept(family, tmp_path, density, seed):
    """The mask of each tensor, read off a merge: where the base has moved."""
    folders = family("llama")
    folder = tmp_path / f"{density}-{seed}"
    folder.mkdir()
    recipe = folder / "recipe.yml"
    recipe.write_text(Template(MASKS).substitute(folders, density=density,
                                                 seed=seed))
    merged = tensors(export(recipe, folder / "ours"))
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    return {name: (merged[name] != base[name])[tuned[name] != base[name]]
            for name in merged}


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_masks_keep_their_share(density, family, tmp_path):
    """The rate over all tensors and in each is within five sigma."""
    masks = kept(family, tmp_path, density, 0)
    for each in [*masks.values(), torch.cat(list(masks.values()))]:
        sigma = (density * (1 - density) * len(each)) ** 0.5
        assert abs(each.sum().item() - density * len(each)) < 5 * sigma


def test_masks_of_seeds_tensors_and_neighbours_are_independent(family,
                                                               tmp_path):
    one, two = (kept(family, tmp_path, 0.5, seed) for seed in (0, 1))
    layers = [name for name in one if name.endswith("gate_proj.weight")]
    pairs = [(one[name], two[name]) for name in one]
    pairs += [(one[a], one[b]) for a, b in zip(layers, layers[1:])]
    pairs += [(each[:-1], each[1:]) for each in one.values()]
    for a, b in pairs:
        n = min(len(a), len(b))
        both = (a[:n] == b[:n]).sum().item()
        assert abs(both - n / 2) < 5 * (n / 4) ** 0.5


def test_folders_may_move(family, tmp_path):
    """No path enters a mask: copies elsewhere give the same bytes."""
    import shutil

    folders = family("llama-bf16")
    moved = {name: shutil.copytree(path, tmp_path / f"moved-{name}")
             for name, path in folders.items()}
    results = []
    for number, places in enumerate((folders, moved)):
        recipe = tmp_path / f"recipe{number}.yml"
        recipe.write_text(Template(RECIPE).substitute(
            places, method="dare_ties", rescale="true", normalize="true"))
        results.append(tensors(export(recipe, tmp_path / str(number))))
    for name in results[0]:
        assert torch.equal(results[0][name], results[1][name])
