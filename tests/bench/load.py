"""What a client does: load a model from a folder, and run it once."""

import sys

import torch
from transformers import AutoModelForCausalLM


def main():
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1],
                                                 dtype=torch.bfloat16)
    with torch.inference_mode():
        logits = model(torch.arange(1, 17)[None]).logits
    if not torch.isfinite(logits).all():
        sys.exit("the model gives no finite numbers")


if __name__ == "__main__":
    main()
