"""The same recipe through mergekit 0.1.5 and through llmergefs.

Each case says how equal the tensors are:

    bits    every element to the bit
    ties    to the bit, but for the choice among equal magnitudes, which TIES
            leaves open (ours: lowest index first)
    ulp     within 2 ulp of the largest number that took part: sums over whole
            tensors enter, whose last bits depend on the order of summing
    ulps    the same within 4, where a task vector is rescaled: mergekit's own
            result is up to 2.4 off the exact one; see the last test for ours
    arc     the same within 5: mergekit's own results are up to 3.7 off the
            exact ones; see test_directions.py for ours
    16      at most one in a thousand elements differs, by one step of the
            16-bit type (a `ulp` result, rounded)
"""

from dataclasses import dataclass
from string import Template

import pytest
import torch
import yaml

from peer import mergekit
from support import assert_same_tensors, export, same_bits, tensors


@dataclass
class Case:
    name: str
    family: str
    equal: str
    recipe: str


CASES = [
    Case("linear", "llama", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.21}}
  - {model: $b, parameters: {weight: 0.53}}
  - {model: $c, parameters: {weight: 0.33}}
dtype: float32
"""),
    Case("linear-not-normalized-out-bf16", "llama", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.7}}
  - {model: $b, parameters: {weight: -0.4}}
parameters: {normalize: false}
dtype: float32
out_dtype: bfloat16
"""),
    Case("linear-out-f16", "qwen2", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 1}}
  - {model: $b, parameters: {weight: 0.3}}
dtype: float32
out_dtype: float16
"""),
    Case("linear-bf16-once", "llama-bf16", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.66}}
  - {model: $b, parameters: {weight: 0.17}}
  - {model: $c, parameters: {weight: 0.4}}
"""),
    Case("linear-f16-sources-as-bf16", "llama-f16", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.66}}
  - {model: $b, parameters: {weight: 0.34}}
dtype: bfloat16
"""),
    Case("linear-mixed-types", "llama", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $bf16, parameters: {weight: 0.5}}
"""),
    Case("linear-gradient-and-filters", "qwen3-bf16-sharded", "bits", """
merge_method: linear
models:
  - model: $a
    parameters:
      weight:
        - {filter: q_proj, value: [0.1, 0.9, 0.35]}
        - {filter: mlp, value: "2e-1"}
        - {value: 0.4}
  - model: $b
    parameters: {weight: [1, 0.25]}
dtype: float32
"""),
    Case("linear-base-appended", "llama", "bits", """
merge_method: linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b}
parameters: {weight: 0.25}
dtype: float32
"""),
    Case("linear-tied-with-untied", "llama", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $tied, parameters: {weight: 0.5}}
dtype: float32
"""),
    Case("linear-tied", "llama-tied-sharded", "bits", """
merge_method: linear
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: 0.6}}
dtype: float32
"""),
    Case("linear-one-model", "llama-bf16-sharded", "bits", """
merge_method: linear
models: [{model: $a, parameters: {weight: 3}}]
"""),
    Case("linear-tokenizer-source", "llama", "bits", """
merge_method: linear
base_model: $base
models:
  - {model: $base, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: 0.6}}
dtype: float32
tokenizer_source: base
"""),
    Case("linear-slices", "llama", "bits", """
merge_method: linear
slices:
  - sources:
      - {model: $a, layer_range: [0, 3], parameters: {weight: [0, 1, 0.5]}}
      - {model: $b, layer_range: [1, 4], parameters: {weight: 0.5}}
  - parameters: {weight: 0.75}
    sources:
      - {model: $c, layer_range: [2, 4]}
      - {model: $a, layer_range: [0, 2], parameters: {weight: [0.3, 0.6]}}
dtype: float32
"""),
    Case("task-arithmetic", "llama", "bits", """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: -0.35}}
parameters: {lambda: 0.9}
dtype: float32
"""),
    Case("task-arithmetic-normalized-bf16-sources", "qwen2-tied-bf16", "bits",
         """
