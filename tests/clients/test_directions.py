"""nuslerp, multislerp, karcher and model_stock against float64 (reference.py):
within 2.5 binary32 ulp of the largest number that took part. mergekit's own
binary32 results, which test_peer.py compares with, are up to 3.7 off."""

import pytest
import torch
import yaml

import reference
import synthetic
from support import export, tensors

# Method, models, with a base, options.
CASES = [
    ("nuslerp", "ab", False, {}),
    ("nuslerp", "ba", True, {}),
    ("nuslerp", ["far", "b"], False, {}),
    ("nuslerp", "ab", True, {"nuslerp_flatten": False}),
    ("nuslerp", ["a", "far"], False, {"nuslerp_flatten": False}),
    ("nuslerp", "ab", True, {"nuslerp_flatten": False,
                             "nuslerp_row_wise": True}),
    ("nuslerp", ["a", "far"], False, {"nuslerp_flatten": False,
                                      "nuslerp_row_wise": True}),
    ("multislerp", "abc", False, {}),
    ("multislerp", "abc", True, {}),
    ("multislerp", ["c", "far", "a", "far3"], False, {}),
    ("multislerp", "ab", True, {"normalize_weights": False, "eps": 0.25}),
    ("karcher", "abc", False, {}),
    ("karcher", ["c", "far", "a", "far3"], False, {}),
    ("karcher", ["a", "far", "far3"], False, {"max_iter": 1}),
    ("karcher", ["a", "far", "far3"], False, {"max_iter": 50, "tol": 1e-12}),
    ("model_stock", "ab", True, {}),
    ("model_stock", "abc", True, {}),
    ("model_stock", ["a", "far", "c"], True, {}),
    ("model_stock", "abc", True, {"filter_wise": True}),
]
WEIGHTS = [0.3, 0.66, -0.2, 0.51]


@pytest.fixture(scope="module")
def models(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp("far")
    for seed, name in enumerate(["far", "far3"], 91):
        synthetic.make(folder / name, seed=seed)
    return {**family("llama"), "far": folder / "far", "far3": folder / "far3"}


@pytest.mark.parametrize("method, names, has_base, options", CASES)
def test_result_is_the_exact_one(method, names, has_base, options, models,
                                 tmp_path):
    # As binary32, which is what multislerp makes of a weight.
    weights = torch.tensor(WEIGHTS[:len(names)]).tolist()
    config = {"merge_method": method, "dtype": "float32", "parameters": options,
              "models": [{"model": str(models[name]),
                          "parameters": {"weight": weight}}
                         for name, weight in zip(names, weights)]}
    if has_base:
        config["base_model"] = str(models["base"])
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(yaml.safe_dump(config, sort_keys=False))
    merged = tensors(export(recipe, tmp_path / "ours"))
    inputs = [tensors(models[name]) for name in names]
    base = tensors(models["base"]) if has_base else None
    for name, result in merged.items():
        x = [each[name].double() for each in inputs]
        origin = base[name].double() if has_base else None
        exact = getattr(reference, method)(origin, x, weights, options)
        largest = torch.stack([result.double(), *x] +
                              ([origin, result - origin] if has_base else [])
                              ).abs().amax(0)
        off = (result.double() - exact).abs()
        assert (off <= 2.5 * 2 ** -23 * largest).all(), name
