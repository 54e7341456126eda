"""Files that earlier versions saved: each loads, gives the answers of then, and learns on."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.support import saved_models

ARCHIVES = sorted((Path(__file__).parents[1] / "data").glob("saved-*.tar.xz"))
VERSIONS = [path.name.removeprefix("saved-").removesuffix(".tar.xz") for path in ARCHIVES]

# Other processors sum in another order, and numba's tanh differs from NumPy's in the last places.
# On the machine that made the files, and with numba there, every bit is the same.
TOLERANCE = {np.dtype(np.float64): 1e-8, np.dtype(np.float32): 1e-3}


@pytest.fixture(scope="module", params=ARCHIVES, ids=VERSIONS)
def folder(request, tmp_path_factory):
    """The files of one version."""
    folder = tmp_path_factory.mktemp("saved")
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    return folder


def assert_answers(folder, name, answers, rounding=None):
    """Compare with what the version that wrote the file answered.

    `rounding` is, for each answer, what one rounding at the start can make of it: another order of
    sums, on another processor, makes as much.
    """
    with np.load(folder / "answers.npz") as stored:
        expected = {
            key.partition("/")[2]: stored[key]
            for key in stored.files
            if key.partition("/")[0] == name
        }
    assert expected
    assert set(answers) == set(expected)
    for key, value in expected.items():
        answer = np.asarray(answers[key])
        assert answer.dtype == value.dtype
        if value.dtype.kind == "f":
            # Nets compute in float32 by default, and report losses in float64.
            dtype = np.dtype(np.float32) if name.startswith("RNN") else value.dtype
            atol = TOLERANCE[dtype] * np.abs(value).max()
            if rounding is not None:
                atol += 4 * rounding[key]
            np.testing.assert_allclose(answer, value, rtol=0, atol=atol, err_msg=key)
        else:
            np.testing.assert_array_equal(answer, value, err_msg=key)


@pytest.mark.parametrize("name", saved_models.MODELS)
def test_models_answer_as_they_did(folder, name):
    file = folder / f"{name}.npz"
    if not file.exists():
        pytest.skip("This version had no such model.")
    model = getattr(saved_models, name.partition("-")[0]).load(file)
    assert_answers(folder, name, saved_models.MODELS[name][1](model))


@pytest.mark.parametrize("name", saved_models.CHECKPOINTS)
def test_checkpoints_go_on_as_they_did(folder, name):
    file = folder / f"checkpoint-{name}.npz"
    if not file.exists():
        pytest.skip("This version had no such checkpoint.")
    answers = saved_models.checkpoint_answers(name, file)
    rounding = saved_models.rounding_of_answers(name, file)
    # Far below a step: another batch, or an optimizer that forgot its state, would be seen.
    assert all(rounding[key] < 1e-6 for key in rounding)
    assert_answers(folder, f"checkpoint-{name}", answers, rounding)
