"""Damaged files: refused with one clear error, or as good as before; never a crash.

`python -m tests.support.damaged_files 2000` makes as many damages of each kind of file; here there
are a few dozen each, in a process of their own, since damage has crashed compiled loops.
"""

import io
import json
import os
import re
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from reservoir import ESNRegressor
from reservoir.utils.files import load_arrays, save_arrays

N_DAMAGES = os.environ.get("N_DAMAGES", "30")


def test_damages_are_refused_or_change_nothing():
    call = [sys.executable, "-m", "tests.support.damaged_files", N_DAMAGES]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1:]
    assert done.returncode == 0, f"The process ended at {last}."
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) > 15
    assert {result["kind"]: result["wrong"] for result in results if result["wrong"]} == {}
    # Most damages are such that something must be refused.
    assert all(result["refused"] > int(N_DAMAGES) / 2 for result in results)


@pytest.fixture
def saved(tmp_path):
    """A model and the file that holds it."""
    rng = np.random.default_rng(0)
    model = ESNRegressor(n_units=20, random_state=0, washout=5)
    model.fit(rng.normal(size=(60, 2)), rng.normal(size=(60, 1)))
    model.save(tmp_path / "model.npz")
    return model, tmp_path / "model.npz"


def resave(path, change):
    """Save a file again after a change to its header and arrays, with a checksum that is right."""
    header, arrays = load_arrays(path)
    change(header, arrays)
    save_arrays(path, header=header, arrays=arrays)


# What a file is refused for even where no checksum tells that it was changed.
STRUCTURE = {
    "out of range": lambda header, arrays: arrays["fitted.reservoir_.recurrent.indices"].fill(20),
    "negative": lambda header, arrays: arrays["fitted.reservoir_.recurrent.indices"].fill(-1),
    "holds NaN": lambda header, arrays: arrays["fitted.reservoir_.recurrent.data"].fill(np.nan),
    "`coef_` is": lambda header, arrays: arrays.update(
        {"fitted.coef_": arrays["fitted.coef_"][:, :-1]}
    ),
    "`last_state_` is": lambda header, arrays: arrays.update(
        {"fitted.last_state_": arrays["fitted.last_state_"][:3]}
    ),
    "`moments` is": lambda header, arrays: arrays.update(
        {"fitted._accumulator.sums.moments": np.zeros((2, 2))}
    ),
    "KeyError": lambda header, arrays: arrays.pop("fitted.coef_"),
    "'n_neurons', 'zeal', which this version does not know": lambda header, arrays: header[
        "params"
    ]["dict"].update(zeal=1, n_neurons=2),
    "it holds a Vortex, which this version does not know": lambda header, arrays: header["fitted"][
        "dict"
    ].update(vortex_={"class": "Vortex", "state": {"dict": {}}}),
    "Reservoir has 'delay', which": lambda header, arrays: header["fitted"]["dict"]["reservoir_"][
        "state"
    ]["dict"].update(delay=1),
}


@pytest.mark.parametrize("reason", STRUCTURE)
def test_what_does_not_fit_together_is_refused_with_the_path(saved, reason):
    path = saved[1]
    names = set(load_arrays(path)[1])
    try:
        resave(path, STRUCTURE[reason])
    except KeyError:  # pragma: no cover
        pytest.fail(f"The file holds {sorted(names)}.")
    reason = "out of range" if reason == "negative" else reason
    with pytest.raises(ValueError, match=rf"`path` .*model\.npz.*{re.escape(reason)}"):
        ESNRegressor.load(path)


def test_files_without_a_checksum_are_read(saved):
    model, path = saved
    with np.load(path) as file:
        members = dict(file)
    header = json.loads(str(members["header"]))
    del header["checksum"]
    with path.open("wb") as file:
        np.savez(file, **{**members, "header": np.array(json.dumps(header))})
    X = np.random.default_rng(1).normal(size=(30, 2))
    np.testing.assert_array_equal(ESNRegressor.load(path).predict(X), model.predict(X))


def test_a_value_changed_without_the_checksum_is_refused(saved):
    path = saved[1]
    with np.load(path) as file:
        members = dict(file)
    members["fitted.coef_"][0, 0] += 1e-12
    with path.open("wb") as file:
        np.savez(file, **members)
    with pytest.raises(ValueError, match="damaged"):
        ESNRegressor.load(path)


def test_a_small_file_does_not_become_a_large_array(tmp_path):
    path = tmp_path / "bomb.npz"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with path.open("wb") as file:
            np.savez_compressed(file, header=np.array("{}"), a=np.zeros(2**21))
        assert path.stat().st_size < 2**15
        with pytest.raises(ValueError, match="damaged"):
            load_arrays(path)
        # A header of an array that promises 2 TiB.
        save_arrays(path, header={}, arrays={"a": np.zeros(3)})
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        buffer = io.BytesIO()
        declared = {"descr": "<f8", "fortran_order": False, "shape": (2**38,)}
        np.lib.format.write_array_header_1_0(buffer, declared)
        parts["a.npy"] = buffer.getvalue() + bytes(24)
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
        with pytest.raises(ValueError, match="damaged"):
            load_arrays(path)


def test_a_header_nested_without_end_is_refused(tmp_path):
    path = tmp_path / "deep.npz"
    with path.open("wb") as file:
        np.savez(file, header=np.array('{"a":' * 100_000))
    with pytest.raises(ValueError, match="damaged"):
        load_arrays(path)
