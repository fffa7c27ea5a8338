"""A folder of recipes that is followed as it changes."""

import mmap
import os
import shutil
import time

import pytest

from many import WEIGHTS, inodes, linear, names, shows, weights
from mounts import SLOW, mounted, recipe, wait_until


def replace(path, make):
    """As editors do: the new text under another name, then renamed."""
    aside = path.with_name(f".{path.name}.tmp")
    make(aside)
    aside.rename(path)


def test_what_is_added_appears(folder, trio, spot, exports):
    with mounted(folder, spot) as mount:
        assert names(mount) == ["a", "b"]
        assert not (mount / "c").exists()
        path = linear(folder / "c.yaml", trio, 0.25)
        begin = time.monotonic()
        shows(mount, "a", "b", "c")
        assert time.monotonic() - begin < 2 * SLOW
        assert weights(mount, "c") == exports(path)


def test_an_empty_folder_fills(trio, tmp_path, spot, exports):
    folder = tmp_path / "empty"
    folder.mkdir()
    with mounted(folder, spot) as mount:
        assert os.listdir(spot) == [".llmergefs"]
        path = linear(folder / "a.yml", trio)
        shows(mount, "a")
        assert os.readlink(mount / "current") == "a"
        assert weights(mount, "current") == exports(path)


@pytest.mark.parametrize("how", ["in place", "renamed over"])
def test_a_change_is_a_new_generation(folder, trio, spot, exports, how):
    """Who has the old one open, file or mapping, keeps its bytes to the end;
    the path shows the new ones, under inodes that were never there before."""
    old = exports(folder / "a.yml")
    with mounted(folder, spot) as mount:
        before = inodes(mount / "a")
        with open(mount / "a" / WEIGHTS, "rb") as file, \
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:100] == old[:100]
            stat = os.fstat(file.fileno())
            if how == "in place":
                linear(folder / "a.yml", trio, 0.25)
            else:
                replace(folder / "a.yml", lambda path: linear(path, trio, 0.25))
            new = exports(folder / "a.yml")
            assert new != old
            wait_until(lambda: not before & inodes(mount / "a"), "new inodes")
            assert weights(mount, "a") == new
            assert os.fstat(file.fileno()) == stat
            assert os.pread(file.fileno(), len(old), 0) == old
            assert mapped[:] == old
            assert mount.stats()["retired_generations"] == 1
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "closed")
        assert weights(mount, "b") == exports(folder / "b.json")
        assert mount.stats()["errors"] == 0


def test_the_others_are_left_alone(folder, trio, spot):
    with mounted(folder, spot) as mount:
        others = inodes(mount / "b")
        linear(folder / "a.yml", trio, 0.25)
        linear(folder / "c.yml", trio)
        shows(mount, "a", "b", "c")
        assert inodes(mount / "b") == others


def test_a_folder_of_an_old_generation_stays_whole(folder, trio, spot, exports):
    """Who stands in it goes on there, in files not opened before, too."""
    old = exports(folder / "a.yml")
    with mounted(folder, spot) as mount:
        stand = os.open(mount / "a", os.O_RDONLY)
        try:
            seen = sorted(os.listdir(stand))
            first = os.fstat(stand).st_ino
            linear(folder / "a.yml", trio, 0.25)
            wait_until(lambda: os.stat(mount / "a").st_ino != first, "new")
            (folder / "a.yml").unlink()
            shows(mount, "b")
            assert sorted(os.listdir(stand)) == seen
            fd = os.open(WEIGHTS, os.O_RDONLY, dir_fd=stand)
            assert os.pread(fd, len(old), 0) == old
            os.close(fd)
        finally:
            os.close(stand)
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "closed")


def test_what_is_removed_goes_and_its_readers_go_on(folder, spot, exports):
    old = exports(folder / "b.json")
    with mounted(folder, spot) as mount:
        with open(mount / "b" / WEIGHTS, "rb", buffering=0) as file:
            (folder / "b.json").unlink()
            shows(mount, "a")
            with pytest.raises(FileNotFoundError):
                os.stat(mount / "b")
            assert file.read() == old
        wait_until(lambda: mount.stats()["retired_generations"] == 0, "closed")


def test_a_renamed_file_is_a_renamed_folder(folder, spot, exports):
    old = exports(folder / "a.yml")
    with mounted(folder, spot) as mount:
        with open(mount / "a" / WEIGHTS, "rb", buffering=0) as file:
            (folder / "a.yml").rename(folder / "z.yml")
            shows(mount, "b", "z")
            assert weights(mount, "z") == old == file.read()


def test_a_broken_one_tells_why_and_comes_back(folder, trio, spot, exports):
    old, others = exports(folder / "a.yml"), exports(folder / "b.json")
    with mounted(folder, spot) as mount, \
            open(mount / "a" / WEIGHTS, "rb", buffering=0) as file:
        linear(folder / "a.yml", trio, "much")
        shows(mount, "b")
        assert mount.errors().startswith("a.yml: ")
        assert "weight" in mount.errors()
        with pytest.raises(FileNotFoundError):
            os.stat(mount / "a")
        assert file.read() == old
        assert weights(mount, "b") == others
        linear(folder / "a.yml", trio, 0.125)
        shows(mount, "a", "b")
        assert mount.errors() == ""
        assert weights(mount, "a") == exports(folder / "a.yml")


def test_a_broken_one_at_the_mount_is_no_hindrance(folder, trio, spot):
    (folder / "bad.yml").write_text("merge_method: [\n")
    with mounted(folder, spot) as mount:
        assert names(mount) == ["a", "b"]
        assert mount.errors().startswith("bad.yml: ")
        linear(folder / "bad.yml", trio)
        shows(mount, "a", "b", "bad")