merge_method: task_arithmetic
base_model: $base
models:
  - {model: $base}
  - {model: $a, parameters: {weight: 0.6}}
  - {model: $b, parameters: {weight: [0.2, 0.8]}}
  - {model: $c, parameters: {weight: 0.1}}
parameters: {normalize: true, int8_mask: true}
dtype: float32
out_dtype: bfloat16
"""),
    Case("ties", "llama", "ties", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: 0.5, density: [0.9, 0.4]}}
  - {model: $c, parameters: {weight: -0.2, density: 1.0}}
parameters: {lambda: 1.1}
dtype: float32
"""),
    Case("ties-bf16-sources", "llama-bf16-sharded", "ties", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 1, density: 0.5}}
  - {model: $b, parameters: {weight: 0.8, density: 0.5}}
parameters: {normalize: true, int8_mask: true}
dtype: float32
out_dtype: bfloat16
"""),
    Case("ties-not-normalized-out-f16", "qwen2", "ties", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.9, density: 0.25}}
  - {model: $b, parameters: {weight: 0.8, density: 0.001}}
  - {model: $c, parameters: {weight: 0.7, density: 0}}
parameters: {normalize: "no"}
dtype: float32
out_dtype: float16
"""),
    Case("ties-slices", "llama", "ties", """
merge_method: ties
base_model: $base
slices:
  - sources:
      - {model: $base, layer_range: [0, 2]}
      - {model: $a, layer_range: [0, 2], parameters: {density: 0.5, weight: 1}}
  - sources:
      - {model: $b, layer_range: [1, 3], parameters: {density: 0.4, weight: 1}}
      - {model: $base, layer_range: [1, 3]}
dtype: float32
"""),
    Case("ties-rescaled", "llama", "ulps", """
merge_method: ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: 0.5, density: 0.6}}
parameters: {rescale: true}
dtype: float32
"""),
    Case("slerp", "llama", "ulp", """
merge_method: slerp
base_model: $a
models: [{model: $b}, {model: $a}]
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
    - {value: 0.5}
dtype: float32
"""),
    Case("slerp-far-apart-out-bf16", "llama", "16", """
merge_method: slerp
base_model: $far
models: [{model: $a}]
parameters: {t: 0.4}
dtype: float32
out_dtype: bfloat16
"""),
    Case("slerp-bf16", "qwen3-bf16-sharded", "16", """
merge_method: slerp
base_model: $base
slices:
  - sources:
      - {model: $base, layer_range: [0, 4]}
      - {model: $a, layer_range: [0, 4]}
parameters: {t: 0.3}
dtype: bfloat16
"""),
    Case("nuslerp", "llama", "arc", """
merge_method: nuslerp
models:
  - {model: $a, parameters: {weight: [0.1, 0.9, 0.35]}}
  - model: $b
    parameters: {weight: [{filter: mlp, value: 0.2}, {value: 0.7}]}
dtype: float32
"""),
    Case("nuslerp-task-vectors", "qwen2", "arc", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $b, parameters: {weight: 0.3}}
  - {model: $a, parameters: {weight: 0.9}}
dtype: float32
"""),
    Case("nuslerp-far-apart", "llama", "arc", """
merge_method: nuslerp
models:
  - {model: $far, parameters: {weight: 0.7}}
  - {model: $a, parameters: {weight: 0.4}}
dtype: float32
"""),
    Case("nuslerp-weights-cancel", "llama", "arc", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $b, parameters: {weight: 0.5}}
  - {model: $a, parameters: {weight: -0.5}}
dtype: float32
"""),
    Case("nuslerp-beyond-the-arc", "llama", "arc", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $b, parameters: {weight: 1.5}}
  - {model: $a, parameters: {weight: -0.5}}
