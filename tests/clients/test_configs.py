"""Every recipe in configs/ works, with models as large as a test can have, and
each method has one. The sweep's points are in test_ab.py."""

import json

import pytest
from transformers import AutoModelForCausalLM

import synthetic
from support import ROOT, llmergefs

SWEEP = ROOT / "configs/sweep.yml"
CONFIGS = sorted(set((ROOT / "configs").glob("*.yml")) - {SWEEP})


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A working directory with build/demo/{base,python,c}."""
    folder = tmp_path_factory.mktemp("configs")
    synthetic.family(folder / "build/demo", fine_tunes=("python", "c"),
                     layers=30, tied=True)
    return folder


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_is_checked_mounted_and_loaded(config, demo, mount,
                                              monkeypatch):
    monkeypatch.chdir(demo)
    check = llmergefs("check", config)
    assert (check.returncode, check.stderr) == (0, "")
    mounted = mount(config)
    model = AutoModelForCausalLM.from_pretrained(mounted)
    shown = json.loads((mounted / "config.json").read_text())
    assert shown["dtype"] == "bfloat16"
    assert model.config.num_hidden_layers == \
        (40 if config.stem == "passthrough" else 30)


def test_each_method_has_a_config():
    methods = json.loads(llmergefs("methods", "--json").stdout)
    names = {each["name"] for each in methods["methods"]}
    assert names <= {path.stem for path in CONFIGS}
