"""The recipes: of each of mergekit's methods a few, which together vary what
its documents let vary. Models go by the names of models.make(); `other/a` is
the model `a` stored in another type than the recipe's.
"""

from dataclasses import dataclass

METHODS = (
    "linear", "slerp", "nuslerp", "multislerp", "karcher", "model_stock",
    "task_arithmetic", "ties", "dare_linear", "dare_ties", "breadcrumbs",
    "breadcrumbs_ties", "della_linear", "della", "sce", "nearswap", "ram",
    "ramplus_tl", "arcee_fusion", "passthrough")


@dataclass
class Case:
    method: str
    name: str
    recipe: dict
    seed: int = 0


@dataclass
class Family:
    """A method of task vectors: what it adds to a model, and its defaults."""

    normalize: bool
    rescale: bool
    models: tuple = ("base", "a", "b", "c")
    knobs: tuple = ({}, {}, {})


WIDE = ("wide", "wide_a", "wide_b", "wide_c")
GAMMA = ({"gamma": 0.03}, {}, {"gamma": 0.2})
EPSILON = ({"epsilon": 0.1}, {}, {"epsilon": 0.29})
FAMILIES = {
    "task_arithmetic": Family(False, False),
    "ties": Family(True, False),
    "dare_linear": Family(False, True),
    "dare_ties": Family(False, True),
    "breadcrumbs": Family(False, False, knobs=GAMMA),
    "breadcrumbs_ties": Family(False, False, knobs=GAMMA),
    "della_linear": Family(False, True, WIDE, EPSILON),
    "della": Family(True, True, WIDE, EPSILON),
}


def entry(model, **parameters):
    return {"model": model, "parameters": parameters}


def models(*names):
    return [{"model": name} for name in names]


def source(model, first, end, **parameters):
    return {"model": model, "layer_range": [first, end],
            **({"parameters": parameters} if parameters else {})}


def where(*conditions):
    """where(("mlp", 0.2), 0.5): a value by filter, and one for the rest."""
    return [{"filter": each[0], "value": each[1]} if isinstance(each, tuple)
            else {"value": each} for each in conditions]


def task_cases(method, family):
    base, a, b, c = family.models
    knobs = family.knobs
    yield "defaults", dict(base_model=base, models=[
        entry(a, weight=0.6, density=0.5), entry(b, weight=0.5, density=0.3),
        entry(c, weight=0.3, density=0.7)])
    yield "normalize, rescale, lambda", dict(base_model=base, models=[
        entry(a, weight=0.66, density=0.4, **knobs[0]),
        entry(b, weight=-0.35, density=0.6, **knobs[1]),
        entry(c, weight=0.8, density=0.5, **knobs[2])],
        parameters={"normalize": not family.normalize, "lambda": 0.7,
                    "rescale": not family.rescale})
    yield "gradients", dict(base_model=base, models=[
        entry(a, weight=[0.1, 0.9, 0.35], density=[0.3, 0.8]),
        entry(b, weight=[1, 0.25], density=[0.8, 0.45, 0.2, 0.6])],
        parameters={"lambda": [1, 0.6], "normalize": [True, False]})
    yield "filters", dict(base_model=base, models=[
        entry(a, weight=where(("q_proj", [0.1, 0.9]), ("mlp", 0.2), 0.4),
              density=where(("self_attn", 1), ("mlp", 0.25), 0.6)),
        entry(b, density=where(("layers.1", 0.35), ("up_proj", 0.8), 0.5))],
        parameters={"weight": 0.7,
                    "normalize": where(("mlp", True), ("k_proj", True), False),
                    "rescale": where(("up_proj", False), ("q_proj", True),
                                     family.rescale),
                    "lambda": where(("self_attn", 1.3), 0.9)})
    yield "slices", dict(base_model=base, slices=[
        {"sources": [source(base, 1, 3),
                     source(a, 1, 3, weight=0.9, density=0.5),
                     source(b, 1, 3, weight=[0.5, 0.2], density=0.4)]},
        {"sources": [source(c, 0, 1, density=0.6),
                     source(base, 0, 1)], "parameters": {"weight": 0.8}}])
    if method.startswith("della"):
        yield "equal magnitudes", dict(base_model="base", models=[
            entry("a", weight=0.6, density=0.5),
            entry("b", weight=0.5, density=0.4)],
            parameters={"rescale": False})
        return
    yield "a head of one model", dict(base_model="tied_base", models=[
        entry("tied", weight=0.6, density=0.5),
        entry("b", weight=0.5, density=0.4)])


