"""Elements that mergekit leaves open: it sorts, and its sort is not stable, so
that among equal magnitudes at a threshold it keeps an arbitrary few, and equal
magnitudes of a row of DELLA's get arbitrary ranks. (Zeros are not open: a task
vector that is zero there stays so, kept or not.)

Computed here from the models alone, without either program.
"""

import torch


def at_threshold(size, kept):
    """Elements of the least magnitude that survives where `kept` do, if more
    than these have it."""
    if kept <= 0 or kept >= size.numel():
        return torch.zeros(size.shape, dtype=torch.bool)
    least = size.flatten().kthvalue(size.numel() - kept + 1).values
    if least == 0 or int((size >= least).sum()) == kept:
        return torch.zeros(size.shape, dtype=torch.bool)
    return size == least


def of_magnitude(delta, density, place, source, name):
    if density <= 0:
        return torch.zeros(delta.shape, dtype=torch.bool)
    return at_threshold(delta.abs(), max(1, int(density * delta.numel())))


def of_outliers(delta, density, place, source, name):
    gamma = place.value("gamma", 0.01, source, name)
    kept, top = int(density * delta.numel()), int(gamma * delta.numel())
    bottom = max(0, delta.numel() - kept - top)
    above = delta.numel() - bottom
    size = delta.abs()
    return at_threshold(size, above) | at_threshold(size, above - kept)


def of_row_ranks(delta, density, place, source, name):
    """Elements whose magnitude another one of their row has."""
    order = delta.abs().sort(dim=-1)
    pairs = (order.values[..., 1:] == order.values[..., :-1]) & \
        (order.values[..., 1:] > 0)
    alike = torch.zeros(delta.shape, dtype=torch.bool)
    alike[..., 1:] |= pairs
    alike[..., :-1] |= pairs
    return torch.zeros_like(alike).scatter(-1, order.indices, alike)


OF_A_MODEL = {
    "ties": of_magnitude,
    "breadcrumbs": of_outliers, "breadcrumbs_ties": of_outliers,
    "della": of_row_ranks, "della_linear": of_row_ranks,
}


def of_variances(deltas, place):
    top = place.value("select_topk", 1.0)
    if top >= 1:
        return torch.zeros(deltas[0].shape, dtype=torch.bool)
    spread = torch.stack(deltas).var(dim=0, correction=0)
    changed = torch.tensor(float((spread != 0).sum()))
    return at_threshold(spread, int(changed * top))


def open_choices(place, base, inputs):
    """The mask of an output tensor; `inputs` are (source, name, tensor) of the
    models, in the type that mergekit works in."""
    method = place.recipe["merge_method"]
    mask = torch.zeros(inputs[0][2].shape, dtype=torch.bool)
    if method == "sce":
        return of_variances([x - base for _, _, x in inputs], place)
    if method not in OF_A_MODEL:
        return mask
    for source, name, x in inputs:
        density = place.value("density", 1.0, source, name)
        if density < 1:
            mask |= OF_A_MODEL[method](x - base, density, place, source, name)
    return mask
