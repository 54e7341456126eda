"""Results of long benchmarks, kept in a file, so that a run can go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


class Cache:
    """Results by name, in a file of one JSON line each.

    Parameters
    ----------
    path : Path or None
        The file, which need not be there yet; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, list[float]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self.known.update(json.loads(line))

    def get(self, name: str, compute: Callable[[], list[float]]) -> list[float]:
        """Return a result, computed if it is not there."""
        if name not in self.known:
            self.put(name, [float(value) for value in compute()])
        return self.known[name]

    def put(self, name: str, result: list[float]) -> None:
        """Keep a result."""
        self.known[name] = result
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({name: result}) + "\n")
