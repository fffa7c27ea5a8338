"""`make demo-ab`: try two dozen merges of a real model in one mount.

Mounts configs/sweep.yml, whose points are folders; this one process loads each
with transformers and measures its loss on two kinds of text. Then a table, a
plot (build/demo/ab.svg), the best point, and what the same costs with mergekit.
"""

import json
import os
import shutil
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
from transformers import AutoModelForCausalLM, AutoTokenizer

import models
import plot

ROOT = models.ROOT
PROGRAM = os.environ.get("LLMERGEFS", ROOT / "llmergefs")
RECIPE = Path("configs/sweep.yml")
MOUNT = Path("build/demo/ab")
CACHE = Path("build/demo/ab.cache")
PLOT = Path("build/demo/ab.svg")
TITLES = {"python": "Python", "c": "C"}
PEERS = 1 # points of each method that mergekit makes, too; any lambda costs it
          # the same
WHY_APART = {"ties": " (equal magnitudes)", "dare_linear": " (other masks)",
             "dare_ties": " (other masks)"}


def say(text="", end="\n"):
    print(text, end=end, flush=True)


def name_of(recipe):
    """(method, lambda): what this sweep's points differ in."""
    return recipe["merge_method"], recipe["parameters"]["lambda"]


class Meter:
    """The loss of a folder on text that no fine-tune has seen."""

    def __init__(self, base):
        tokenizer = AutoTokenizer.from_pretrained(base)
        self.rows = {kind: models.windows(tokenizer, text())[1]
                     for kind, text in models.KINDS.items()}

    def __call__(self, folder):
        """(losses, seconds of loading and measuring)"""
        start = time.time()
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32).eval()
        losses = tuple(models.loss(model, rows) for rows in self.rows.values())
        return losses, time.time() - start


def mount():
    """The points of the sweep, from the mount's index: {(method, lambda):
    {"name", "hash", "recipe"}}, and the seconds until they could be read."""
    shutil.rmtree(ROOT / CACHE, ignore_errors=True)
    (ROOT / MOUNT).mkdir(parents=True, exist_ok=True)
    words = [PROGRAM, "--cache-dir", CACHE, RECIPE, MOUNT]
    say(f"$ ./llmergefs {RECIPE} {MOUNT}")
    start = time.time()
    subprocess.run([str(word) for word in words], cwd=ROOT, check=True)
    points = json.loads((ROOT / MOUNT / "index.json").read_text())["points"]
    missing = [point["name"] for point in points
               if not (ROOT / MOUNT / point["name"] / "config.json").exists()]
    assert not missing, missing
    return {name_of(point["recipe"]): point for point in points}, \
        time.time() - start


def unmount():
    if os.path.ismount(ROOT / MOUNT):
        subprocess.run(["fusermount3", "-u", str(ROOT / MOUNT)], check=False)
    if os.path.ismount(ROOT / MOUNT):
        subprocess.run(["fusermount3", "-uz", str(ROOT / MOUNT)], check=False)


def go_through(points, meter):
    """({point: losses}, {point: seconds}), a line a method."""
    losses, seconds, method = {}, {}, None
    for point, entry in points.items():
        if point[0] != method:
            method = point[0]
            say(f"\n{method:16} lambda", end="")
        losses[point], seconds[point] = meter(ROOT / MOUNT / entry["name"])
        say(f" {point[1]:g}", end="")
    say(f"\n{len(losses)} models measured in {sum(seconds.values()):.0f} s")
    return losses, seconds


def by_mergekit(recipe, meter):
    """(losses, seconds of the merge, seconds of loading and measuring)"""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    config = MergeConfiguration.model_validate(recipe)
    with tempfile.TemporaryDirectory(dir=models.FOLDER) as out:
        start = time.time()
        run_merge(config, out, MergeOptions(quiet=True),
                  config_source=yaml.safe_dump(recipe))
        merge = time.time() - start
        losses, measure = meter(out)
    return losses, merge, measure


