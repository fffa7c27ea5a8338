"""What the README shows is what the program says."""

import re

import pytest

from support import ROOT, llmergefs

README = ROOT / "README.md"


def test_methods_table_is_the_programs():
    table = llmergefs("methods", "--markdown").stdout.strip()
    assert table and table in README.read_text()


COMMANDS = ["mount", "check", "export", "sum", "switch", "set", "warm",
            "status", "cache", "methods"]


@pytest.mark.parametrize("command", COMMANDS)
def test_subcommands_are_named(command):
    help_text = llmergefs("--help").stdout
    assert f"llmergefs {command}" in help_text
    assert help_text in README.read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_named(command):
    """Each option of --help is in the README."""
    text = README.read_text()
    options = re.findall(r"--[a-z][a-z-]+", llmergefs(command,
                                                      "--help").stdout)
    assert options
    missing = [option for option in options
               if option not in text and option not in ("--help", "--version")]
    assert not missing


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target
