"""The control file, and `switch`, which speaks through it."""

import errno
import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from many import WEIGHTS, digest, generation, reading, ties, weights
from mounts import DEADLINE, conversation, mounted, run


@pytest.fixture
def sweep(trio, tmp_path):
    return ties(tmp_path / "sweep.yml", trio, llmergefs={
        "sweep": {"parameters.lambda": [0.5, 1]}})


# --- the file ---------------------------------------------------------------


def test_a_shell_can_speak_to_it(pair):
    done = subprocess.run(
        ["bash", "-c", 'exec 3<>"$0"; echo "$1" >&3; read -r -u3 line; '
         'echo "$line"; echo "$2" >&3; read -r -u3 line; echo "$line"',
         pair / ".llmergefs/control", '{"op": "switch", "name": "b"}',
         '{"op": "switch", "name": "c"}'], text=True, capture_output=True,
        timeout=DEADLINE, check=True)
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {"ok": True}
    assert second == {"ok": False, "code": 2,
                      "error": 'the mount has no folder "c"'}
    assert os.readlink(pair / "current") == "b"


def test_a_shells_redirection_is_a_command_too(pair):
    """`>` cuts the file, `>>` appends: both are a write to it."""
    for sign, name in ((">", "b"), (">>", "a")):
        subprocess.run(
            ["bash", "-c", f'echo "$1" {sign} "$0"',
             pair / ".llmergefs/control",
             json.dumps({"op": "switch", "name": name})],
            timeout=DEADLINE, check=True)
        assert os.readlink(pair / "current") == name


@pytest.mark.parametrize("line, sentence", [
    ("{", ""), ("[]", "a command is an object, not"),
    ("{}", '"op" must be a string'), ('{"op": 1}', '"op" must be a string'),
    ('{"op": "fly"}', 'there is no command "fly"'),
    ('{"op": "switch"}', '"name" must be a string'),
    ('{"op": "switch", "name": ""}', "no folder"),
    ('{"op": "switch", "name": ".."}', "no folder"),
    ('{"op": "switch", "name": ".llmergefs"}', "no folder"),
    ('{"op": "set", "name": "a", "settings": [1]}', "must be strings"),
    ('{"op": "set", "name": "a", "settings": ["x"]}', "="),
    ('{"op": "set", "settings": []}', "name a recipe of the mount"),
    ('{"op": "set", "name": "a", "settings": "parameters.x=1"}', "a list"),
    ('{"op": "set", "name": "a", "setting": ["x=1"]}', "a list"),
    ('{"op": "warm", "what": "all of it"}', '"what" is reductions'),
    ('{"op": "warm", "what": "pattern"}', '"pattern" must be a string'),
    ('{"op": "progress"}', "nothing was begun"),
    ('{"op": "switch", "name": "a"} {"op": "switch", "name": "b"}', ""),
    ('{"op": "switch", "name": "b\\u0000"}', ""),
    ("\udcff\udcfe\x01\x02", ""), ("[" * 5000, ""),
])
def test_a_wrong_line_is_answered_and_changes_nothing(pair, line, sentence):
    fd = os.open(pair / ".llmergefs/control", os.O_RDWR)
    try:
        assert os.read(fd, 100) == b""
        os.write(fd, line.encode(errors="surrogateescape") + b"\n")
        answer = os.read(fd, 1 << 20)
        # Still of use, and one line an answer.
        os.write(fd, b'{"op": "switch", "name": "a"}\n')
        assert os.read(fd, 1 << 20) == b'{"ok": true}\n'
    finally:
        os.close(fd)
    told = json.loads(answer)
    assert answer.endswith(b"\n") and answer.count(b"\n") == 1
    assert told["ok"] is False and told["code"] == 2
    assert told["error"] and sentence in told["error"]
    assert generation(pair, "a") == 1


def test_lines_come_in_any_pieces(pair):
    line = b'{"op": "switch", "name": "b"}\n'
    with conversation(pair.path):
        fd = os.open(pair / ".llmergefs/control", os.O_RDWR)
        for i in range(len(line)):
            assert os.read(fd, 10) == b""
            os.write(fd, line[i:i + 1])
        os.write(fd, line * 3 + b'{"op": "sw')
        os.write(fd, b'itch", "name": "a"}\n')
        answers = b""
        while (part := os.read(fd, 5)):
            answers += part
        os.close(fd)
    assert answers == b'{"ok": true}\n' * 5
    assert os.readlink(pair / "current") == "a"


