"""Arrays with a JSON header in one `.npz` file: no pickle, and never half a file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from reservoir.utils.locks import CAN_LOCK, try_lock

_HEADER = "header"
# An entry of the header, of all the rest of the header and the arrays.
_CHECKSUM = "checksum"


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace the file at `path` by `content`, or leave it as it was.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the
    temporary file is renamed: a process killed at any moment leaves the old file or the new one.
    Links are followed, and a file that is there keeps its permissions and, where that is allowed,
    its owner. Temporary files that killed processes left of this file are removed.

    Parameters
    ----------
    path : path-like
        Where to write; the folder must exist.
    content : bytes
        What to write.

    Raises
    ------
    ValueError
        If there is something else than a file, such as a device.
    """
    target = Path(os.path.realpath(check_path("path", path)))
    old = target.stat() if target.exists() else None
    if old is not None and not (stat.S_ISREG(old.st_mode) or stat.S_ISDIR(old.st_mode)):
        raise ValueError(f"`path` {os.fspath(path)!r} is no file. Pass the path of one.")
    _remove_leftovers(target)
    descriptor, temporary = _own_temporary(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            _take_permissions(temporary, old)
            if CAN_LOCK:  # while it is open, and cannot be taken for a leftover
                os.replace(temporary, target)
        if not CAN_LOCK:
            os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_path(name: str, value: Any) -> str | os.PathLike[str]:
    """Return a path, or say what came: Python takes an integer for a file that is open.

    Examples
    --------
    >>> check_path("path", "model.npz")
    'model.npz'
    """
    if isinstance(value, str | os.PathLike) and str(value):
        return value
    raise TypeError(
        f"`{name}` is {value!r} of type {type(value).__name__}, but the path of a file was "
        'expected. Pass for instance "model.npz".'
    )


def _own_temporary(target: Path) -> tuple[int, str]:
    """Return a new file beside `target` that is locked as long as it is open, and its name."""
    while True:
        descriptor, name = tempfile.mkstemp(
            dir=target.parent, prefix=f"{target.name}.", suffix=".tmp"
        )
        # Another writer may have taken it for a leftover before it was locked.
        if try_lock(descriptor) and os.path.exists(name):
            return descriptor, name
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    """Remove temporary files of `target` whose writers are dead."""
    pattern = re.compile(re.escape(target.name) + r"\.?[a-z0-9_]{8}\.tmp")
    for name in os.listdir(target.parent):
        if CAN_LOCK and pattern.fullmatch(name):
            leftover = target.parent / name
            with contextlib.suppress(OSError), leftover.open("rb") as file:
                if try_lock(file.fileno()):
                    leftover.unlink()


def _take_permissions(temporary: str, old: os.stat_result | None) -> None:
    """Give a file that its owner alone can read what the old one had, or what open() would give."""
    if old is None:
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        return
    new = os.stat(temporary)
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(temporary, old.st_uid, old.st_gid)
    os.chmod(temporary, stat.S_IMODE(old.st_mode))


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

    Notes
    -----
    A checksum of the header and the arrays goes into the header, under the name "checksum".

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
    text = json.dumps(dict(header))
    text = json.dumps({**json.loads(text), _CHECKSUM: _checksum(text, arrays)})
    members: dict[str, Any] = {_HEADER: np.array(text), **arrays}
    buffer = io.BytesIO()
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
        If the file is not one that `save_arrays` wrote, or is damaged: nothing of it is used
        unless the checksum is that of what was read, and no more memory than the size of the file
        is asked for. Files from before there was a checksum are read without it.
    FileNotFoundError
        If there is none.
    """
    with open(check_path("path", path), "rb") as stream:
        try:
            header, arrays = _read(stream)
        # Damage raises almost anything. NumPy's words are not quoted: they recommend unpickling.
        except Exception as error:
            raise ValueError(
                f"`path` {os.fspath(path)!r} is not a file that this library saved, or it is "
                "damaged. Save the model again."
            ) from error
    return header, arrays


def _read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what a file holds, or raise some error or other."""
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        # What this library writes is not compressed. No file may expand to more than its size.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("Some part is compressed.")
        size = os.fstat(stream.fileno()).st_size
        if sum(member.file_size for member in members) > size or len(set(names)) < len(names):
            raise ValueError("Parts lie on each other.")
        arrays = {name: _read_array(archive, member) for name, member in zip(names, members)}
    header = json.loads(str(arrays.pop(_HEADER)[()]))
    if not isinstance(header, dict):
        raise ValueError("The header is no object.")
    checksum = header.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(json.dumps(header), arrays):
        raise ValueError("The checksum is another one.")
    return header, arrays


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Return the array of a member that has as many bytes as its shape and dtype ask for."""
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(member) as part:
        shape, _, dtype = read_header[np.lib.format.read_magic(part)](part)
        n_bytes, n_there = math.prod(shape) * dtype.itemsize, member.file_size - part.tell()
        if dtype.hasobject or min(shape, default=0) < 0 or n_bytes != n_there:
            raise ValueError("An array is not as long as it says.")
        part.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(part, allow_pickle=False)
    return array


def _checksum(header: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return a digest of a header and of names, dtypes, shapes and contents of arrays."""
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        if array.nbytes:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