dtype: float32
"""),
    Case("nuslerp-rows", "llama", "arc", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.25}}
  - {model: $b, parameters: {weight: 0.6}}
parameters: {nuslerp_flatten: false}
dtype: float32
"""),
    Case("nuslerp-rows-far-apart", "qwen2", "arc", """
merge_method: nuslerp
models:
  - {model: $far2, parameters: {weight: 0.25}}
  - {model: $b, parameters: {weight: 0.6}}
parameters: {nuslerp_flatten: false}
dtype: float32
"""),
    Case("nuslerp-columns", "llama", "arc", """
merge_method: nuslerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.25}}
  - {model: $b, parameters: {weight: 0.6}}
parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}
dtype: float32
"""),
    Case("nuslerp-columns-by-filter-out-bf16", "llama", "16", """
merge_method: nuslerp
models:
  - {model: $far, parameters: {weight: 1}}
  - {model: $b, parameters: {weight: 1}}
parameters:
  nuslerp_flatten: [{filter: embed, value: true}, {value: false}]
  nuslerp_row_wise: [{filter: self_attn, value: true}, {value: false}]
dtype: float32
out_dtype: bfloat16
"""),
    Case("nuslerp-bf16-sources-slices", "llama-bf16-sharded", "arc", """
merge_method: nuslerp
base_model: $base
slices:
  - sources:
      - {model: $base, layer_range: [0, 2]}
      - {model: $a, layer_range: [0, 2], parameters: {weight: 0.5}}
      - {model: $b, layer_range: [1, 3], parameters: {weight: 1}}
  - sources:
      - {model: $c, layer_range: [1, 3], parameters: {weight: 0.5}}
      - {model: $b, layer_range: [1, 3], parameters: {weight: 1}}
      - {model: $base, layer_range: [1, 3]}
dtype: float32
"""),
    Case("multislerp", "llama", "arc", """
merge_method: multislerp
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: [0.2, 0.7]}}
  - {model: $c, parameters: {weight: 0.4}}
dtype: float32
"""),
    Case("multislerp-task-vectors", "qwen2", "arc", """
merge_method: multislerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: 0.8}}
  - {model: $c, parameters: {weight: -0.3}}
dtype: float32
"""),
    Case("multislerp-not-normalized", "llama", "arc", """
merge_method: multislerp
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.5}}
  - {model: $b, parameters: {weight: 0.8}}
parameters: {normalize_weights: false, eps: 0.05}
dtype: float32
"""),
    Case("multislerp-far-apart-out-bf16", "llama", "16", """
merge_method: multislerp
models:
  - {model: $far, parameters: {weight: 0.6}}
  - {model: $b, parameters: {weight: 0.4}}
  - {model: $c, parameters: {weight: 0.1}}
dtype: float32
out_dtype: bfloat16
"""),
    Case("multislerp-one-model", "llama-bf16", "bits", """
merge_method: multislerp
base_model: $base
models: [{model: $a, parameters: {weight: 0.6}}]
"""),
    Case("karcher", "llama", "arc", """
merge_method: karcher
models: [{model: $a}, {model: $b}, {model: $c}]
dtype: float32
"""),
    Case("karcher-far-apart-base-appended", "llama", "arc", """
merge_method: karcher
base_model: $far
models: [{model: $a}, {model: $far3}, {model: $b}]
parameters: {max_iter: 40, tol: 1e-7}
dtype: float32
"""),
    Case("karcher-one-step", "llama", "arc", """
merge_method: karcher
models: [{model: $a}, {model: $far}, {model: $far3}]
parameters:
  max_iter: [{filter: mlp, value: 0}, {value: 1}]
  tol: "1e-9"
dtype: float32
"""),
    Case("karcher-out-bf16", "qwen2", "16", """
merge_method: karcher
models: [{model: $a}, {model: $b}, {model: $c}]
dtype: float32
out_dtype: bfloat16
"""),
    Case("karcher-one-model", "llama-bf16", "bits", """
merge_method: karcher
models: [{model: $a}]
"""),
    Case("model-stock", "llama", "ulp", """
merge_method: model_stock
base_model: $base
models: [{model: $a}, {model: $b}]
dtype: float32
"""),
    Case("model-stock-of-three-out-bf16", "qwen2", "16", """
merge_method: model_stock
base_model: $base
models: [{model: $a}, {model: $base}, {model: $b}, {model: $c}]
dtype: float32
out_dtype: bfloat16
"""),
    Case("model-stock-filter-wise", "llama", "arc", """
merge_method: model_stock
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters:
  filter_wise: [{filter: o_proj, value: false}, {value: true}]
dtype: float32
"""),
    Case("model-stock-bf16-sources", "llama-bf16-sharded", "arc", """
merge_method: model_stock
base_model: $base
models: [{model: $a}, {model: $b}]
parameters: {filter_wise: true}
dtype: float32
"""),
    Case("dare-linear-density-1", "llama", "bits", """
merge_method: dare_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 1}}
  - {model: $b, parameters: {weight: 0.5}}
dtype: float32
"""),
    Case("dare-ties-density-1", "llama-bf16", "bits", """
merge_method: dare_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 1}}
  - {model: $b, parameters: {weight: 0.5, density: 1}}
  - {model: $c, parameters: {weight: 0.4, density: 1.5}}
parameters: {normalize: 1}
dtype: float32
"""),
    Case("nearswap", "llama", "bits", """
merge_method: nearswap
base_model: $a
models: [{model: $b}]
parameters:
  t:
    - {filter: self_attn, value: [0.0001, 0.01]}
    - {filter: mlp, value: 0.002}
    - {value: 0.0005}
dtype: float32
"""),
    Case("nearswap-bf16-sources-out-bf16", "llama-bf16", "bits", """
merge_method: nearswap
base_model: $base
models: [{model: $base}, {model: $a}]
parameters: {t: 0.001}
dtype: float32
out_dtype: bfloat16
"""),
    Case("ram", "llama", "bits", """
merge_method: ram
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
dtype: float32
"""),
    Case("ram-filters-out-bf16", "llama-bf16-sharded", "bits", """
merge_method: ram
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters:
  epsilon:
    - {filter: mlp, value: [0.0001, 0.01]}
    - {value: 0.002}
dtype: float32
out_dtype: bfloat16
"""),
    Case("ram-one-model", "llama", "bits", """
merge_method: ram
base_model: $base
models: [{model: $a}]
parameters: {epsilon: 0.001}
dtype: float32
"""),
    Case("ramplus-tl", "llama", "bits", """
merge_method: ramplus_tl
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters: {epsilon: 0.002}
dtype: float32
"""),
    Case("ramplus-tl-filters-out-f16", "qwen2", "bits", """
merge_method: ramplus_tl
base_model: $base
models: [{model: $a}, {model: $b}, {model: $base}]
parameters:
  epsilon: [0.001, 0.004]
  r: [{filter: mlp, value: 0.7}, {value: 0.3}]
  alpha: 1.5
dtype: float32
out_dtype: float16
"""),
    Case("breadcrumbs", "llama", "bits", """
merge_method: breadcrumbs
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.5, gamma: 0.03}}
  - {model: $b, parameters: {weight: -0.5, density: [0.9, 0.4]}}
  - {model: $c, parameters: {weight: 0.3, density: 0.999, gamma: 0.2}}
parameters: {lambda: 1.1}
dtype: float32
"""),
    Case("breadcrumbs-gradient-filters-out-f16", "qwen2", "bits", """
merge_method: breadcrumbs
base_model: $base
models:
  - model: $a
    parameters:
      weight: 1
      density: 0.6
      gamma:
        - {filter: mlp, value: [0, 0.1]}
        - {filter: norm, value: 0}
        - {value: 0.02}
  - {model: $b, parameters: {weight: 0.7, density: 0, gamma: 0.1}}
  - {model: $c, parameters: {weight: 0.4, density: 0.004, gamma: 0.9}}
parameters: {normalize: true}
dtype: float32
out_dtype: float16
"""),
    Case("breadcrumbs-ties", "llama", "bits", """
merge_method: breadcrumbs_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.8, gamma: 0.01}}
  - {model: $b, parameters: {weight: 0.5, density: 0.3, gamma: 0.05}}
  - {model: $c, parameters: {weight: 0.4, density: 1, gamma: 0.5}}
dtype: float32
"""),
    Case("breadcrumbs-ties-negative-gamma", "llama", "bits", """
merge_method: breadcrumbs_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.8, gamma: -0.1}}
  - {model: $b, parameters: {weight: 0.5, density: 0.3, gamma: -0.4}}
dtype: float32
"""),
    Case("breadcrumbs-ties-bf16-sources", "llama-bf16-sharded", "ties", """
merge_method: breadcrumbs_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.8, gamma: 0.01}}
  - {model: $b, parameters: {weight: 0.5, density: 0.3, gamma: 0.05}}
parameters: {int8_mask: true}
dtype: float32
out_dtype: bfloat16
"""),
    Case("breadcrumbs-ties-rescaled", "llama", "ulps", """
merge_method: breadcrumbs_ties
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 0.3}}
  - {model: $b, parameters: {weight: 0.5, density: 0.6, gamma: 0.1}}
parameters: {rescale: true, normalize: true}
dtype: float32
"""),
    Case("della-density-1-or-0", "llama", "bits", """
merge_method: della
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6, density: 1}}
  - {model: $b, parameters: {weight: 0.5, density: 1.2, epsilon: 7}}
  - {model: $c, parameters: {weight: 0.4, density: [0, -1]}}
parameters: {lambda: 0.7}
dtype: float32
"""),
    Case("della-linear-density-1-or-0", "llama-bf16", "bits", """
merge_method: della_linear
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.6}}
  - {model: $b, parameters: {weight: 0.5, density: [0, 0, 1, 1]}}
dtype: float32
out_dtype: bfloat16
"""),
    Case("sce", "llama", "ulp", """
merge_method: sce
base_model: $base
models:
  - {model: $a}
  - {model: $b}
  - {model: $c}
dtype: float32
"""),
    Case("sce-selected-gradient", "qwen2", "ulp", """
merge_method: sce
base_model: $base
models:
  - {model: $a, parameters: {weight: 3}}
  - {model: $b}
  - {model: $c}
parameters:
  int8_mask: true
  select_topk:
    - {filter: mlp, value: [0.2, 0.7]}
    - {filter: embed, value: 0}
    - {value: 0.5}
dtype: float32
"""),
    Case("sce-equal-weights", "llama", "bits", """
merge_method: sce
base_model: $base
models:
  - {model: $a}
  - {model: $b}
parameters: {select_topk: 0.003}
dtype: float32
"""),
    Case("sce-bf16-sources", "llama-bf16-sharded", "16", """
merge_method: sce
base_model: $base
models:
  - {model: $a}
  - {model: $b}
  - {model: $c}
dtype: float32
out_dtype: bfloat16
"""),
    Case("sce-one-model", "llama", "bits", """
merge_method: sce
base_model: $base
models: [{model: $a}]
parameters: {select_topk: [1, 0.5]}
dtype: float32
"""),
    Case("passthrough", "llama-bf16-sharded", "bits", """
merge_method: passthrough
slices:
  - sources: [{model: $a, layer_range: [0, 3]}]
  - sources: [{model: $b, layer_range: [1, 2]}]
  - sources: [{model: $a, layer_range: [3, 4]}]
"""),
    Case("passthrough-scaled", "llama", "bits", """
merge_method: passthrough
slices:
  - sources: [{model: $a, layer_range: [0, 3]}]
  - sources:
      - model: $b
        layer_range: [1, 4]
        parameters:
          scale:
            - {filter: o_proj, value: 0.0}
            - {filter: down_proj, value: [0.1, 1.0]}
            - {value: 1.0}
dtype: float32
out_dtype: bfloat16
"""),
    Case("passthrough-last-rows-of-another", "llama", "bits", """
merge_method: passthrough
slices:
  - sources: [{model: $a, layer_range: [0, 4]}]
  - sources: [{model: $b, layer_range: [4, 4]}]
dtype: float16
"""),
]


