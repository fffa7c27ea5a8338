"""Run recipes through mergekit and through llmergefs, and compare."""

import copy
import shutil
import subprocess
from dataclasses import dataclass

import torch
import yaml

import models
import peer
from cases import Case
from figures import Exactness, Figures
from open_choices import open_choices
from settings import Place, stored_tensor
from support import PROGRAM, tensors

DTYPES = ("float32", "bfloat16", "float16")
ARITHMETICS = ("float32", "mergekit")
# Where mergekit in float64, on the same numbers, gives the exact results: what
# is not drawn at random, and whose inputs are not rounded on load.
WITH_EXACT = ("slerp", "nuslerp", "multislerp", "karcher", "model_stock",
              "task_arithmetic", "ties", "sce")
EXACT_DTYPES = ("float32", "bfloat16")
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


def by_mergekit(case, recipe, folder):
    return tensors(peer.mergekit(yaml.safe_dump(recipe), folder,
                                 random_seed=case.seed, copy_tokenizer=False))


def by_both(case, recipe, folder):
    """mergekit's tensors, and ours for each arithmetic."""
    exports = {each: start_export(recipe, case.seed, each, folder / each)
               for each in ARITHMETICS}
    try:
        theirs = by_mergekit(case, recipe, folder / "peer")
    finally:
        said = {each: export.communicate()[1]
                for each, export in exports.items()}
    for each, export in exports.items():
        assert export.returncode == 0, f"{case}, {each}: {said[each]}"
    return theirs, {each: tensors(folder / each) for each in exports}


def taken_part(recipe, name, result, library):
    """For an output tensor: the mask of what is open, and the largest number
    that took part in each element."""
    place = Place(recipe, name)
    work = getattr(torch, recipe["dtype"])
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


def alike(ours, theirs):
    return {name: (x.shape, x.dtype) for name, x in ours.items()} == \
        {name: (x.shape, x.dtype) for name, x in theirs.items()}


@dataclass
class Difference:
    """A tensor that is not mergekit's."""

    case: Case
    dtype: str
    arithmetic: str
    tensor: str
    different: int # elements
    elements: int
    worst: float # ulp
    open: int # elements that were not compared

    def __str__(self):
        return (f"{self.case.method}, {self.dtype}, {self.arithmetic}, "
                f"{self.case.name}: {self.tensor}: {self.different} of "
                f"{self.elements} differ, by up to {self.worst:.3g} ulp; "
                f"{self.open} at a tie")


class Comparison:
    """What is found, case by case.

        rows         {(method, dtype, arithmetic): Figures}
        exact        {(method, dtype): Exactness}
        differences  of tensors
    """

    def __init__(self, root):
        self.root = root
        self.library = Library(root / "models")
        self.rows, self.exact, self.differences = {}, {}, []

    def run(self, case, dtype):
        folder = self.root / "case"
        folder.mkdir()
        recipe = recipe_of(case, dtype, self.library)
        theirs, ours = by_both(case, recipe, folder)
        parts = {name: taken_part(recipe, name, x, self.library)
                 for name, x in theirs.items()}
        for each, merged in ours.items():
            assert alike(merged, theirs), (case, dtype, each)
            self.add(case, dtype, each, merged, theirs, parts)
        if case.method in WITH_EXACT and dtype in EXACT_DTYPES:
            exact = by_mergekit(case, {**recipe, "dtype": "float64",
                                       "out_dtype": "float64"},
                                folder / "exact")
            row = self.exact.setdefault((case.method, dtype), Exactness())
            for name, part in parts.items():
                row.add(ours["float32"][name], theirs[name], exact[name],
                        *part)
        shutil.rmtree(folder)

    def add(self, case, dtype, arithmetic, ours, theirs, parts):
        row = self.rows.setdefault((case.method, dtype, arithmetic), Figures())
        row.cases += 1
        for name, result in theirs.items():
            different, worst = row.add(ours[name], result, *parts[name])
            if different:
                self.differences.append(Difference(
                    case, dtype, arithmetic, name, different, result.numel(),
                    worst, int(parts[name][0].sum())))


def compare(cases, root):
    found = Comparison(root)
    for case in cases:
        for dtype in DTYPES:
            found.run(case, dtype)
    return found
