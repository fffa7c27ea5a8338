"""`llmergefs: {arithmetic: mergekit}` in 16 bits: mergekit 0.1.5 itself and
llmergefs round after the same operations.

Each case says how equal the tensors are:

    bits    every element to the bit
    choice  to the bit, but for the choice among equal magnitudes (ours: lowest
            index first)
    sums    to the bit but for one element in a thousand: numbers of whole
            tensors enter that mergekit adds up in binary32 and does not round,
            or rounds less than the result
"""

from string import Template

import pytest
import torch
import yaml
from safetensors.torch import save_file

import synthetic
from peer import mergekit
from support import (assert_same_tensors, copy_model, export, llmergefs,
                     tensors, write_recipe)
from test_dare import draws

DTYPES = ["bfloat16", "float16"]
SOURCES = {"bfloat16": "llama-bf16", "float16": "llama-f16",
           "float32": "llama"}

# name: equal, recipe without its dtype
CASES = {
    "linear": ("bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.21}}
  - {model: $b, parameters: {weight: 0.53}}
  - {model: $c, parameters: {weight: 0.33}}
"""),
    "linear-not-normalized": ("bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.7}}
  - {model: $b, parameters: {weight: -0.4}}
parameters: {normalize: false}
out_dtype: float32
"""),
    "passthrough-scaled": ("bits", """
merge_method: passthrough
models: [{model: $a, parameters: {scale: 0.37}}]
out_dtype: float32
"""),
    "slerp": ("sums", """
merge_method: slerp
base_model: $base
models: [{model: $a}]
parameters: {t: [0.1, 0.9, 0.35]}
out_dtype: float32
"""),
    "task-arithmetic": ("bits", """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.66}}
  - {model: $b, parameters: {weight: [0.2, -0.8]}}
  - {model: $c, parameters: {weight: 0.1}}
parameters: {lambda: 0.9}
"""),
    "task-arithmetic-normalized-f32-sources": ("bits", """
merge_method: task_arithmetic
base_model: $base32
models:
  - {model: $a32, parameters: {weight: 0.66}}
  - {model: $b32, parameters: {weight: 0.21}}
parameters: {normalize: true}
out_dtype: float32
"""),
    "task-arithmetic-weights-cancel": ("bits", """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: -0.5}}
parameters: {normalize: true}
"""),
    "task-arithmetic-eight-models": ("bits", """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.51}}
  - {model: $b, parameters: {weight: 0.13}}
  - {model: $c, parameters: {weight: 0.07}}
  - {model: $far, parameters: {weight: 0.29}}
  - {model: $far3, parameters: {weight: 0.31}}
  - {model: $a32, parameters: {weight: 0.11}}
  - {model: $b32, parameters: {weight: 0.23}}
  - {model: $c32, parameters: {weight: 0.37}}
"""),
    "ties": ("choice", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: 0.5, density: 0.62}}
  - {model: $c, parameters: {weight: -0.2, density: 1.0}}
parameters: {lambda: 1.1}
"""),
    "ties-not-normalized": ("choice", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.9, density: 0.25}}
  - {model: $b, parameters: {weight: 0.8, density: 0.001}}
  - {model: $c, parameters: {weight: 0.7, density: 0}}
parameters: {normalize: false}
out_dtype: float32
"""),
    "ties-rescaled": ("choice", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: 0.5, density: 0.6}}
parameters: {rescale: true}
"""),
    "breadcrumbs": ("choice", """
merge_method: breadcrumbs
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.5, gamma: 0.03}}
  - {model: $b, parameters: {weight: -0.5, density: 0.9}}
  - {model: $c, parameters: {weight: 0.3, density: 0.8, gamma: 0.2}}
"""),
    "breadcrumbs-ties-rescaled": ("choice", """
merge_method: breadcrumbs_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: 0.5, density: 0.6, gamma: 0.1}}
parameters: {rescale: true, normalize: true}
"""),
    "dare-ties-density-1": ("bits", """
merge_method: dare_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 1}}
  - {model: $b, parameters: {weight: 0.5, density: 1}}
  - {model: $c, parameters: {weight: 0.4, density: 1.5}}
parameters: {normalize: true}
"""),
    "della-density-1-or-0": ("bits", """
merge_method: della
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 1}}
  - {model: $b, parameters: {weight: 0.5, density: 1.2, epsilon: 7}}
  - {model: $c, parameters: {weight: 0.4, density: [0, -1]}}
parameters: {lambda: 0.7}
"""),
    "sce": ("bits", """