def linear_cases():
    yield "defaults", dict(models=[
        entry("a", weight=0.21), entry("b", weight=0.53),
        entry("c", weight=0.33)])
    yield "normalize", dict(models=[
        entry("a", weight=0.7), entry("b", weight=-0.4)],
        parameters={"normalize": False})
    yield "gradients, filters", dict(models=[
        entry("a", weight=where(("q_proj", [0.1, 0.9, 0.35]), ("mlp", "2e-1"),
                                0.4)),
        entry("b", weight=[1, 0.25])])
    yield "slices", dict(slices=[
        {"sources": [source("a", 0, 2, weight=[0, 1, 0.5]),
                     source("b", 1, 3, weight=0.5)]},
        {"sources": [source("c", 1, 3), source("a", 0, 2, weight=[0.3, 0.6])],
         "parameters": {"weight": 0.75}}])
    yield "a head of one model", dict(models=[
        entry("tied", weight=0.5), entry("b", weight=0.6)])
    yield "no head", dict(base_model="tied_base", parameters={"weight": 0.25},
                          models=[entry("tied", weight=0.5)])
    yield "sources of another type", dict(models=[
        entry("other/a", weight=0.66), entry("other/b", weight=0.17)])


def slerp_cases():
    yield "defaults", dict(base_model="a", models=models("b", "a"),
                           parameters={"t": 0.3})
    yield "gradients, filters", dict(
        base_model="a", models=models("a", "b"), parameters={"t": where(
            ("self_attn", [0, 0.5, 0.3, 0.7, 1]), ("mlp", [1, 0.5, 0.2, 0]),
            0.5)})
    yield "far apart", dict(base_model="far", models=models("a"),
                            parameters={"t": 0.4})
    yield "slices", dict(base_model="base", parameters={"t": 0.6}, slices=[
        {"sources": [source("base", 0, 2), source("far", 1, 3)]},
        {"sources": [source("base", 0, 1), source("b", 2, 3)],
         "parameters": {"t": 0.8}}])


def nuslerp_cases():
    two = [entry("a", weight=0.25), entry("b", weight=0.6)]
    yield "defaults", dict(models=two)
    yield "task vectors", dict(base_model="base", models=two)
    yield "far apart, gradients", dict(models=[
        entry("far", weight=[0.1, 0.9, 0.35]),
        entry("a", weight=where(("mlp", 0.2), 0.7))])
    yield "rows", dict(base_model="base", models=two,
                       parameters={"nuslerp_flatten": False})
    yield "columns, filters", dict(
        models=[entry("far", weight=1), entry("b", weight=1)], parameters={
            "nuslerp_flatten": where(("embed", True), False),
            "nuslerp_row_wise": where(("self_attn", True), False)})
    yield "slices", dict(base_model="base", slices=[
        {"sources": [source("base", 0, 2), source("a", 0, 2, weight=0.5),
                     source("far", 1, 3, weight=1)]},
        {"sources": [source("c", 1, 3, weight=0.5),
                     source("b", 1, 3, weight=1), source("base", 1, 3)]}])


def multislerp_cases():
    three = [entry("a", weight=0.5), entry("b", weight=[0.2, 0.7]),
             entry("c", weight=0.4)]
    yield "defaults", dict(models=three)
    yield "task vectors", dict(base_model="base", models=three)
    yield "normalize, eps", dict(
        base_model="base", models=[entry("a", weight=0.5),
                                   entry("b", weight=0.8)],
        parameters={"normalize_weights": False, "eps": 0.05})
    yield "far apart, filters", dict(models=[
        entry("far", weight=where(("mlp", 0.6), 0.3)),
        entry("far_too", weight=0.4), entry("c", weight=0.1)])


def karcher_cases():
    yield "defaults", dict(models=models("a", "b", "c"))
    yield "far apart, a base", dict(
        base_model="far", models=models("a", "far_too", "b"),
        parameters={"max_iter": 40, "tol": 1e-7})
    yield "few steps, filters", dict(
        models=models("a", "far", "far_too"),
        parameters={"max_iter": where(("mlp", 0), ("self_attn", 2), 1),
                    "tol": "1e-9"})
    yield "slices", dict(slices=[
        {"sources": [source("a", 0, 1), source("b", 2, 3)]},
        {"sources": [source("far", 1, 3), source("b", 0, 2)]}])


