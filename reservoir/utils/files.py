"""Arrays with a JSON header in one `.npz` file: no pickle, and never half a file."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = "header"


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the file at `path` by `content`, or leave it as it was.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the
    temporary file is renamed: a process killed at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : path-like
        Where to write; the folder must exist.
    content : bytes
        What to write.
    """
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file readable by its owner alone; give it what open() would give.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_arrays(
    path: str | os.PathLike[str],
    *,
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write named arrays and a JSON header to one `.npz` file, atomically and without pickle.

    Parameters
    ----------
    path : path-like
        File to write; its name is kept as it is (no suffix is added).
    header : mapping
        Whatever `json` can write.
    arrays : mapping of str to ndarray
        Arrays of numbers, booleans or fixed-width strings; "header" is taken.

    Raises
    ------
    TypeError
        If an array has the object dtype.
    ValueError
        If an array is called "header".

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "model.npz"
    ...     save_arrays(file, header={"format": 1}, arrays={"a": np.arange(3)})
    ...     load_arrays(file)
    ({'format': 1}, {'a': array([0, 1, 2])})
    """
    for name, array in arrays.items():
        if name == _HEADER:
            raise ValueError(f"`arrays` has an entry named {name!r}, which is taken. Rename it.")
        if np.asarray(array).dtype.hasobject:
            raise TypeError(
                f"`arrays[{name!r}]` has the dtype object, which needs pickle to be written. "
                "Convert it to numbers or fixed-width strings."
            )
    buffer = io.BytesIO()
    members: dict[str, Any] = {_HEADER: np.array(json.dumps(dict(header))), **arrays}
    np.savez(buffer, **members)
    write_atomically(path, buffer.getvalue())


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what `save_arrays` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray

    Raises
    ------
    ValueError
        If the file is not one that `save_arrays` wrote, or is damaged.
    FileNotFoundError
        If there is none.
    """
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            header = json.loads(str(file[_HEADER][()]))
            arrays = {name: file[name] for name in file.files if name != _HEADER}
    except (zipfile.BadZipFile, ValueError, LookupError, EOFError, AttributeError) as error:
        # NumPy's own words are not quoted: they recommend unpickling.
        raise ValueError(
            f"`path` {os.fspath(path)!r} is not a file that this library saved, or it is damaged. "
            "Save the model again."
        ) from error
    return header, arrays
