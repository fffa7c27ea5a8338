"""Run recipes through mergekit and through llmergefs, and compare."""

import copy
import shutil
import subprocess

import torch
import yaml

import models
import peer
from figures import Figures
from open_choices import open_choices
from settings import Place, stored_tensor
from support import PROGRAM, tensors

DTYPES = ("float32", "bfloat16", "float16")
ARITHMETICS = ("float32", "mergekit")
OTHER_TYPE = {"float32": "bfloat16", "bfloat16": "float32",
              "float16": "float32"}


class Library:
    """The models in each type, and their tensors in memory."""

    def __init__(self, root):
        self.folders = {dtype: models.make(root / dtype, getattr(torch, dtype))
                        for dtype in DTYPES}
        self.loaded = {}

    def folder(self, name, dtype):
        if name.startswith("other/"):
            name, dtype = name.removeprefix("other/"), OTHER_TYPE[dtype]
        return str(self.folders[dtype][name])

    def tensors(self, folder):
        if folder not in self.loaded:
            self.loaded[folder] = tensors(folder)
        return self.loaded[folder]


def recipe_of(case, dtype, library):
    """The case with folders for the names of its models."""
    recipe = copy.deepcopy(case.recipe)
    entries = [source for part in recipe.get("slices", [])
               for source in part["sources"]]
    for entry in entries + recipe.get("models", []):
        entry["model"] = library.folder(entry["model"], dtype)
    if "base_model" in recipe:
        recipe["base_model"] = library.folder(recipe["base_model"], dtype)
    return {"out_dtype": dtype, **recipe, "dtype": dtype}


def start_export(recipe, seed, arithmetic, folder):
    ours = {"rng": "mt19937", "seed": seed, "arithmetic": arithmetic}
    path = folder.with_suffix(".yml")
    path.write_text(yaml.safe_dump({**recipe, "llmergefs": ours}))
    return subprocess.Popen([PROGRAM, "export", "--quiet", "--cache=off",
                             str(path), str(folder)],
                            stderr=subprocess.PIPE, text=True)


def both(case, dtype, library, folder):
    """mergekit's tensors, and ours for each arithmetic."""
    recipe = recipe_of(case, dtype, library)
    exports = {each: start_export(recipe, case.seed, each, folder / each)
               for each in ARITHMETICS}
    try:
        theirs = tensors(peer.mergekit(yaml.safe_dump(recipe), folder / "peer",
                                       random_seed=case.seed,
                                       copy_tokenizer=False))
    finally:
        said = {each: export.communicate()[1]
                for each, export in exports.items()}
    for each, export in exports.items():
        assert export.returncode == 0, f"{case}, {each}: {said[each]}"
    return recipe, theirs, {each: tensors(folder / each) for each in exports}


def taken_part(recipe, name, result, dtype, library):
    """For an output tensor: the mask of what is open, and the largest number
    that took part in each element."""
    place = Place(recipe, name)
    work = getattr(torch, dtype)
    inputs = [(source, each, stored_tensor(
        library.tensors(source["model"]), each).to(work))
        for source, each in place.sources()]
    base = [x for source, _, x in inputs
            if source["model"] == recipe.get("base_model")]
    others = [each for each in inputs
              if each[0]["model"] != recipe.get("base_model")]
    mask = open_choices(place, base[0], others) if base and others else \
        torch.zeros(result.shape, dtype=torch.bool)
    largest = torch.stack([x.float().abs() for _, _, x in inputs] +
                          [result.float().abs()]).amax(0)
    return mask, largest


def compare_case(case, dtype, library, folder):
    """{arithmetic: Figures} of a case, and a line for each tensor that is not
    mergekit's."""
    folder.mkdir()
    recipe, theirs, ours = both(case, dtype, library, folder)
    figures = {each: Figures(cases=1) for each in ARITHMETICS}
    lines = []
    for each, merged in ours.items():
        where = f"{case.method}, {dtype}, {each}, {case.name}"
        assert {name: (x.shape, x.dtype) for name, x in merged.items()} == \
            {name: (x.shape, x.dtype) for name, x in theirs.items()}, where
    for name, result in theirs.items():
        mask, largest = taken_part(recipe, name, result, dtype, library)
        for each, merged in ours.items():
            different, worst = figures[each].add(merged[name], result, mask,
                                                 largest)
            if different:
                lines.append(f"{case.method}, {dtype}, {each}, {case.name}: "
                             f"{name}: {different} of {result.numel()} "
                             f"differ, by up to {worst:.3g} ulp")
    shutil.rmtree(folder)
    return figures, lines


def compare(cases, root):
    """{(method, dtype, arithmetic): Figures} and the lines of all cases."""
    library = Library(root / "models")
    rows, lines = {}, []
    for number, case in enumerate(cases):
        for dtype in DTYPES:
            figures, said = compare_case(case, dtype, library,
                                         root / f"{number}-{dtype}")
            lines += said
            for each, found in figures.items():
                key = case.method, dtype, each
                rows.setdefault(key, Figures()).merge(found)
    return rows, lines
