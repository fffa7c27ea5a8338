"""Tiny Llama models, written without transformers and the same on every run.

Their tensors put what is hard to the test: task vectors with elements and whole
tensors that are zero, equal magnitudes (of which bfloat16 has many), rows that
have none, 1-D tensors, models without a head of their own.
"""

import json

import torch
from safetensors.torch import save_file

LAYERS = 3
HIDDEN = 64
INNER = 288 # more than the 256 ranks of a row that bfloat16 tells apart
VOCABULARY = 160
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"

LAYER = {
    "input_layernorm.weight": (HIDDEN,),
    "post_attention_layernorm.weight": (HIDDEN,),
    "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
    "self_attn.k_proj.weight": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj.weight": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
    "mlp.gate_proj.weight": (INNER, HIDDEN),
    "mlp.up_proj.weight": (INNER, HIDDEN),
    "mlp.down_proj.weight": (HIDDEN, INNER),
}
SHAPES = {
    EMBEDDING: (VOCABULARY, HIDDEN),
    **{f"model.layers.{layer}.{name}": shape
       for layer in range(LAYERS) for name, shape in LAYER.items()},
    "model.norm.weight": (HIDDEN,),
    HEAD: (VOCABULARY, HIDDEN),
}


def is_norm(name):
    return name.endswith("norm.weight")


def random_model(seed):
    torch.manual_seed(seed)
    return {name: 1 + 0.1 * torch.randn(shape) if is_norm(name)
            else 0.02 * torch.randn(shape) for name, shape in SHAPES.items()}


def fine_tune(base, seed, unchanged=()):
    """One element in twenty keeps its value, and so do some tensors."""
    torch.manual_seed(seed)
    tuned = {}
    for name, x in base.items():
        noise = torch.randn(x.shape) * (0.05 if is_norm(name) else 0.005)
        noise *= torch.rand(x.shape) >= 0.05
        tuned[name] = x if name in unchanged else x + noise
    return tuned


def magnitudes(shape):
    """Numbers of all sizes from 2^-10 to 2^-2, of either sign."""
    size = torch.exp2(torch.rand(shape) * 8 - 10)
    return torch.where(torch.rand(shape) < 0.5, -size, size)


def repeats(rows):
    """Which elements have a magnitude that comes before in their row."""
    order = rows.abs().sort(dim=-1, stable=True)
    again = torch.zeros(rows.shape, dtype=torch.bool)
    again[..., 1:] = order.values[..., 1:] == order.values[..., :-1]
    return torch.zeros_like(again).scatter(-1, order.indices, again)


def apart_from(base, seed, dtype):
    """A model whose task vector has no two equal magnitudes in a row."""
    torch.manual_seed(seed)
    model = {}
    for name, origin in base.items():
        x = magnitudes(origin.shape)
        while (again := repeats(x.to(dtype) - origin.to(dtype))).any():
            x = torch.where(again, magnitudes(x.shape), x)
        model[name] = x
    return model


def write(folder, model, dtype):
    folder.mkdir(parents=True)
    save_file({name: x.to(dtype).contiguous() for name, x in model.items()},
              folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": HIDDEN, "intermediate_size": INNER, "head_dim": 16,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": VOCABULARY,
        "max_position_embeddings": 128,
        "tie_word_embeddings": HEAD not in model,
        "dtype": str(dtype).removeprefix("torch.")}))


def make(root, dtype):
    """{name: folder} of the models, stored in `dtype`:

        base, a, b, c        a base and its fine-tunes
        tied_base, tied      base and a, without a head
        far, far_too         nothing in common with them, or each other
        wide, wide_a, ..._c  the same base and models whose task vectors have
                             no two equal magnitudes in a row
    """
    base, wide = random_model(0), random_model(4)
    torch.manual_seed(5)
    wide = {name: magnitudes(x.shape) for name, x in wide.items()}
    still = ("model.layers.1.self_attn.o_proj.weight",
             "model.layers.2.input_layernorm.weight")
    models = {
        "base": base, "a": fine_tune(base, 1, still), "b": fine_tune(base, 2),
        "c": fine_tune(base, 3), "far": random_model(7),
        "far_too": random_model(8), "wide": wide,
        **{f"wide_{name}": apart_from(wide, seed, dtype)
           for seed, name in enumerate("abc", 11)},
    }
    for name, whole in (("tied_base", "base"), ("tied", "a")):
        models[name] = {key: x for key, x in models[whole].items()
                        if key != HEAD}
    for name, model in models.items():
        write(root / name, model, dtype)
    return {name: root / name for name in models}
