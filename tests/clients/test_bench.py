"""The benchmark runs: what it prints is for people, so only that it is whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

from support import ROOT

BUILD = Path(os.environ.get("BUILD", "build/release"))
SECTIONS = ["sum", "read"] # the shortest that use every kind of contender


def test_a_quick_look_gives_every_row_and_leaves_nothing_behind(tmp_path):
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests/bench/bench.py"), "--quick",
         "--gb", "0.05", *SECTIONS], text=True, capture_output=True,
        timeout=300, env={**os.environ, "BENCH_FOLDER": str(tmp_path),
                          "BENCH_PROGRAMS": str(ROOT / BUILD / "tests/bench")})
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "sum-read.json").read_text())
    rows = found["rows"]
    assert found["complete"]
    assert {row["section"] for row in rows} == set(SECTIONS)
    assert all(value > 0 for row in rows
               for value in row["ours"] + row["theirs"] + row["ratios"])
    reads = [row for row in rows if row["what"].startswith("first read")]
    assert len(reads) == 12, reads # three ways, four contenders
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "models", "sum-read.json", "sum-read.md"]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
