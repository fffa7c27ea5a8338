"""mergekit's arithmetic in this process: one recipe a line on standard input,
one list of seconds a line on standard output; [] where it has no such method.

Tensors are in memory, and copied there before the clock runs: reading is not
counted for mergekit, though it is for us."""

import json
import sys
import time
from pathlib import Path

import torch
from safetensors import safe_open

THREADS, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
TENSOR = "model.layers.0.mlp.up_proj.weight"


def tensor_of(model):
    with safe_open(Path(model) / "model.safetensors", "pt") as file:
        return file.get_tensor(TENSOR).clone()


def arguments(recipe):
    """(tensors, index of the base or None, parameters) of a recipe."""
    names = [each["model"] for each in recipe["models"]]
    base = recipe.get("base_model")
    parameters = dict(recipe.get("parameters", {}))
    for name in recipe["models"][0].get("parameters", {}):
        parameters[name] = [each["parameters"][name]
                            for each in recipe["models"]]
    if base and base not in names:
        names.insert(0, base)
    return ([tensor_of(name) for name in names],
            names.index(base) if base else None, parameters)


def seconds(merge_tensors, recipe):
    tensors, base, parameters = arguments(recipe)
    found = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        merge_tensors(tensors, recipe["merge_method"], parameters=parameters,
                      base_index=base, dtype=torch.bfloat16)
        found.append(time.perf_counter() - begin)
    return found


def main():
    from mergekit.merge_methods import merge_tensors

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    merge_tensors([torch.ones(64, 64), torch.ones(64, 64)], "linear",
                  parameters={"weight": [0.5, 0.5]}) # starts its threads
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        recipe = json.loads(line)
        try:
            took = seconds(merge_tensors, recipe)
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            print(recipe["merge_method"], error)
            took = []
        print(json.dumps(took), file=answers, flush=True)


if __name__ == "__main__":
    main()
