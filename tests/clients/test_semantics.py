"""`semantics: paper` against the papers' formulas in numpy, in float64, and TIES
against peft, which elects and divides as the paper does; and task vectors that
start from bases of models' own."""

import json
from string import Template

import numpy as np
import pytest
import torch

from support import assert_same_tensors, export, llmergefs, tensors
from test_della import chances
from test_dare import draws

RECIPE = """
merge_method: $method
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.61, density: 0.3}}
  - {model: $base}
  - {model: $b, parameters: {weight: -0.37, density: 1}}
  - {model: $c, parameters: {weight: 0.53, density: 0.75}}
parameters: {$parameters, lambda: 0.9}
dtype: float32
llmergefs: {seed: 11, semantics: $semantics}
"""
SETTINGS = ((0.61, 0.3), (-0.37, 1), (0.53, 0.75)) # weight, density
EPSILON, GAMMA = 0.15, 0.01 # defaults


def write(path, text, **values):
    path.write_text(Template(text).substitute(values))
    return path


def by_magnitude(delta):
    """Indices from the greatest on, of equals the lowest first, by the binary32
    differences that the method sees."""
    return np.argsort(-np.abs(delta.astype(np.float32).ravel()), kind="stable")


def trim(delta, density):
    kept = np.zeros(delta.size, dtype=bool)
    kept[by_magnitude(delta)[:max(1, int(density * delta.size))]] = True
    return np.where(kept.reshape(delta.shape), delta, 0), False


def crumbs(delta, density):
    top, target = int(GAMMA * delta.size), int(density * delta.size)
    bottom = max(0, delta.size - target - top)
    first = delta.size - bottom - target
    kept = np.zeros(delta.size, dtype=bool)
    kept[by_magnitude(delta)[first:first + target]] = True
    return np.where(kept.reshape(delta.shape), delta, 0), False


def coins(delta, chance, position, name, rescale):
    """What is kept, divided by its chance; and where a draw is too near."""
    u = draws(11, position, name, delta.size).reshape(delta.shape) / 2.0 ** 32
    kept = np.where(u < chance, delta, 0)
    return kept / chance if rescale else kept, np.abs(u - chance) < 2e-7


def sparse(method, delta, density, position, name, rescale):
    if density >= 1:
        return delta, False
    if method == "ties":
        return trim(delta, density)
    if method == "breadcrumbs_ties":
        return crumbs(delta, density)
    chance = np.float64(np.float32(density))
    if method.startswith("della"):
        chance = chances(delta.astype(np.float32), density, EPSILON)
    return coins(delta, chance, position, name, rescale)


def by_paper(method, rescale, normalize, models, name):
    """The merge of one tensor, and where binary32 may have chosen otherwise."""
    base, deltas, close = models[0], [], np.zeros(models[0].shape, dtype=bool)
    for position, (model, (_, density)) in enumerate(zip(models[1:], SETTINGS)):
        delta, near = sparse(method, model - base, density, position, name,
                             rescale)
        deltas.append(delta)
        close |= near
    weights = [weight for weight, _ in SETTINGS]
    agree = [np.ones(base.shape)] * 3
    divisor = sum(weights)
    if "ties" in method or method == "della":
        total = sum(deltas)
        agree = [(delta * np.sign(total) > 0).astype(float)
                 for delta in deltas]
        divisor = np.maximum(sum(agree), 1)
        scale = sum(np.abs(delta) for delta in deltas)
        # Differences that nothing divides cancel in binary32, too.
        close |= (np.abs(total) < 1e-6 * scale) & ((total != 0) | rescale)
    mixed = sum(w * delta * yes
                for w, delta, yes in zip(weights, deltas, agree))
    return base + 0.9 * (mixed / divisor if normalize else mixed), close


CASES = [
    ("ties", "normalize: true", False, True),
    ("ties", "normalize: false", False, False),
    ("breadcrumbs_ties", "normalize: true", False, True),
    ("dare_linear", "rescale: true", True, False),
    ("dare_linear", "rescale: false, normalize: true", False, True),
    ("dare_ties", "normalize: true", True, True),
    ("dare_ties", "rescale: false", False, False),
    ("della_linear", "normalize: false", True, False),
    ("della", "normalize: true", True, True),
    ("della", "rescale: false, normalize: false", False, False),
]


