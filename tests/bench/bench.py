"""`make bench`: figures that can be repeated, beside mergekit's and the
machine's own.

    bench.py [options] [SECTION...]

Sections, all of them without names, in this order: limits, kernels, sum, read,
export, load, start, touch, growth, methods. Sources are in the page cache, and
checked to be, unless a row says otherwise; every mount is fresh; every figure
is the median of the rounds, with the least and the greatest; contenders take
turns within a round, and a ratio is that of one round. Compare ratios, not
figures of two runs. build/bench/bench.json has every single figure, bench.md
the table.

The environment says the same as the options: BENCH_GB, BENCH_ROUNDS,
BENCH_HOLD, BENCH_METHODS, BENCH_QUICK=1; and BENCH_FOLDER where models are kept
and merges are written.
"""

import argparse
import os
import sys

import elements
import machine
import models
import peer
import reading
import recipes
import starting
import writing
from figures import Figures

SECTIONS = {
    "limits": reading.limits,
    "kernels": elements.kernels,
    "sum": reading.summed,
    "read": reading.read,
    "export": writing.export,
    "load": writing.load,
    "start": starting.start,
    "touch": starting.touch,
    "growth": reading.growth,
    "methods": elements.methods,
}
ROUNDS, QUICK_ROUNDS = 5, 1
GB, QUICK_GB = 2.0, 0.1
TUNES = 2


class Bench:
    """What the sections share."""

    def __init__(self, work, figures, options):
        self.work, self.figures = work, figures
        self.quick, self.gb = options.quick, options.gb
        self.methods = options.methods
        self.shape = models.llama_of(options.gb)
        self.base, *self.tunes = models.family(self.shape, TUNES)
        self.sources = models.files(self.tunes)
        self.all_sources = models.files([self.base, *self.tunes])

    def shape_text(self, shape):
        return f"models of {shape.bytes() / 1e9:.2f} GB in bfloat16, " \
               f"{machine.CORES} cores, sources in the page cache"

    def recipe(self, method):
        """Of the base and the fine-tunes, or as many as the method takes."""
        count = recipes.models_of(method, TUNES)
        folders = [*self.tunes, self.base][:count]
        return recipes.write(
            self.work.disk / f"{method}.json",
            recipes.recipe(method, self.base, folders))

    def limit(self, what, unit, measure):
        """A figure of the machine, or of the peer, alone."""
        self.figures.add("", unit, [], what,
                         [measure() for _ in range(self.figures.rounds)])

    def wanted(self, names):
        """Of some methods those that were asked for; all, if none was."""
        return [name for name in names
                if not self.methods or name in self.methods]

    def some(self, names):
        """Those, or for a quick look the first and the last but one."""
        return self.wanted((names[0], names[-2]) if self.quick else names)


def parse():
    env = os.environ.get
    quick = env("BENCH_QUICK", "") not in ("", "0")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--quick", action="store_true", default=quick,
                        help="tiny models, one round: a look, no figures")
    parser.add_argument("--gb", type=float, default=env("BENCH_GB"),
                        help=f"of a model, default {GB}, quick {QUICK_GB}")
    parser.add_argument("--rounds", type=int, default=env("BENCH_ROUNDS"),
                        help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument("--hold", default=env("BENCH_HOLD"), metavar="GIB",
                        help="memory to touch beforehand; auto (the default), "
                        "or 0\n(the default of a quick look)")
    parser.add_argument("--methods", default=env("BENCH_METHODS", ""),
                        metavar="NAMES", help="of export and methods, with "
                        "commas between them; all, if none is named")
    options = parser.parse_args()
    options.methods = [name for name in options.methods.split(",") if name]
    if options.gb is None:
        options.gb = QUICK_GB if options.quick else GB
    if options.rounds is None:
        options.rounds = QUICK_ROUNDS if options.quick else ROUNDS
    if options.hold is None:
        options.hold = "0" if options.quick else "auto"
    if options.rounds < 1 or not 0.05 <= options.gb <= 64:
        parser.error("at least one round, of models from 0.05 to 64 GB")
    for what, names, known in (
            ("section", options.sections, SECTIONS),
            ("method", options.methods, recipes.methods())):
        unknown = [name for name in names if name not in known]
        if unknown:
            parser.error(f"no {what} {unknown[0]}: {' '.join(known)}")
    return options


def run(work, options):
    described = machine.describe()
    print("".join(f"{name}: {value}\n" for name, value in described.items()))
    if options.quick:
        print("A quick look: tiny models, one round. These are no figures.")
    if described["busy_before"] > 0.1:
        print("Others use this machine: figures will be worse than they are, "
              "and ratios less sure.")
    figures = Figures(options.rounds, vars(options))
    path = machine.FOLDER / f"{'-'.join(options.sections) or 'bench'}.json"
    troubles = []
    try:
        bench = Bench(work, figures, options)
        for name in options.sections or SECTIONS:
            troubles += try_section(bench, name)
        described["busy_after"] = round(machine.busy(), 2)
        figures.complete = not troubles
    finally:
        figures.write(path, described)
        print(f"\n{path}", flush=True)
    if troubles:
        sys.exit("\n".join(troubles))


def try_section(bench, name):
    """What is in the way of one section is not in that of the next."""
    try:
        SECTIONS[name](bench)
    except machine.Trouble as trouble:
        print(f"\n{name}: {trouble}", flush=True)
        return [f"bench: {name}: {trouble}"]
    return []


def main():
    options = parse()
    peer.environment()
    try:
        with machine.Work() as work, machine.Hold(options.hold):
            run(work, options)
    except machine.Trouble as trouble:
        sys.exit(f"bench: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
