"""What the demos share: arguments, figures printed with name and unit, a place for pictures."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")

# In all pictures: what is true, and what a network puts out.
TRUTH, OUTPUT = "black", "tab:orange"

# One colour for each way to learn, in all pictures; of several keys in a name the first counts.
METHOD_COLORS = {
    "Hessian-free": "tab:green",
    "echo state net": "tab:red",
    "no momentum": "tab:orange",
    "Nesterov": "tab:blue",
    "LSTM": "tab:brown",
    "GRU": "tab:cyan",
    "multiplicative": "tab:purple",
    "vanilla": "tab:olive",
    "Adam": "tab:blue",
}


def color_of(method: str) -> str:
    """Return the colour of a way to learn, by its name.

    >>> color_of("echo state network"), color_of("vanilla, Hessian-free")
    ('tab:red', 'tab:green')
    """
    return next(color for key, color in METHOD_COLORS.items() if key in method)


def colors_of(methods: Sequence[str]) -> dict[str, Any]:
    """Return settings for matplotlib's `rc_context` that draw these methods, in this order."""
    from cycler import cycler

    return {"axes.prop_cycle": cycler(color=[color_of(method) for method in methods])}


@dataclass(frozen=True)
class Figure:
    """A number that a demo measured.

    Attributes
    ----------
    name : str
        What it is.
    value : float
        What came out.
    unit : str
        Of `value`; empty for a pure number.
    at_most, at_least : float or None
        What is expected; a demo whose figure is beyond says so and fails.
    """

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_as_expected(self) -> bool:
        """Whether the value is within its bounds; a NaN is not."""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return low and high and self.value == self.value

    def __str__(self) -> str:
        bound = ""
        if self.at_most is not None:
            bound = f"expected at most {self.at_most:g}"
        if self.at_least is not None:
            bound = f"expected at least {self.at_least:g}"
        mark = "" if self.is_as_expected else "  <- NOT AS EXPECTED"
        return f"{self.name:<58} {self.value:>10.4g} {self.unit:<16} {bound}{mark}"


def report(figures: Mapping[str, Sequence[Figure]]) -> None:
    """Print one table: for each title, its figures."""
    for title, of_title in figures.items():
        print(f"\n{title}\n{'-' * len(title)}")
        for figure in of_title:
            print(figure)
    sys.stdout.flush()


def run_demos(
    description: str | None,
    demos: Mapping[str, Callable[..., list[Figure]]],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    n_main: int | None = None,
) -> None:
    """Read the arguments, run demos, print all their figures, and fail if one is off.

    Parameters
    ----------
    description : str or None
        What `--help` says.
    demos : mapping of str to callable
        Title of each demo -> (quick, folder for pictures) -> figures; further options come as
        keywords.
    options : mapping of str to mapping, optional
        Flags of the demos' own, and what `add_argument` is told of each.
    n_main : int, optional
        So many of the demos are run, the others only with the flag `--all`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a smaller run of under a minute each")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demos/output"),
        metavar="FOLDER",
        help="where pictures go (default: %(default)s)",
    )
    for flag, settings in (options or {}).items():
        parser.add_argument(flag, **settings)
    if n_main is not None:
        parser.add_argument("--all", action="store_true", help="run the other demos as well")
    arguments = vars(parser.parse_args())
    quick, folder = arguments.pop("quick"), arguments.pop("output")
    if n_main is not None and not arguments.pop("all"):
        demos = dict(itertools.islice(demos.items(), n_main))
    folder.mkdir(parents=True, exist_ok=True)
    before = pictures_in(folder)
    figures = {title: run(quick, folder, **arguments) for title, run in demos.items()}
    for path, written in pictures_in(folder).items():
        if before.get(path) != written:
            shrink(path)
    report(figures)
    if not all(figure.is_as_expected for of_title in figures.values() for figure in of_title):
        sys.exit("A figure is not as expected.")


def run_demo(
    question: str | None,
    run: Callable[..., list[Figure]],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Run one demo as `run_demos` does, titled by the first line of `question`."""
    run_demos(question, {title_of(question): run}, options)


def pictures_in(folder: Path) -> dict[Path, int]:
    """Return the pictures in a folder, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}


def shrink(path: Path) -> None:
    """Give a picture a palette of 256 colours, which makes its file about a third as large."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def title_of(question: str | None) -> str:
    """Return the first line of a demo's docstring."""
    return (question or "").strip().splitlines()[0]
