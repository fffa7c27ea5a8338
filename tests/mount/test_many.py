"""Several recipes in one mount, and readers while they change."""

import errno
import os
import time

import pytest

from many import WEIGHTS, digest, linear, names, reading, ties, weights
from mounts import SLOW, mounted, run, wait_until


# --- files ----------------------------------------------------------------


def test_each_file_has_its_folder(trio, tmp_path, spot, exports):
    one, two = linear(tmp_path / "one.yml", trio), ties(tmp_path / "two.json",
                                                        trio)
    with mounted([one, two], spot) as mount:
        assert names(mount) == ["one", "two"]
        for path in (one, two):
            assert weights(mount, path.stem) == exports(path)
            assert weights(mount, "current") == exports(one)
        sources = mount.stats()["recipes"]
        assert [entry["path"] for entry in sources] == [str(one), str(two)]


REFUSED = {
    "two of a name": ("a.yml a.json", 'is called "a", too; rename one'),
    "a broken one": ("a.yml broken.yml", "broken.yml: "),
    "a name of the mount's": ("a.yml current.yml", 'a "current" of its own'),
    "a hidden one": ("a.yml .hid.yml", "a hidden folder is no place"),
    "a folder among them": ("a.yml folder", "a folder of recipes is mounted"),
    "one twice": ("a.yml a.yml", 'is called "a", too'),
}


@pytest.mark.parametrize("what", REFUSED)
def test_files_that_cannot_stand_together(trio, tmp_path, spot, what):
    files, sentence = REFUSED[what]
    for name in ("a.yml", "a.json", "current.yml", ".hid.yml"):
        linear(tmp_path / name, trio)
    (tmp_path / "broken.yml").write_text("merge_method: [\n")
    (tmp_path / "folder").mkdir()
    done = run(*(tmp_path / name for name in files.split()), spot)
    assert done.returncode == 2 and sentence in done.stderr
    assert not os.path.ismount(spot)


# --- readers during changes -----------------------------------------------


def test_readers_during_changes(folder, trio, spot, exports):
    """Whatever is changed, removed, cleared and evicted meanwhile: every file
    that was opened has the bytes of one generation, from begin to end."""
    texts = []
    for i, make in enumerate([linear, ties, linear, ties]):
        make(folder / ".text", trio, 0.25 * (i + 1))
        texts.append((folder / ".text").read_text())
    good = {digest(exports(folder / "a.yml"))}
    for text in texts:
        (folder / ".text").write_text(text)
        good.add(digest(exports(folder / ".text")))
    still = digest(exports(folder / "b.json"))
    with mounted(folder, spot, "--cache=all", "--cache-mem=1MiB") as mount:
        with reading([mount / "a" / WEIGHTS]) as changing, \
                reading([mount / "b" / WEIGHTS]) as staying:
            end = time.monotonic() + 4 * SLOW
            while time.monotonic() < end:
                for text in texts:
                    (folder / ".text").write_text(text)
                    (folder / ".text").rename(folder / "a.yml")
                    time.sleep(0.05)
                for argv in (["clear"], ["gc", "--max-bytes=500kB"], ["clear"]):
                    done = run("cache", *argv)
                    assert done.returncode == 0, done.stderr
                (folder / "a.yml").unlink()
                time.sleep(0.05)
        assert set(changing.seen) <= good and len(changing.seen) > 2
        assert changing.missing > 0
        assert set(staying.seen) == {still} and staying.missing == 0
        stats = mount.stats()
        assert stats["errors"] == 0 and stats["cache"]["disk_bad"] == 0
        wait_until(lambda: mount.stats()["retired_generations"] <= 1, "closed")


def test_nothing_changes_but_by_command(folder, spot):
    """Every other write in a mount of many is refused as in one of one."""
    with mounted(folder, spot) as mount:
        run("switch", spot, "b")
        for change in (lambda: os.mkdir(mount / "c"),
                       lambda: os.rmdir(mount / "a"),
                       lambda: os.unlink(mount / "current"),
                       lambda: os.rename(mount / "a", mount / "z"),
                       lambda: os.symlink("a", mount / "l"),
                       lambda: os.unlink(mount / ".llmergefs/control"),
                       lambda: os.chmod(mount / ".llmergefs/control", 0o666),
                       lambda: os.truncate(mount / "a" / WEIGHTS, 0),
                       lambda: open(mount / "a" / WEIGHTS, "ab"),
                       lambda: open(mount / ".llmergefs/errors", "r+b"),
                       lambda: os.open(mount / "new", os.O_CREAT | os.O_RDWR)):
            with pytest.raises(OSError) as refused:
                change()
            assert refused.value.errno == errno.EROFS
        assert names(mount) == ["a", "b"]
