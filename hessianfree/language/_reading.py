"""Texts from what a user passes: a str, a path, or a list of these; and their sentences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reservoir.utils.validation import warn_caller

# Characters of the name of a file; looking a longer text up would be an error on some systems.
_LONGEST_NAME = 255


def read_texts(X: Any, several: bool, option: tuple[str, str]) -> list[str]:
    """Return the texts of a str, a path, or, where there may be several, a list of these.

    `option` says why there may be one only, and how to set that there may be several.
    """
    if isinstance(X, str | os.PathLike):
        return [read_text(X)]
    if not isinstance(X, list | tuple) or not X:
        raise TypeError(
            f"`X` is {'empty' if isinstance(X, list | tuple) else f'a {type(X).__name__}'}, but a "
            "str, a path, or a list of these was expected. Pass the text itself."
        )
    if not several:
        reason, setting = option
        raise ValueError(
            f"`X` is a list of {len(X)} text(s), but {reason} and one text was expected. Set "
            f"{setting}, or join the texts."
        )
    return [read_text(text) for text in X]


def read_text(source: str | os.PathLike[str]) -> str:
    """Return a text, or what the UTF-8 file of a path holds, its line ends as they are.

    A str is a text. One that names a file is most likely meant as its path: a warning says so.
    """
    if isinstance(source, str):
        if _names_file(source):
            warn_caller(
                f"`X` is the str {source!r}, which names a file, but a str is a text. Pass "
                "pathlib.Path(X) for what the file holds."
            )
        return source
    if not isinstance(source, os.PathLike):
        raise TypeError(
            f"`X` holds a {type(source).__name__}, but a str or a path was expected. Pass the text "
            "itself."
        )
    try:
        return Path(source).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`X` is the path {os.fspath(source)!r}, but the file is no UTF-8 text (byte "
            f"{error.start}). Read it with its own encoding, and pass the text."
        ) from error


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text without their ends and without blank ones; one at least.

    Examples
    --------
    >>> lines_of("a pear\r\n\na pair\n")
    ['a pear', 'a pair']
    >>> lines_of("\n")
    ['']
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()] or [""]


def _names_file(text: str) -> bool:
    """Return whether a text of one line is the name of a file."""
    if not text or len(text) > _LONGEST_NAME or "\n" in text or "\0" in text:
        return False
    return os.path.isfile(text)