def test_two_of_a_name(folder, trio, spot, exports):
    """The first has the folder; the other has its reason in errors, and the
    folder once the first is gone."""
    linear(folder / "b.yml", trio)
    with mounted(folder, spot) as mount:
        assert names(mount) == ["a", "b"]
        assert mount.errors().startswith("b.yml: ")
        assert 'is called "b", too; rename one' in mount.errors()
        assert weights(mount, "b") == exports(folder / "b.json")
        (folder / "b.json").unlink()
        wait_until(lambda: mount.errors() == "", "no errors")
        shows(mount, "a", "b")
        assert weights(mount, "b") == exports(folder / "b.yml")


def test_names_that_look_like_files(folder, trio, spot):
    """A file without a folder of its own stands in errors under its whole name;
    a recipe of that very name is not mixed up with it."""
    linear(folder / "b.yml.json", trio)
    with mounted(folder, spot) as mount:
        assert names(mount) == ["a", "b", "b.yml"]
        linear(folder / "b.yml", trio)
        wait_until(lambda: mount.errors().startswith("b.yml: "), "the reason")
        (folder / "b.yml.json").unlink()
        shows(mount, "a", "b")
        linear(folder / "c.yml", trio)
        shows(mount, "a", "b", "c")
        assert mount.errors().startswith("b.yml: ")
        (folder / "b.yml").unlink()
        wait_until(lambda: mount.errors() == "", "no errors")
        assert names(mount) == ["a", "b", "c"]


def test_a_name_of_the_mounts_own(folder, trio, spot):
    linear(folder / "current.yml", trio)
    with mounted(folder, spot) as mount:
        assert names(mount) == ["a", "b"]
        assert 'a "current" of its own' in mount.errors()
        assert os.readlink(mount / "current") == "a"
        (folder / "current.yml").rename(folder / "now.yml")
        shows(mount, "a", "b", "now")
        assert mount.errors() == ""


def test_other_files_are_none_of_ours(folder, trio, spot):
    with mounted(folder, spot) as mount:
        for name in (".a.yml.swp", ".#a.yml", "a.yml~", "#a.yml#", "4913",
                     "README.md", ".hidden.yml", "a.yml.tmp", "x.yml.bak"):
            linear(folder / name, trio)
        (folder / "folder.yml").mkdir()
        os.mkfifo(folder / "fifo.yml")
        (folder / "dangling.yml").symlink_to("none")
        linear(folder / "last.yml", trio)
        shows(mount, "a", "b", "last")
        assert mount.errors() == ""


def test_a_link_to_a_recipe_is_one(folder, trio, tmp_path, spot):
    linear(tmp_path / "elsewhere.yml", trio)
    with mounted(folder, spot) as mount:
        (folder / "link.yml").symlink_to(tmp_path / "elsewhere.yml")
        shows(mount, "a", "b", "link")
        before = inodes(mount / "link")
        linear(tmp_path / "elsewhere.yml", trio, 0.25)
        wait_until(lambda: not before & inodes(mount / "link"), "new inodes")


def test_a_file_that_is_being_written_is_left_alone(folder, trio, spot,
                                                    exports):
    """Not half of it, although another was finished meanwhile."""
    old = exports(folder / "b.json")
    text = (folder / "b.json").read_text().replace("0.5", "0.75")
    with mounted(folder, spot) as mount:
        first = inodes(mount / "b")
        with open(folder / "b.json", "w", encoding="ascii") as file:
            for i in range(0, len(text), 60):
                file.write(text[i:i + 60])
                file.flush()
                linear(folder / "other.yml", trio, i / 1000)
                time.sleep(0.05)
                assert weights(mount, "b") == old
                assert mount.errors() == ""
        wait_until(lambda: not first & inodes(mount / "b"), "the new one")
        assert weights(mount, "b") == exports(folder / "b.json") != old


def test_a_new_file_that_is_being_written_is_waited_for(folder, trio, spot):
    text = linear(folder / ".c", trio).read_text()
    with mounted(folder, spot) as mount:
        with open(folder / "c.yml", "w", encoding="ascii") as file:
            file.write(text[:50])
            file.flush()
            begin = time.monotonic()
            linear(folder / "d.yml", trio)
            shows(mount, "a", "b", "d")
            # A writer that rests for a second is taken for done.
            assert mount.errors() == "" or time.monotonic() - begin > 1
            file.write(text[50:])
        shows(mount, "a", "b", "c", "d")
        assert mount.errors() == ""


def test_a_folder_that_is_removed_and_made_again(folder, trio, spot, exports):
    """What it had is still shown; made again, it is followed again."""
    old = exports(folder / "a.yml")
    with mounted(folder, spot) as mount:
        shutil.move(folder, folder.with_name("away"))
        wait_until(lambda: "what it had is still shown" in mount.log(), "said")
        time.sleep(2.5)
        assert mount.log().count("what it had is still shown") == 1
        assert weights(mount, "a") == old
        folder.mkdir()
        linear(folder / "n.yml", trio)
        shows(mount, "n")
        linear(folder / "m.yml", trio)
        begin = time.monotonic()
        shows(mount, "m", "n")
        assert time.monotonic() - begin < SLOW, "it is not told of changes"
        linear(folder.with_name("away") / "x.yml", trio)
        time.sleep(0.3)
        assert names(mount) == ["m", "n"]


def test_a_recipe_of_the_mount_itself_is_refused(folder, spot):
    with mounted(folder, spot) as mount:
        recipe(folder / "self.yml", "passthrough", [(mount / "a", {})])
        wait_until(lambda: "lies on this mount itself" in mount.errors(), "why")
        assert names(mount) == ["a", "b"]
