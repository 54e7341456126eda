"""Writing files: all or nothing, permissions, damaged files, and what is refused."""

import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

from reservoir.utils.files import load_arrays, save_arrays, write_atomically
from reservoir.utils.locks import try_lock


def test_round_trip_keeps_bits_dtypes_and_header(tmp_path):
    arrays = {
        "double": np.array([np.pi, -0.0, 1e-310]),
        "single": np.float32([[1.5]]),
        "text": np.array(["a", "bcd"]),
        "empty": np.empty((0, 3)),
    }
    header = {"class": "X", "nested": {"list": [1, None, 0.1]}}
    save_arrays(tmp_path / "model", header=header, arrays=arrays)
    assert os.listdir(tmp_path) == ["model"]
    loaded_header, loaded = load_arrays(tmp_path / "model")
    assert loaded_header == header
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tobytes() == array.tobytes()


def test_failed_write_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    write_atomically(path, b"old")

    def broken(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.npz"]


def test_file_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 torn"])
def test_damaged_file_is_a_clear_error(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a file that this library saved"):
        load_arrays(path)


def test_plain_array_file_is_a_clear_error(tmp_path):
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(ValueError, match="not a file that this library saved"):
        load_arrays(tmp_path / "array.npy")
    np.savez(tmp_path / "arrays.npz", a=np.arange(3))
    with pytest.raises(ValueError, match="not a file that this library saved"):
        load_arrays(tmp_path / "arrays.npz")


def test_missing_file():
    with pytest.raises(FileNotFoundError):
        load_arrays("no-such-file.npz")


def test_objects_and_taken_names_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"`arrays\['a'\]` has the dtype object"):
        save_arrays(tmp_path / "x", header={}, arrays={"a": np.array([{}])})
    with pytest.raises(ValueError, match="'header', which is taken"):
        save_arrays(tmp_path / "x", header={}, arrays={"header": np.arange(2)})


def test_permissions_are_kept(tmp_path):
    path = tmp_path / "model.npz"
    write_atomically(path, b"old")
    path.chmod(0o600)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_links_are_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    real, link = tmp_path / "folder" / "model.npz", tmp_path / "link.npz"
    link.symlink_to("folder/model.npz")
    write_atomically(link, b"first")  # the link may lead to where nothing is yet
    assert real.read_bytes() == b"first"
    write_atomically(link, b"second")
    assert link.is_symlink()
    assert real.read_bytes() == b"second"
    assert sorted(os.listdir(tmp_path)) == ["folder", "link.npz"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"`path` '.*pipe' is no file"):
        write_atomically(tmp_path / "pipe", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "model.npz"
    script = (
        "import os, signal, sys\n"
        "from reservoir.utils.files import write_atomically\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(sys.argv[1], bytes(1000))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1
    # Those of other files, and of a writer that is alive, stay.
    (tmp_path / "other.npz.abcdefgh.tmp").write_bytes(b"")
    (tmp_path / "model.npz.notes.tmp").write_bytes(b"")
    with (tmp_path / "model.npz.abcdefgh.tmp").open("wb") as alive:
        assert try_lock(alive.fileno())
        write_atomically(path, b"new")
    assert sorted(os.listdir(tmp_path)) == [
        "model.npz",
        "model.npz.abcdefgh.tmp",
        "model.npz.notes.tmp",
        "other.npz.abcdefgh.tmp",
    ]
