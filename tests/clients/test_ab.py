"""Many merges in one mount, as people go through them: transformers in a loop,
`current` after a switch, lm-eval on a folder. All see what `export` writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

import support
import synthetic
from support import ROOT, assert_same_tensors, export, switch, tensors

TEXT = "merged when read"


def recipe(models, method="ties", **own):
    """Two fine-tunes of one base; `own` stands under llmergefs."""
    return {"merge_method": method, "base_model": str(models["base"]),
            "models": [{"model": str(models[name]),
                        "parameters": {"weight": 1, "density": 0.5}}
                       for name in ("a", "b")],
            "parameters": {"lambda": 1.0}, "dtype": "float32",
            "out_dtype": "bfloat16", "llmergefs": own}


@pytest.fixture(scope="module")
def ab(family, tmp_path_factory):
    """(the mount, {name: export}) of two recipes, a and b."""
    folder = tmp_path_factory.mktemp("ab")
    models = family("llama-bf16-sharded")
    paths, exports = [], {}
    for name, method in (("a", "ties"), ("b", "task_arithmetic")):
        paths.append(support.write_recipe(
            folder / f"{name}.yml",
            recipe(models, method, shard_size="100KB")))
        exports[name] = export(paths[-1], folder / f"exported-{name}")
    assert len(support.shards(exports["a"])) > 1
    with support.Mount(paths, folder / "mnt") as mounted:
        yield mounted, exports


def logits(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(input_ids=torch.arange(3, 60).view(1, -1)).logits


def test_transformers_goes_through_the_folders_of_a_mount(ab):
    mounted, exports = ab
    seen = {folder.name: logits(folder) for folder in mounted.iterdir()
            if (folder / "config.json").exists() and not folder.is_symlink()}
    assert seen.keys() == exports.keys()
    for name, exported in exports.items():
        assert torch.equal(seen[name], logits(exported)), name
    assert not torch.equal(seen["a"], seen["b"])


def test_current_is_loaded_anew_after_each_switch(ab):
    """What was read of the one before is not what is read next."""
    mounted, exports = ab
    expected = {name: logits(folder) for name, folder in exports.items()}
    for name in ("b", "a", "b"):
        switch(mounted, name)
        assert torch.equal(logits(mounted / "current"), expected[name]), name
        assert_same_tensors(tensors(mounted / "current"),
                            tensors(exports[name]))


def test_a_model_that_is_loaded_keeps_its_weights_through_a_switch(ab):
    """Weights stay mapped from the mount, and pages not yet read are still
    those of the folder they were opened in."""
    mounted, exports = ab
    switch(mounted, "a")
    names = list(tensors(exports["a"]))
    with support.safe_open(support.shards(mounted / "current")[-1],
                           "pt") as file:
        switch(mounted, "b")
        for name in file.keys():
            assert name in names
            assert support.same_bits(file.get_tensor(name),
                                     tensors(exports["a"])[name]), name


def test_each_point_of_a_sweep_loads_as_the_recipe_of_the_index(
        family, tmp_path, mount):
    swept = recipe(family("llama-bf16"), sweep={
        "merge_method": ["ties", "dare_linear"],
        "parameters.lambda": [0.5, 1.0]})
    mounted = mount(support.write_recipe(tmp_path / "sweep.yml", swept))
    points = json.loads((mounted / "index.json").read_text())["points"]
    assert [point["name"] for point in points] == [
        f"merge_method={method},lambda={value}"
        for method in ("ties", "dare_linear") for value in (0.5, 1.0)]
    for number, point in enumerate(points):
        alone = support.write_recipe(tmp_path / f"{number}.yml",
                                     point["recipe"])
        exported = export(alone, tmp_path / str(number))
        assert torch.equal(logits(mounted / point["name"]), logits(exported))


def test_the_sweep_in_configs_shows_its_points(tmp_path, mount, monkeypatch):
    """Twenty at least, of every method that it names, each a model."""
    synthetic.family(tmp_path / "build/demo", fine_tunes=("python", "c"),
                     layers=2, tied=True)
    monkeypatch.chdir(tmp_path)
    path = ROOT / "configs/sweep.yml"
    mounted = mount(path)
    points = json.loads((mounted / "index.json").read_text())["points"]
    sweep = yaml.safe_load(path.read_text())["llmergefs"]["sweep"]
    assert len(points) >= 20
    assert {point["recipe"]["merge_method"] for point in points} == \
        set(sweep["merge_method"])
    seen = {str(logits(mounted / point["name"])) for point in points}
    assert len(seen) > len(points) // 2


# --- lm-eval ------------------------------------------------------------------

LIKELIHOOD = """
task: likelihood
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - {{metric: byte_perplexity}}
  - {{metric: bits_per_byte}}
"""

CHOICE = """
task: choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
doc_to_choice: ["{{{{right}}}}", "{{{{wrong}}}}"]
doc_to_target: 0
metric_list:
  - {{metric: acc}}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder with two tasks of a few lines each: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "data.jsonl"
    data.write_text("".join(
        json.dumps({"text": f"{TEXT} {i}", "right": f"yes {i}",
                    "wrong": f"no {i * i}"}) + "\n" for i in range(12)))
    for name, task in (("likelihood", LIKELIHOOD), ("choice", CHOICE)):
        (folder / f"{name}.yaml").write_text(task.format(data=data))
    return folder


def figures(results):
    """{task: {metric: value}}"""
    return {task: {name: value for name, value in each.items()
                   if name not in ("alias", "name")}
            for task, each in results["results"].items()}


def by_line(model_args, tasks, out):
    """What the README's line says."""
    run = subprocess.run(
        [str(Path(sys.executable).parent / "lm_eval"), "--model", "hf",
         "--model_args", model_args, "--include_path", str(tasks),
         "--tasks", "likelihood,choice", "--output_path", str(out)],
        capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    return figures(json.loads(next(out.rglob("results_*.json")).read_text()))


def in_process(folder, tasks):
    """The same of a plain folder, without the line's search for tasks."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    return figures(lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": str(folder), "dtype": "float32"},
        tasks=["likelihood", "choice"], device="cpu",
        task_manager=TaskManager(include_path=str(tasks),
                                 include_defaults=False)))


def test_lm_eval_measures_the_same_on_mount_and_export(ab, tasks, tmp_path):
    mounted, exports = ab
    measured = by_line(f"pretrained={mounted}/b,dtype=float32", tasks, tmp_path)
    assert measured == in_process(exports["b"], tasks)
    assert measured != in_process(exports["a"], tasks)


def test_lm_eval_takes_a_name_with_commas_as_json(family, tasks, tmp_path,
                                                  mount):
    """A point's name has commas, which split model_args unless it is JSON."""
    swept = recipe(family("llama-bf16"), sweep=[
        {"parameters.lambda": 0.5, "llmergefs.seed": 1}])
    path = support.write_recipe(tmp_path / "sweep.yml", swept)
    mounted = mount(path)
    [point] = json.loads((mounted / "index.json").read_text())["points"]
    assert "," in point["name"]
    folder = mounted / point["name"]
    measured = by_line(json.dumps({"pretrained": str(folder),
                                   "dtype": "float32"}), tasks,
                       tmp_path / "out")
    assert measured == in_process(folder, tasks)