def ask_mergekit(points, losses, meter):
    """A point or more of each method, by mergekit: [(merge s, measure s)]."""
    methods = {}
    for point in points:
        methods.setdefault(point[0], []).append(point)
    chosen = [point for each in methods.values()
              for point in each[len(each) // 2:][:PEERS]]
    say(f"\nthe same by mergekit, {len(chosen)} of the {len(points)}:")
    seconds = []
    for point in chosen:
        theirs, *times = by_mergekit(points[point]["recipe"], meter)
        seconds.append(times)
        apart = max(abs(a - b) for a, b in zip(losses[point], theirs))
        say(f"  {point[0]:16} {point[1]:<4g} merged in {times[0]:5.1f} s; its "
            f"losses differ by {apart:.4f}"
            + WHY_APART.get(point[0], ""))
    return seconds


def relative(losses, base):
    """The mean of the losses, as parts of the base's."""
    return sum(a / b for a, b in zip(losses, base)) / len(base)


def table(references, losses):
    base = references["base"]
    rows = [(f"{method}, lambda {value:g}", each)
            for (method, value), each in losses.items()]
    rows += [(f"({name})", each) for name, each in references.items()]
    rows.sort(key=lambda row: relative(row[1], base))
    titles = "".join(f"{TITLES[kind]:>9}" for kind in models.KINDS)
    say(f"\n{'loss a token on':30}{titles}{'mean, of the base':>20}")
    for name, each in rows:
        say(f"  {name:28}" + "".join(f"{x:9.3f}" for x in each)
            + f"{relative(each, base):20.1%}")


def draw(references, losses, best):
    curves = {}
    for (method, value), each in losses.items():
        curves.setdefault(method, []).append((value, each))
    named = {"base": "base", **{kind: f"fine-tune on {TITLES[kind]}"
                                for kind in models.KINDS}}
    text = plot.draw(
        {named[name]: each for name, each in references.items()}, curves, best,
        f"{len(losses)} merges of SmolLM2-135M's two fine-tunes, in one mount",
        "nearer to the lower left corner is better",
        [f"loss on {TITLES[kind]} text, nats a token" for kind in models.KINDS])
    (ROOT / PLOT).write_text(text)
    say(f"plot: {PLOT}")


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*")
               if path.is_file())


def costs(ours, peer, count, mounted):
    """What a point costs here and there: seconds, and bytes on the disk."""
    stats = json.loads((ROOT / MOUNT / ".llmergefs/stats.json").read_text())
    shared = stats["shared"]
    merge, measure = (sum(column) / len(peer) for column in zip(*peer))
    weights = size_of(models.FOLDER / "base")
    mine = sum(ours) / len(ours)
    rows = [("making it", f"{mounted / count * 1000:.0f} ms (mount)",
             f"{merge:.1f} s"),
            ("loading it, and both losses", f"{mine:.1f} s",
             f"{measure:.1f} s"),
            ("in all", f"{mine + mounted / count:.1f} s",
             f"{merge + measure:.1f} s"),
            ("disk", f"{size_of(ROOT / CACHE) / count / 1e3:.0f} kB",
             f"{weights / 1e3:,.0f} kB")]
    say(f"\n{'a point costs':30}{'llmergefs':>16}{'mergekit':>16}")
    for row in rows:
        say("  {:28}{:>16}{:>16}".format(*row))
    say(f"{stats['reductions_made']} reductions were made, "
        f"{shared['reductions']} would have been without sharing")
    return mine + mounted / count, merge + measure


def main():
    start = time.time()
    transformers.utils.logging.disable_progress_bar()
    folders = models.make(say)
    meter = Meter(folders["base"])
    references = {name: meter(folder)[0] for name, folder in folders.items()}
    unmount()
    points, mounted = mount()
    try:
        say(f"{len(points)} folders in {mounted * 1000:.0f} ms, the first is "
            f"{next(iter(points.values()))['name']}", end="")
        losses, seconds = go_through(points, meter)
        table(references, losses)
        best = min(losses, key=lambda point: relative(losses[point],
                                                      references["base"]))
        draw(references, losses, best)
        peer = ask_mergekit(points, losses, meter)
        ours, theirs = costs(seconds.values(), peer, len(points), mounted)
    finally:
        unmount()
    good = not os.path.ismount(ROOT / MOUNT) and \
        relative(losses[best], references["base"]) < 1
    say(f"\nbest: {points[best]['name']}: "
        f"{1 - relative(losses[best], references['base']):.1%} below the base "
        "on the mean of both texts")
    say(f"demo-ab: {'done' if good else 'FAILED'} in {time.time() - start:.0f} "
        f"s: {len(points)} merges in one mount, {ours:.1f} s each where "
        f"mergekit takes {theirs:.1f} s; best {points[best]['name']}; "
        f"{PLOT}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
