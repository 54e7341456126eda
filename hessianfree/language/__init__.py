"""Character language models."""

from hessianfree.language._stream import NetworkStream, bits_in_stream, bits_in_windows, generate
from hessianfree.language._text import TextWindows, Vocabulary

__all__ = [
    "NetworkStream",
    "TextWindows",
    "Vocabulary",
    "bits_in_stream",
    "bits_in_windows",
    "generate",
]
