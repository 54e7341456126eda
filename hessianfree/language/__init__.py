"""Language models of characters and of words."""

from hessianfree.language._stream import NetworkStream, bits_in_stream, bits_in_windows, generate
from hessianfree.language._text import TextWindows, Vocabulary
from hessianfree.language._words import WordVocabulary, words_of

__all__ = [
    "NetworkStream",
    "TextWindows",
    "Vocabulary",
    "WordVocabulary",
    "bits_in_stream",
    "bits_in_windows",
    "generate",
    "words_of",
]
