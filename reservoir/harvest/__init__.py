"""Driving a reservoir and using its states: folded into sums, kept, or mapped to outputs."""

from reservoir.harvest._fold import TrainingSequence, fold_sequences

__all__ = [
    "TrainingSequence",
    "fold_sequences",
]
