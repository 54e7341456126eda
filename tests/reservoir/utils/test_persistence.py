"""Files without pickle: round trips, registered classes, and what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from reservoir.utils.files import save_arrays
from reservoir.utils.persistence import FORMAT, SavableMixin, pack, register, unpack


@register
@dataclass(frozen=True)
class Pair:
    left: object
    right: object


class Model(SavableMixin, BaseEstimator):
    def __init__(self, size=1, option=None):
        self.size = size
        self.option = option


def round_trip(value):
    arrays = {}
    return unpack(pack(value, "value", arrays), arrays)


def test_plain_values_come_back():
    value = {"a": [1, 2.5, None, True, "x"], "b": (1, (2, [])), "c": {"d": float("inf")}}
    assert round_trip(value) == value
    assert np.isnan(round_trip(float("nan")))
    assert round_trip(np.dtype("float32")) == np.float32


def test_arrays_scalars_and_sparse_matrices_come_back(rng):
    dense = rng.normal(size=(3, 4)).astype(np.float32)
    matrix = sparse.random_array((5, 7), density=0.3, rng=rng, format="csr")
    pair = round_trip(Pair(dense, {"matrix": matrix, "scalar": np.float32(0.1)}))
    assert type(pair) is Pair
    assert pair.left.dtype == np.float32
    np.testing.assert_array_equal(pair.left, dense)
    np.testing.assert_array_equal(pair.right["matrix"].toarray(), matrix.toarray())
    assert type(pair.right["scalar"]) is np.float32


def test_arrays_of_names_come_back():
    names = np.array(["a", "long name"], dtype=object)
    restored = round_trip(names)
    assert restored.dtype == object
    assert restored.tolist() == names.tolist()


def test_seeds_and_generators_go_on_where_they_were():
    sequence = np.random.SeedSequence(2**100 + 1).spawn(3)[2]
    restored = round_trip(sequence)
    np.testing.assert_array_equal(restored.generate_state(4), sequence.generate_state(4))
    generator = np.random.default_rng(4)
    generator.normal(size=3)
    assert round_trip(generator).normal() == generator.normal()


def test_functions_are_refused_by_name():
    with pytest.raises(TypeError, match=r"`params\.option\.1` is of type function"):
        Model(option=[1, lambda x: x]).save("never-written.npz")


def test_estimator_round_trip(tmp_path):
    model = Model(size=3, option=np.arange(3))
    model.coef_ = np.array([1.0, 2.0])
    model.save(tmp_path / "model.npz")
    loaded = Model.load(tmp_path / "model.npz")
    assert loaded.size == 3
    np.testing.assert_array_equal(loaded.option, model.option)
    np.testing.assert_array_equal(loaded.coef_, model.coef_)


def test_wrong_files(tmp_path):
    path = tmp_path / "model.npz"
    save_arrays(path, header={}, arrays={})
    with pytest.raises(ValueError, match="does not hold a model"):
        Model.load(path)
    save_arrays(path, header={"format": FORMAT + 1, "class": "Model"}, arrays={})
    with pytest.raises(ValueError, match="Upgrade reservoir-hessianfree"):
        Model.load(path)
    save_arrays(path, header={"format": FORMAT, "class": "Other"}, arrays={})
    with pytest.raises(ValueError, match=r"holds a Other, but Model\.load was called"):
        Model.load(path)
