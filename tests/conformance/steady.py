"""Import before torch: the same numbers from it on any CPU with AVX2. Its
kernels and their sums differ from one set of instructions to the next, and with
the number of threads."""

import os

os.environ.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2",
                  MKL_CBWR="COMPATIBLE", OMP_NUM_THREADS="1",
                  MKL_NUM_THREADS="1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
