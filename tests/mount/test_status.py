"""What a mount tells of itself: stats.json, metrics, errors, and `status`."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

from mounts import (DEADLINE, PROGRAM, clean_up, kill, make_model, mounted,
                    recipe, run, wait_until)

HALF = {"weight": 0.5, "density": 0.5}
LAMBDAS = [0.2, 0.4, 0.6]


@pytest.fixture
def folder(kit, tmp_path):
    """A folder of recipes: one of each method, a sweep, and a broken one."""
    top = tmp_path / "recipes"
    top.mkdir()
    recipe(top / "line.yml", "linear", [(kit.top / "a", {"weight": 0.5}),
                                        (kit.top / "b", {"weight": 0.5})])
    recipe(top / "sweep.yml", "ties", [(kit.top / "b", HALF)],
           base_model=str(kit.top / "a"),
           llmergefs={"sweep": {"parameters.lambda": LAMBDAS}})
    recipe(top / "bad.yml", "linear", [(kit.top / "none", {"weight": 1})])
    return top


def read_all(mount, *names):
    for name in names:
        (mount / name / "model.safetensors").read_bytes()


def live(mount, name):
    return (mount / ".llmergefs" / name).read_text()


def recipes_of(stats):
    return {entry["name"]: entry for entry in stats["recipes"]}


# --- stats.json ---------------------------------------------------------


def test_stats_tell_of_every_recipe_and_point(kit, folder, spot):
    with mounted(folder, spot) as mount:
        read_all(mount, "line", "sweep/lambda=0.4")
        stats = mount.stats()
        found = recipes_of(stats)
        assert list(found) == ["bad", "line", "sweep"]
        line, sweep, bad = found["line"], found["sweep"], found["bad"]
        size = (mount / "line/model.safetensors").stat().st_size
        assert line["bytes_served"] == size and line["reads"] > 0
        assert line["path"] == str(folder / "line.yml")
        assert line["generation"] == 1 and line["settings"] == 0
        assert line["tensors"] == 1 and line["bytes"] == 4 * 400_000
        assert line["error"] is None and "points" not in line
        assert re.fullmatch("[0-9a-f]{32}", line["hash"])
        assert "hash" not in sweep and sweep["tensors"] == 3
        assert {point["name"]: point["bytes_served"]
                for point in sweep["points"]} == {
            "lambda=0.2": 0, "lambda=0.4": size, "lambda=0.6": 0}
        assert bad["generation"] == 0 and "none" in bad["error"]
        assert stats["bytes_served"] == 2 * size
        assert stats["uptime_seconds"] > 0
        assert stats["memory"]["resident_bytes"] > 1_000_000
        assert stats["mountpoint"] == str(spot)


def test_stats_tell_what_each_method_did(folder, spot):
    with mounted(folder, spot) as mount:
        assert mount.stats()["methods"] == {}
        read_all(mount, "line", *(f"sweep/lambda={x}" for x in LAMBDAS))
        stats = mount.stats()
        assert set(stats["methods"]) == {"linear", "ties"}
        linear, ties = stats["methods"]["linear"], stats["methods"]["ties"]
        assert linear["bytes_merged"] >= 4 * 400_000
        assert linear["merge_seconds"] > 0 and linear["reductions"] == 0
        assert ties["bytes_merged"] >= 3 * 4 * 400_000
        assert ties["reductions"] == 1 and ties["reduce_seconds"] > 0
        assert stats["bytes_computed"] == \
            linear["bytes_merged"] + ties["bytes_merged"]


def test_stats_tell_what_is_shared(folder, spot):
    (folder / "line2.yml").write_text((folder / "line.yml").read_text())
    with mounted(folder, spot) as mount:
        shared = mount.stats()["shared"]
        assert shared["tensors"] == 5 and shared["distinct"] == 4
        assert shared["shared_tensors"] == 1
        assert shared["shared_bytes"] == 4 * 400_000
        assert shared["reductions"] == 3
        assert shared["distinct_reductions"] == 1
        assert shared["shared_reductions"] == 1


def test_stats_follow_what_is_switched_and_set(folder, spot):
    with mounted(folder, spot) as mount:
        assert run("switch", spot, "sweep/lambda=0.4").returncode == 0
        assert mount.stats()["current"] == "sweep/lambda=0.4"
        done = run("set", spot / "line", "models[0].parameters.weight=0.25")
        assert done.returncode == 0, done.stderr
        line = recipes_of(mount.stats())["line"]
        assert line["generation"] == 2 and line["settings"] == 1


def test_stats_count_readers_and_generations_that_are_open(folder, spot):
    with mounted(folder, spot) as mount:
        with open(mount / "line/model.safetensors", "rb") as file:
            file.read(1)
            assert mount.stats()["readers"] == {"files": 1, "processes": 1}
            run("set", spot / "line", "models[0].parameters.weight=0.25")
            assert mount.stats()["retired_generations"] == 1
            assert recipes_of(mount.stats())["line"]["bytes_served"] == 0
        wait_until(lambda: mount.stats()["readers"]["files"] == 0, "closed")


def test_tensors_that_are_not_finite_have_their_folder(tmp_path, spot):
    largest = b"\xff\xff\x7f\x7f"
    model = make_model(tmp_path / "big", {"x.weight": ("F32", [1], largest)})
    top = tmp_path / "recipes"
    top.mkdir()
    recipe(top / "both.yml", "linear", [(model, {"weight": 3})],
           parameters={"normalize": False}, llmergefs={
               "sweep": {"models[0].parameters.weight": [1, 3]}})
    recipe(top / "one.yml", "linear", [(model, {"weight": 3})],
           parameters={"normalize": False})
    with mounted(top, spot) as mount:
        read_all(mount, "one", "both/weight=1", "both/weight=3")
        assert mount.stats()["nonfinite_tensors"] == {
            "both/weight=3/x.weight": 1, "one/x.weight": 1}
        assert "2 numbers that are not finite" in run("status", spot).stdout


# --- metrics ------------------------------------------------------------

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def labels_of(text):
    labels = {}
    while text:
        match = LABEL.match(text)
        assert match, text
        assert match[1] not in labels, text
        labels[match[1]] = re.sub(r"\\.", lambda m: UNESCAPED[m[0]], match[2])
        text = text[match.end():]
    return labels


def parse_metrics(text):
    """Prometheus' text format 0.0.4, to the letter: {name: (type, samples)},
    samples being {labels: value}."""
    families, current = {}, None
    assert text.endswith("\n") and "\n\n" not in text
    lines = iter(text[:-1].split("\n"))
    for line in lines:
        if line.startswith("# HELP "):
            current, _, said = line[7:].partition(" ")
            assert said and current not in families, line
            kind = next(lines).split(" ")
            assert kind[:3] == ["#", "TYPE", current], line
            assert kind[3:] in (["counter"], ["gauge"]), line
            families[current] = (kind[3], {})
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert match[1] == current, f"outside its family: {line}"
        labels = labels_of((match[2] or "{}")[1:-1])
        key = tuple(sorted(labels.items()))
        samples = families[current][1]
        assert key not in samples, f"twice: {line}"
        samples[key] = float(match[3])
    return families


def value(families, name, **labels):
    _, samples = families["llmergefs_" + name]
    found = [number for key, number in samples.items()
             if set(labels.items()) <= set(key)]
    assert len(found) == 1, f"{name}{labels}: {samples}"
    return found[0]


def test_metrics_are_what_prometheus_reads(folder, tmp_path):
    point = tmp_path / 'a "mount" \\ here'
    (folder / 'q"uote\\.yml').write_text((folder / "line.yml").read_text())
    with mounted(folder, point) as mount:
        read_all(mount, "line", "sweep/lambda=0.4")
        families = parse_metrics(live(mount, "metrics"))
        stats = mount.stats()
        for name, (kind, samples) in families.items():
            assert name.startswith("llmergefs_") and samples
            assert name.endswith("_total") == (kind == "counter")
            for key in samples:
                assert dict(key)["mountpoint"] == str(point)
        assert value(families, "served_bytes_total") == stats["bytes_served"]
        assert value(families, "source_read_bytes_total") == \
            stats["source_bytes_read"]
        assert value(families, "recipe_served_bytes_total", recipe="line") == \
            recipes_of(stats)["line"]["bytes_served"]
        assert value(families, "recipe_up", recipe="line") == 1
        assert value(families, "recipe_up", recipe='q"uote\\') == 1
        assert value(families, "recipe_up", recipe="bad") == 0
        assert value(families, "reductions_made_total", method="ties") == 1
        assert value(families, "computed_bytes_total", method="slerp") == 0
        assert value(families, "cache_budget_bytes", tier="memory") == \
            stats["cache"]["memory_budget"]
        assert value(families, "build_info", version="0.1.0") == 1


def test_counters_never_fall(folder, spot):
    with mounted(folder, spot) as mount:
        before = parse_metrics(live(mount, "metrics"))
        for name in ("line", "sweep/lambda=0.2", "sweep/lambda=0.4"):
            read_all(mount, name)
            after = parse_metrics(live(mount, "metrics"))
            assert after.keys() == before.keys()
            for family, (kind, samples) in before.items():
                assert after[family][1].keys() == samples.keys()
                for key, number in samples.items():
                    if kind == "counter":
                        assert after[family][1][key] >= number, family
            before = after


def test_a_single_recipe_is_labelled_like_its_file(kit, spot):
    with mounted(kit.recipes["linear"], spot) as mount:
        families = parse_metrics(live(mount, "metrics"))
        assert value(families, "recipe_up", recipe="linear.json") == 1
        assert mount.stats()["recipes"][0]["name"] == ""
        assert live(mount, "errors") == ""


# --- errors -------------------------------------------------------------


def test_errors_come_and_go_with_the_recipes(folder, spot):
    with mounted(folder, spot) as mount:
        lines = live(mount, "errors").splitlines()
        assert lines and all(line.startswith("bad.yml: ") for line in lines)
        assert str(folder) not in live(mount, "errors")
        (folder / "bad.yml").unlink()
        wait_until(lambda: live(mount, "errors") == "", "no errors")
        (folder / "worse.yml").write_text("merge_method: [\n")
        wait_until(lambda: live(mount, "errors").startswith("worse.yml: "),
                   "the new one")


# --- status -------------------------------------------------------------


@contextlib.contextmanager
def watching(*argv, **options):
    process = subprocess.Popen([PROGRAM, "status", "--watch", *map(str, argv)],
                               text=True, stderr=subprocess.PIPE,
                               **{"stdout": subprocess.PIPE, **options})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_status_is_a_page_for_people(folder, spot):
    with mounted(folder, spot) as mount:
        read_all(mount, "line", "sweep/lambda=0.4")
        run("switch", spot, "line")
        done = run("status", spot / "sweep/..")
        assert done.returncode == 0 and done.stderr == ""
        lines = done.stdout.splitlines()
        assert lines[0] == str(spot)
        assert all(len(line) <= 80 for line in lines[1:]), done.stdout
        assert "current -> line" in lines
        for start in ("line ", "sweep ", "  lambda=0.4 ", "bad ", "served ",
                      "ties ", "linear ", "queue ", "shared ", "cache "):
            assert any(line.startswith(start) for line in lines), \
                f"{start}: {done.stdout}"
        assert "lambda=0.2" not in done.stdout


def test_status_of_a_folder_is_of_it_alone(folder, spot):
    with mounted(folder, spot):
        done = run("status", spot / "sweep")
        assert done.returncode == 0
        assert all(f"  lambda={x} " in done.stdout for x in LAMBDAS)
        assert "\nline " not in done.stdout


def test_status_json_is_the_daemons(folder, spot):
    with mounted(folder, spot) as mount:
        done = run("status", "--json", spot)
        told, stats = json.loads(done.stdout), mount.stats()
        assert done.returncode == 0 and told.keys() == stats.keys()
        assert told["recipes"] == stats["recipes"]


def test_watching_shows_the_rate_of_now(kit, spot):
    with mounted(kit.recipes["linear"], spot) as mount, \
            watching("--json", spot) as process:
        first = json.loads(process.stdout.readline())
        read_all(mount, ".")
        second = json.loads(process.stdout.readline())
        assert second["bytes_served"] > first["bytes_served"]
        assert second["uptime_seconds"] - first["uptime_seconds"] == \
            pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_ends_when_asked(kit, spot, number):
    with mounted(kit.recipes["linear"], spot), watching(spot) as process:
        assert process.stdout.readline() == f"{spot}\n"
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(DEADLINE) == 0
        assert time.monotonic() - begin < 0.9
        assert process.stderr.read() == ""


def test_watching_ends_with_the_mount(kit, spot):
    with mounted(kit.recipes["linear"], spot) as mount, \
            watching(spot) as process:
        process.stdout.readline()
        clean_up(spot, mount.process)
        assert process.wait(DEADLINE) == 0
        assert process.stderr.read() == f"llmergefs: {spot}: the mount is gone\n"


def test_watching_a_daemon_that_dies_fails(kit, spot):
    with mounted(kit.recipes["linear"], spot) as mount, \
            watching(spot) as process:
        process.stdout.readline()
        kill(mount.process.pid)
        assert process.wait(DEADLINE) == 1
        assert str(spot) in process.stderr.read()


def test_a_terminal_is_redrawn_and_never_scrolls(folder, spot):
    lines = 18
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                struct.pack("HHHH", lines, 80, 0, 0))
    with mounted(folder, spot), watching(spot, stdout=theirs) as process:
        os.close(theirs)
        seen = b""
        while seen.count(b"\x1b[H\x1b[J") < 3:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    os.close(ours)
    frames = seen.split(b"\x1b[H\x1b[J")
    assert frames[0] == b""
    for frame in frames[1:3]:
        assert frame.startswith(str(spot).encode())
        assert frame.count(b"\n") == lines - 1


def test_what_is_no_mount_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        done = run("status", path)
        assert done.returncode == 2
        assert str(path) in done.stderr