@pytest.mark.parametrize("source", ["llama", "llama-bf16"])
@pytest.mark.parametrize("method, parameters, rescale, normalize", CASES)
def test_paper_is_what_the_paper_says(method, parameters, rescale, normalize,
                                      source, family, tmp_path):
    folders = family(source)
    merged, plain = (tensors(export(
        write(tmp_path / f"{semantics}.yml", RECIPE, **folders, method=method,
              parameters=parameters, semantics=semantics),
        tmp_path / semantics)) for semantics in ("paper", "mergekit"))
    models = [tensors(folders[name]) for name in ("base", "a", "b", "c")]
    left_out = elements = moved = 0
    for name, result in merged.items():
        arrays = [model[name].double().numpy() for model in models]
        expected, close = by_paper(method, rescale, normalize, arrays, name)
        off = np.abs(result.double().numpy() - expected)
        allowed = 1e-5 * sum(np.abs(each - arrays[0]) for each in arrays) + \
            2e-7 * np.abs(expected)
        assert (close | (off <= allowed)).all(), name
        left_out += close.sum()
        elements += close.size
        moved += (plain[name] != result).sum()
    assert left_out < elements / 300
    assert moved > 0 or (method, rescale) == ("dare_linear", False)


def test_ties_is_that_of_peft(family, tmp_path):
    """Within rounding: the same election, weights and divisor."""
    from peft.utils.merge_utils import ties

    folders = family("llama")
    recipe = write(tmp_path / "recipe.yml", """
merge_method: ties
base_model: $base
parameters: {density: 0.4}
models:
  - {model: $a, parameters: {weight: 0.7}}
  - {model: $b, parameters: {weight: 0.2}}
  - {model: $c, parameters: {weight: 1.3}}
dtype: float32
llmergefs: {semantics: paper}
""", **folders)
    merged = tensors(export(recipe, tmp_path / "ours"))
    base, *models = (tensors(folders[name]) for name in ("base", "a", "b", "c"))
    for name, result in merged.items():
        vector = ties([model[name] - base[name] for model in models],
                      torch.tensor([0.7, 0.2, 1.3]), 0.4)
        off = (result - (base[name] + vector)).abs()
        assert (off <= 1e-6 * (base[name].abs() + vector.abs())).all(), name


def test_a_rescale_that_the_paper_lacks_is_refused(family, tmp_path):
    for method in ("ties", "breadcrumbs", "breadcrumbs_ties"):
        recipe = write(tmp_path / "recipe.yml", RECIPE, **family("llama"),
                       method=method, parameters="rescale: true",
                       semantics="paper")
        run = llmergefs("check", recipe)
        assert run.returncode != 0
        assert "take rescale away, or the semantics" in run.stderr


def test_semantics_is_swept_over_methods_that_have_one(family, tmp_path):
    """A method whose paper says what it does makes the same bytes."""
    recipe = write(tmp_path / "recipe.yml", """
merge_method: task_arithmetic
base_model: $base
parameters: {weight: 0.5, density: 0.5}
models: [{model: $a}, {model: $b}]
dtype: float32
llmergefs:
  sweep:
    merge_method: [task_arithmetic, ties]
    llmergefs.semantics: [mergekit, paper]
""", **family("llama"))

    def point(method, semantics):
        folder = tmp_path / f"{method}-{semantics}"
        return tensors(export(
            recipe, folder, "--point",
            f"merge_method={method},semantics={semantics}"))

    assert_same_tensors(point("task_arithmetic", "mergekit"),
                        point("task_arithmetic", "paper"))
    ours, papers = point("ties", "mergekit"), point("ties", "paper")
    # Weights of 0.5 for all: mergekit's divisor takes them away again.
    layer = "model.layers.1.mlp.up_proj.weight"
    assert not torch.equal(ours[layer], papers[layer])


CHAT = """
merge_method: $method
base_model: $a
models:
  - model: $b
    $own
    parameters: {weight: 0.6, density: $density}
  - model: $c
    parameters: {weight: 0.4, density: $density}
dtype: float32
llmergefs: {seed: 3}
"""
OWN = "llmergefs: {base_model: %s}"


@pytest.mark.parametrize("method, density", [
    ("task_arithmetic", 1), ("ties", 1), ("dare_linear", 0.5)])
