"""Texts that every Python has: what its language is, and the source of its standard library.

Both are read from the interpreter at hand, and differ a little from one version to the next. They
are part of Python, under the licence of the Python Software Foundation; nothing of them is kept
here.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np


def python_help() -> str:
    """Return the help on Python's language, each paragraph once: topics repeat each other."""
    paragraphs = "\n\n".join(topics.values()).split("\n\n")
    return "\n\n".join(dict.fromkeys(paragraphs))


def python_source() -> str:
    """Return the modules of the standard library that are no packages, one after the other.

    Those in ASCII only, so that all characters are frequent, and in an order drawn once for all:
    by name, the held-out end would be what begins with the last letters.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    contents = [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    modules = [content.decode().replace("\r\n", "\n") for content in contents if content.isascii()]
    order = np.random.default_rng(0).permutation(len(modules))
    return "\n".join(modules[place] for place in order)


CORPORA: dict[str, Callable[[], str]] = {"source": python_source, "help": python_help}


def corpus(name: str) -> str:
    """Return a text by its name in `CORPORA`, or that of the UTF-8 file of a path."""
    return CORPORA[name]() if name in CORPORA else Path(name).read_text(encoding="utf-8")
