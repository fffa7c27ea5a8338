"""Methods that take a tensor as one matrix, against numpy in float64, by the
formulas of their papers: with its SVD, QR and pseudo-inverse, where the program
has eigenvectors of symmetric matrices.

Bits depend on OpenBLAS and on the CPU that it computes for, so results are
compared by the size of what the method adds to the base."""

import json
import shutil
from string import Template

import numpy as np
import pytest
from safetensors.torch import save_file

from support import Mount, export, llmergefs, tensors

MODELS = ("a", "b", "c")
OFF = 2e-5  # of the merged task vector's root mean square

RECIPE = """
merge_method: $method
base_model: $base
models: [{model: $a}, {model: $b}, {model: $c}]
parameters: {$parameters}
dtype: float32
"""


def polar(x):
    """The nearest matrix with orthogonal rows or columns."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    return u[:, s > 1e-6 * s[0]] @ v[s > 1e-6 * s[0]]


def tsv_m(deltas):
    r = min(deltas[0].shape)
    k = r // len(deltas)
    parts = [np.linalg.svd(d, full_matrices=False) for d in deltas if d.any()]
    u = np.concatenate([u[:, :k] for u, _, _ in parts], 1)
    s = np.concatenate([s[:k] for _, s, _ in parts])
    v = np.concatenate([v[:k] for _, _, v in parts])
    return polar(u) @ np.diag(s) @ polar(v)


def iso_c(deltas):
    total = sum(deltas)
    return np.linalg.svd(total, compute_uv=False).mean() * polar(total)


def core_space(deltas, rank, isotropic=False):
    k = max(1, min(rank, min(deltas[0].shape) // 4))
    parts = [np.linalg.svd(d, full_matrices=False) for d in deltas]
    b = [u[:, :k] for u, _, _ in parts]
    a = [s[:k, None] * v[:k] for _, s, v in parts]
    u = np.linalg.svd(np.concatenate(b, 1), full_matrices=False)[0]
    v = np.linalg.svd(np.concatenate(a), full_matrices=False)[2]
    core = sum(u.T @ y @ x @ v.T for y, x in zip(b, a)) / len(deltas)
    if isotropic:
        core = np.linalg.svd(core, compute_uv=False).mean() * polar(core)
    return u @ core @ v


def wudi(deltas, reg):
    deltas = [d for d in deltas if d.any()]
    squares = [(d ** 2).sum() for d in deltas]
    unit = reg * np.eye(deltas[0].shape[1])
    left = sum(d @ (d.T @ d + unit) / s for d, s in zip(deltas, squares))
    right = sum((d.T @ d + unit) / s for d, s in zip(deltas, squares))
    rcond = deltas[0].shape[1] * 2.0 ** -23
    return left @ np.linalg.pinv(right, rcond, hermitian=True)


def others_mean(deltas):
    return sum(deltas) / len(deltas)


def others_base(deltas):
    return 0 * deltas[0]


# name: method, its parameters, the factor, M of a matrix, of other tensors.
CASES = {
    "tsv_m": ("tsv_m", "lambda: 0.7", 0.7, tsv_m, others_mean),
    "iso_c": ("iso_c", "lambda: 1.3", 1.3, iso_c, others_mean),
    "core_space": ("core_space", "weight: 0.9, rank: 5", 0.9,
                   lambda deltas: core_space(deltas, 5), others_mean),
    "core_space-full": ("core_space", "rank: 1000", 1,
                        lambda deltas: core_space(deltas, 1000), others_mean),
    "core_space-isotropic": ("core_space", "isotropic: true, rank: 7", 1,
                             lambda deltas: core_space(deltas, 7, True),
                             others_mean),
    "wudi": ("wudi", "lambda: 0.8", 0.8, lambda deltas: wudi(deltas, 1e-5),
             others_base),
    "wudi-without-reg": ("wudi", "reg: 0", 1, lambda deltas: wudi(deltas, 0),
                         others_base),
    "wudi-much-reg": ("wudi", "reg: 0.01", 1,
                      lambda deltas: wudi(deltas, 0.01), others_base),
}


def recipe_of(folder, folders, method, parameters):
    recipe = folder / "recipe.yml"
    recipe.write_text(Template(RECIPE).substitute(
        folders, method=method, parameters=parameters))
    return recipe


def numbers(folder):
    return {name: tensor.double().numpy()
            for name, tensor in tensors(folder).items()}


def assert_near(got, base, vector, label):
    size = np.sqrt((vector ** 2).mean())
    rounding = 2.0 ** -24 * (abs(base) + abs(vector))
    off = abs(got - base - vector)
    assert (off <= OFF * size + 2 * rounding).all(), \
        f"{label}: off by {(off / (size + 1e-30)).max():.2e} of the size"


@pytest.mark.parametrize("source", ["llama", "llama-bf16"])
@pytest.mark.parametrize("case", CASES)
def test_result_is_that_of_the_paper(case, source, family, tmp_path):
    method, parameters, factor, merge, others = CASES[case]
    folders = family(source)
    recipe = recipe_of(tmp_path, folders, method, parameters)
    merged = numbers(export(recipe, tmp_path / "ours"))
    base = numbers(folders["base"])
    models = [numbers(folders[name]) for name in MODELS]
    matrices = 0
    for name, result in merged.items():
        deltas = [model[name] - base[name] for model in models]
        matrices += result.ndim == 2
        vector = (merge if result.ndim == 2 else others)(deltas)
        assert_near(result, base[name], factor * vector, name)
    assert matrices > 20, "the case puts nothing to the test"


@pytest.mark.parametrize("like", ["a", "base"])
@pytest.mark.parametrize("case", CASES)
def test_directions_that_are_not_determined_are_left_out(case, like, family,
                                                         tmp_path):
    """A model that is another, or the base, makes no noise."""
    method, parameters, factor, merge, others = CASES[case]
    folders = dict(family("llama"))
    folders["c"] = shutil.copytree(folders[like], tmp_path / "c")
    recipe = recipe_of(tmp_path, folders, method, parameters)
    base = numbers(folders["base"])
    models = [numbers(folders[name]) for name in MODELS]
    merged = numbers(export(recipe, tmp_path / "ours"))
    for name, result in merged.items():
        deltas = [model[name] - base[name] for model in models]
        if result.ndim == 2:
            assert_near(result, base[name], factor * merge(deltas), name)


def test_a_filter_says_what_is_a_matrix(family, tmp_path):
    folders = family("llama")
    recipe = recipe_of(tmp_path, folders, "iso_c",
                       "matrix: [{filter: mlp, value: true}, {value: false}]")
    merged = numbers(export(recipe, tmp_path / "ours"))
    base = numbers(folders["base"])
    models = [numbers(folders[name]) for name in MODELS]
    for name, result in merged.items():
        deltas = [model[name] - base[name] for model in models]
        vector = (iso_c if "mlp" in name else others_mean)(deltas)
        assert_near(result, base[name], vector, name)


def test_another_factor_makes_nothing_anew(family, tmp_path):
    """The matrices of a sweep over lambda are made once."""
    folders = family("llama")
    recipe = recipe_of(tmp_path, folders, "tsv_m", "lambda: 1")
    recipe.write_text(recipe.read_text() + "llmergefs: {sweep: "
                      "{parameters.lambda: [0.5, 1.0]}}\n")
    with Mount(recipe, tmp_path / "mnt", "--cache-dir",
               tmp_path / "cache") as mounted:
        half, one = (numbers(mounted / f"lambda={point}")
                     for point in ("0.5", "1.0"))
        stats = json.loads((mounted / ".llmergefs/stats.json").read_text())
    base = numbers(folders["base"])
    matrices = sum(x.ndim == 2 for x in base.values())
    assert stats["methods"]["tsv_m"]["reductions"] == matrices
    for name in base:
        assert np.allclose(one[name] - base[name],
                           2 * (half[name] - base[name]), atol=5e-7)


@pytest.mark.parametrize("method", ["tsv_m", "iso_c", "core_space", "wudi"])
def test_bytes_do_not_depend_on_threads_and_levels(method, family, tmp_path):
    recipe = recipe_of(tmp_path, family("llama"), method, "matrix: true")
    sums = {llmergefs("sum", "--cache", "off", *how, recipe).stdout
            for how in (["--threads", "1"], ["--threads", "4"],
                        ["--cpu", "baseline"])}
    assert len(sums) == 1 and sums.pop()


def test_what_is_not_finite_is_nan_throughout(family, tmp_path):
    folders = dict(family("llama"))
    broken = shutil.copytree(folders["a"], tmp_path / "broken")
    state = tensors(broken)
    name = "model.layers.1.mlp.up_proj.weight"
    state[name][3, 5] = float("inf")
    for shard in broken.glob("*.safetensors"):
        save_file(state, shard, metadata={"format": "pt"})
    folders["a"] = broken
    for method in ("tsv_m", "iso_c", "core_space", "wudi"):
        recipe = recipe_of(tmp_path, folders, method, "matrix: true")
        merged = tensors(export(recipe, tmp_path / method))
        assert merged[name].isnan().all(), method
        assert sum(x.isnan().any() for x in merged.values()) == 1, method


def test_check_says_what_matrices_take(family, tmp_path):
    recipe = recipe_of(tmp_path, family("llama"), "tsv_m", "lambda: 1")
    text = llmergefs("check", recipe).stdout
    assert text.count("30 of them are whole matrices") == 1
    assert "`llmergefs warm`" in text
    text = llmergefs("check", "--json", recipe).stdout
    assert text.count('"matrices"') == 1
    data = json.loads(text)["matrices"]
    assert data["count"] == 30 and data["seconds"] > 0
    assert data["state_bytes"] > 0 and data["working_bytes"] > 0


def test_a_cache_without_room_is_said(family, tmp_path):
    recipe = recipe_of(tmp_path, family("llama"), "iso_c", "lambda: 1")
    said = "its whole matrices take "
    for how, remedy in [(("--cache-disk", "100kB"), "raise --cache-disk"),
                        (("--cache", "off", "--cache-mem", "100kB"),
                         "raise --cache-mem")]:
        with Mount(recipe, tmp_path / "mnt", "--cache-dir",
                   tmp_path / "cache", *how) as mounted:
            log = (mounted / ".llmergefs/log").read_text()
        assert said in log and remedy in log
    with Mount(recipe, tmp_path / "mnt", "--cache-dir",
               tmp_path / "cache") as mounted:
        assert "whole matrices" not in (mounted / ".llmergefs/log").read_text()


def test_a_cpu_that_is_taken_for_less_is_said(family, tmp_path, monkeypatch):
    cpu = llmergefs("sum", "--cpu", "avx2", "/nowhere").stderr
    if "avx2" in cpu and "not" in cpu:
        pytest.skip("this CPU has no AVX2")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    recipe = recipe_of(tmp_path, family("llama"), "iso_c", "lambda: 1")
    said = llmergefs("check", recipe).stderr
    assert "takes this CPU" in said and "OPENBLAS_CORETYPE" in said
    other = recipe_of(tmp_path, family("llama"), "magmax", "lambda: 1")
    assert "OPENBLAS" not in llmergefs("check", other).stderr


def test_the_library_is_in_the_key(family, tmp_path, monkeypatch):
    """What another CPU's kernels have made is not taken for one's own."""
    recipe = recipe_of(tmp_path, family("llama"), "iso_c", "lambda: 1")
    how = ("sum", "--cache-dir", tmp_path / "cache", recipe)
    assert llmergefs(*how).returncode == 0
    states = len(list((tmp_path / "cache").rglob("*")))
    assert llmergefs(*how).returncode == 0
    assert len(list((tmp_path / "cache").rglob("*"))) == states
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    assert llmergefs(*how).returncode == 0
    assert len(list((tmp_path / "cache").rglob("*"))) > 1.5 * states