@pytest.fixture(scope="session")
def places(family, tmp_path_factory):
    """For the recipes' $names: the family's folders, and some odd ones."""
    import synthetic

    folder = tmp_path_factory.mktemp("odd")
    synthetic.make(folder / "far", seed=77)
    synthetic.make(folder / "far2", "qwen2", seed=78)
    synthetic.make(folder / "far3", seed=79)
    return lambda name: {
        **{key: str(path) for key, path in family(name).items()},
        "bf16": str(family("llama-bf16")["b"]),
        "tied": str(family("llama-tied-sharded")["a"]),
        **{name: str(folder / name) for name in ("far", "far2", "far3")},
    }


def largest(recipe, merged):
    """For each tensor, the largest number that took part in each element:
    those of the models, the result, and how far it is from the base."""
    entries = recipe.get("models") or \
        [source for each in recipe["slices"] for source in each["sources"]]
    names = {entry["model"] for entry in entries}
    base = recipe.get("base_model", min(names))
    models = [tensors(name) for name in {*names, base}]
    base = tensors(base)
    return {name: torch.stack([result.abs(), (result - base[name]).abs(),
                               *(model[name].abs() for model in models)])
            .amax(0) for name, result in merged.items()}


def selected(recipe, parameters, elements):
    """How many of the greatest each selection of a task vector takes."""
    kept = int(parameters["density"] * elements)
    if not recipe["merge_method"].startswith("breadcrumbs"):
        return [max(1, kept)]
    outliers = int(parameters.get("gamma", 0.01) * elements)
    outer = min(elements, kept + outliers)
    return [outer, outer - kept]


