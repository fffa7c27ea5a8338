"""What a client does: load a model from a folder, and run it once. Says how
long that took, imports left out, in a file."""

import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def main():
    begin = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1],
                                                 dtype=torch.bfloat16)
    with torch.inference_mode():
        logits = model(torch.arange(1, 17)[None]).logits
    if not torch.isfinite(logits).all():
        sys.exit("the model gives no finite numbers")
    Path(sys.argv[2]).write_text(str(time.perf_counter() - begin))


if __name__ == "__main__":
    main()
