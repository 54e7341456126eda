"""Packages that only those need who ask for them."""

from __future__ import annotations

import importlib
from typing import Any


def needed(package: str, asked_by: str) -> Any:
    """Import a package, or say how to get it.

    Parameters
    ----------
    package : str
        Its name, and that of the extra of this distribution that brings it.
    asked_by : str
        What needs it.

    Raises
    ------
    ImportError
        If it is not installed.

    Examples
    --------
    >>> needed("json", "the example").loads("[1, 2]")
    [1, 2]
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.partition(".")[0]:
            raise
        extra = package.partition(".")[0]
        raise ImportError(
            f"`{asked_by}` needs the package {extra!r}, which is not installed. Install it: "
            f"pip install reservoir-hessianfree[{extra}]."
        ) from error
