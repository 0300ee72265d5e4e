"""Figures: what was measured, what it has to reach, and how both are shown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from scripts.benchmarks.load import Sample


@dataclass(frozen=True)
class Figure:
    """One line of the table. `value` is in `unit` (× is a ratio, nothing a count); `rates` are medians in commands a
    second, and of a sum the parts in its own unit."""

    name: str
    value: float
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None
    # One value per round, so that a reader sees the noise.
    rounds: Sequence[float] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    # The largest share of a core that the generator took: well below 1, or it measured itself.
    generator_share: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        if self.at_most is not None:
            return self.value <= self.at_most
        return None

    def as_json(self) -> dict[str, object]:
        """The figure as plain data."""
        return {**asdict(self), "passed": self.passed}


def interleaved(rounds: int, measurements: Mapping[str, Callable[[], Sample]]) -> dict[str, list[Sample]]:
    """Each measurement once a round. Every other round runs backwards, so that a machine that slows down or speeds up
    during a round favours neither side."""
    samples: dict[str, list[Sample]] = {name: [] for name in measurements}
    for number in range(rounds):
        names = list(measurements)
        for name in reversed(names) if number % 2 else names:
            samples[name].append(measurements[name]())
    return samples


def ratio(
    name: str, samples: Mapping[str, list[Sample]], above: str, below: str, *, at_least: float | None = None
) -> Figure:
    """The rate of `above` against that of `below`: per round, then the median."""
    each = [one.rate / other.rate for one, other in zip(samples[above], samples[below], strict=True)]
    return Figure(
        name,
        statistics.median(each),
        at_least=at_least,
        rounds=each,
        rates={side: statistics.median(sample.rate for sample in samples[side]) for side in (above, below)},
        generator_share=max(sample.generator_share for side in (above, below) for sample in samples[side]),
    )


def table(figures: Sequence[Figure]) -> str:
    """The figures as text: value, bound, verdict, and what they were made of."""
    rows = [("figure", "value", "bound", "", "rounds", "rates (1/s) or parts, generator's share of a core")]
    rows += [
        (
            figure.name,
            _amount(figure.value, figure.unit),
            _bound(figure),
            _verdict(figure),
            _spread(figure),
            _made(figure),
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)), row[5]]).rstrip()
        for row in rows
    )


def _amount(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if unit and value < 100 else f"{value:,.0f} {unit}".rstrip()


def _bound(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"≥ {figure.at_least:g}"
    if figure.at_most is not None:
        return f"≤ {figure.at_most:.3g}"
    return "–"


def _verdict(figure: Figure) -> str:
    return {True: "pass", False: "FAIL", None: ""}[figure.passed]


def _spread(figure: Figure) -> str:
    if len(figure.rounds) < 2:
        return ""
    return f"{min(figure.rounds):.2f} … {max(figure.rounds):.2f}"


def _made(figure: Figure) -> str:
    parts = [f"{name} {rate:,.0f}" if rate >= 10 else f"{name} {rate:.2f}" for name, rate in figure.rates.items()]
    if figure.generator_share is not None:
        parts.append(f"generator {figure.generator_share:.2f}")
    return ", ".join(parts)
