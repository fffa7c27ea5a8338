"""What recipes share is made once: counters that prove it."""

import json

import pytest

from many import WEIGHTS, linear, make_trio, ties
from mounts import mounted, recipe, run, wait_until

# Chunks are of 1 MiB: two a tensor of the mlp, one a tensor of attention.
SHAPES = {f"model.layers.{i}.{kind}.weight": shape for i in range(2)
          for kind, shape in (("mlp", [700, 600]), ("self_attn", [300, 200]))}
MLP_CHUNKS, ATTENTION_CHUNKS = 2 * 2, 2 * 1
# Those of the mlp are large enough for a survey to be kept.
SURVEYS = 2
POINTS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_trio(tmp_path_factory.mktemp("models"), SHAPES)


@pytest.fixture
def lambdas(models, tmp_path):
    return ties(tmp_path / "lambdas.yml", models, llmergefs={
        "sweep": {"parameters.lambda": POINTS}})


def attention_only(path, models, method, base=True):
    """A sweep of the weight of attention in the first model."""
    rest = {"weight": 0.5, "density": 0.5}
    first = {"weight": [{"filter": "self_attn", "value": 0.5},
                        {"value": 0.5}], "density": 0.5}
    return recipe(path, method, [(models / "a", first), (models / "b", rest)],
                  **({"base_model": str(models / "base")} if base else {}),
                  llmergefs={"sweep": {
                      "models[0].parameters.weight[0].value": POINTS[:5]}})


def read_all(mount, names=None):
    """Of some folders, or of all."""
    names = names or [path.parent.name for path in
                      mount.path.glob(f"*/{WEIGHTS}")
                      if path.parent.name != "current"]
    return {name: (mount / name / WEIGHTS).read_bytes() for name in names}


def on_disk(spot):
    """Objects of the cache's folder by class."""
    done = run("cache", "ls", "--json", "--cache-dir",
               spot.parent / "cache/llmergefs")
    assert done.returncode == 0, done.stderr
    kinds = [entry["class"] for entry in json.loads(done.stdout)["objects"]]
    return {kind: kinds.count(kind) for kind in set(kinds)}


def written(mount, spot, **expected):
    """What has been made is on disk after the readers have it."""
    wait_until(lambda: on_disk(spot) == expected or mount.ended(),
               f"{expected}, not {on_disk(spot)}")


# --- within a mount ---------------------------------------------------------


def test_ten_lambdas_reduce_each_tensor_once(lambdas, spot):
    with mounted(lambdas, spot) as mount:
        assert len(read_all(mount)) == 10
        stats = mount.stats()
        assert stats["reductions_made"] == len(SHAPES)
        assert stats["methods"]["ties"]["reductions"] == len(SHAPES)
        shared = stats["shared"]
        assert shared["reductions"] == 10 * len(SHAPES)
        assert shared["distinct_reductions"] == len(SHAPES)
        assert shared["shared_reductions"] == len(SHAPES)
        assert shared["tensors"] == shared["distinct"] == 10 * len(SHAPES)
        assert shared["shared_tensors"] == 0
        written(mount, spot, surveys=SURVEYS, states=len(SHAPES))


def test_ten_densities_survey_each_tensor_once(models, tmp_path, spot,
                                               exports):
    """What a reduction takes from the sources whatever the density is, all
    densities share, and another method, too; each is exactly what it is
    alone."""
    shares = [round(0.05 + 0.1 * i, 2) for i in range(9)]
    path = ties(tmp_path / "d.yml", models, llmergefs={
        "sweep": {"models[0].parameters.density": shares}})
    crumbs = recipe(tmp_path / "crumbs.yml", "breadcrumbs",
                    [(models / name, {"weight": 0.5, "density": 0.7})
                     for name in "ab"], base_model=str(models / "base"))
    with mounted(path, spot) as mount:
        got = read_all(mount)
        stats = mount.stats()
        assert stats["surveys_made"] == SURVEYS
        assert stats["reductions_made"] == len(shares) * len(SHAPES)
        written(mount, spot, surveys=SURVEYS,
                states=len(shares) * len(SHAPES))
    assert len(set(got.values())) == len(shares)
    for name in ("density=0.05", "density=0.85"):
        assert got[name] == exports(path, "--point", name)
    with mounted(crumbs, spot) as mount:
        assert read_all(mount, ["."])["."] == exports(crumbs)
        stats = mount.stats()
        assert stats["reductions_made"] == len(SHAPES)
        assert stats["surveys_made"] == 0