def test_chat_vector_is_the_formula(method, density, family, tmp_path):
    """a + 0.6 (b - base) + 0.4 (c - a), by float64."""
    folders = family("llama")
    recipe = write(tmp_path / "recipe.yml", CHAT, **folders, method=method,
                   density=density, own=OWN % folders["base"])
    merged = tensors(export(recipe, tmp_path / "ours"))
    models = [tensors(folders[name]) for name in ("base", "a", "b", "c")]
    near = elements = 0
    for name, result in merged.items():
        base, a, b, c = (model[name].double().numpy() for model in models)
        deltas = [b - base, c - a]
        if density < 1:
            masks = [(draws(3, position, name, base.size) < 2 ** 31)
                     .reshape(base.shape) for position in range(2)]
            deltas = [delta * mask * np.abs(delta).sum() /
                      np.abs(delta * mask).sum()
                      for delta, mask in zip(deltas, masks)]
        weighted = [0.6 * deltas[0], 0.4 * deltas[1]]
        close = np.zeros(base.shape, dtype=bool)
        if method == "ties":
            total = sum(weighted)
            sign = np.where(total >= 0, 1, -1)
            agree = [delta * sign > 0 for delta in weighted]
            divisor = 0.6 * agree[0] + 0.4 * agree[1]
            weighted = [sum(w * yes for w, yes in zip(weighted, agree)) /
                        np.where(divisor == 0, 1, divisor)]
            close = np.abs(total) < 1e-6
        expected = a + sum(weighted)
        off = np.abs(result.double().numpy() - expected)
        allowed = 2e-6 * (np.abs(expected) + sum(map(np.abs, deltas)))
        assert (close | (off <= allowed)).all(), name
        near += close.sum()
        elements += close.size
    assert near < elements / 1e3


def test_an_own_base_that_is_the_recipes_changes_no_byte(family, tmp_path):
    folders = family("llama-bf16")
    made = [tensors(export(
        write(tmp_path / f"{i}.yml", CHAT, **folders, method="dare_ties",
              density=0.4, own=own), tmp_path / str(i)))
        for i, own in enumerate(("", OWN % folders["a"], OWN %
                                 folders["base"]))]
    assert_same_tensors(made[0], made[1])
    assert any(not torch.equal(made[0][name], made[2][name])
               for name in made[0])


def test_own_bases_are_shown(family, tmp_path, mount):
    folders = {name: str(path) for name, path in family("llama").items()}
    recipe = write(tmp_path / "recipe.yml", CHAT, **folders, density=1,
                   method="task_arithmetic", own=OWN % folders["base"])
    text = llmergefs("check", recipe).stdout
    assert f"{folders['base']}: 39 tensors, the base of {folders['b']}\n" in text
    checked = json.loads(llmergefs("check", "--json", recipe).stdout)
    assert [(each["model"], each["base"], each["own_base"])
            for each in checked["models"]] == [
        (folders["b"], False, False), (folders["c"], False, False),
        (folders["a"], True, False), (folders["base"], False, True)]
    shown = json.loads((mount(recipe) / ".llmergefs/recipe.json").read_text())
    assert [{key: value for key, value in each.items() if key != "options"}
            for each in shown["groups"][0]["inputs"]] == [
        {"model": folders["b"], "task_vector_from": folders["base"]},
        {"model": folders["c"]}, {"model": folders["a"], "base": True},
        {"model": folders["base"], "own_base": True}]


def test_an_own_base_is_swept(family, tmp_path, mount):
    folders = {name: str(path) for name, path in family("llama").items()}
    own = OWN % folders["base"]
    recipe = write(tmp_path / "recipe.yml", CHAT.replace("{seed: 3}", """
  sweep:
    models[0].llmergefs.base_model: [$base, $c]
"""), **folders, density=1, method="task_arithmetic", own=own)
    mounted = mount(recipe)
    points = [tensors(folder) for folder in sorted(mounted.iterdir())
              if (folder / "config.json").exists() and
              not folder.is_symlink()]
    assert len(points) == 2
    for name, base in (("base", folders["base"]), ("c", folders["c"])):
        alone = write(tmp_path / f"{name}.yml", CHAT, **folders, density=1,
                      method="task_arithmetic", own=OWN % base)
        want = tensors(export(alone, tmp_path / name))
        assert any(all(torch.equal(point[key], want[key]) for key in want)
                   for point in points), name
