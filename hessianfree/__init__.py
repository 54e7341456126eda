"""Hessian-free (truncated Gauss-Newton) training of recurrent nets."""

from reservoir import __version__

__all__ = ["__version__"]