def open_choices(recipe, name, shape):
    """Elements whose magnitude is the least or the greatest that survives in
    some model, where not all of that magnitude do."""
    mask = torch.zeros(shape, dtype=torch.bool)
    base = tensors(recipe["base_model"])[name].float()
    for entry in recipe["models"]:
        density = entry["parameters"]["density"]
        if isinstance(density, list) or density >= 1 or density <= 0:
            continue
        delta = (tensors(entry["model"])[name].float() - base).abs()
        for kept in selected(recipe, entry["parameters"], delta.numel()):
            least = delta.flatten().sort(descending=True).values[kept - 1]
            if kept and (delta >= least).sum() > kept:
                mask |= delta == least
    return mask


def steps_of_16(a, b):
    """Steps of the 16-bit type between two tensors, -0 and 0 being one."""
    def order(x):
        bits = x.contiguous().view(torch.int16).int()
        return torch.where(bits < 0, -(bits & 0x7fff), bits)

    return (order(a) - order(b)).abs()


def assert_bits(ours, peer, recipe):
    assert_same_tensors(ours, peer)


def assert_ties(ours, peer, recipe):
    different = [name for name in peer if not same_bits(ours[name], peer[name])]
    for name in different:
        differ = ours[name] != peer[name]
        assert not (differ & ~open_choices(recipe, name, differ.shape)).any()


