"""How well does a reservoir of 200 units follow the tenth-order NARMA system?

z[t+1] depends on ten values of z and on the input nine steps back; 2,000 steps to learn from and
2,000 to test on. Error: root mean square over the standard deviation (NRMSE). Expected: a median
over 10 seeds of .117 with plain states and .09 with squared states beside them, in seconds. About
.4 (an NMSE of .16) is the best that a linear memory reaches. The data has no noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from demos._common import OUTPUT, TRUTH, Figure, run_demo
from reservoir import ESNRegressor
from reservoir.datasets import narma
from reservoir.metrics import nrmse

N_WASHOUT, N_TRAINING, N_TEST = 100, 2000, 2000
SETTINGS = {
    "plain": {"spectral_radius": 0.975, "input_scaling": 0.0025, "bias_scaling": 0.4},
    "squared": {
        "spectral_radius": 0.92,
        "input_scaling": 0.003,
        "bias_scaling": 0.2,
        "include_squares": True,
    },
}
EXPECTED = {"plain": 0.14, "squared": 0.11}


def predict(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction on the test part."""
    inputs, target = narma(N_WASHOUT + N_TRAINING + N_TEST, random_state=seed)
    esn = ESNRegressor(
        200, leak_rate=0.92, connectivity=5, washout=N_WASHOUT, alpha=1e-18, random_state=seed,
        **SETTINGS[kind],
    )  # fmt: skip
    esn.fit(inputs[:-N_TEST], target[:-N_TEST])
    return target[-N_TEST:], esn.predict(inputs[-N_TEST:], initial_state="last")


def run(quick: bool, folder: Path) -> list[Figure]:
    """Measure the error of each kind of readout and draw a stretch of the test series."""
    # A few seconds in all, and the seeds differ too much for fewer of them: quick or not.
    seeds = range(10)
    figures, shown = [], {}
    for kind in SETTINGS:
        runs = [predict(kind, seed) for seed in tqdm(seeds, desc=kind)]
        shown[kind] = runs[0]
        error = float(np.median([nrmse(truth, prediction) for truth, prediction in runs]))
        name = f"NRMSE, 200 units, {kind} states, median of {len(seeds)} seeds"
        figures.append(Figure(name, error, at_most=EXPECTED[kind]))
    draw(shown, folder / "narma.png")
    return figures


def draw(shown: dict[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Draw 150 steps of the test series and the errors of both readouts."""
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), layout="constrained", sharex=True)
    stretch = slice(0, 150)
    above.plot(shown["plain"][0][stretch], color=TRUTH, linewidth=2.5, label="NARMA10")
    for color, (kind, (truth, prediction)) in zip((OUTPUT, "tab:blue"), shown.items(), strict=True):
        label = f"{kind} states"
        above.plot(prediction[stretch], color=color, linestyle="--", label=label)
        below.plot((prediction - truth)[stretch], color=color, label=label)
    above.set(ylabel="z", title="What the system puts out, and what the network says")
    above.margins(y=0.2)
    above.legend(loc="upper right", ncols=3, fontsize="small")
    below.axhline(0, color="black", linewidth=0.5)
    below.set(xlabel="test step", ylabel="error")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    run_demo(__doc__, run)
