"""Reads: of a merge through the mount, of its sources through a FUSE without
arithmetic, of a FUSE that does nothing, of the plain file; and how reads grow
with the number of sources and of readers."""

import importlib.util
import statistics

import machine
import models
import mounts
import recipes

WAYS = (("map", 1, "mapped, a touch a page, one reader"),
        ("map", 4, "mapped, a touch a page, four readers"),
        ("read", 1, "preads of 1 MiB, one reader"))
SOURCES, READERS = (2, 4, 8, 16), (1, 2, 4, 8)
MEMCPY_MIB = 256


def memcpy(threads):
    gbps = machine.tool("limits", threads, MEMCPY_MIB)[0]["gbps"]
    return {"gbps": 1e9 * gbps}


def dd(bench, source, folder):
    target = folder / "copy"
    size = source.stat().st_size
    machine.need_room(folder, size, "a copy")
    machine.warm([source])
    try:
        took = machine.timed(["dd", f"if={source}", f"of={target}", "bs=1M",
                              "conv=fsync"], bench.work.log())
    finally:
        target.unlink(missing_ok=True)
    return size / took["run_s"] / 1e9


def limits(bench):
    bench.figures.begin("limits", "what the machine gives")
    for threads in sorted({1, machine.CORES}):
        bench.limit("memcpy, bytes in and out, threads: "
                    f"{threads}", "GB/s",
                    lambda: memcpy(threads)["gbps"] / 1e9)
    for name, folder in (("disk", bench.work.disk),
                         ("tmpfs", bench.work.tmpfs)):
        bench.limit(f"dd of the model to {name}, fsync at the end", "GB/s",
                    lambda: dd(bench, bench.sources[0], folder))


class Reads:
    """One way of reading, by every contender: first from a fresh mount, then
    once more."""

    def __init__(self, bench, way, processes, recipe, copy):
        self.bench, self.way, self.processes = bench, way, processes
        self.recipe, self.copy = recipe, copy

    def twice(self, path):
        return [mounts.read(self.way, self.processes, path) for _ in "12"]

    def merged(self):
        machine.warm(self.bench.sources)
        with mounts.Mount(self.bench.work, self.recipe, "--cache=off") as mount:
            cold, warm = self.twice(mount.weights)
            return {"cold": cold, "warm": warm, **mount.memory()}

    def finished(self, options):
        with mounts.Mount(self.bench.work, self.recipe, *options) as mount:
            cold, warm = self.twice(mount.weights)
        return {"cold": cold, "warm": warm}

    def through_fuse(self, how, files):
        machine.warm(files)
        with mounts.Plain(self.bench.work, how, files) as mount:
            return self.twice(mount.weights)

    def without_arithmetic(self):
        return {"cold": self.through_fuse("sources", self.bench.sources)[0]}

    def nothing(self):
        return {"cold": self.through_fuse("hot", self.bench.sources[:1])[0]}

    def copy_through_fuse(self):
        cold, warm = self.through_fuse("sources", [self.copy])
        return {"cold": cold, "warm": warm}

    def plain(self):
        machine.drop([self.copy])
        cold, warm = self.twice(self.copy)
        return {"cold": cold, "warm": warm}


def read(bench):
    figures = bench.figures
    figures.begin("read", "a linear merge of two bfloat16 models")
    recipe = bench.recipe("linear")
    copy = bench.work.fresh("materialised")
    machine.need_room(bench.work.disk, bench.shape.bytes(), "an export")
    machine.timed([machine.PROGRAM, "export", "-q", recipe, copy],
                  bench.work.log())
    weights = copy / mounts.WEIGHTS
    peak = []
    for way, processes, title in WAYS:
        reads = Reads(bench, way, processes, recipe, weights)
        took = figures.compare({
            "llmergefs": reads.merged,
            "a FUSE that reads the same sources": reads.without_arithmetic,
            "a FUSE that does nothing": reads.nothing,
            "the written model through a FUSE": reads.copy_through_fuse,
            "the written model, a plain file, first from the disk":
                reads.plain,
        }, {"cold": (f"first read, {title}", "GB/s"),
            "warm": (f"second read, {title}", "GB/s")})
        peak += [each["peak"] for each in took["llmergefs"]]
    figures.add("the daemon's memory, at most, over those", "MiB", peak)
    read_finished(bench, recipe, weights)
    bench.work.fresh("materialised")


