"""`make demo`: merge two fine-tunes of a real model in a mount, and use it.

Makes the models (once), mounts configs/ties.yml, lets transformers load the
merged model from the mount, measures what the merge is good at, and compares
every tensor with the same merge made by mergekit.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
import transformers
import yaml
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

import models

ROOT = models.ROOT
PROGRAM = os.environ.get("LLMERGEFS", ROOT / "llmergefs")
RECIPE = Path("configs/ties.yml")
PROMPT = "Write one sentence about the sea."


def say(text=""):
    print(text, flush=True)


def shell(*words):
    """Run a command as a person would type it, and show it."""
    say(f"$ {' '.join(str(word) for word in words)}")
    subprocess.run([str(word) for word in words], cwd=ROOT, check=True)


def sentence(model, tokenizer):
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], add_generation_prompt=True,
        return_tensors="pt", return_dict=True)
    tokens = model.generate(**chat, max_new_tokens=48, do_sample=False)
    return tokenizer.decode(tokens[0, chat["input_ids"].shape[1]:],
                            skip_special_tokens=True)


def show_losses(folders, tokenizer):
    """The story of the merge: loss on text that no fine-tune has seen."""
    rows = {kind: models.windows(tokenizer, text())[1]
            for kind, text in models.KINDS.items()}
    say(f"{'loss a token on':24}{'Python':>8}{'C':>8}")
    losses = {}
    for name, folder in folders.items():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32).eval()
        losses[name] = [models.loss(model, part) for part in rows.values()]
        say(f"  {name:22}" + "".join(f"{x:8.3f}" for x in losses[name]))
    return losses


def by_mergekit(out):
    """The same recipe through mergekit's own code."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    text = (ROOT / RECIPE).read_text()
    config = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(config, str(out), MergeOptions(quiet=True), config_source=text)


def at_threshold(recipe, name):
    """The elements of a tensor whose magnitude, in the task vector of some
    model, is the least that survives: TIES leaves open which of them do."""
    with safe_open(ROOT / recipe["base_model"] / "model.safetensors",
                   "pt") as file:
        base = file.get_tensor(name).float()
    mask = torch.zeros(base.shape, dtype=torch.bool)
    for entry in recipe["models"]:
        with safe_open(ROOT / entry["model"] / "model.safetensors",
                       "pt") as file:
            delta = (file.get_tensor(name).float() - base).abs()
        kept = max(1, int(entry["parameters"]["density"] * delta.numel()))
        # The kept-th largest is the (numel - kept + 1)-th smallest.
        least = delta.flatten().kthvalue(delta.numel() - kept + 1).values
        mask |= delta == least
    return mask


def compare(mounted, peer):
    """(tensors, elements, different, different but for equal magnitudes)."""
    recipe = yaml.safe_load((ROOT / RECIPE).read_text())
    tensors = elements = different = unexplained = 0
    with safe_open(mounted / "model.safetensors", "pt") as ours, \
            safe_open(peer / "model.safetensors", "pt") as theirs:
        assert set(ours.keys()) == set(theirs.keys())
        for name in ours.keys():
            a, b = ours.get_tensor(name), theirs.get_tensor(name)
            assert a.dtype == b.dtype and a.shape == b.shape, name
            differ = a != b
            tensors += 1
            elements += a.numel()
            different += int(differ.sum())
            if differ.any():
                differ &= ~at_threshold(recipe, name)
                unexplained += int(differ.sum())
    return tensors, elements, different, unexplained


def unmount(mountpoint):
    subprocess.run(["fusermount3", "-u", str(mountpoint)], check=False)
    if os.path.ismount(mountpoint):
        subprocess.run(["fusermount3", "-uz", str(mountpoint)], check=False)


def use(mountpoint, folders):
    """All that is done with the mount."""
    shell("ls", "-l", mountpoint)
    start = time.time()
    tokenizer = AutoTokenizer.from_pretrained(mountpoint)
    model = AutoModelForCausalLM.from_pretrained(mountpoint)
    say(f"transformers has loaded {mountpoint.relative_to(ROOT)} "
        f"in {time.time() - start:.1f} s")
    say(f"> {PROMPT}\n{sentence(model, tokenizer)}\n")
    del model
    losses = show_losses({**folders, "the merge (mounted)": mountpoint},
                         tokenizer)

    say("\nthe same merge by mergekit ...")
    with tempfile.TemporaryDirectory(dir=models.FOLDER) as out:
        start = time.time()
        by_mergekit(out)
        say(f"mergekit took {time.time() - start:.1f} s")
        return losses, compare(mountpoint, Path(out))


def main():
    start = time.time()
    transformers.utils.logging.disable_progress_bar()
    folders = models.make(say)
    mountpoint = models.FOLDER / "merged"
    mountpoint.mkdir(exist_ok=True)
    shell(Path(PROGRAM), RECIPE, mountpoint.relative_to(ROOT))
    try:
        losses, figures = use(mountpoint, folders)
    finally:
        unmount(mountpoint)

    tensors, elements, different, unexplained = figures
    say(f"{tensors} tensors, {elements:,} elements: "
        f"{elements - different:,} are mergekit's to the bit; "
        f"{different:,} ({different / elements:.2%}) differ, "
        f"{different - unexplained:,} of them by the choice among equal "
        "magnitudes")
    base, merge = losses["base"], losses["the merge (mounted)"]
    better = all(m < b for m, b in zip(merge, base))
    good = better and not unexplained and not os.path.ismount(mountpoint)
    say(f"demo: {'done' if good else 'FAILED'} in {time.time() - start:.0f} s: "
        f"mounted, loaded, {'better' if better else 'NOT better'} than the "
        f"base on both kinds of text, {'' if not unexplained else 'NOT '}equal "
        "to mergekit's but for equal magnitudes, unmounted")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
