"""Kuramoto-Sivashinsky at L = 200: for how long local reservoirs forecast a chaotic field.

    python -m benchmarks.field.kuramoto_sivashinsky [--quick]

Nothing is downloaded: the field is made by `reservoir.datasets`, 512 points, a row each .25 time
units. With 64 reservoirs of 5,000 units, one for each patch of 8 points and 6 more on each side,
[1]_ forecast such a field for about 8 Lyapunov times.

Here one reservoir's weights and one readout serve all 64 patches. Valid time: until ‖error‖ exceeds
0.4 of the root mean square of ‖u‖, in Lyapunov times of 1 / 0.09 time units; the exponent measured
here is .0953 ± .0021 (`python -m benchmarks fields`), with which all times would be 6 % longer. Two
trajectories (seeds 1 and 2) of five starts each, two Lyapunov times apart; settings were chosen on
another one (seed 0). First come the settings of `demos.spatial`, then a readout with more digits,
which lets less noise do, then a larger network that learns longer.

References
----------
.. [1] Pathak, Hunt, Girvan, Lu & Ott (2018), Model-free prediction of large spatiotemporally
   chaotic systems from data: a reservoir computing approach, Physical Review Letters 120, 024102.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from demos import spatial

SEEDS = (1, 2)
KINDS: dict[str, dict[str, Any]] = {
    "as in the demo": {},
    "more digits": {"solver": "qr", "noise": 1e-5, "alpha": 1e-9},
    "larger and longer": {"n_training": 4000, "n_units": 2000},
}


def valid_times(kind: str, seed: int, smaller: dict[str, Any]) -> list[float]:
    """Return the valid times of the starts of one trajectory."""
    settings = {**KINDS[kind], **smaller}
    system = spatial.KS_200
    if "noise" in settings:
        system = replace(system, noise=settings.pop("noise"))
    truth, forecast = spatial.forecasts(system, seed, **settings)
    return spatial.valid_times(system, truth, forecast)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one trajectory, 400 units")
    quick = parser.parse_args().quick
    print(f"{'settings':<18} | units | rows | median | quartiles     | starts | CPU s a trajectory")
    with threadpool_limits(1):
        for kind, settings in KINDS.items():
            smaller = {"n_units": 400, "n_training": 500} if quick else {}
            times, begun = [], time.process_time()
            seeds = SEEDS[:1] if quick else SEEDS
            for seed in seeds:
                times += valid_times(kind, seed, smaller)
            seconds = (time.process_time() - begun) / len(seeds)
            units = {**spatial.KS_200.parameters, **settings, **smaller}["n_units"]
            rows = {"n_training": spatial.KS_200.n_training, **settings, **smaller}["n_training"]
            low, median, high = np.percentile(times, [25, 50, 75])
            figures = f"{median:6.2f} | {low:5.2f} to {high:5.2f} | {len(times):6d} | {seconds:.0f}"
            print(f"{kind:<18} | {units:5d} | {rows:4d} | {figures}", flush=True)


if __name__ == "__main__":
    main()