merge_method: sce
base_model: $base
models: [{model: $a}, {model: $far}, {model: $c}]
"""),
    "sce-equal-weights": ("bits", """
merge_method: sce
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters: {select_topk: [{filter: mlp, value: 0}, {value: 1}]}
"""),
    "nearswap": ("bits", """
merge_method: nearswap
base_model: $a
models: [{model: $b}]
parameters: {t: [0.0001, 0.01]}
"""),
    "ram": ("bits", """
merge_method: ram
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters: {epsilon: 0.003}
"""),
    "ramplus-tl": ("bits", """
merge_method: ramplus_tl
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters: {epsilon: 0.003, r: 0.4, alpha: 1.5}
"""),
    "ramplus-tl-out-16": ("bits", """
merge_method: ramplus_tl
base_model: $base
models: [{model: $a}, {model: $b}]
parameters: {epsilon: 0.002}
out_dtype: bfloat16
"""),
    "arcee-fusion": ("sums", """
merge_method: arcee_fusion
base_model: $base
models: [{model: $a}]
"""),
    "nuslerp": ("bits", """
merge_method: nuslerp
models:
  - {model: $a, parameters: {weight: [0.1, 0.9, 0.35]}}
  - {model: $far, parameters: {weight: 0.7}}
"""),
    "nuslerp-straight": ("bits", """
merge_method: nuslerp
models:
  - {model: $a, parameters: {weight: 0.3}}
  - {model: $a32, parameters: {weight: 0.7}}
"""),
    "nuslerp-task-vectors": ("bits", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $b, parameters: {weight: 0.3}}
  - {model: $a, parameters: {weight: 0.9}}
out_dtype: float32
"""),
    "nuslerp-rows": ("sums", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.25}}
  - {model: $b, parameters: {weight: 0.6}}
parameters: {nuslerp_flatten: false}
"""),
    "nuslerp-columns": ("sums", """
merge_method: nuslerp
models:
  - {model: $far, parameters: {weight: 0.25}}
  - {model: $b, parameters: {weight: 0.6}}
parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}
"""),
    "multislerp": ("bits", """
merge_method: multislerp
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $far, parameters: {weight: [0.2, 0.7]}}
  - {model: $c, parameters: {weight: 0.4}}
"""),
    "multislerp-task-vectors": ("bits", """
merge_method: multislerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: 0.8}}
  - {model: $c, parameters: {weight: -0.3}}
"""),
    "multislerp-without-direction": ("bits", """
merge_method: multislerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: 0.8}}
parameters: {normalize_weights: false, eps: 30}
"""),
    "model-stock": ("bits", """
merge_method: model_stock
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
"""),
    "model-stock-of-two-rows": ("sums", """
merge_method: model_stock
base_model: $base
models: [{model: $a}, {model: $b}]
parameters: {filter_wise: true}
out_dtype: float32
"""),
    "karcher": ("steps", """
merge_method: karcher
models: [{model: $a}, {model: $far}, {model: $far3}]
parameters: {max_iter: [{filter: mlp, value: 0}, {filter: q_proj, value: 1}, {value: 10}]}
"""),
    "karcher-near": ("steps", """
merge_method: karcher
models: [{model: $a}, {model: $b}, {model: $c}]
"""),
}


@pytest.fixture(scope="session")
def places(family, tmp_path_factory):
    """For the recipes' $names, by dtype."""
    folder = tmp_path_factory.mktemp("far")
    synthetic.make(folder / "far", seed=77)
    synthetic.make(folder / "far3", seed=79)
    return lambda dtype: {
        **{name: str(path) for name, path in family(SOURCES[dtype]).items()},
        **{f"{name}32": str(path) for name, path in family("llama").items()},
        **{name: str(folder / name) for name in ("far", "far3")},
    }


def merged_by_both(text, tmp_path, arithmetic="mergekit"):
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(f"{text}\nllmergefs: {{arithmetic: {arithmetic}}}\n")
    ours = tensors(export(recipe, tmp_path / "ours"))
    peer = tensors(mergekit(text, tmp_path / "peer"))
    assert {name: (t.shape, t.dtype) for name, t in ours.items()} == \
        {name: (t.shape, t.dtype) for name, t in peer.items()}
    return ours, peer


def selected(method, parameters, elements):
    """How many of the greatest each selection of a task vector takes."""
    kept = int(parameters["density"] * elements)
    if not method.startswith("breadcrumbs"):
        return [max(1, kept)]
    outliers = int(parameters.get("gamma", 0.01) * elements)
    outer = min(elements, kept + outliers)
    return [outer, outer - kept]


