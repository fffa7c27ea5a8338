"""The same numbers from torch on any CPU with AVX2: its kernels and their sums
differ from one set of instructions to the next, and with the threads."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent),
                str(Path(__file__).parent.parent / "clients")]

import steady # noqa: F401
