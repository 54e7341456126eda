"""One series or many: how they come, how they are stacked, and what is missing in them."""

from reservoir.sequences._chunks import recut
from reservoir.sequences._layout import Layout, from_aeon, stack_like, stack_sequences
from reservoir.sequences._scaler import SequenceScaler

__all__ = [
    "Layout",
    "SequenceScaler",
    "from_aeon",
    "recut",
    "stack_like",
    "stack_sequences",
]
