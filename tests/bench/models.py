"""Models to measure on: shaped as Llama's, bfloat16, random, and made once.

Each is a base plus a fine-tune's noise, so that task vectors have the sizes,
and the many zeros, that they have in bfloat16. Headers alone, of models too
large to write, are files of holes.
"""

import json
import shutil
import struct
from dataclasses import dataclass

import numpy as np

import machine

HEAD = 64 # elements of an attention head
POOL = 1 << 23
BASE_SCALE, TUNE_SCALE = 0.02, 0.001
WHOLE = 1 << 60 # bytes of a shard: one file


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    intermediate: int
    rows: int # of keys and of values
    vocabulary: int
    shard: int = WHOLE

    def tensors(self):
        """(name, shape), in the order of the file."""
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        for i in range(self.layers):
            layer = f"model.layers.{i}."
            yield layer + "input_layernorm.weight", (self.hidden,)
            for name, shape in (
                    ("mlp.down_proj", (self.hidden, self.intermediate)),
                    ("mlp.gate_proj", (self.intermediate, self.hidden)),
                    ("mlp.up_proj", (self.intermediate, self.hidden))):
                yield f"{layer}{name}.weight", shape
            yield layer + "post_attention_layernorm.weight", (self.hidden,)
            for name, rows in (("k", self.rows), ("o", self.hidden),
                               ("q", self.hidden), ("v", self.rows)):
                yield f"{layer}self_attn.{name}_proj.weight", \
                    (rows, self.hidden)
        yield "model.norm.weight", (self.hidden,)
        yield "lm_head.weight", (self.vocabulary, self.hidden)

    def bytes(self):
        return sum(2 * int(np.prod(shape)) for _, shape in self.tensors())

    def config(self):
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "dtype": "bfloat16", "torch_dtype": "bfloat16",
            "hidden_size": self.hidden, "hidden_act": "silu",
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.hidden // HEAD,
            "num_key_value_heads": self.rows // HEAD, "head_dim": HEAD,
            "vocab_size": self.vocabulary, "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
            "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        }

    def name(self):
        return f"{self.layers}x{self.hidden}-{self.intermediate}-" \
               f"{self.vocabulary}"


@dataclass(frozen=True)
class OneTensor:
    """A model of one matrix, for methods alone."""
    tensor_shape: tuple
    shard: int = WHOLE

    def tensors(self):
        yield "model.layers.0.mlp.up_proj.weight", self.tensor_shape

    def bytes(self):
        return 2 * int(np.prod(self.tensor_shape))

    def config(self):
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
                "num_hidden_layers": 1}

    def name(self):
        return "matrix-" + "x".join(map(str, self.tensor_shape))


def llama_of(gb):
    """About gb * 10^9 bytes: the width of Llama 3.2 1B, as many layers as it
    takes; where that is none, narrower."""
    hidden = 2048 if gb >= 0.8 else 1024 if gb >= 0.3 else 512
    one, two = (Shape(layers, hidden, 4 * hidden, hidden // 4, 32000)
                for layers in (1, 2))
    a_layer = two.bytes() - one.bytes()
    layers = round((gb * 1e9 - one.bytes()) / a_layer) + 1
    return Shape(max(2, layers), hidden, 4 * hidden, hidden // 4, 32000)


LLAMA_8B = Shape(32, 4096, 14336, 1024, 128256, shard=5_000_000_000)
LLAMA_405B = Shape(126, 16384, 53248, 1024, 128256, shard=4_700_000_000)


class Numbers:
    """bfloat16 random numbers, cheap: stretches of a pool, whose beginnings
    are drawn."""

    def __init__(self):
        draw = np.random.default_rng(0)
        self.pool = draw.standard_normal(2 * POOL, dtype=np.float32)

    def stretch(self, draw, count):
        at = int(draw.integers(POOL))
        return self.pool[at:at + count]

    def tensor(self, name, shape, seed):
        """Blocks of bytes. The base's numbers depend on the name alone."""
        left = int(np.prod(shape))
        base = np.random.default_rng(list(name.encode()))
        tune = np.random.default_rng([seed, *name.encode()])
        while left > 0:
            count = min(left, POOL)
            x = self.stretch(base, count) * np.float32(BASE_SCALE)
            if seed:
                x += self.stretch(tune, count) * np.float32(TUNE_SCALE)
            if len(shape) == 1:
                x += np.float32(1)
            bits = x.view(np.uint32)
            bits += 0x7fff + ((bits >> 16) & 1)
            yield (bits >> 16).astype(np.uint16).tobytes()
            left -= count


def header(tensors):
    """(bytes, size of the data) of a safetensors file."""
    entries, off = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        size = 2 * int(np.prod(shape))
        entries[name] = {"dtype": "BF16", "shape": shape,
                         "data_offsets": [off, off + size]}
        off += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, off


def cut(tensors, shard_bytes):
    """Lists of tensors, each of at most shard_bytes, or of one tensor."""
    shards, size = [[]], 0
    for name, shape in tensors:
        more = 2 * int(np.prod(shape))
        if shards[-1] and size + more > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += more
    return shards


def write_shard(path, tensors, numbers, seed):
    head, data = header(tensors)
    with open(path, "wb") as file:
        file.write(head)
        if numbers:
            for name, shape in tensors:
                for block in numbers.tensor(name, shape, seed):
                    file.write(block)
        file.truncate(len(head) + data)


def make(folder, shape, numbers, seed=0):
    """All or nothing. Without numbers: headers, and holes."""
    if folder.exists():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if numbers:
        machine.need_room(part, shape.bytes(), f"the model {folder.name}")
    (part / "config.json").write_text(json.dumps(shape.config(), indent=1))
    shards, index = cut(shape.tensors(), shape.shard), {}
    for i, tensors in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else \
            f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        write_shard(part / name, tensors, numbers, seed)
        index.update({tensor: name for tensor, _ in tensors})
    if len(shards) > 1:
        (part / "model.safetensors.index.json").write_text(json.dumps(
            {"metadata": {"total_size": shape.bytes()}, "weight_map": index}))
    part.rename(folder)
    return folder


def family(shape, count):
    """A base and `count` fine-tunes: [base, first, ...], made if need be."""
    root = machine.FOLDER / "models" / shape.name()
    names = ["base", *(f"tune{i}" for i in range(1, count + 1))]
    folders = [root / name for name in names]
    numbers = None
    for seed, folder in enumerate(folders):
        if not folder.exists():
            print(f"making {folder} ({shape.bytes() / 1e9:.2f} GB)", flush=True)
            numbers = numbers or Numbers()
            make(folder, shape, numbers, seed)
    return folders


def hollow(shape, count):
    """Models of headers alone."""
    root = machine.FOLDER / "models" / ("hollow-" + shape.name())
    return [make(root / f"{i:03d}", shape, None) for i in range(count)]


def files(folders):
    return [path for folder in folders
            for path in sorted(folder.glob("*.safetensors"))]


def read_header(path):
    """{tensor: (offset in the file, bytes)} of a safetensors file."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(size))
    entries.pop("__metadata__", None)
    return {name: (8 + size + entry["data_offsets"][0],
                   entry["data_offsets"][1] - entry["data_offsets"][0])
            for name, entry in entries.items()}
