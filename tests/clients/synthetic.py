"""Tiny random models of real architectures, the same on every run."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (GraniteConfig, GraniteForCausalLM, LlamaConfig,
                          LlamaForCausalLM, PreTrainedTokenizerFast,
                          Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)

VOCABULARY = 272 # rows of the embedding
TOKENS = 259 # of the tokenizer: 3 special ones and the bytes

ARCHITECTURES = {
    "granite": (GraniteConfig, GraniteForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def tokenizer():
    """A token for each byte: whole, and in need of no download."""
    specials = ["<s>", "</s>", "<pad>"]
    names = specials + sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = Tokenizer(models.BPE(
        vocab={name: i for i, name in enumerate(names)}, merges=[]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=byte_level,
                                   bos_token="<s>", eos_token="</s>",
                                   pad_token="<pad>")


def config(architecture, tied, layers, **changes):
    kind = ARCHITECTURES[architecture][0]
    return kind(**{**dict(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96,
        num_hidden_layers=layers, num_attention_heads=4, head_dim=16,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0,
        eos_token_id=1, pad_token_id=2, tie_word_embeddings=tied), **changes})


def make(folder, architecture="llama", dtype=torch.float32, tied=False,
         layers=4, like=None, seed=0, shard="1GB", **changes):
    """Save a model: random, or `like` another with a fine-tune's noise."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture][1](
        config(architecture, tied, layers, **changes))
    if like is not None:
        model.load_state_dict(like.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.005 if like is not None else 0.02
            parameter.add_(torch.randn(parameter.shape) * scale)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    tokenizer().save_pretrained(folder)
    return model.float()


def family(root, fine_tunes=("a", "b", "c"), **how):
    """A base and its fine-tunes below `root`: {name: folder}."""
    base = make(root / "base", **how)
    for seed, name in enumerate(fine_tunes, 1):
        make(root / name, like=base, seed=seed, **how)
    return {name: root / name for name in ("base", *fine_tunes)}
