"""From sequences to sums and outputs: drive a reservoir, fold or map its states."""

from reservoir.harvest._fold import fold_sequences

__all__ = [
    "fold_sequences",
]
