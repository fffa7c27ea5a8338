"""Merges that are written, and merges that are loaded: beside mergekit."""

import sys

import machine
import mounts
import peer

EXPORTS = ("linear", "slerp", "task_arithmetic", "model_stock", "dare_ties",
           "ties", "della")
LOADS = ("linear", "ties")
PEER = "mergekit-yaml"


def exported(bench, recipe, folder):
    """`export` syncs what it writes before it gives it its name; what is left
    to sync after it counts, too, as it does for mergekit."""
    return machine.timed(
        [machine.PROGRAM, "export", "-q", "--cache-dir",
         bench.work.fresh("cache"), recipe, folder], bench.work.log(), folder)


def merged_into(bench, where, make):
    """What making the model in a folder that did not exist takes."""
    folder = bench.work.fresh("out", where)
    machine.need_room(where, bench.shape.bytes(), "a merged model")
    machine.warm(bench.all_sources)
    try:
        return make(folder)
    finally:
        bench.work.fresh("out", where)


def export(bench):
    figures = bench.figures
    figures.begin("export", "a merge written (export syncs before its rename, "
                  "mergekit's files are synced after it), beside mergekit-yaml "
                  "--lazy-unpickle with all its threads")
    bench.limit("mergekit-yaml --help: its imports alone", "s",
                lambda: peer.start(bench.work)["run_s"])
    for method in bench.some(EXPORTS):
        recipe = bench.recipe(method)
        for name, where in (("tmpfs", bench.work.tmpfs),
                            ("disk", bench.work.disk)):
            metrics = {"seconds": (f"{method}, to {name}", "s")}
            if name == "tmpfs":
                metrics["rss"] = (f"{method}, memory", "MiB",
                                  "at most, mapped files included")
                metrics["anon"] = (f"{method}, memory", "MiB",
                                   "at most, its own")
            figures.compare({
                "llmergefs": lambda: merged_into(
                    bench, where,
                    lambda folder: exported(bench, recipe, folder)),
                PEER: lambda: merged_into(
                    bench, where,
                    lambda folder: peer.merge(bench.work, recipe, folder)),
            }, metrics)


def loaded(bench, folder, before):
    """Seconds in all, after `before` of them, and those of loading alone."""
    said = bench.work.disk / "loaded"
    took = machine.timed([sys.executable, machine.ROOT / "tests/bench/load.py",
                          folder, said], bench.work.log())
    return {"seconds": before + took["run_s"],
            "load": float(said.read_text())}


def mounted_and_loaded(bench, recipe):
    machine.warm(bench.all_sources)
    with mounts.Mount(bench.work, recipe, "--cache-dir",
                      bench.work.fresh("cache")) as mount:
        return loaded(bench, mount.path, mount.start["run_s"])


def merged_and_loaded(bench, recipe):
    def make(folder):
        took = machine.timed(peer.argv(recipe, folder), bench.work.log())
        return loaded(bench, folder, took["run_s"])

    return merged_into(bench, bench.work.disk, make)


def load(bench):
    figures = bench.figures
    figures.begin("load", "from a recipe to a loaded model: mount, or merge to "
                  "the disk without a sync; then from_pretrained and one "
                  "forward")
    for method in LOADS:
        recipe = bench.recipe(method)
        figures.compare({
            "llmergefs": lambda: mounted_and_loaded(bench, recipe),
            PEER: lambda: merged_and_loaded(bench, recipe),
        }, {"seconds": (f"{method}, all of it", "s"),
            "load": (f"{method}: loading and forward, imports left out", "s")})
