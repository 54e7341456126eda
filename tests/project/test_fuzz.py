"""Every public callable with bad and extreme arguments: an error that names one, or a result.

``FUZZ_CALLS=8000 python -m pytest tests/project/test_fuzz.py`` makes more calls than CI does.
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import BAD, RECORDS, attempt, rooms, targets

N_CALLS = int(os.environ.get("FUZZ_CALLS", "400"))

# Calls of a run that may fail without a word on the argument, and of what: what is passed from room
# to room inside the library, and is public for who builds on it, does not look at everything.
RAW_PER_CALL = 20 / 8000
# NaN that was passed in, and comes back where it belongs.
PASSES_NAN_ON = {
    "clip_by_norm",
    "clip_by_value",
    "embed_delays",
    "LoadedPatterns",
    "delay_vectors",
    "stack_like",
    "stack_sequences",
    # Where the model predicts no decrease, as it says.
    "reduction_ratio",
    # To scalers of scikit-learn NaN is a gap, which stays one.
    "SequenceScaler.transform",
    "SequenceScaler.inverse_transform",
}


def test_each_public_name_is_called():
    names = {target.name for target in targets()}
    for room in rooms():
        for name in room.__all__:
            value = getattr(room, name)
            is_record = isinstance(value, type) and issubclass(value, RECORDS)
            is_protocol = getattr(value, "_is_protocol", False)
            same = [target for target in targets() if target.call is value]
            assert not callable(value) or is_record or is_protocol or name in names or same


def test_bad_arguments_are_named_or_do_no_harm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some are paths that can be written to
    found: Counter[str] = Counter()
    raw: list[str] = []
    silent: list[str] = []

    @settings(max_examples=N_CALLS, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.sampled_from(targets()), st.data())
    def call(target, data):
        outcome = attempt(target, lambda options: data.draw(st.sampled_from(options)))
        found[outcome.verdict] += 1
        if outcome.verdict == "raw":
            raw.append(outcome.what)
        elif outcome.verdict == "silent" and target.name not in PASSES_NAN_ON:
            silent.append(outcome.what)

    call()
    assert not silent, "\n".join(silent)
    assert len(raw) <= RAW_PER_CALL * N_CALLS, "\n".join(raw)
    assert found["error"] > found["clean"]


@pytest.mark.parametrize("bad", range(len(BAD)))
def test_bad_values_can_be_made(bad):
    BAD[bad]()
