"""The real vLLM loads a mount and says what it says of the export."""

import gc
import os

import pytest
import torch

import support
import synthetic

PROMPTS = ["merged when read", "int main(void)", "import sys"]

RECIPE = {
    "merge_method": "ties",
    "dtype": "float32",
    "out_dtype": "bfloat16",
    "llmergefs": {"shard_size": "2MB"},
}


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """(the mount, the export, the base) of a Llama type in several shards."""
    folder = tmp_path_factory.mktemp("merged")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    models = synthetic.family(folder, fine_tunes=("a", "b"), hidden_size=256,
                              intermediate_size=512, head_dim=64,
                              dtype=torch.bfloat16)
    recipe = support.write_recipe(folder / "recipe.yml", {
        **RECIPE,
        "base_model": str(models["base"]),
        "models": [{"model": str(models[name]),
                    "parameters": {"weight": 1, "density": 0.6}}
                   for name in ("a", "b")]})
    exported = support.export(recipe, folder / "exported")
    assert len(support.shards(exported)) > 1
    with support.Mount(recipe, folder / "mnt") as mounted:
        yield mounted, exported, models["base"]


def says(folder, load_format="auto", **how):
    """[(tokens, their log probabilities)] of each prompt, greedily."""
    from vllm import LLM, SamplingParams

    llm = LLM(model=str(folder), dtype="float32", enforce_eager=True,
              max_model_len=64, load_format=load_format, **how)
    try:
        outputs = llm.generate(PROMPTS, SamplingParams(
            temperature=0, max_tokens=16, ignore_eos=True, logprobs=0))
    finally:
        del llm
        gc.collect()
    return [(list(each.outputs[0].token_ids), each.outputs[0].cumulative_logprob)
            for each in outputs]


@pytest.fixture(scope="module")
def expected(merged):
    """What it says of the export; of the base it says something else."""
    _, exported, base = merged
    of_export = says(exported)
    assert of_export != says(base)
    return of_export


@pytest.mark.parametrize("how", [
    {},
    {"safetensors_load_strategy": "prefetch"},
    {"safetensors_load_strategy": "eager"},
], ids=["lazy", "prefetch", "eager"])
def test_vllm_generates_the_same_from_mount_and_export(merged, expected, how):
    assert says(merged[0], **how) == expected


def test_vllm_with_runai_streamer(merged, expected):
    assert says(merged[0], "runai_streamer") == expected


def test_vllm_with_fastsafetensors(merged, expected):
    try:
        assert says(merged[0], "fastsafetensors") == expected
    except RuntimeError as error:
        if "cuda:cpu" not in str(error):
            raise
        pytest.skip("this vLLM asks fastsafetensors for a GPU on a CPU, too: "
                    f"{error}")
