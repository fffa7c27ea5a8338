"""The peer: mergekit 0.1.5, as its own command."""

import os

import machine


def environment():
    """Nobody looks for anything on the network while the clock runs."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1",
                      HF_HUB_DISABLE_TELEMETRY="1")


def argv(recipe, folder):
    """With all threads that it takes, and as little memory as it can."""
    return [machine.BIN / "mergekit-yaml", recipe, folder, "--lazy-unpickle",
            "--num-threads", str(machine.CORES), "--quiet"]


def merge(work, recipe, folder):
    return machine.timed(argv(recipe, folder), work.log(), folder)


def start(work):
    """What it takes to do nothing: imports, mostly."""
    return machine.timed([machine.BIN / "mergekit-yaml", "--help"],
                         work.log())
