"""DELLA against an independent numpy version: the documented generator, ranks
by a sort, chances and sums in float64."""

from string import Template

import numpy as np
import pytest

from support import export, llmergefs, tensors
from test_dare import draws

RECIPE = """
merge_method: $method
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.61, density: 0.3, epsilon: 0.2}}
  - {model: $base}
  - {model: $b, parameters: {weight: -0.37, density: 1, epsilon: 9}}
  - {model: $c, parameters: {weight: 0.53, density: 0.75}}
parameters: {rescale: $rescale, normalize: $normalize, lambda: 0.9}
dtype: float32
llmergefs: {seed: 11}
"""
# weight, density, epsilon of a, b, c
SETTINGS = ((0.61, 0.3, 0.2), (-0.37, 1, 9), (0.53, 0.75, 0.15))


def ranks(row):
    """0 .. C-1 by magnitude; equal ones have the mean of theirs."""
    values, place, counts = np.unique(np.abs(row), return_inverse=True,
                                      return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[place]


def chances(delta, density, epsilon):
    """The exact probability that each element is kept; rows are those of the
    last dimension."""
    rows = delta.reshape(-1, delta.shape[-1])
    q = np.stack([ranks(row) for row in rows]) / (rows.shape[1] - 1)
    return (density - epsilon + 2 * epsilon * q).reshape(delta.shape)


def by_numpy(method, rescale, normalize, models, name):
    """The merge of one tensor, and which of its elements are open: where a
    draw is within what binary32 leaves uncertain of a chance."""
    base = models[0]
    weighted, weights = [], []
    close = np.zeros(base.shape, dtype=bool)
    for position, (model, setting) in enumerate(zip(models[1:], SETTINGS)):
        weight, density, epsilon = setting
        delta = model - base
        if density < 1:
            chance = chances(delta, density, epsilon)
            u = draws(11, position, name, delta.size).reshape(delta.shape)
            u = u.astype(np.float64) / 2 ** 32
            close |= np.abs(u - chance) < 2e-7
            kept = np.where(u < chance, delta, 0)
            if rescale:
                kept = kept * (np.abs(delta).sum() / np.abs(kept).sum())
            delta = kept
        weights.append(weight)
        weighted.append(delta * weight)
    agree = [np.ones(base.shape)] * 3
    if method == "della":
        majority = np.where(sum(weighted) >= 0, 1, -1)
        agree = [np.sign(each) == majority for each in weighted]
        # Where the sum all but cancels, binary32 may elect another sign.
        scale = sum(np.abs(each) for each in weighted)
        close |= (np.abs(sum(weighted)) < 1e-6 * scale) & (scale > 0)
    mixed = sum(each * yes for each, yes in zip(weighted, agree))
    divisor = sum(weight * yes for weight, yes in zip(weights, agree))
    if normalize:
        divisor = np.where(divisor == 0, 1, divisor)
        mixed = mixed / divisor
    return base + 0.9 * mixed, close


@pytest.mark.parametrize("source", ["llama", "llama-bf16"])
@pytest.mark.parametrize("method, rescale, normalize", [
    ("della_linear", True, False), ("della_linear", False, False),
    ("della", True, True), ("della", False, True)])
def test_della_is_the_documented_sampling(method, rescale, normalize, source,
                                          family, tmp_path):
    folders = family(source)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(RECIPE).substitute(
        folders, method=method, rescale=str(rescale).lower(),
        normalize=str(normalize).lower()))
    merged = tensors(export(recipe, tmp_path / "ours"))
    models = [tensors(folders[name]) for name in ("base", "a", "b", "c")]
    left_out = elements = 0
    for name, result in merged.items():
        arrays = [model[name].double().numpy() for model in models]
        expected, close = by_numpy(method, rescale, normalize, arrays, name)
        off = np.abs(result.double().numpy() - expected)
        allowed = 1e-5 * sum(np.abs(each - arrays[0]) for each in arrays) + \
            2e-7 * np.abs(expected)
        assert (close | (off <= allowed)).all(), name
        left_out += close.sum()
        elements += close.size
    assert left_out < elements / 1e4


CHANCES = """
merge_method: della_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 1, density: 0.5, epsilon: 0.3}}
parameters: {rescale: false}
dtype: float32
"""


def test_greater_elements_are_kept_more_often(family, tmp_path):
    """In each tenth of the ranks the share kept is the one that is promised,
    within five sigma."""
    folders = family("llama")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(CHANCES).substitute(folders))
    merged = tensors(export(recipe, tmp_path / "ours"))
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    kept, chance = [], []
    for name in merged:
        delta = (tuned[name] - base[name]).numpy()
        chance.append(chances(delta, 0.5, 0.3)[delta != 0])
        kept.append((merged[name] != base[name]).numpy()[delta != 0])
    kept, chance = np.concatenate(kept), np.concatenate(chance)
    tenth = np.minimum((chance - 0.2) / 0.06, 9).astype(int)
    for each in range(10):
        p = chance[tenth == each]
        sigma = np.sqrt((p * (1 - p)).sum())
        assert abs(kept[tenth == each].sum() - p.sum()) < 5 * sigma


def test_mounted_rows_are_the_exported_ones(family, tmp_path, mount):
    """What is made by whole rows is read at any offset."""
    folders = family("llama-bf16-sharded")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(RECIPE).substitute(
        folders, method="della", rescale="true", normalize="true"))
    exported = export(recipe, tmp_path / "ours")
    mounted = mount(recipe)
    for path in sorted(exported.glob("*.safetensors")):
        whole = path.read_bytes()
        with open(mounted / path.name, "rb") as file:
            for off in range(len(whole) - 1, 0, -len(whole) // 37):
                file.seek(off)
                assert file.read(3001) == whole[off:off + 3001]
        assert (mounted / path.name).read_bytes() == whole


def test_epsilon_must_leave_chances(family, tmp_path):
    """The default epsilon asks for a density within (0.15, 0.85)."""
    recipe = tmp_path / "recipe.yml"
    text = Template(CHANCES).substitute(family("llama"))
    recipe.write_text(text.replace("epsilon: 0.3", "epsilon: 0.5"))
    check = llmergefs("check", recipe)
    assert check.returncode != 0
    assert "density - epsilon and density + epsilon must lie between 0 and 1" \
        in check.stderr
    recipe.write_text(text.replace("0.5, epsilon: 0.3", "0.9"))
    assert llmergefs("check", recipe).returncode != 0
    recipe.write_text(text.replace("0.5, epsilon: 0.3", "0.84"))
    assert llmergefs("check", recipe).returncode == 0