def open_choices(recipe, name, dtype):
    """Elements whose magnitude, in the work type, is the least or the greatest
    that survives in some model, where not all of that magnitude do."""
    base = tensors(recipe["base_model"])[name].to(dtype)
    mask = torch.zeros(base.shape, dtype=torch.bool)
    for entry in recipe["models"]:
        density = entry["parameters"]["density"]
        if density >= 1 or density <= 0:
            continue
        delta = (tensors(entry["model"])[name].to(dtype) - base).abs()
        for kept in selected(recipe["merge_method"], entry["parameters"],
                             delta.numel()):
            least = delta.flatten().sort(descending=True).values[kept - 1]
            if kept and (delta >= least).sum() > kept:
                mask |= delta == least
    return mask


def assert_bits(ours, peer, recipe):
    """NaN is NaN: ours are all one, torch's have the sign of the CPU's."""
    assert_same_tensors(*({name: t.where(~t.isnan(), torch.nan)
                           for name, t in each.items()}
                          for each in (ours, peer)))


def assert_choice(ours, peer, recipe):
    left_out = elements = 0
    for name, expected in peer.items():
        differ = ours[name] != expected
        choice = open_choices(recipe, name, getattr(torch, recipe["dtype"]))
        assert not (differ & ~choice).any(), name
        left_out += int(choice.sum())
        elements += choice.numel()
    assert left_out * 10 < elements


def assert_all_but(ours, peer, share):
    differ = sum(int((ours[name] != peer[name]).sum()) for name in peer)
    elements = sum(t.numel() for t in peer.values())
    assert differ <= share * elements, f"{differ} of {elements}"


EQUAL = {
    "bits": assert_bits,
    "choice": assert_choice,
    "sums": lambda ours, peer, recipe: assert_all_but(ours, peer, 0.001),
    "steps": lambda ours, peer, recipe: assert_all_but(ours, peer, 0.02),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_rounds_as_mergekit_does(case, dtype, places, tmp_path):
    equal, recipe = CASES[case]
    text = Template(recipe).substitute(places(dtype)) + f"dtype: {dtype}\n"
    ours, peer = merged_by_both(text, tmp_path)
    EQUAL[equal](ours, peer, yaml.safe_load(text))


# What follows is computed here, by torch in the work type, which rounds after
# every operation: where masks are random, and for mergekit 0.1.4.


def in_work_type(dtype, places, *names):
    """The tensors of some models in the work type, name by name."""
    models = [tensors(places(dtype)[name]) for name in names]
    for name in models[0]:
        yield name, [model[name].to(getattr(torch, dtype)) for model in models]


def ours(recipe, dtype, places, tmp_path, arithmetic="mergekit", **ours):
    config = yaml.safe_load(Template(recipe).substitute(places(dtype)))
    config["dtype"] = dtype
    config["llmergefs"] = {"arithmetic": arithmetic, **ours}
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return tensors(export(path, tmp_path / "ours"))


def chances(delta, density, epsilon, work):
    """DELLA's: ranks from 1, which is added to a rounded rank, equal magnitudes
    sharing the mean of theirs."""
    rows = delta.abs().reshape(-1, delta.shape[-1])
    rank = torch.stack([(row[:, None] > row[None]).sum(1) +
                        ((row[:, None] == row[None]).sum(1) - 1) / 2
                        for row in rows]).to(work) + 1
    last = torch.tensor(rows.shape[1] - 1).to(work) + 1
    q = (rank - 1) / (last - 1)
    return ((density - epsilon) + q * 2 * epsilon).reshape(delta.shape)


def sparse(delta, draws, setting, rescale):
    """One task vector, made sparse as DARE or DELLA does on a CPU."""
    work = torch.bfloat16 if delta.dtype == torch.bfloat16 else torch.float32
    if setting["density"] >= 1:
        return delta
    if "epsilon" in setting:
        chance = chances(delta, setting["density"], setting["epsilon"], work)
    else:
        chance = torch.tensor(setting["density"]).to(work)
    limit = (chance.double() * 2 ** 32 + 0.5).floor()
    kept = delta.to(work) * (torch.from_numpy(draws.astype("int64"))
                             .reshape(delta.shape) < limit)
    if rescale:
        norms = [x.abs().double().sum().float().to(work)
                 for x in (delta.to(work), kept)]
        kept = kept * (norms[0] / norms[1])
    return kept.to(delta.dtype)


def combined(base, deltas, weights, method):
    """Election and sum; not normalised, of lambda 0.9."""
    deltas = torch.stack([delta * torch.tensor(weight, dtype=delta.dtype)
                          for delta, weight in zip(deltas, weights)])
    if method in ("dare_ties", "della"):
        majority = torch.where(deltas.sum(0) >= 0, 1, -1)
        deltas = deltas * (deltas.sign() == majority)
    return base + deltas.sum(0) * 0.9


RANDOM = """
merge_method: $method
base_model: $$base
models:
  - {model: $$a, parameters: {weight: 0.61, density: 0.3 $epsilon}}
  - {model: $$b, parameters: {weight: -0.37, density: 1}}
  - {model: $$c, parameters: {weight: 0.53, density: 0.75 $epsilon}}
parameters: {rescale: $rescale, normalize: false, lambda: 0.9}
"""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method, rescale", [
    ("dare_linear", True), ("dare_ties", False), ("dare_ties", True),
    ("della_linear", False), ("della_linear", True), ("della", True)])
