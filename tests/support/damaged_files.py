"""Damage saved files in every way, load them, and use what loads.

    python -m tests.support.damaged_files N [SEED [KIND ...]]

makes N damages of each kind of file and prints a line of JSON for each kind: how many files were
refused, how many loaded as the same model, how many as another one where that can't be known (an
edit that was saved with a checksum of its own), and what should not be: other models, errors of
loading that are no ValueError with the path, and any of using what loaded. A crash ends the
process; the last line on stderr says of what.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from reservoir import ReservoirForecaster
from reservoir.utils.files import load_arrays, save_arrays
from tests.support import saved_models
from tests.support.saved_models import CHECKPOINTS, MODELS, checkpoint_answers, run

SEASONS = np.tile([1.0, 3.0, 2.0, 5.0], 15) + np.random.default_rng(9).normal(0, 0.2, 60)


def forecaster():
    return ReservoirForecaster(n_units=10, seasons=(4,), horizon=3, random_state=0).fit(SEASONS)


KINDS = {
    **{
        name: (make, ask)
        for name, (make, ask) in MODELS.items()
        if name.partition("-")[2]
        in (
            "",
            "feedback",
            "qr",
            "plasticity",
            "rls",
            "nlms",
            "ridge",
            "multiplicative",
            "gru",
            "adam",
        )
    },
    "ReservoirForecaster": (forecaster, lambda model: {"mean": model.forecast(3).mean}),
}


def load(kind, path):
    """Return what makes the answers of a file, or raise what loading raises."""
    if kind.startswith("checkpoint-"):
        from hessianfree import load_checkpoint

        name = kind.removeprefix("checkpoint-")
        load_checkpoint(path, CHECKPOINTS[name][0]())
        return lambda: checkpoint_answers(name, path)
    name = kind.partition("-")[0]
    cls = ReservoirForecaster if name == "ReservoirForecaster" else getattr(saved_models, name)
    model = cls.load(path)
    return lambda: KINDS[kind][1](model)


def write(kind, path):
    """Save a file of a kind."""
    if kind.startswith("checkpoint-"):
        from hessianfree import save_checkpoint

        save_checkpoint(path, run(kind.removeprefix("checkpoint-"), 3))
    else:
        KINDS[kind][0]().save(path)


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def flip(content, rng):
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 8])):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def blank(content, rng):
    start = rng.randrange(len(content))
    stop = min(len(content), start + rng.choice([1, 16, 512]))
    return content[:start] + bytes(stop - start) + content[stop:]


def edit_array(header, arrays, rng):
    """Change an array: a value, its length, its dtype or its shape; or take it away."""
    name = rng.choice(sorted(arrays))
    array = np.array(arrays[name])
    how = rng.choice(["value", "value", "cut", "longer", "dtype", "shape", "gone"])
    if how == "value" and array.size:
        values = [np.nan, np.inf, -1, 0, 10**6, 2**31 - 1, -(2**31)]
        with np.errstate(all="ignore"):
            new = np.array(rng.choice(values))
            if array.dtype.kind in "iu" and not np.isfinite(new):
                new = np.array(-1)
            flat = array.reshape(-1)
            flat[rng.randrange(array.size)] = new.astype(array.dtype)
        array = flat.reshape(array.shape)
    elif how == "cut" and array.ndim:
        array = array[: rng.randrange(len(array) + 1)]
    elif how == "longer" and array.ndim:
        array = np.concatenate([array, array])
    elif how == "dtype":
        with np.errstate(all="ignore"):
            try:
                array = array.astype(rng.choice(["f4", "f8", "i8", "i2", "U5", "?"]))
            except ValueError:
                array = array.astype("U5")
    elif how == "shape":
        array = rng.choice([array.reshape(-1), array[np.newaxis], array.T])
    else:
        return header, {key: value for key, value in arrays.items() if key != name}
    return header, {**arrays, name: array}


def edit_header(header, arrays, rng):
    """Change, rename or take away an entry somewhere in the header."""
    header = json.loads(json.dumps(header))
    places = []

    def collect(node):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            places.append((node, key))
            if isinstance(value, dict | list):
                collect(value)

    collect(header)
    node, key = rng.choice(places)
    how = rng.choice(["value", "value", "gone", "name"])
    if how == "gone" or (how == "name" and isinstance(node, list)):
        node.pop(key)
    elif how == "name":
        node[f"{key}x"] = node.pop(key)
    else:
        values = [None, -1, 0, 3, 10**400, 2.5, float("nan"), "x", [], {}, True, "reservoir_"]
        node[key] = rng.choice(values)
    return header, arrays


def damage(path, rng):
    """Damage a file in place, and say how."""
    how = rng.choice([cut, flip, flip, blank, edit_array, edit_header])
    if how in (cut, flip, blank):
        path.write_bytes(how(path.read_bytes(), rng))
        return how.__name__
    header, arrays = load_arrays(path)
    if not arrays:
        how = edit_header
    if rng.random() < 0.5:
        header, arrays = how(header, arrays, rng)
        save_arrays(path, header=header, arrays=arrays)
        return f"{how.__name__}, sealed"
    with np.load(path) as file:
        text = json.loads(str(file["header"][()]))
    header, arrays = how(text, arrays, rng)
    with path.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
    return how.__name__


def same(answers, others):
    return answers.keys() == others.keys() and all(
        np.asarray(answers[key]).tobytes() == np.asarray(others[key]).tobytes() for key in answers
    )


def try_damages(kind, n, seed, folder):
    """Return counts, and what should not be."""
    whole, path = folder / "whole.npz", folder / "damaged.npz"
    write(kind, whole)
    expected = load(kind, whole)()
    content = whole.read_bytes()
    counts = {"kind": kind, "refused": 0, "same": 0, "sealed and another": 0, "wrong": []}
    for index in range(n):
        rng = random.Random(f"{kind}-{seed}-{index}")
        path.write_bytes(content)
        how = damage(path, rng)
        sys.stderr.write(f"{kind} {seed} {index}: {how}\n")
        case = f"{index}: {how}"
        try:
            ask = load(kind, path)
        except ValueError as error:
            counts["refused"] += 1
            if type(error) is not ValueError or str(path) not in str(error):
                counts["wrong"].append(f"{case}: {error!r}"[:300])
            continue
        except Exception as error:
            counts["wrong"].append(f"{case}: {error!r}"[:300])
            continue
        try:
            outcome = "same" if same(ask(), expected) else "another model"
        except Exception as error:
            outcome = f"later {error!r}"[:300]
        if outcome == "same":
            counts["same"] += 1
        elif "sealed" in how:
            counts["sealed and another"] += 1
        else:
            counts["wrong"].append(f"{case}: {outcome}")
    return counts


def main(n, seed=0, *kinds):
    warnings.simplefilter("ignore")
    every = [*KINDS, *(f"checkpoint-{name}" for name in ("hessian-free", "adam", "truncated"))]
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds or every:
            sys.stdout.write(json.dumps(try_damages(kind, int(n), int(seed), Path(folder))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
