"""What a recipe says of a tensor: its inputs, and the values of parameters.

Written for the recipes of this folder from mergekit's documents, apart from
both programs: gradients, filters, and the four levels where a value may stand.
"""

import re

from models import EMBEDDING, HEAD, LAYERS

LAYER = re.compile(r"^(model\.layers\.)(\d+)\.")


class Place:
    """Where an output tensor comes from: its part of the recipe, for each
    source there the name of its tensor, and where on a gradient it is."""

    def __init__(self, recipe, name):
        self.recipe, self.name = recipe, name
        parts = recipe.get("slices") or [{"sources": [
            {**entry, "layer_range": [0, LAYERS]}
            for entry in with_base(recipe)]}]
        found = LAYER.match(name)
        if not found:
            self.part = parts[0 if name == EMBEDDING else -1]
            self.names = [name for _ in self.part["sources"]]
            self.t = 0.0
            return
        index = int(found[2])
        for self.part in parts:
            first, end = self.part["sources"][0]["layer_range"]
            if index < end - first:
                break
            index -= end - first
        self.names = [LAYER.sub(
            rf"\g<1>{source['layer_range'][0] + index}.", name, count=1)
            for source in self.part["sources"]]
        self.t = index / (end - first - 1) if end - first > 1 else 1.0

    def sources(self):
        return zip(self.part["sources"], self.names)

    def value(self, key, fallback, source=None, name=None):
        """A parameter of one source, or of all (no source)."""
        for level in (source, self.part, self.recipe):
            setting = (level or {}).get("parameters", {}).get(key)
            found = chosen(setting, name or self.name)
            if found is not None:
                return along(found, self.t)
        return fallback


def with_base(recipe):
    """The models, and the base behind them where they do not list it."""
    listed = [entry["model"] for entry in recipe["models"]]
    base = recipe.get("base_model")
    more = [{"model": base}] if base and base not in listed else []
    return recipe["models"] + more


def chosen(setting, name):
    """The first condition that fits, or a setting without any."""
    if not isinstance(setting, list) or not isinstance(setting[0], dict):
        return setting
    for condition in setting:
        if condition.get("filter", "*") in ("*", "") or \
                condition["filter"] in name:
            return condition["value"]
    return None


def along(value, t):
    if not isinstance(value, list):
        return value
    at = t * (len(value) - 1)
    i = int(at)
    if isinstance(value[0], bool):
        return value[i]
    return (1 - (at - i)) * value[i] + (at - i) * \
        value[min(len(value) - 1, i + 1)]


def stored_tensor(model, name):
    """A head that a model lacks is its embedding."""
    return model[EMBEDDING] if name == HEAD and HEAD not in model \
        else model[name]