def model_stock_cases():
    yield "defaults", dict(base_model="base", models=models("a", "b"))
    yield "far apart", dict(base_model="base",
                            models=models("a", "far", "base", "far_too"))
    yield "rows, filters", dict(
        base_model="base", models=models("a", "b", "c"),
        parameters={"filter_wise": where(("o_proj", False), True)})
    yield "slices", dict(base_model="base", slices=[
        {"sources": [source("base", 0, 2), source("a", 0, 2),
                     source("b", 1, 3)]},
        {"sources": [source("c", 2, 3), source("base", 0, 1),
                     source("b", 1, 2)]}])


def sce_cases():
    yield "defaults", dict(base_model="base", models=models("a", "b", "c"))
    yield "select_topk", dict(base_model="base", models=models("a", "b", "c"),
                              parameters={"select_topk": 0.3})
    yield "gradients, filters", dict(
        base_model="base", models=models("a", "b", "far"),
        parameters={"select_topk": where(("mlp", [0.8, 0.2]), ("q_proj", 1),
                                         0.5), "int8_mask": True})
    yield "slices", dict(base_model="base", parameters={"select_topk": 0.7},
                         slices=[{"sources": [
                             source("base", 0, 2), source("a", 1, 3),
                             source("far", 0, 2)]}])


def nearswap_cases():
    yield "defaults", dict(base_model="base", models=models("a"),
                           parameters={"t": 0.001})
    yield "gradients, filters", dict(
        base_model="a", models=models("b"), parameters={"t": where(
            ("self_attn", [0.0001, 0.01]), ("mlp", 0.002), 0.0005)})
    yield "slices", dict(base_model="base", parameters={"t": [0.01, 0.001]},
                         slices=[{"sources": [source("base", 0, 2),
                                              source("far", 1, 3)]}])


def ram_cases():
    three = models("a", "b", "c")
    yield "defaults", dict(base_model="base", models=three)
    yield "gradients, filters", dict(
        base_model="base", models=three, parameters={"epsilon": where(
            ("mlp", [0.0001, 0.01]), 0.002)})
    yield "one model", dict(base_model="base", models=models("a"),
                            parameters={"epsilon": 0.001})
    yield "slices", dict(base_model="base", parameters={"epsilon": 0.003},
                         slices=[{"sources": [
                             source("a", 0, 2), source("base", 1, 3),
                             source("far", 0, 2)]}])


def ramplus_tl_cases():
    for name, recipe in ram_cases():
        yield name, recipe
    yield "r, alpha", dict(
        base_model="base", models=models("a", "b"), parameters={
            "epsilon": 0.004, "r": where(("mlp", 0.7), 0.3), "alpha": 1.5})
    yield "float32 out", dict(base_model="base", models=models("a", "b", "c"),
                              parameters={"epsilon": 0.002},
                              out_dtype="float32")


def arcee_fusion_cases():
    yield "defaults", dict(base_model="base", models=models("a"))
    yield "far apart", dict(base_model="a", models=models("far", "a"))
    yield "slices", dict(base_model="base", slices=[
        {"sources": [source("base", 0, 1), source("a", 1, 2)]},
        {"sources": [source("far", 0, 2), source("base", 1, 3)]}])
    yield "float32 out", dict(base_model="base", models=models("b"),
                              out_dtype="float32")


def passthrough_cases():
    yield "slices", dict(slices=[
        {"sources": [source("a", 0, 2)]}, {"sources": [source("b", 1, 2)]},
        {"sources": [source("a", 2, 3)]}])
    yield "scale, gradients, filters", dict(slices=[
        {"sources": [source("a", 0, 2)]},
        {"sources": [source("b", 0, 3, scale=where(
            ("o_proj", 0.0), ("down_proj", [0.1, 1.0]), ("mlp", 0.7), 1.0))]}])
    yield "last rows of another", dict(slices=[
        {"sources": [source("other/a", 0, 3)]},
        {"sources": [source("b", 3, 3)]}])


OF_A_METHOD = {
    "linear": linear_cases, "slerp": slerp_cases, "nuslerp": nuslerp_cases,
    "multislerp": multislerp_cases, "karcher": karcher_cases,
    "model_stock": model_stock_cases, "sce": sce_cases,
    "nearswap": nearswap_cases, "ram": ram_cases,
    "ramplus_tl": ramplus_tl_cases, "arcee_fusion": arcee_fusion_cases,
    "passthrough": passthrough_cases,
}


def all_cases():
    """Every case; each has a seed of its own."""
    made = [(method, name, recipe) for method in METHODS for name, recipe in
            (task_cases(method, FAMILIES[method]) if method in FAMILIES
             else OF_A_METHOD[method]())]
    return [Case(method, name, {"merge_method": method, **recipe}, seed)
            for seed, (method, name, recipe) in enumerate(made, 100)]
