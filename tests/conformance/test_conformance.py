"""llmergefs against the real mergekit: every method of it, in every type.

The figures are kept in summary.md and may not get worse. A run's own table and
its differences, tensor by tensor, are left in BUILD/conformance.
"""

import os
from pathlib import Path

import pytest

import summary
from cases import METHODS, all_cases
from notes import NOTES
from run import ARITHMETICS, DTYPES, compare

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT = ROOT / os.environ.get("BUILD", "build/release") / "conformance"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The table of this run."""
    rows, lines = compare(all_cases(), tmp_path_factory.mktemp("conformance"))
    whole = summary.text(rows, NOTES)
    LEFT.mkdir(parents=True, exist_ok=True)
    (LEFT / "summary.md").write_text(whole)
    (LEFT / "differences.txt").write_text("\n".join([*lines, ""]))
    if os.environ.get("CONFORMANCE") == "renew":
        summary.GOLDEN.write_text(whole)
    return rows


def test_every_method_is_compared_in_every_type_and_arithmetic(rows):
    assert set(rows) == {(method, dtype, arithmetic) for method in METHODS
                         for dtype in DTYPES for arithmetic in ARITHMETICS}


def test_nothing_is_farther_from_mergekit_than_the_summary_says(rows):
    said = summary.difference(rows, summary.read())
    assert not said, "\n".join([
        *said, f"tensor by tensor: {LEFT}/differences.txt; {summary.RENEW}"])