def test_random_sparsifiers_round_in_their_type(method, rescale, dtype, places,
                                                tmp_path):
    """Given the masks of our generator: bfloat16 where the models are, else
    binary32 up to the sparse task vector."""
    della = method.startswith("della")
    recipe = Template(RANDOM).substitute(
        method=method, rescale=str(rescale).lower(),
        epsilon=", epsilon: 0.2" if della else "")
    merged = ours(recipe, dtype, places, tmp_path, seed=11)
    settings = [{"density": density, **({"epsilon": 0.2} if della else {})}
                for density in (0.3, 1, 0.75)]
    for name, (base, *models) in in_work_type(dtype, places, "base", *"abc"):
        deltas = [sparse(model - base, draws(11, i, name, base.numel()),
                         settings[i], rescale)
                  for i, model in enumerate(models)]
        expected = combined(base, deltas, (0.61, -0.37, 0.53), method)
        assert torch.equal(merged[name], expected), name


LINEAR = """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.21}}
  - {model: $b, parameters: {weight: 0.53}}
  - {model: $c, parameters: {weight: 0.33}}
"""


@pytest.mark.parametrize("dtype", [*DTYPES, "float32"])
def test_linear_of_0_1_4_rounds_products(dtype, places, tmp_path):
    merged = ours(LINEAR, dtype, places, tmp_path, "mergekit-0.1.4")
    different = False
    for name, models in in_work_type(dtype, places, *"abc"):
        weights = torch.tensor([0.21, 0.53, 0.33], dtype=models[0].dtype)
        stack = torch.stack(models)
        shape = [-1] + [1] * models[0].dim()
        expected = (stack * weights.reshape(shape)).sum(0) / weights.sum()
        assert torch.equal(merged[name], expected), name
        different |= not torch.equal(merged[name], sum(
            w * m.double() for w, m in zip((0.21, 0.53, 0.33), models)
        ).div(1.07).to(expected.dtype))
    assert different, "no tensor puts the roundings to the test"


BREADCRUMBS = """
merge_method: breadcrumbs
base_model: $base
models:
  - {model: $a, parameters: {weight: 1, density: 0.9, gamma: 0.01}}
"""


def test_breadcrumbs_of_0_1_4_without_outliers_keep_nothing(places, tmp_path):
    merged = ours(BREADCRUMBS, "bfloat16", places, tmp_path, "mergekit-0.1.4")
    for name, (base,) in in_work_type("bfloat16", places, "base"):
        assert torch.equal(merged[name], base) == (base.numel() < 100), name


KARCHER = """
merge_method: karcher
models: [{model: $a}, {model: $far}, {model: $far3}]
parameters: {max_iter: $steps}
"""


@pytest.mark.parametrize("dtype", DTYPES)
def test_karcher_of_0_1_4_scales_by_an_unrounded_number(dtype, places,
                                                        tmp_path):
    recipe = Template(KARCHER).safe_substitute(steps=0)
    merged = ours(recipe, dtype, places, tmp_path, "mergekit-0.1.4")
    expected, rounded = {}, {}
    for name, models in in_work_type(dtype, places, "a", "far", "far3"):
        norms = [model.float().norm() for model in models]
        mean = sum((1 / 3) * (model / norm)
                   for model, norm in zip(models, norms))
        mean = mean / mean.float().norm()
        length = sum(norm.item() / 3 for norm in norms)
        expected[name] = mean * length
        rounded[name] = mean * torch.tensor(length, dtype=mean.dtype)
    assert_all_but(merged, expected, 0.002)
    with pytest.raises(AssertionError):
        assert_all_but(merged, rounded, 0.05)


