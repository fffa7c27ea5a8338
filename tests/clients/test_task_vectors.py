"""Methods that mergekit does not have, against numpy in float64, by the
formulas of their papers."""

import json
from string import Template

import numpy as np
import pytest
import torch

from support import export, llmergefs, tensors

MODELS = ("a", "b", "c")
NO_TIE = 1e-5 # two float64 numbers this near may compare otherwise in float32

CONSENSUS = """
merge_method: consensus_ta
base_model: $base
models:
  - {model: $a, parameters: {tall_mask_lambda: 0.3}}
  - {model: $b, parameters: {tall_mask_lambda: 0.6}}
  - {model: $c}
parameters: {lambda: 0.7, prun_thre_k: $k}
dtype: float32
"""
EMR = """
merge_method: emr
base_model: $base
models:
  - {model: $a}
  - {model: $b, parameters: {task: $task}}
  - {model: $c}
dtype: float32
"""
MAGMAX = """
merge_method: magmax
base_model: $base
models: [{model: $a}, {model: $base}, {model: $b}, {model: $c}]
parameters: {lambda: 0.8}
dtype: float32
"""
BITDELTA = """
merge_method: bitdelta
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6}}
  - {model: $b, parameters: {weight: -0.3, one_bit: false}}
  - {model: $c}
parameters: {one_bit: [{filter: proj, value: true}, {value: false}]}
dtype: float32
"""

ONE_BIT = """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, sparsify: one_bit}}
  - {model: $b, parameters: {weight: -0.3}}
  - model: $c
    parameters:
      weight: 1
      sparsify: [{filter: proj, value: one_bit}, {value: none}]
dtype: float32
"""
CABS = """
merge_method: cabs
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.8, n_val: $n}}
  - {model: $b, parameters: {weight: -0.4, n_val: 3, m_val: 8}}
  - {model: $c}
parameters: {m_val: $m, default_n_val: $rest}
dtype: float32
"""


def consensus(name, deltas, k):
    """The result's task vector, and where comparisons are too near to call."""
    total = sum(deltas)
    lambdas = np.array([0.3, 0.6, 0.4])[:, None]
    own, rest = abs(deltas), abs(total - deltas) * lambdas
    near = ((abs(own - rest) <= NO_TIE * own) & (own > 0)).any(0)
    return 0.7 * total * ((own > rest).sum(0) >= k), near


def emr(name, deltas, task):
    sign = np.where(sum(deltas) > 0, 1, -1)
    along = np.maximum(deltas * sign, 0)
    unified = along.max(0) * sign
    near = abs(sum(deltas)) <= NO_TIE * abs(deltas).sum(0)
    if task is None:
        return unified, near
    masked = unified * (along[task] > 0)
    return masked * abs(deltas[task]).sum() / abs(masked).sum(), near


def magmax(name, deltas, _):
    order = np.argsort(abs(deltas), 0, kind="stable")
    return 0.8 * np.take_along_axis(deltas, order[-1:], 0)[0], False


def bits(delta):
    return np.where(delta < 0, -1, 1) * abs(delta).mean()


def bitdelta(name, deltas, _):
    first, second, third = deltas
    if "proj" in name:
        first, third = bits(first), bits(third)
    return 0.6 * first - 0.3 * second + third, False


def one_bit(name, deltas, _):
    first, second, third = deltas
    if "proj" in name:
        third = bits(third)
    return 0.6 * bits(first) - 0.3 * second + third, False


