"""What the first call in a new environment costs, and the first call of a new process.

    python -m benchmarks first_call

First come processor seconds of imports. Compiled loops are kept on disk, beside the package or in
NUMBA_CACHE_DIR; at first there are none. Each line is a process of its own with an empty cache: the
call once, and a second time in the same process; then a process that finds the cache of the one
before. Printed are processor seconds of the call, compilation included and imports not, but for
that of numba, and wall seconds of the whole process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

PREAMBLE = """
import time
import numpy as np
from reservoir import ESNClassifier, ESNRegressor, OnlineESNRegressor
X = np.random.default_rng(0).uniform(-1, 1, size=(400, 1))
y = np.roll(X, 1, axis=0)
several, many = X.reshape(8, 50, 1), X.reshape(20, 20, 1)
"""
# What a call needs beside this, imported before it is timed.
IMPORTS = {"RNNRegressor": "from hessianfree import RNNRegressor"}
CALLS = {
    "fit": "ESNRegressor(100, random_state=0).fit(X, y)",
    "fit and predict": "ESNRegressor(100, random_state=0).fit(X, y).predict(X)",
    "fit and forecast": "ESNRegressor(100, random_state=0).fit(X[:-1], X[1:]).forecast(10)",
    "fit of several": "ESNRegressor(100, random_state=0).fit(several, several)",
    "fit of many": "ESNRegressor(100, random_state=0).fit(many, many)",
    "fit with feedback": "ESNRegressor(100, feedback_scaling=0.1, random_state=0).fit(X, y)",
    "fit in float32": "ESNRegressor(100, dtype='float32', random_state=0).fit(X, y)",
    "classifier": "ESNClassifier(100, random_state=0).fit(several, [0, 1] * 4)",
    "online step": "OnlineESNRegressor(100, random_state=0).partial_fit(X, y).step(X[0], y[0])",
    "net": "RNNRegressor(20, max_iter=1, random_state=0).fit(several, several)",
    "multiplicative net": (
        "RNNRegressor(20, cell='multiplicative', max_iter=1, random_state=0).fit(several, several)"
    ),
}


def measure(call: str, cache: str) -> tuple[float, float, float]:
    """Return processor seconds of the first and second call, and wall seconds of the process."""
    imports = "\n".join(line for name, line in IMPORTS.items() if name in call)
    program = (
        f"{PREAMBLE}\n{imports}\ndef call():\n    {call}\n"
        "for _ in range(2):\n"
        "    begun = time.process_time()\n    call()\n    print(time.process_time() - begun)\n"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall = time.perf_counter() - begun
    first, second = map(float, done.stdout.split())
    return first, second, wall


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first two lines")
    names = list(CALLS)[: 2 if parser.parse_args().quick else None]
    for package in ("reservoir", "hessianfree", "numba"):
        program = f"import time; import {package}; print('{package}', time.process_time(), 's')"
        subprocess.run([sys.executable, "-c", program], check=True)
    print(f"{'call':<18} | first, s | second, s | process, s | with a cache: first, s | process, s")
    everything = "; ".join(CALLS[name] for name in names if "RNN" not in CALLS[name])
    for name in [*names, "all reservoirs"]:
        with tempfile.TemporaryDirectory() as cache:
            call = CALLS.get(name, everything)
            first, second, wall = measure(call, cache)
            again, _, warm = measure(call, cache)
        print(
            f"{name:<18} | {first:8.2f} | {second:9.3f} | {wall:10.2f} | "
            f"{again:22.2f} | {warm:10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
