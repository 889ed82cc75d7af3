"""A figure: what was measured, the bound that it should keep, and whether it does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Bound:
    """What a figure should keep: its median, or every single sample."""

    kind: Literal["at most", "at least"]
    limit: float
    of: Literal["median", "every"] = "median"

    def keeps(self, samples: Sequence[float]) -> bool:
        """Tell whether these samples (at least one) keep the bound."""
        values = [median(samples)] if self.of == "median" else samples
        if self.kind == "at most":
            return all(value <= self.limit for value in values)
        return all(value >= self.limit for value in values)


@dataclass(frozen=True)
class Figure:
    """One line of the report; no sample means that it could not be measured."""

    name: str
    unit: str
    samples: tuple[float, ...]
    bound: Bound | None = None
    rate: float | None = None
    """How many a second, where the samples are times of operations."""

    @property
    def verdict(self) -> str:
        """Return `ok`, `missed`, `not measured`, or nothing where there is no bound."""
        if not self.samples:
            return "not measured"
        if self.bound is None:
            return ""
        return "ok" if self.bound.keeps(self.samples) else "missed"


@dataclass
class Group:
    """The figures of one group, and what the reader should know about how they came about."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    """Why it could not be measured to the end."""

    @property
    def summary(self) -> str:
        """Say in one line how many bounds were kept."""
        if self.error:
            return f"{self.name}: not measured to the end: {self.error}"
        bounded = [figure for figure in self.figures if figure.bound is not None]
        kept = sum(figure.verdict == "ok" for figure in bounded)
        wrong = [figure.name for figure in bounded if figure.verdict != "ok"]
        text = f"{self.name}: {kept} of {len(bounded)} bounds kept"
        return f"{text}; not kept: {', '.join(wrong)}" if wrong else text


def median(samples: Sequence[float]) -> float:
    """Return the middle sample (the mean of the two in the middle). Raises ValueError without samples."""
    if not samples:
        raise ValueError("there is no median of nothing")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that `percent` of the samples do not exceed (nearest rank).

    Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("there is no percentile of nothing")
    rank = math.ceil(len(samples) * percent / 100)
    return sorted(samples)[max(rank, 1) - 1]
