"""Pair potentials, a snapshot coloured by softness, g(r) and D(1/T)."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daskglass.physics.energies import pair_energy
from daskglass.report import snapshot
from daskglass.report.beside import Named, Names, legend, systems
from daskglass.report.caption_parts import not_diffusive, standard_errors
from daskglass.report.results import Results, plain, tex
from daskglass.report.style import (
    DASHES,
    NEIGHBORS,
    SMALL,
    SOFTNESS_MAP,
    colour,
    dark,
    error_bars,
    instead,
    letter,
    letters_of_panels,
    log_y,
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
    names: dict[str, Any] = {}
    minima: dict[str, tuple[float, float]] = {}
    left_out: set[str] = set()
    deepest, shortest, longest = 0.0, np.inf, 0.0
    for system in results.systems:
        mixture = system.mixture
        if mixture is None:
            continue
        for first, second in itertools.combinations_with_replacement(mixture.species, 2):
            if first + second not in names and len(names) == len(DASHES):
                left_out.add(first + second)
                continue
            dash = names.setdefault(first + second, DASHES[len(names) % len(DASHES)])
            sigma = mixture.pair(first, second).sigma
            r = np.linspace(max(0.6 * sigma, mixture.delta + 0.05), 2.5 * sigma, 1500)
            V = pair_energy(mixture, first, second, r)
            # one mark a curve, each at a depth of its own, tells systems apart without colour
            depth = 0.2 + 0.6 * (system.index + 0.5) / len(results.systems)
            place = int(V.argmin()) + int((V[V.argmin() :] < depth * V.min()).sum())
            mark = marker(system.index) if len(results.systems) > 1 else ""
            ax.plot(r, V, marker=mark, color=colour(system.index), linestyle=dash, markevery=[place])
            minima.setdefault(first + second, (float(r[V.argmin()]), float(V.min())))
            deepest, longest = min(deepest, float(V.min())), max(longest, 2.0 * sigma)
            shortest = min(shortest, float(r[-0.85 * deepest > V].min()))
    if not names:
        letter(ax, which)
        instead(ax, "no potential is known of these trajectories")
        return
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_ylim(1.25 * deepest, -0.85 * deepest)
    ax.set_xlim(max(shortest - 0.12 * longest, 0.0), longest)
    ax.set_xlabel(rf"$r$ (${length}$)")
    ax.set_ylabel(rf"$V_{{ij}}(r)$ (${energy}$)")
    pairs = ax.legend(
        handles=[Line2D([], [], color="black", linestyle=dash, label=plain(name)) for name, dash in names.items()],
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
    box = frame["box"].values
    S = frame["softness"].values
    limit = float(np.percentile(np.abs(softness[whole][:, first]), 98)) or 1.0
    norm = Normalize(-limit, limit)
    colours = matplotlib.colormaps[SOFTNESS_MAP](norm(np.where(first, S, 0.0)))[:, :3]
    # other species are smaller than life, so that they do not hide what the figure is about
    colours[~first] = (0.43, 0.43, 0.45)
    size = np.array([system.sigma(name, name) for name in system.neighbors])
    size[1:] *= 0.8
    radius = 0.5 * size[frame["species"].values]
    image = snapshot.render(snapshot.Spheres(snapshot.wrap(frame[positions].values, box), radius, colours), box)
    ax.imshow(image, interpolation="antialiased")
    ax.set_axis_off()
    ax.margins(0)
    bar = ax.figure.colorbar(
        ScalarMappable(norm, SOFTNESS_MAP), ax=ax, fraction=0.045, pad=0.02, aspect=24, extend="both"
    )
    bar.set_label(f"softness $S$ of {_name(system.first)}")
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)


def _name(species: str) -> str:
    return rf"$\mathrm{{{tex(species)}}}$"


def _radial(ax: Axes, results: Results, neighbor: str, which: str) -> None:
    """Draw g(r) of all systems around one another, each with its name at its flat end."""
    shown = [system for system in results.systems if neighbor in system.neighbors]
    coldest = [f"$T$ = {temperatures([system.temperature.min()])}" for system in results.systems]
    same, step = len(set(coldest)) == 1, 1.0 if len(shown) > 1 else 0.0
    tallest, end = 0.0, float(results.systems[0].ensemble["r"].max())
    for row, system in enumerate(shown):
        g, g_err = (
            system.thermal(name).isel(temperature=-1).sel(neighbor=neighbor).values for name in ("g", "g_err")
        )  # fmt: skip
        r, lift = system.ensemble["r"].values, row * step
        tallest = max(tallest, lift + float(g.max()))
        ax.axhline(1 + lift, color="black", linewidth=0.3, zorder=0)
        ax.plot(r, g + lift, color=colour(system.index))
        if np.isfinite(g_err).any():
            ax.fill_between(r, g + lift - g_err, g + lift + g_err, color=colour(system.index), alpha=0.3, linewidth=0)
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
        error = system.ensemble["diffusivity_err"].values
        known = np.isfinite(D) & (D > 0)
        lacking += not_diffusive(results, system, ~known)
        if known.any():
            x = 1 / system.temperature[known]
            ax.errorbar(
                x, D[known], error_bars(error[known]), fmt=marker(system.index), color=colour(system.index),
                elinewidth=0.8,
            )  # fmt: skip
            named.append(Named(system.label, x, D[known], system.index))
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
