"""The tool that compares what two checkouts compute: it sees each bit, dtype, shape and failure."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import compare_checkouts

ROOT = str(Path(__file__).parents[2])


def test_a_checkout_is_the_same_as_itself(capsys):
    assert compare_checkouts.main([ROOT, ROOT, "weights"]) == 0
    assert "weights: 8 of 8 arrays the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nextafter([1.0, 2.0], 3), "differs by 2.2e-16 of the largest value"),
        (np.array([1.0, -2.0]), "differs by 2.0e+00 of the largest value"),
        (np.float32([1, 2]), "float64 (2,) became float32 (2,)"),
        (np.array([1.0]), "float64 (2,) became float64 (1,)"),
        (None, "only before"),
    ],
)
def test_differences_are_told(value, message):
    before = {"fit/coef": np.array([1.0, 2.0]), "fit/text": np.array("a")}
    after = before | {"fit/coef": value} if value is not None else {"fit/text": np.array("a")}
    (line,) = compare_checkouts.differences(before, after)
    assert line == f"fit/coef: {message}"


def test_a_case_that_fails_in_both_is_no_agreement(capsys):
    failed = {"fit/error": np.array("ValueError: no"), "fit/seconds": np.array(1.0)}
    assert not compare_checkouts.report("fit", failed, failed, [1.0])
    assert "fails in both: ValueError: no" in capsys.readouterr().out