def assert_ulp(ours, peer, recipe, ulps=2):
    for name, scale in largest(recipe, ours).items():
        assert ours[name].dtype == peer[name].dtype == torch.float32
        off = (ours[name] - peer[name]).abs()
        assert (off <= ulps * 2 ** -23 * scale).all(), name


def assert_ulps(ours, peer, recipe):
    assert_ulp(ours, peer, recipe, 4)


def assert_arc(ours, peer, recipe):
    assert_ulp(ours, peer, recipe, 5)


def assert_16(ours, peer, recipe):
    different = total = 0
    for name, a in ours.items():
        steps = steps_of_16(a, peer[name])
        assert steps.max() <= 1, name
        different += int((steps > 0).sum())
        total += a.numel()
    assert different * 1000 <= total


EQUAL = {"bits": assert_bits, "ties": assert_ties, "ulp": assert_ulp,
         "ulps": assert_ulps, "arc": assert_arc, "16": assert_16}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recipe_gives_the_peers_tensors(case, places, tmp_path):
    text = Template(case.recipe).substitute(places(case.family))
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(text)
    ours = tensors(export(recipe, tmp_path / "ours"))
    peer = tensors(mergekit(text, tmp_path / "peer"))
    assert {name: (t.shape, t.dtype) for name, t in ours.items()} == \
        {name: (t.shape, t.dtype) for name, t in peer.items()}
    EQUAL[case.equal](ours, peer, yaml.safe_load(text))


