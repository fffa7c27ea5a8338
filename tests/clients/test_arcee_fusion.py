"""Arcee Fusion against mergekit: in float64, where its divergences are good to
the digits that decide, the same elements are taken to the last one."""

from string import Template

import numpy as np
import pytest
import torch

import synthetic
from peer import mergekit
from support import export, tensors

RECIPE = """
merge_method: arcee_fusion
base_model: $base
models: [{model: $a}]
dtype: $dtype
out_dtype: $out
"""


def recipe(folders, dtype, out="float32"):
    return Template(RECIPE).substitute(folders, dtype=dtype, out=out)


def merged(folders, tmp_path, dtype="float32", out="float32"):
    path = tmp_path / f"{dtype}-{out}.yml"
    path.write_text(recipe(folders, dtype, out))
    return tensors(export(path, tmp_path / f"ours-{dtype}-{out}"))


def by_numpy(base, tuned):
    """Which elements are taken, all in float64."""
    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True) + 1e-8

    p, q = softmax(tuned), softmax(base)
    score = abs(tuned - base) * (p * np.log(p / q)).sum(-1, keepdims=True)
    ranks = [i * (score.size - 1) // 4 for i in (1, 2, 3)]
    low, middle, high = np.sort(score, None)[ranks]
    return score >= middle + 1.5 * (high - low)


@pytest.mark.parametrize("name", ["llama", "llama-bf16", "qwen2"])
def test_elements_taken_are_those_of_the_peer_in_float64(name, family,
                                                         tmp_path):
    folders = family(name)
    ours = merged(folders, tmp_path)
    peer = tensors(mergekit(recipe(folders, "float64"), tmp_path / "peer"))
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    for tensor, result in ours.items():
        a, b = base[tensor].float(), tuned[tensor].float()
        taken = peer[tensor] != a
        assert torch.equal(result != a, taken), tensor
        assert torch.equal(result, a + (b - a) * taken), tensor


def test_peer_in_float32_differs_in_few(family, tmp_path):
    """Its divergences are off by up to a fiftieth there."""
    folders = family("llama")
    ours = merged(folders, tmp_path)
    peer = tensors(mergekit(recipe(folders, "float32"), tmp_path / "peer"))
    different = sum(int((ours[each] != peer[each]).sum()) for each in ours)
    assert different < 0.003 * sum(each.numel() for each in ours.values())


def test_result_has_the_dtype_that_is_asked_for(family, tmp_path):
    """mergekit writes float32 whatever `dtype` says."""
    folders = family("llama-bf16")
    exact = merged(folders, tmp_path)
    for tensor, result in merged(folders, tmp_path, out="bfloat16").items():
        assert result.dtype == torch.bfloat16
        assert torch.equal(result, exact[tensor].bfloat16()), tensor


def test_quartiles_of_a_great_tensor_are_exact(tmp_path):
    """Above a million elements mergekit draws a sample; rows that are longer
    than a block of the reduction are summed across blocks."""
    from safetensors.torch import load_file, save_file

    folders = {}
    like = synthetic.make(tmp_path / "base")
    synthetic.make(tmp_path / "a", like=like)
    torch.manual_seed(5)
    shapes = {"great.weight": (1200, 1000), "wide.weight": (3, 100003)}
    noise = {name: torch.randn(shape) * 0.02 for name, shape in shapes.items()}
    for name in ("base", "a"):
        file = tmp_path / name / "model.safetensors"
        more = {key: value + (name == "a") * torch.randn(value.shape) * 0.005
                for key, value in noise.items()}
        save_file({**load_file(file), **more}, file, {"format": "pt"})
        folders[name] = str(tmp_path / name)
    ours = merged(folders, tmp_path)
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    for tensor in shapes:
        a, b = (each[tensor].double().numpy() for each in (base, tuned))
        taken = (ours[tensor] != base[tensor]).numpy()
        assert (taken == by_numpy(a, b)).all(), tensor
