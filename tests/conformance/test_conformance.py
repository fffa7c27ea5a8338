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

# With `arithmetic: mergekit` and `rng: mt19937` equal to the byte, but for
# elements at a tie. In float32 what is rescaled hangs on the order in which
# torch sums a tensor.
ALWAYS = {"linear", "passthrough", "task_arithmetic", "nearswap", "ram",
          "ramplus_tl"}
IN_16_BITS = ALWAYS | {"ties", "breadcrumbs", "breadcrumbs_ties"}
IN_BFLOAT16 = IN_16_BITS | {"dare_linear", "dare_ties", "della_linear",
                            "della"}
TO_THE_BYTE = {"float32": ALWAYS, "float16": IN_16_BITS,
               "bfloat16": IN_BFLOAT16}

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT = ROOT / os.environ.get("BUILD", "build/release") / "conformance"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The figures of this run."""
    found = compare(all_cases(), tmp_path_factory.mktemp("conformance"))
    whole = summary.text(found.rows, found.exact, NOTES)
    LEFT.mkdir(parents=True, exist_ok=True)
    (LEFT / "summary.md").write_text(whole)
    (LEFT / "differences.txt").write_text(
        "".join(f"{each}\n" for each in found.differences))
    if os.environ.get("CONFORMANCE") == "renew":
        summary.GOLDEN.write_text(whole)
    return found


def test_every_method_is_compared_in_every_type_and_arithmetic(found):
    assert set(found.rows) == {
        (method, dtype, arithmetic) for method in METHODS
        for dtype in DTYPES for arithmetic in ARITHMETICS}


def test_nothing_is_farther_from_mergekit_than_the_summary_says(found):
    said = summary.difference(found.rows, summary.read())
    assert not said, "\n".join([
        *said, f"tensor by tensor: {LEFT}/differences.txt; {summary.RENEW}"])


def test_what_is_promised_to_the_byte_is_equal_to_the_byte(found):
    missed = [each for each in found.differences
              if each.arithmetic == "mergekit" and
              each.case.method in TO_THE_BYTE[each.dtype]]
    assert not missed, "\n".join(map(str, missed))


def test_sce_differs_in_16_bits_only_in_tensors_with_a_tie(found):
    """What a tie decides enters the means that are the models' weights."""
    missed = [each for each in found.differences
              if each.arithmetic == "mergekit" and not each.open and
              each.case.method == "sce" and each.dtype != "float32"]
    assert not missed, "\n".join(map(str, missed))


def test_rounding_once_is_nearer_the_exact_result_than_mergekit(found):
    """What is correctly rounded, of all that mergekit rounds step by step."""
    for (method, dtype), row in found.exact.items():
        assert row.ours.rounded >= row.theirs.rounded, (method, dtype)
        assert row.ours.ulps <= row.theirs.ulps, (method, dtype)
        assert dtype != "bfloat16" or \
            row.ours.rounded > 0.999 * row.elements, method
