"""What is waited for before the first byte: mounts of large models and of many,
the first byte of every method, and single pages after it."""

import machine
import models
import mounts
import recipes

MORE = 100 # recipes that are never read
PAGES = 2000
PAGE = 4096


def start(bench):
    figures = bench.figures
    figures.begin("start", "until the mount answers")
    huge = models.hollow(models.LLAMA_405B, 2)
    shards = len(models.files(huge[:1]))
    count = sum(1 for _ in models.LLAMA_405B.tensors())
    linear = recipes.write(bench.work.disk / "405b.json",
                           recipes.recipe("linear", None, huge))
    for title, recipe in (
            (f"two models of {bench.shape.bytes() / 1e9:.1f} GB",
             bench.recipe("linear")),
            (f"two headers the size of 405B ({count} tensors, {shards} shards "
             "each)", linear)):
        figures.compare({"llmergefs": lambda: started(bench, recipe)}, {
            "ms": (f"mount, {title}", "ms"),
            "rss": ("the daemon's memory after it", "MiB"),
            "anon": ("of that, its own", "MiB")})
    many(bench)


def started(bench, *recipe):
    with mounts.Mount(bench.work, *recipe, "--cache=off") as mount:
        return {"ms": 1e3 * mount.start["run_s"], **mount.memory()}


def many(bench):
    """A folder of recipes over models of their own, of which one is read."""
    more = 10 if bench.quick else MORE
    base, *others = models.hollow(models.LLAMA_8B, more + 2)
    folders = []
    for count in (1, more + 1):
        folder = bench.work.fresh(f"recipes{count}")
        folder.mkdir()
        for i, model in enumerate(others[:count]):
            recipes.write(folder / f"r{i:03d}.json", recipes.recipe(
                "linear", None, (base, model)))
        folders.append(folder)
    took = [[started(bench, folder) for folder in folders]
            for _ in range(bench.figures.rounds)]
    for metric, what, unit in (("ms", "time of the mount", "ms"),
                               ("rss", "memory", "KiB"),
                               ("anon", "memory, the daemon's own", "KiB")):
        bench.figures.add(
            f"each of {more} more 8B models in a folder, never read: {what}",
            unit, [(all_of[metric] - one[metric]) / more
                   for one, all_of in took])


def cold_tensor(bench, recipe):
    """(offset, bytes) of a great tensor in the middle of the merged file."""
    with mounts.Mount(bench.work, recipe, "--cache=off") as mount:
        found = models.read_header(mount.weights)
    name = f"model.layers.{bench.shape.layers // 2}.mlp.up_proj.weight"
    return found[name]


def touched(bench, recipe, off):
    machine.warm(bench.all_sources)
    with mounts.Mount(bench.work, recipe, "--cache-dir",
                      bench.work.fresh("cache")) as mount:
        return machine.tool("reader", "first", mount.weights, off, PAGE)[0]


def touch(bench):
    figures = bench.figures
    hidden, wide = bench.shape.hidden, bench.shape.intermediate
    figures.begin("touch", f"the first 4 KiB of a cold tensor of {wide} x "
                  f"{hidden}, its reduction included")
    opens = []
    for method in recipes.methods():
        recipe = bench.recipe(method)
        off, size = cold_tensor(bench, recipe)
        took = figures.compare(
            {"llmergefs": lambda: touched(bench, recipe,
                                          (off + size // 2) // PAGE * PAGE)},
            {"first_ms": (method, "ms")})
        opens += [each["open_ms"] for each in took["llmergefs"]]
    figures.add("the first open, of all methods", "ms", opens)
    scattered(bench)


def scattered(bench):
    """Single pages, anywhere in a tensor whose reduction is made."""
    recipe = bench.recipe("ties")
    off, size = cold_tensor(bench, recipe)

    def pages(mount):
        return machine.tool("reader", "random", mount.weights, off,
                            size // PAGE * PAGE,
                            min(PAGES, size // PAGE // 2))[0]

    def ours():
        machine.warm(bench.all_sources)
        with mounts.Mount(bench.work, recipe, "--cache-dir",
                          bench.work.fresh("cache")) as mount:
            machine.tool("reader", "first", mount.weights, off + size - PAGE,
                         PAGE)
            return pages(mount)

    def nothing():
        with mounts.Plain(bench.work, "hot", bench.sources[:1]) as mount:
            return pages(mount)

    bench.figures.compare(
        {"llmergefs": ours, "a FUSE that does nothing": nothing},
        {"median_us": ("4 KiB of a cold ties tensor after its reduction", "us",
                       "median of a round"),
         "p99_us": ("the same", "us", "the slowest of a hundred")})