@pytest.fixture
def mirrored(places, tmp_path):
    """Models of one number each: 0, 2^-6 (twice) and its opposite."""
    folders = {}
    like = places("float16")["base"]
    for name, number in (("zero", 0), ("plus", 2 ** -6), ("twin", 2 ** -6),
                         ("minus", -2 ** -6)):
        folders[name] = str(tmp_path / name)
        copy_model(like, folders[name], leave=["model.safetensors"])
        save_file({key: torch.full_like(each, number)
                   for key, each in tensors(like).items()},
                  tmp_path / name / "model.safetensors",
                  metadata={"format": "pt"})
    return folders


def merged_pair(mirrored, second, method, dtype, arithmetic, folder):
    """plus at 0.3 and another at 0.7; names of tensors whose norms are powers
    of 2, so that no step but the last rounds."""
    recipe = {"merge_method": method, "dtype": dtype, "models": [
        {"model": mirrored["plus"], "parameters": {"weight": 0.3}},
        {"model": mirrored[second], "parameters": {"weight": 0.7}}],
        "llmergefs": {"arithmetic": arithmetic}}
    if method == "model_stock":
        recipe["base_model"] = mirrored["zero"]
    folder.mkdir()
    merged = tensors(export(write_recipe(folder / "recipe.yml", recipe),
                            folder / "ours"))
    return {name: made for name, made in merged.items()
            if made.numel() in (64, 4096)}


@pytest.mark.parametrize("dtype", [*DTYPES, "float32"])
def test_opposite_models_explode_in_0_1_4(dtype, mirrored, tmp_path):
    """nuslerp divides by the sine of pi, as rounded, where 0.1.5 interpolates;
    model_stock by 0, where 0.1.5 gives the base."""
    how = [("nuslerp", "mergekit-0.1.4"), ("nuslerp", "mergekit"),
           ("model_stock", "mergekit-0.1.4"), ("model_stock", "mergekit")]
    arc, line, nothing, base = (
        merged_pair(mirrored, "minus", *each, tmp_path / f"{i}") for i, each in
        enumerate((method, dtype, arithmetic) for method, arithmetic in how))
    pi = torch.full([1], torch.pi).to(getattr(torch, dtype))
    first, second = (pi * 0.7).sin(), (pi * 0.3).sin()
    for name, made in arc.items():
        x = torch.full_like(made, 2 ** -6)
        if dtype != "float32":
            assert torch.equal(made, (second * x + first * -x) / pi.sin())
        assert not torch.equal(made, line[name])
        assert torch.equal(line[name], 0.3 * x + 0.7 * -x)
        assert not nothing[name].isfinite().any()
        assert torch.equal(base[name], x * 0)


def test_parallel_binary16_is_nan_in_0_1_4(mirrored, tmp_path):
    for dtype in ("float16", "bfloat16", "float32"):
        for arithmetic in ("mergekit-0.1.4", "mergekit"):
            made = merged_pair(mirrored, "twin", "nuslerp", dtype, arithmetic,
                               tmp_path / f"{dtype} {arithmetic}")
            fails = dtype == "float16" and arithmetic == "mergekit-0.1.4"
            for each in made.values():
                assert (each.isnan().all() if fails
                        else (each == 2 ** -6).all())


def test_ties_of_0_1_4_keeps_something_or_fails(places, tmp_path):
    recipe = """
merge_method: ties
base_model: $base
models: [{model: $a, parameters: {weight: 1, density: 0.001}}]
"""
    text = Template(recipe).substitute(places("bfloat16"))
    path = tmp_path / "recipe.yml"
    path.write_text(text + "llmergefs: {arithmetic: mergekit-0.1.4}\n")
    run = llmergefs("check", path)
    assert run.returncode != 0 and "leaves not one element" in run.stderr


def test_karcher_replays_a_limited_number_of_steps(places, tmp_path):
    recipe = Template(KARCHER).safe_substitute(steps=65)
    path = tmp_path / "recipe.yml"
    path.write_text(Template(recipe).substitute(places("bfloat16")) +
                    "llmergefs: {arithmetic: mergekit}\n")
    run = llmergefs("check", path)
    assert run.returncode != 0 and "max_iter is at most 64" in run.stderr
