"""Numbers and counts as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Table:
    """A table of the page: a caption, column heads, and rows of text; the first column names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def count(number: int, what: str) -> str:
    """Write a number of things."""
    return f"{number} {what}{'s' * (number != 1)}"


def with_error(value: float, error: float = np.nan) -> str:
    """Value ± error, to two digits of the error; three or four digits without an error; a dash if unknown."""
    if not np.isfinite(value):
        return "–"
    largest = max(abs(value), error) if np.isfinite(error) else abs(value)
    power = int(np.floor(np.log10(largest))) if largest else 0
    if power < -3 or power > 5:
        text = with_error(value / 10.0**power, error / 10.0**power)
        return f"({text}) × 10{_raised(power)}" if "±" in text else f"{text} × 10{_raised(power)}"
    if not np.isfinite(error) or error <= 0:
        digits = max(0, 3 - power if power >= 0 else 2 - power)
        return f"{value:.{digits}f}".replace("-", "−")
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 6))
    return f"{value:z.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def percent(value: float, error: float = np.nan) -> str:
    """Write a fraction in per cent, to two digits of its error or of itself."""
    if np.isfinite(error):
        return f"({with_error(100 * value, 100 * error)}) %"
    value = round(100 * value, 2)
    return f"{value:.2g} %" if value < 100 else f"{value:.0f} %"


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
