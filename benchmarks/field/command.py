"""What the commands of this folder have in common."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits


def run(
    text: str | None,
    holds: str,
    program: Callable[[argparse.Namespace], None],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Read the path of the data, and run on one thread.

    Parameters
    ----------
    text : str
        What the command says of itself: its docstring.
    holds : str
        What the path is.
    program : callable
        What is run: a function of the arguments, `path` and `quick` among them.
    options : callable, optional
        Adds further arguments to the parser.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, metavar="PATH", help=holds)
    parser.add_argument("--quick", action="store_true", help="a part of it, to see that it works")
    if options is not None:
        options(parser)
    arguments = parser.parse_args()
    if not arguments.path.exists():
        parser.error(f"PATH {arguments.path} does not exist; expected was {holds}")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program(arguments)
