"""vLLM on a CPU: its environment, set before it is imported."""

import os
import sys
from pathlib import Path

os.environ.update({
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0", # several models, one after another
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    # bfloat16 code for newer CPUs dies of an illegal instruction on some
    # virtual ones.
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
})

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients"))