def read_finished(bench, recipe, copy):
    """Of a finished file that is kept: the kernel reads it."""
    folder = bench.work.fresh("kept")
    machine.need_room(bench.work.disk, bench.shape.bytes(), "a finished file")
    options = ["--cache-shards", "--cache-dir", folder,
               f"--cache-disk={2 * bench.shape.bytes()}"]
    with mounts.Mount(bench.work, recipe, *options) as mount:
        machine.timed([machine.PROGRAM, "warm", "--all", mount.path],
                      bench.work.log())
    for way, processes, title in WAYS:
        reads = Reads(bench, way, processes, recipe, copy)
        bench.figures.compare({
            "llmergefs, a finished file of its cache":
                lambda reads=reads: reads.finished(options),
            "the written model, a plain file": reads.plain,
        }, {"warm": (f"second read, {title}", "GB/s")})
    bench.work.fresh("kept")


def summed(bench):
    """Without FUSE and without a disk: the engine, and XXH3 of its result."""
    bench.figures.begin("sum", "a linear merge, neither read nor written")
    recipe = bench.recipe("linear")
    moved = 3 * bench.shape.bytes()

    def ours():
        machine.warm(bench.sources)
        took = machine.timed([machine.PROGRAM, "sum", "-q", "--cache=off",
                              recipe], bench.work.log())
        return {"gbps": moved / took["run_s"] / 1e9}

    def copying():
        return {"gbps": memcpy(machine.CORES)["gbps"] / 1e9}

    bench.figures.compare(
        {"llmergefs": ours, f"memcpy, {machine.CORES} threads": copying},
        {"gbps": ("bytes in and out a second", "GB/s")})


def grown(bench, recipe, files, processes):
    """GB/s of results: merged, and read without arithmetic."""
    machine.warm(files)
    with mounts.Mount(bench.work, recipe, "--cache=off") as mount:
        merged = mounts.read("map", processes, mount.weights)
    with mounts.Plain(bench.work, "sources", files) as mount:
        return {"merged": merged,
                "plain": mounts.read("map", processes, mount.weights)}


def growth(bench):
    figures = bench.figures
    figures.begin("growth", "a linear merge of more models, by more readers")
    shape = models.llama_of(bench.gb / 4)
    tunes = models.family(shape, max(SOURCES))[1:]
    points = {}
    for count in SOURCES:
        recipe = recipes.write(bench.work.disk / f"grow{count}.json",
                               recipes.recipe("linear", None, tunes[:count]))
        for readers in READERS:
            took = [grown(bench, recipe, models.files(tunes[:count]), readers)
                    for _ in range(figures.rounds)]
            points[count, readers] = figures.add(
                f"{count} models, {readers_text(readers)}", "GB/s",
                [each["merged"] for each in took],
                "a FUSE that reads the same sources",
                [each["plain"] for each in took])
    path = machine.FOLDER / "growth.svg"
    path.write_text(draw(points, bench.shape_text(shape)))
    print(f"\n{path}")


def readers_text(readers):
    return f"{readers} reader{'s' * (readers > 1)}"


def demo_plot():
    path = machine.ROOT / "tests/demo/plot.py"
    spec = importlib.util.spec_from_file_location("demo_plot", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw(points, below):
    """points: {(sources, readers): row}. The text of an SVG: one line for a
    number of readers, solid for the merge, dashed without arithmetic."""
    plots = demo_plot()
    curves = {readers: [(count, row) for (count, these), row in points.items()
                        if these == readers] for readers in READERS}
    middles = {(readers, name): [(count, statistics.median(getattr(row, name)))
                                 for count, row in curve]
               for readers, curve in curves.items()
               for name in ("ours", "theirs")}
    plot = plots.Plot([(x, y) for line in middles.values() for x, y in line] +
                      [(0, 0)])
    plot.axes("First read of a linear merge, mapped", below,
              ("source models", "GB/s of merged weights"))
    names = [readers_text(readers) for readers in READERS]
    for (readers, name), line in middles.items():
        colour, kind = plots.STYLES[READERS.index(readers)]
        path = "L".join("{:.1f} {:.1f}".format(*plot.at(point))
                        for point in line)
        dash = ' stroke-dasharray="5 4" opacity="0.6"' \
            if name == "theirs" else ""
        plot.add(f'<path d="M{path}" fill="none" stroke="{colour}" '
                 f'stroke-width="1.8"{dash}/>')
        for point in line if name == "ours" else ():
            plot.mark(kind, point, 5, fill=colour, stroke="white")
    plot.legend(names, "dashed: no arithmetic")
    return plot.svg()
