"""What several captions and panels say: errors, structure, what is not known, amounts of data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from daskglass.report.results import Results, SystemResults
from daskglass.report.style import temperatures


def standard_errors(results: Results) -> str:
    """Say what error bars are."""
    if max(system.replicas for system in results.systems) > 1:
        return "Error bars are standard errors over replicas"
    return "Error bars are standard errors over parts of the one run; those of entropies are not known"


def structure(results: Results) -> str:
    """Name the configurations that structure was computed in."""
    if results.inherent:
        return "inherent structures"
    return "thermal configurations (this study has no inherent structures)"


def of_each(results: Results, number: Callable[[SystemResults], str]) -> str:
    """List a number of every system, by name where they differ."""
    found = {system.name: number(system) for system in results.systems}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return ", ".join(f"{name} {value}" for name, value in found.items())


def not_diffusive(results: Results, system: SystemResults, missing: np.ndarray) -> list[str]:
    """Note the temperatures at which particles never diffuse within a run."""
    if not missing.any():
        return []
    name = f"{system.label}: " if len(results.systems) > 1 else ""
    return [f"{name}not diffusive at $T$ = {temperatures(system.temperature[missing])}"]


def data(results: Results) -> str:
    """Amount of data of every system; written once where it is the same."""
    amounts = {system.name: _amount(system) for system in results.systems}
    if len(set(amounts.values())) == 1:
        each = " each" if len(amounts) > 1 else ""
        return f"Data{each}: {next(iter(amounts.values()))}."
    return "Data: " + "; ".join(f"{name}: {amount}" for name, amount in amounts.items()) + "."


def _amount(system: SystemResults) -> str:
    sizes = system.production.sizes
    return ", ".join(
        f"{sizes[dim]:,} {word}{'s' * (sizes[dim] != 1)}"
        for dim, word in (
            ("particle", "particle"),
            ("temperature", "temperature"),
            ("replica", "replica"),
            ("time", "frame"),
        )
    )
