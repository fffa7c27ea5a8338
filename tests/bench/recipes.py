"""A recipe of every method, from the methods' own tables: JSON, which is YAML,
so that mergekit takes the same file."""

import functools
import json
import subprocess

import machine

# Values where a method's default would leave nothing to do, or there is none.
VALUES = {"weight": 0.5, "t": 0.4, "density": 0.5, "select_topk": 0.5}


@functools.cache
def methods():
    """{name: its table}, in the order of the program."""
    run = subprocess.run([machine.PROGRAM, "methods", "--json"], text=True,
                         capture_output=True, check=True)
    return {method["name"]: method
            for method in json.loads(run.stdout)["methods"]}


def value_of(option):
    if option["name"] in VALUES:
        return VALUES[option["name"]]
    if not option["required"]:
        return None
    low, high = option["min"], option["max"]
    return 0.5 if low is None or high is None else (low + high) / 2


def values(method, scope):
    found = {option["name"]: value_of(option)
             for option in methods()[method]["options"]
             if option["scope"] == scope}
    return {name: value for name, value in found.items() if value is not None}


def counts(method):
    """(least, most) models beside a base; most: None for any number."""
    table = methods()[method]
    return table["models_min"], table["models_max"]


def takes(method, count):
    least, most = counts(method)
    return least <= count and (most is None or count <= most)


def models_of(method, count):
    """The number of models next to `count` that the method takes."""
    least, most = counts(method)
    return min(max(count, least), most if most is not None else count)


def needs_base(method):
    return methods()[method]["base_model"] == "required"


def recipe(method, base, models):
    """models: as many folders as the method is given beside its base."""
    each = values(method, "model")
    made = {"merge_method": method, "dtype": "bfloat16", "models": [
        {"model": str(model), **({"parameters": each} if each else {})}
        for model in models]}
    if needs_base(method):
        made["base_model"] = str(base)
    if values(method, "global"):
        made["parameters"] = values(method, "global")
    if method == "slerp": # mergekit wants its base among the models
        made["models"].insert(0, {"model": str(base)})
    return made


def write(path, made):
    path.write_text(json.dumps(made, indent=1))
    return path
