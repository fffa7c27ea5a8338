"""Models, recipes of them and their export, made once; a fresh mountpoint."""

import contextlib
import types

import pytest

from many import Exports, linear, make_trio, ties
from mounts import (clean_up, daemon_of, floats, make_model, mounted, recipe,
                    run, wait_until)

COUNT = 400_000


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    """Two models, recipes that copy, merge and reduce, and their bytes."""
    top = tmp_path_factory.mktemp("kit")
    for seed, name in enumerate("ab", 1):
        make_model(top / name, {"x.weight": (
            "F32", [COUNT // 100, 100], floats(COUNT, seed))})
    half = {"weight": 0.5, "density": 0.5}
    recipes = {
        "copy": recipe(top / "copy.json", "passthrough", [(top / "a", {})]),
        "linear": recipe(top / "linear.json", "linear",
                         [(top / "a", {"weight": 0.5}),
                          (top / "b", {"weight": 0.5})]),
        "ties": recipe(top / "ties.json", "ties", [(top / "b", half)],
                       base_model=str(top / "a")),
    }
    weights = {}
    for name, path in recipes.items():
        done = run("export", "-q", "--cache=off", path, top / f"{name}-export")
        assert done.returncode == 0, done.stderr
        weights[name] = (top / f"{name}-export/model.safetensors").read_bytes()
    return types.SimpleNamespace(top=top, recipes=recipes, weights=weights)


@pytest.fixture(scope="session")
def trio(tmp_path_factory):
    """base, a and b: three models of four tensors."""
    return make_trio(tmp_path_factory.mktemp("trio"))


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    return Exports(tmp_path_factory.mktemp("exports"))


@pytest.fixture
def spot(tmp_path, monkeypatch):
    """A mountpoint, and a cache of its own; whatever is mounted there ends."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    point = tmp_path / "mnt"
    point.mkdir()
    yield point
    with contextlib.suppress(OSError):
        clean_up(point)
    wait_until(lambda: daemon_of(point) is None, "the daemon has ended")


@pytest.fixture
def two(trio, tmp_path):
    """Two recipes, by their files."""
    return [linear(tmp_path / "a.yml", trio), ties(tmp_path / "b.yml", trio)]


@pytest.fixture
def pair(two, spot):
    """Both in one mount."""
    with mounted(two, spot) as mount:
        yield mount


@pytest.fixture
def folder(trio, tmp_path):
    """A folder with two recipes."""
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    linear(folder / "a.yml", trio)
    ties(folder / "b.json", trio)
    return folder
