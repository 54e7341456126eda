"""Locks on files that a dead process can't leave behind."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there nothing is locked
    fcntl = None  # type: ignore[assignment]

CAN_LOCK = fcntl is not None


def try_lock(descriptor: int) -> bool:
    """Lock an open file unless it is locked; the lock ends with the file, or with the process.

    Returns
    -------
    bool
        False if somebody else has the lock. True without a lock where the file system has none.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


@contextmanager
def only_user(path: str | os.PathLike[str], argument: str) -> Iterator[None]:
    """Hold `PATH.lock` for as long as a run writes to the file at `path`.

    Parameters
    ----------
    path : path-like
        The file; links to it count as the file.
    argument : str
        What the error calls it.

    Raises
    ------
    ValueError
        If another run that is alive holds it. What a killed one left does not count.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with only_user(f"{folder}/run.npz", "checkpoint"):
    ...         print(os.listdir(folder))
    ...     print(os.listdir(folder))
    ['run.npz.lock']
    []
    """
    lock = Path(f"{os.path.realpath(path)}.lock")
    descriptor = _open_locked(lock)
    if descriptor is None:
        raise ValueError(
            f"`{argument}` {os.fspath(path)!r} is written by another run, "
            f"{lock.read_text(errors='replace').strip() or 'just begun'}. Wait for its end, or "
            "pass another file."
        )
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        # Before the lock ends where that can be: nobody else may come in between.
        if CAN_LOCK:
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def _open_locked(lock: Path) -> int | None:
    """Return the descriptor of a lock file that is ours, or None if it is somebody else's."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        if not try_lock(descriptor):
            os.close(descriptor)
            return None
        # Its last owner may have removed it since it was opened.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
        os.close(descriptor)