ONCE = """
merge_method: $method
base_model: $base
models:
  - {model: $a, parameters: {weight: 0.61}}
  - {model: $b, parameters: {weight: 0.37}}
parameters: {lambda: 0.8, normalize: true}
"""


@pytest.mark.parametrize("method", ["task_arithmetic", "ties", "dare_ties"])
def test_bfloat16_is_rounded_once(method, family, tmp_path):
    """With `dtype: bfloat16` ours is mergekit's float32 result on the same
    sources, rounded; mergekit itself rounds after every operation."""
    text = Template(ONCE).substitute(family("llama-bf16"), method=method)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(text + "dtype: bfloat16\n")
    ours = tensors(export(recipe, tmp_path / "ours"))
    peer = tensors(mergekit(text + "dtype: float32\nout_dtype: bfloat16\n",
                            tmp_path / "peer"))
    assert_same_tensors(ours, peer)
    rough = tensors(mergekit(text + "dtype: bfloat16\n", tmp_path / "rough"))
    assert any(not same_bits(rough[name], peer[name]) for name in peer)


def test_equal_magnitudes_keep_the_lowest_index(family, tmp_path):
    """TIES with one bfloat16 fine-tune: exactly k elements survive, all above
    the threshold, and of those at it the first ones in row order."""
    folders = family("llama-bf16")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template("""
merge_method: ties
base_model: $base
models: [{model: $a, parameters: {weight: 1, density: 0.37}}]
dtype: float32
""").substitute(folders))
    merged = tensors(export(recipe, tmp_path / "ours"))
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    split = 0
    for name, result in merged.items():
        delta = (tuned[name].float() - base[name].float()).flatten()
        kept = max(1, int(0.37 * delta.numel()))
        order = delta.abs().sort(descending=True, stable=True)
        mask = torch.zeros(delta.shape, dtype=torch.bool)
        mask[order.indices[:kept]] = True
        split += int(order.values[kept - 1] == order.values[kept]
                     if kept < delta.numel() else 0)
        expected = base[name].float().flatten() + delta * mask
        assert torch.equal(result.flatten(), expected), name
    assert split > 5, "no tensor puts the rule to the test"


def test_rescaling_sums_exactly(family, tmp_path):
    """TIES with rescale, to the bit: the two L1 norms are those of exact
    sums, rounded to binary32 (mergekit sums in binary32)."""
    folders = family("llama")
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(Template("""
merge_method: ties
base_model: $base
models: [{model: $a, parameters: {weight: 0.7, density: 0.3}}]
parameters: {rescale: true, normalize: false}
dtype: float32
""").substitute(folders))
    merged = tensors(export(recipe, tmp_path / "ours"))
    base, tuned = tensors(folders["base"]), tensors(folders["a"])
    for name, result in merged.items():
        delta = (tuned[name] - base[name]).flatten()
        mask = torch.zeros(delta.shape)
        kept = max(1, int(0.3 * delta.numel()))
        mask[delta.abs().sort(descending=True, stable=True).indices[:kept]] = 1
        whole, left = (each.abs().double().sum().float()
                       for each in (delta, delta * mask))
        delta = delta * mask * (whole / left) * torch.tensor(0.7)
        assert torch.equal(result.flatten(), base[name].flatten() + delta), name