def cabs(name, deltas, blocks):
    """What is too near to call decides what is left in 256 elements."""
    free = np.ones(deltas.shape[1], bool)
    near = np.zeros(deltas.shape[1], bool)
    vector = np.zeros(deltas.shape[1])
    for delta, weight, (n, m) in zip(deltas, (0.8, -0.4, 1), blocks):
        for begin in range(0, delta.size, m):
            block = slice(begin, min(begin + m, delta.size))
            size = abs(delta[block]) * free[block]
            order = np.argsort(-size, kind="stable")
            kept = begin + order[:n][size[order[:n]] > 0]
            vector[kept] += weight * delta[kept]
            free[kept] = False
            sizes = size[order[n - 1:n + 1]]
            if sizes.size == 2 and \
                    0 < sizes[0] - sizes[1] <= NO_TIE * sizes[0]:
                near[begin // 256 * 256:(begin // 256 + 1) * 256] = True
    return vector, near


CASES = {
    "consensus-1": (CONSENSUS, dict(k=1), consensus, 1),
    "consensus-2": (CONSENSUS, dict(k=2), consensus, 2),
    "consensus-3": (CONSENSUS, dict(k=3), consensus, 3),
    "emr-unified": (EMR, dict(task="false"), emr, None),
    "emr-of-a-task": (EMR, dict(task="true"), emr, 1),
    "magmax": (MAGMAX, {}, magmax, None),
    "bitdelta": (BITDELTA, {}, bitdelta, None),
    "one-bit": (ONE_BIT, {}, one_bit, None),
    "cabs-disjoint": (CABS, dict(n=64, m=256, rest=100), cabs,
                      ((64, 256), (3, 8), (100, 256))),
    "cabs-small": (CABS, dict(n=1, m=4, rest=4), cabs, ((1, 4), (3, 8), (4, 4))),
}


@pytest.mark.parametrize("source", ["llama", "llama-bf16"])
@pytest.mark.parametrize("case", CASES)
def test_result_is_that_of_the_paper(case, source, family, tmp_path):
    text, values, method, argument = CASES[case]
    folders = family(source)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(text).substitute(folders, **values))
    merged = tensors(export(recipe, tmp_path / "ours"))
    base = tensors(folders["base"])
    models = [tensors(folders[name]) for name in MODELS]
    called = moved = 0
    for name, result in merged.items():
        origin = base[name].double().numpy().ravel()
        deltas = np.stack([model[name].double().numpy().ravel() - origin
                           for model in models])
        vector, near = method(name, deltas, argument)
        off = abs(result.double().numpy().ravel() - (origin + vector))
        scale = abs(origin) + abs(deltas).sum(0) + abs(vector)
        assert (near | (off <= 2 ** -22 * scale)).all(), name
        called += (~np.broadcast_to(near, off.shape)).sum()
        moved += (vector != 0).sum()
    total = sum(result.numel() for result in merged.values())
    assert called > 0.99 * total
    assert moved > 0.01 * total, "the case puts nothing to the test"


def test_lines_is_a_gradient_of_lambda(family, tmp_path):
    """Layer l of L gets alpha + beta (l - 1) / (L - 1)."""
    folders = family("llama")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template("""
merge_method: task_arithmetic
base_model: $base
models: [{model: $a, parameters: {weight: 1}}]
parameters: {lambda: [0.25, 1.0]}
dtype: float32
""").substitute(folders))
    merged = tensors(export(recipe, tmp_path / "ours"))
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    for name, result in merged.items():
        layer = int(name.split(".")[2]) if "layers" in name else 0
        scale = torch.tensor(0.25 + 0.75 * layer / 3)
        delta = tuned[name] - base[name]
        assert torch.equal(result, base[name] + delta * scale), name


def test_emr_makes_the_model_of_one_task(family, tmp_path):
    folders = family("llama")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(EMR).substitute(folders, task="true").replace(
        f"model: {folders['a']}",
        f"model: {folders['a']}, parameters: {{task: true}}"))
    checked = llmergefs("check", recipe)
    assert checked.returncode != 0
    assert "more than one model has task: true" in checked.stderr


def test_a_choice_goes_by_name(family, mount, tmp_path):
    folders = family("llama")
    recipe = tmp_path / "recipe.yml"
    text = Template(ONE_BIT).substitute(folders)
    recipe.write_text(text)
    how = json.loads((mount(recipe) / ".llmergefs/recipe.json").read_text())
    shown = {tuple(part["options"]["sparsify"] for part in group["inputs"]
                   if not part.get("base")) for group in how["groups"]}
    assert shown == {("one_bit", "none", "one_bit"),
                     ("one_bit", "none", "none")}
    recipe.write_text(text.replace("sparsify: one_bit", "sparsify: onebit"))
    assert llmergefs("check", recipe).stderr == (
        f"llmergefs: {recipe}: models[0].parameters.sparsify: \"onebit\" is "
        "not none or one_bit; did you mean \"one_bit\"?\n")


def test_a_choice_can_be_swept(family, mount, tmp_path):
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template(ONE_BIT + """
llmergefs:
  sweep:
    models[1].parameters.sparsify: [none, one_bit]
""").substitute(family("llama")))
    mounted = mount(recipe)
    points = [tensors(path) for path in sorted(mounted.iterdir())
              if path.is_dir() and not path.is_symlink()
              and path.name != ".llmergefs"]
    assert len(points) == 2
    assert not any(torch.equal(points[0][name], points[1][name])
                   for name in points[0])
