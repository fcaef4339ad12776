"""Pair potentials, a snapshot coloured by softness, g(r) and D(1/T)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daskglass import plot
from daskglass.plot.panel import log_y
from daskglass.report.beside import Named, Names, legend, systems
from daskglass.report.caption_parts import not_diffusive, standard_errors
from daskglass.report.results import Results, plain, tex
from daskglass.report.style import (
    DASHES,
    NEIGHBORS,
    SMALL,
    colour,
    dark,
    instead,
    letter,
    letters_of_panels,
    marker,
    new_figure,
    temperatures,
)

TITLE = "Interaction, structure and diffusion"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(5.0)
    neighbors = max((system.neighbors[:NEIGHBORS] for system in results.systems), key=len)
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 0.95))
    a, b = grid[0].subgridspec(1, 2).subplots(squeeze=False)[0]
    *radial, last = grid[1].subgridspec(1, len(neighbors) + 1).subplots(squeeze=False)[0]
    letters = letters_of_panels()
    _potentials(a, results, next(letters))
    _snapshot(b, results, next(letters))
    for ax, neighbor in zip(radial, neighbors, strict=True):
        _radial(ax, results, neighbor, next(letters))
    _diffusion(last, results, next(letters))
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    first = results.systems[0]
    A = first.first
    size = "species other than the first at 0.8 of their size" if len(first.neighbors) > 1 else "at full size"
    count = min(NEIGHBORS, max(len(system.neighbors) for system in results.systems))
    c, d = "c" if count == 1 else f"c–{'cde'[count - 1]}", "def"[count - 1]
    each = " of each system, shifted for clarity" if len(results.systems) > 1 else ""
    potentials = (
        "Pair potentials V_ij(r), zero at the cut-off; Δ shifts the potential and leaves its minimum in place."
        if any(system.mixture is not None for system in results.systems)
        else "Pair potentials: none is known of these trajectories."
    )
    return (
        f"(a) {potentials} "
        f"(b) One frame of {first.name} at the coldest temperature, in "
        f"{'its inherent structure' if results.inherent else 'thermal motion'}; "
        f"{A} coloured by softness, other species grey; spheres have diameter σ_ii, {size}. "
        f"({c}) Thermal radial distribution functions around {A} at the coldest temperature{each}. "
        f"({d}) Diffusion coefficient of {A} from the diffusive part of the mean squared displacement. "
        f"{standard_errors(results)}."
    )


def _potentials(ax: Axes, results: Results, which: str) -> None:
    length, energy, _ = results.units
    dashes: dict[str, Any] = {}
    minima: dict[str, tuple[float, float]] = {}
    left_out: set[str] = set()
    for system in results.systems:
        mixture = system.mixture
        if mixture is None:
            continue
        for first, second in itertools.combinations_with_replacement(mixture.species, 2):
            pair = first + second
            if pair not in dashes and len(dashes) == len(DASHES):
                left_out.add(pair)
                continue
            dash = dashes.setdefault(pair, DASHES[len(dashes) % len(DASHES)])
            plot.pair_potential(mixture, [pair], ax=ax, color=colour(system.index), linestyle=dash)
            r, V = map(np.asarray, ax.lines[-1].get_data())
            minima.setdefault(pair, (float(r[V.argmin()]), float(V.min())))
            if len(results.systems) > 1:
                # one mark a curve, each at a depth of its own, tells systems apart without colour
                depth = 0.2 + 0.6 * (system.index + 0.5) / len(results.systems)
                place = int(V.argmin()) + int((V[V.argmin() :] < depth * V.min()).sum())
                ax.lines[-1].set(marker=marker(system.index), markevery=[place])
    if not dashes:
        letter(ax, which)
        instead(ax, "no potential is known of these trajectories")
        return
    ax.set_xlabel(rf"$r$ (${length}$)")
    ax.set_ylabel(rf"$V_{{ij}}(r)$ (${energy}$)")
    pairs = ax.legend(
        handles=[Line2D([], [], color="black", linestyle=dash, label=plain(name)) for name, dash in dashes.items()],
        loc="lower right",
    )
    ax.add_artist(pairs)
    Names(ax, [Named(plain(name), np.array([r]), np.array([V])) for name, (r, V) in minima.items()], pairs)
    if len(results.systems) > 1:
        legend(ax, systems(results), lines=True).set_loc("upper right")
    letter(ax, which, [f"{len(left_out)} more pairs not drawn"] if left_out else [])


def _snapshot(ax: Axes, results: Results, which: str) -> None:
    system = results.systems[0]
    run = system.production
    T = int(np.argmin(run["temperature"].values))
    positions = "inherent" if system.inherent else "position"
    row = run[[positions, "softness", "species", "box"]].isel(temperature=T, replica=0)
    first = row["species"].values == 0
    softness = row["softness"].values
    whole = np.flatnonzero(np.isfinite(softness[:, first]).all(axis=1))
    kind = "inherent structure" if system.inherent else "thermal"
    name = f"{system.label}, " if len(results.systems) > 1 else ""
    letter(ax, which, [f"{name}$T$ = {temperatures([float(row['temperature'])])}, {kind}"] if whole.size else [])
    if whole.size == 0:
        instead(ax, f"{system.name}: no frame with softness at the coldest temperature")
        return
    frame = row.isel(time=int(whole[whole.size // 2]))
    limit = float(np.percentile(np.abs(softness[whole][:, first]), 98)) or 1.0
    frame["softness"].attrs["long_name"] = f"softness $S$ of {_name(system.first)}"
    plot.snapshot(frame, "softness", system.mixture, positions=positions, ax=ax, vmin=-limit, vmax=limit)


def _name(species: str) -> str:
    return rf"$\mathrm{{{tex(species)}}}$"


def _radial(ax: Axes, results: Results, neighbor: str, which: str) -> None:
    """Draw g(r) of all systems around one another, each with its name at its flat end."""
    shown = [system for system in results.systems if neighbor in system.neighbors]
    coldest = [f"$T$ = {temperatures([system.temperature.min()])}" for system in results.systems]
    same, step = len(set(coldest)) == 1, 1.0 if len(shown) > 1 else 0.0
    tallest, end = 0.0, float(results.systems[0].ensemble["r"].max())
    for row, system in enumerate(shown):
        lift = row * step
        table = xr.Dataset({"g": system.thermal("g") + lift, "g_err": system.thermal("g_err")})
        table = table.isel(temperature=-1).sel(neighbor=neighbor)
        ax.axhline(1 + lift, color="black", linewidth=0.3, zorder=0)
        plot.radial_distribution(table, ax=ax, color=colour(system.index))
        tallest = max(tallest, float(table["g"].max()))
        if len(results.systems) > 1:
            name = system.label if same else f"{system.label}, {coldest[system.index]}"
            ax.text(
                0.98 * end, 1.18 + lift, name, ha="right", va="bottom", fontsize=SMALL, color=dark(system.index)
            )  # fmt: skip
    ax.set_xlim(0.5, end)
    ax.set_ylim(0, 1.05 * tallest)
    ax.set_xlabel(rf"$r$ (${results.units[0]}$)")
    lifted = " + shift" if step else ""
    ax.set_ylabel(rf"thermal $g_\mathrm{{{tex(results.systems[0].first)}{tex(neighbor)}}}(r)${lifted}")
    species = max(len(system.neighbors) for system in results.systems)
    more = [f"{species - NEIGHBORS} more species not drawn"] if species > NEIGHBORS and which == "c" else []
    letter(ax, which, [*more, *coldest[:same]])


def _diffusion(ax: Axes, results: Results, which: str) -> None:
    length, energy, time = results.units
    lacking: list[str] = []
    named: list[Named] = []
    for system in results.systems:
        D = system.ensemble["diffusivity"].values
        known = np.isfinite(D) & (D > 0)
        lacking += not_diffusive(results, system, ~known)
        if known.any():
            plot.diffusivity(
                system.ensemble, ax=ax, fmt=marker(system.index), color=colour(system.index), elinewidth=0.8
            )
            named.append(Named(system.label, 1 / system.temperature[known], D[known], system.index))
    ax.set_xlabel(rf"$1/T$ ($k_\mathrm{{B}}/{energy}$)")
    ax.set_ylabel(rf"$D_\mathrm{{{tex(results.systems[0].first)}}}$ (${length}^2/{time}$)")
    if named:
        log_y(ax)
        letter(ax, which, lacking)
        if len(results.systems) > 1:
            Names(ax, named, legend(ax, named))
    else:
        letter(ax, which)
        instead(ax, "; ".join(lacking))
