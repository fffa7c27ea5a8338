"""metagpt, whose factors are of whole models, against numpy in float64."""

import json
import shutil
from pathlib import Path
from string import Template

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from support import assert_same_tensors, export, llmergefs, tensors

LACKING = "model.layers.1.mlp.up_proj.weight"

MODELS = """
merge_method: metagpt
base_model: $base
models:
  - {model: $a}
  - {model: $b, parameters: {weight: [{filter: mlp, value: 0.5}, {value: 1}]}}
  - {model: $c}
dtype: float32
"""
SLICES = """
merge_method: metagpt
base_model: $base
slices:
  - sources:
      - {model: $a, layer_range: [0, 1]}
      - {model: $base, layer_range: [0, 1]}
      - {model: $b, layer_range: [0, 1], parameters: $weight}
      - {model: $c, layer_range: [0, 1]}
  - sources:
      - {model: $base, layer_range: [1, 4]}
      - {model: $a, layer_range: [1, 4]}
      - {model: $b, layer_range: [1, 4], parameters: $weight}
      - {model: $c, layer_range: [1, 4]}
dtype: float32
"""
WEIGHT = "{weight: [{filter: mlp, value: 0.5}, {value: 1}]}"


@pytest.fixture(params=["whole", "lacking"])
def folders(request, family, tmp_path):
    """Four models; of `lacking`, b has not all tensors."""
    found = {name: Path(path) for name, path in family("llama-bf16").items()}
    if request.param == "lacking":
        poor = tmp_path / "poor"
        shutil.copytree(found["b"], poor)
        weights = load_file(poor / "model.safetensors")
        del weights[LACKING]
        save_file(weights, poor / "model.safetensors", {"format": "pt"})
        found["b"] = poor
    return found


def write(path, text, folders):
    path.write_text(Template(text).substitute(folders, weight=WEIGHT))
    return path


def test_factors_are_shares_of_the_squared_lengths(folders, tmp_path):
    recipe = write(tmp_path / "recipe.yml", MODELS, folders)
    merged = tensors(export(recipe, tmp_path / "ours"))
    base = {name: tensor.double().numpy()
            for name, tensor in tensors(folders["base"]).items()}
    deltas = {model: {name: tensor.double().numpy() - base[name]
                      for name, tensor in tensors(folders[model]).items()}
              for model in ("a", "b", "c")}
    squares = {model: sum((delta ** 2).sum() for delta in of.values())
               for model, of in deltas.items()}
    share = {model: square / sum(squares.values())
             for model, square in squares.items()}
    assert set(merged) == set(base)
    for name, result in merged.items():
        weights = {"a": 1, "b": 0.5 if "mlp" in name else 1, "c": 1}
        vector = sum(weights[model] * share[model] * of[name]
                     for model, of in deltas.items() if name in of)
        off = abs(result.double().numpy() - (base[name] + vector))
        scale = abs(base[name]) + sum(abs(of[name]) for of in deltas.values()
                                      if name in of)
        assert (off <= 2 ** -22 * scale).all(), name


def test_slices_of_the_same_models_give_the_same_bytes(folders, tmp_path):
    whole, sliced = (
        tensors(export(write(tmp_path / f"{name}.yml", text, folders),
                       tmp_path / name))
        for name, text in (("whole", MODELS), ("sliced", SLICES)))
    assert_same_tensors(whole, sliced)


def test_check_tells_what_the_first_byte_takes(family, tmp_path):
    folders = {name: Path(path) for name, path in family("llama").items()}
    recipe = write(tmp_path / "recipe.yml", MODELS, folders)
    shown = json.loads(llmergefs("check", "--json", recipe).stdout)
    assert shown["reductions"] == 1
    assert shown["whole_pass_bytes"] == 4 * shown["merged_bytes"]
    assert "their first byte takes one pass over all models, " in \
        llmergefs("check", recipe).stdout