def test_a_damaged_survey_is_made_again(models, tmp_path, spot, exports):
    paths = [ties(tmp_path / f"{name}.yml", models, weight, parameters={
        "lambda": 0.9}, llmergefs={"sweep": {
            "models[0].parameters.density": [share]}})
             for name, weight, share in (("one", 0.5, 0.3), ("two", 0.5, 0.4))]
    with mounted(paths[0], spot) as mount:
        read_all(mount)
        written(mount, spot, surveys=SURVEYS, states=len(SHAPES))
    surveys = list((spot.parent / "cache/llmergefs/surveys").glob("*/*"))
    assert len(surveys) == SURVEYS
    for survey in surveys:
        data = bytearray(survey.read_bytes())
        data[len(data) // 2] ^= 1
        survey.write_bytes(data)
    with mounted(paths[1], spot) as mount:
        got = read_all(mount)
        stats = mount.stats()
        assert stats["surveys_made"] == SURVEYS
        assert stats["cache"]["disk_bad"] == SURVEYS
    (name, data), = got.items()
    assert data == exports(paths[1], "--point", name)


def test_with_all_kept_the_untouched_is_made_once(models, tmp_path, spot,
                                                  exports):
    """A sweep that touches attention only computes each MLP once."""
    path = attention_only(tmp_path / "s.yml", models, "ties")
    with mounted(path, spot, "--cache=all") as mount:
        got = read_all(mount)
        stats = mount.stats()
        assert stats["chunks_made"] == MLP_CHUNKS + 5 * ATTENTION_CHUNKS
        assert stats["reductions_made"] == len(SHAPES)
        assert stats["bytes_computed"] == 4 * (2 * 700 * 600 +
                                               5 * 2 * 300 * 200)
        assert stats["bytes_merged"] == 0
        assert stats["shared"]["distinct"] == 2 + 5 * 2
        written(mount, spot, surveys=SURVEYS, states=len(SHAPES),
                chunks=MLP_CHUNKS + 5 * ATTENTION_CHUNKS)
    for name in ("value=0.1", "value=0.5"):
        assert got[name] == exports(path, "--point", name)


def test_what_two_recipes_make_is_kept_where_that_pays(models, tmp_path, spot):
    """By itself (auto), a TIES tensor that several points have is kept; one
    that is the only one of its kind is made for each reader anew."""
    path = attention_only(tmp_path / "s.yml", models, "ties")
    with mounted(path, spot) as mount:
        read_all(mount)
        stats = mount.stats()
        assert stats["shared"]["shared_tensors"] == 2
        assert stats["chunks_made"] == MLP_CHUNKS
        assert stats["bytes_merged"] == 4 * 5 * 2 * 300 * 200
        assert stats["bytes_from_chunks"] == 4 * 5 * 2 * 700 * 600
        written(mount, spot, surveys=SURVEYS, states=len(SHAPES),
                chunks=MLP_CHUNKS)


def test_what_is_cheaper_to_make_than_to_read_back_is_not_kept(models, tmp_path,
                                                               spot):
    """A sum of two inputs, though shared; with a third it is."""
    path = attention_only(tmp_path / "s.yml", models, "linear", base=False)
    with mounted(path, spot) as mount:
        read_all(mount)
        stats = mount.stats()
        assert stats["shared"]["shared_tensors"] == 2
        assert stats["chunks_made"] == stats["bytes_from_chunks"] == 0
        written(mount, spot)
    path = attention_only(tmp_path / "s.yml", models, "task_arithmetic")
    with mounted(path, spot) as mount:
        read_all(mount)
        assert mount.stats()["chunks_made"] == MLP_CHUNKS


def test_a_tensor_is_shared_by_recipes_of_different_files(models, tmp_path,
                                                          spot):
    one, two, other = (ties(tmp_path / f"{name}.yml", models, weight)
                       for name, weight in (("one", 0.5), ("two", 0.5),
                                            ("other", 0.25)))
    with mounted([one, other], spot) as mount:
        read_all(mount)
        stats = mount.stats()
        assert stats["chunks_made"] == stats["shared"]["shared_tensors"] == 0
    with mounted([one, two, other], spot) as mount:
        got = read_all(mount)
        assert got["one"] == got["two"] != got["other"]
        stats = mount.stats()
        assert stats["chunks_made"] == MLP_CHUNKS + ATTENTION_CHUNKS
        assert stats["shared"]["shared_tensors"] == len(SHAPES)
        assert stats["reductions_made"] == 0


def test_the_disk_budget_bounds_what_is_kept(models, tmp_path, spot):
    """Not more is chosen to be kept than fits."""
    path = attention_only(tmp_path / "s.yml", models, "ties")
    with mounted(path, spot, "--cache-disk=2MB") as mount:
        read_all(mount)
        assert mount.stats()["chunks_made"] == MLP_CHUNKS // 2
    with mounted(path, spot, "--cache-disk=1MB") as mount:
        read_all(mount)
        assert mount.stats()["chunks_made"] == 0


# --- over generations, mounts and processes ---------------------------------


def test_what_a_change_does_not_touch_is_not_made_again(models, tmp_path, spot,
                                                        exports):
    path = ties(tmp_path / "a.yml", models)
    with mounted(path, spot, "--cache=all") as mount:
        read_all(mount, ["."])
        assert mount.stats()["reductions_made"] == len(SHAPES)
        for setting, reductions in (("parameters.lambda=0.5", 0),
                                    ("models[0].parameters.weight=1", 0),
                                    ("models[0].parameters.density=0.25",
                                     len(SHAPES))):
            before = mount.stats()
            assert run("set", spot, setting).returncode == 0
            read_all(mount, ["."])
            after = mount.stats()
            assert after["reductions_made"] - before["reductions_made"] == \
                reductions
            assert after["chunks_made"] > before["chunks_made"]
        assert run("set", spot).returncode == 0
        before = mount.stats()
        assert read_all(mount, ["."])["."] == exports(path)
        after = mount.stats()
        assert after["chunks_made"] == before["chunks_made"]
        assert after["reductions_made"] == before["reductions_made"]


@pytest.mark.parametrize("cache", ["auto", "all"])
def test_two_mounts_use_one_cache_at_once(models, tmp_path, spot, cache):
    """The second finds what the first made, while both live."""
    path = attention_only(tmp_path / "s.yml", models, "ties")
    chunks = MLP_CHUNKS + (5 * ATTENTION_CHUNKS if cache == "all" else 0)
    with mounted(path, spot, f"--cache={cache}") as first, \
            mounted(path, spot.parent / "other", f"--cache={cache}") as second:
        got = read_all(first)
        written(first, spot, surveys=SURVEYS, states=len(SHAPES),
                chunks=chunks)
        assert read_all(second) == got
        stats = second.stats()
        assert stats["chunks_made"] == stats["reductions_made"] == 0
        assert stats["cache"]["disk_hits"] == chunks + len(SHAPES)
        assert first.stats()["cache"]["disk_writes"] == \
            chunks + len(SHAPES) + SURVEYS


def test_a_cache_outlives_its_mount(lambdas, spot):
    for reductions in (len(SHAPES), 0):
        with mounted(lambdas, spot) as mount:
            read_all(mount)
            assert mount.stats()["reductions_made"] == reductions


def test_a_removed_recipe_shares_no_more(models, tmp_path, spot):
    """What is shared is counted by what is there."""
    folder = tmp_path / "recipes.d"
    folder.mkdir()
    for name in ("one", "two"):
        ties(folder / f"{name}.yml", models)
    with mounted(folder, spot) as mount:
        assert mount.stats()["shared"]["shared_tensors"] == len(SHAPES)
        (folder / "two.yml").unlink()
        wait_until(lambda: mount.stats()["shared"]["shared_tensors"] == 0,
                   "none shared")
        assert mount.stats()["shared"]["tensors"] == len(SHAPES)
        linear(folder / "three.yml", models)
        wait_until(lambda: mount.stats()["shared"]["tensors"] ==
                   2 * len(SHAPES), "another")
