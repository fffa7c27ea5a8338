"""Print the table for some methods or all, and what differs in each case.

    python tests/conformance [METHOD...]
"""

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "clients"))

import steady # noqa: F401
from cases import METHODS, all_cases
from run import compare
from summary import exact_table, table


def main(methods):
    unknown = set(methods) - set(METHODS)
    if unknown:
        sys.exit(f"no such method: {', '.join(unknown)}")
    cases = [case for case in all_cases()
             if not methods or case.method in methods]
    with tempfile.TemporaryDirectory() as folder:
        found = compare(cases, Path(folder))
    print("\n".join(map(str, found.differences)), table(found.rows),
          exact_table(found.exact), sep="\n\n")


main(sys.argv[1:])
