"""What a row of probes tells: which were not answered, and the longest gap. Pure; standard library only."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Gap(NamedTuple):
    """A run of probes of which none was answered."""

    first: int
    """Index of the first of them."""
    packets: int
    milliseconds: float
    """From the sending of the first to that of the next one that was answered: one interval a packet."""


def find(sent: Sequence[float], answered: Sequence[float], interval: float) -> list[Gap]:
    """Return the gaps in the order of sending.

    `sent` and `answered` hold seconds, one of each for every probe; `answered` is 0.0 where no answer came.
    `interval` is in seconds.
    """
    gaps = []
    first = None
    for index, arrival in enumerate(answered):
        if not arrival and first is None:
            first = index
        elif arrival and first is not None:
            gaps.append(Gap(first, index - first, (sent[index] - sent[first]) * 1000))
            first = None
    if first is not None:
        end = sent[-1] + interval
        gaps.append(Gap(first, len(sent) - first, (end - sent[first]) * 1000))
    return gaps


def longest_silence(arrivals: Sequence[float]) -> float:
    """Return the longest time between two arrivals that follow each other, in milliseconds."""
    return max((b - a for a, b in pairwise(sorted(arrivals))), default=0.0) * 1000
