"""What the client tests share: the program, mounts, recipes, comparisons."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import torch
import yaml
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("LLMERGEFS", str(ROOT / "llmergefs"))

MOUNT_SECONDS = 60
STOP_SECONDS = 20


def llmergefs(*args, **keywords):
    """Run the program to its end; text is captured, nothing is checked."""
    return subprocess.run([PROGRAM, *map(str, args)], text=True,
                          capture_output=True, timeout=300, **keywords)


class Mount:
    """A recipe, or a list of them, mounted in the foreground for a `with`
    block, and unmounted whatever happens in it."""

    def __init__(self, recipe, mountpoint, *options):
        self.path = Path(mountpoint)
        self.path.mkdir(parents=True, exist_ok=True)
        recipes = recipe if isinstance(recipe, list) else [recipe]
        self.argv = [PROGRAM, "-f", *options, *map(str, recipes),
                     str(mountpoint)]
        self.daemon = None

    def __enter__(self):
        self.daemon = subprocess.Popen(self.argv, stderr=subprocess.PIPE,
                                       text=True)
        end = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(self.path):
            if self.daemon.poll() is not None:
                raise RuntimeError(self.daemon.stderr.read())
            if time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{self.argv}: no mount")
            time.sleep(0.01)
        return self.path

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if os.path.ismount(self.path):
            subprocess.run(["fusermount3", "-u", str(self.path)],
                           capture_output=True)
        try:
            self.daemon.wait(STOP_SECONDS if not os.path.ismount(self.path)
                             else 0)
        except subprocess.TimeoutExpired:
            self.daemon.send_signal(signal.SIGKILL)
            self.daemon.wait()
        if os.path.ismount(self.path):
            subprocess.run(["fusermount3", "-uz", str(self.path)])
        self.daemon.stderr.close()


def write_recipe(path, config):
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def export(recipe, folder, *options):
    """The merged model as a plain folder."""
    run = llmergefs("export", "--quiet", *options, recipe, folder)
    assert run.returncode == 0, run.stderr
    return folder


def switch(mountpoint, name):
    """Point `current` at another folder of the mount."""
    run = llmergefs("switch", mountpoint, name)
    assert run.returncode == 0, run.stderr


def shards(folder):
    return sorted(Path(folder).glob("*.safetensors"))


def tensors(folder):
    """All tensors of a model folder, by name."""
    found = {}
    for shard in shards(folder):
        with safe_open(shard, "pt") as file:
            found.update({name: file.get_tensor(name).clone()
                          for name in file.keys()})
    assert found, f"{folder} holds no tensors"
    return found


def same_bits(a, b):
    """Equal type, shape and bytes: -0 differs from 0, NaN equals itself."""
    return (a.dtype == b.dtype and a.shape == b.shape and
            torch.equal(a.contiguous().flatten().view(torch.uint8),
                        b.contiguous().flatten().view(torch.uint8)))


def assert_same_tensors(a, b):
    assert a.keys() == b.keys()
    different = [name for name in a if not same_bits(a[name], b[name])]
    assert not different, different


def copy_model(folder, to, leave=()):
    """A copy of a model folder without some of its files."""
    shutil.copytree(folder, to, ignore=lambda _, names: set(leave) & set(names))
    return to
