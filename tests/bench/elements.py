"""Methods without FUSE: elements a second, reductions, bytes read for each byte
made, and mergekit's time for the same tensors."""

import json
import statistics
import subprocess
import sys

import machine
import models
import recipes

COUNTS = (2, 4, 8)
THREADS = sorted({1, machine.CORES})
UNCHANGED = ("passthrough",) # mergekit gives the very tensor back
MATRIX, SMALL_MATRIX = (4096, 14336), (512, 1792)


def kernels(bench):
    bench.figures.begin("kernels", "linear of two bfloat16 inputs in L2, one "
                        "core: loads, arithmetic, store, as stored in one pass "
                        "(bfloat16 alone) or by tiles")
    for each in machine.tool("kernels", bench.figures.rounds):
        bench.figures.add(f"level {each['level']}, {each['way']}",
                          "M elements/s", each["elements_per_s"])


class Peer:
    """mergekit in a process of its own, which is asked one question a line."""

    def __init__(self, rounds):
        self.process = subprocess.Popen(
            [sys.executable, str(machine.ROOT / "tests/bench/peer_tensors.py"),
             str(machine.CORES), str(rounds)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def seconds(self, recipe):
        """Of each round; [] for a method that it does not have."""
        self.process.stdin.write(json.dumps(recipe) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise machine.Trouble("mergekit's process has ended")
        return json.loads(line)


def measured(bench, path):
    """One line of methods.c for each number of threads."""
    lines = machine.tool("methods", ",".join(map(str, THREADS)),
                         bench.figures.rounds, path)
    return {line["threads"]: line for line in lines}


def middle(row, factor=1.0, digits=0):
    values = row.ours if row else []
    return f"{factor * statistics.median(values):.{digits}f}" if values else ""


def add_rows(bench, method, count, lines, peer_seconds):
    """One line of the table; in the JSON, a row a figure."""
    keep = bench.figures.keep
    what, cells = f"{method} of {count}", [method, str(count)]
    for threads, line in lines.items():
        cells.append(middle(keep(
            f"{what}, {threads} threads", "M elements/s",
            [line["elements"] / took for took in line["make_s"]]), 1e-6))
    for threads, line in lines.items():
        cells.append(middle(keep(
            f"{what}: reduction, {threads} threads", "ms",
            [1e3 * took for took in line["reduce_s"]])
            if line["state"] else None, 1, 1))
    line = lines[max(lines)]
    cells.append(middle(keep(
        f"{what}: read for a byte made", "bytes",
        [(line["reduce_read"] + line["make_read"]) / line["bytes"]]), 1, 2))
    row = keep(f"{what}: all of it, {max(lines)} threads", "s",
               [sum(pair) for pair in zip(line["reduce_s"], line["make_s"])],
               "mergekit's merge_tensors" if peer_seconds else "",
               peer_seconds)
    bench.figures.line([*cells, row.figure(row.ours), row.figure(row.theirs),
                        row.ratio()])


def methods(bench):
    shape = models.OneTensor(SMALL_MATRIX if bench.quick else MATRIX)
    rows, cols = shape.tensor_shape
    threads = [f"{count} thread{'s' * (count > 1)}" for count in THREADS]
    base, *tunes = models.family(shape, max(COUNTS))
    bench.figures.begin(
        "methods", f"one bfloat16 tensor of {rows} x {cols}, without FUSE, "
        "sources in the page cache; M elements/s after the reduction, which is "
        "in ms",
        ["method", "models", *threads,
         *(f"reduction, {each}" for each in threads), "bytes read a byte made",
         "all of it", "mergekit's merge_tensors, from memory", "ratio"])
    with Peer(bench.figures.rounds) as peer:
        for method in bench.wanted(recipes.methods()):
            for count in counts_of(bench, method):
                made = recipes.recipe(method, base, tunes[:count])
                path = recipes.write(bench.work.disk / "method.json", made)
                machine.warm(models.files([base, *tunes[:count]]))
                lines = measured(bench, path)
                add_rows(bench, method, count, lines, peer.seconds(made)
                         if method not in UNCHANGED else [])


def counts_of(bench, method):
    """Those of COUNTS that it takes, else the nearest one."""
    fitting = [count for count in COUNTS if recipes.takes(method, count)]
    fitting = fitting or [recipes.models_of(method, COUNTS[0])]
    return fitting[:1] if bench.quick else fitting