def test_a_line_has_a_limit(pair):
    fd = os.open(pair / ".llmergefs/control", os.O_RDWR)
    chunk = b" " * (1 << 16)
    with pytest.raises(OSError) as refused:
        for _ in range(1000):
            os.write(fd, chunk)
    assert refused.value.errno == errno.EFBIG
    os.close(fd)
    assert pair.ask(op="switch", name="b") == {"ok": True}


def test_what_is_not_ended_is_not_done(pair):
    fd = os.open(pair / ".llmergefs/control", os.O_RDWR)
    os.write(fd, b'{"op": "switch", "name": "b"}')
    os.close(fd)
    assert os.readlink(pair / "current") == "a"


# What it can open as nobody, of what it is given.
AS_NOBODY = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:]:
    try:
        os.close(os.open(path, os.O_RDWR if "control" in path else os.O_RDONLY))
        print("opened")
    except OSError as error:
        print(error.errno)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_only_the_owner_may_command(two):
    # pytest's own folders are closed to others.
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    try:
        with mounted(two, top / "mnt", "-o", "allow_other",
                     "--cache=off") as mount:
            control = mount / ".llmergefs/control"
            assert stat.S_IMODE(control.stat().st_mode) == 0o600
            done = subprocess.run(
                ["/usr/bin/env", "python3", "-c", AS_NOBODY, control,
                 mount / ".llmergefs/stats.json", mount / "a" / WEIGHTS],
                text=True, capture_output=True, timeout=DEADLINE, check=True)
            assert done.stdout.split() == [str(errno.EACCES), "opened",
                                           "opened"]
    finally:
        shutil.rmtree(top)


# --- switch -----------------------------------------------------------------


def test_switch_points_current_at_another(pair, spot):
    assert os.readlink(pair / "current") == "a"
    for path, name in ((spot, "b"), (spot / "a", None), (spot, "b"),
                       (spot / "current/", None), (f"{spot}/b/", None)):
        done = run("switch", path, *([name] if name else []))
        assert done.returncode == 0, done.stderr
        expected = name or ("a" if path == spot / "a" else "b")
        assert done.stdout == f"{spot}/current is {expected}\n"
        assert os.readlink(pair / "current") == expected
    assert "current is b" in pair.log()


def test_switch_within_sweeps(sweep, two, spot):
    with mounted(sweep, spot) as mount:
        assert os.readlink(mount / "current") == "lambda=0.5"
        assert run("switch", spot / "lambda=1").returncode == 0
        assert os.readlink(mount / "current") == "lambda=1"
    with mounted([*two, sweep], spot) as mount:
        done = run("switch", spot, "sweep")
        assert done.returncode == 2 and '"sweep/lambda=0.5"' in done.stderr
        assert run("switch", spot, "sweep/lambda=1").returncode == 0
        assert weights(mount, "current") == weights(mount, "sweep/lambda=1")


@pytest.mark.parametrize("argv, sentence", [
    (["c"], 'no folder "c"'), (["a/b"], 'no folder "a/b"'),
    ([f"a/{WEIGHTS}"], "no folder"), ([], "name the folder"),
    (["current"], "no folder"), (["."], "no folder"),
])
def test_switch_says_what_is_wrong(pair, spot, argv, sentence):
    done = run("switch", spot, *argv)
    assert done.returncode == 2 and sentence in done.stderr
    assert os.readlink(pair / "current") == "a"


def test_switch_outside_of_mounts(two, spot, tmp_path):
    for path in (tmp_path, tmp_path / "none", "/"):
        done = run("switch", path, "a")
        assert done.returncode == 2
        assert "is no mount of llmergefs" in done.stderr
    with mounted(two[0], spot) as mount:
        done = run("switch", spot, "a")
        assert done.returncode == 2 and "nothing to switch to" in done.stderr
        assert not os.path.lexists(mount / "current")


def test_readers_of_current_see_one_or_the_other(pair):
    """Never nothing, never a mixture, however often it is switched."""
    good = {digest(weights(pair, "a")), digest(weights(pair, "b"))}
    with reading([pair / "current" / WEIGHTS]) as readers, \
            conversation(pair.path) as talk:
        for i in range(600):
            name = "ab"[i % 2]
            assert talk(op="switch", name=name) == {"ok": True}
            assert os.readlink(pair / "current") == name
            os.stat(pair / "current" / WEIGHTS)
    assert set(readers.seen) == good and readers.missing == 0
