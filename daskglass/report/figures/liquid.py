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
from daskglass.report.caption_parts import not_diffusive, standard_errors
from daskglass.report.results import Results, plain, tex
from daskglass.report.style import (
    DASHES,
    NEIGHBORS,
    SOFTNESS_MAP,
    colour,
    error_bars,
    instead,
    letter,
    log_y,
    marker,
    new_figure,
    temperatures,
)

TITLE = "Interaction, structure and diffusion"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(6.2)
    (a, b), (c, d) = figure.subplots(2, 2)
    _potentials(a, results)
    _snapshot(b, results)
    _radial(c, results)
    _diffusion(d, results)
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    first = results.systems[0]
    A = first.first
    size = "species other than the first at 0.8 of their size" if len(first.neighbors) > 1 else "at full size"
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
        f"(c) Thermal radial distribution functions around {A} at the coldest temperature of each system, shifted for "
        f"clarity. (d) Diffusion coefficient of {A} from the diffusive part of the mean squared displacement. "
        f"{standard_errors(results)}."
    )


def _potentials(ax: Axes, results: Results) -> None:
    length, energy, _ = results.units
    names: dict[str, Any] = {}
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
            ax.plot(r, V, color=colour(system.index), linestyle=dash)
            deepest, longest = min(deepest, float(V.min())), max(longest, 2.0 * sigma)
            shortest = min(shortest, float(r[-0.85 * deepest > V].min()))
    if not names:
        letter(ax, "a")
        instead(ax, "no potential is known of these trajectories")
        return
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_ylim(1.25 * deepest, -0.85 * deepest)
    ax.set_xlim(max(shortest - 0.12 * longest, 0.0), longest)
    ax.set_xlabel(rf"$r$ (${length}$)")
    ax.set_ylabel(rf"$V_{{ij}}(r)$ (${energy}$)")
    handles = [Line2D([], [], color=colour(s.index), label=s.label) for s in results.systems]
    handles += [Line2D([], [], color="black", linestyle=dash, label=plain(name)) for name, dash in names.items()]
    ax.legend(handles=handles, loc="upper right", ncols=2 if len(handles) > 6 else 1, columnspacing=1.0)
    letter(ax, "a", [f"{len(left_out)} more pairs not drawn"] if left_out else [])


def _snapshot(ax: Axes, results: Results) -> None:
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
    letter(ax, "b", [f"{name}$T$ = {temperatures([float(row['temperature'])])}, {kind}"] if whole.size else [])
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


def _radial(ax: Axes, results: Results) -> None:
    length, _, _ = results.units
    shown = max((system.neighbors[:NEIGHBORS] for system in results.systems), key=len)
    tallest = max(float(system.thermal("g").isel(temperature=-1).max()) for system in results.systems)
    step = float(np.ceil(0.9 * tallest))
    for system in results.systems:
        g = system.thermal("g").isel(temperature=-1)
        g_err = system.thermal("g_err").isel(temperature=-1)
        for row, neighbor in enumerate(system.neighbors[:NEIGHBORS]):
            y, dy = g.sel(neighbor=neighbor).values + row * step, g_err.sel(neighbor=neighbor).values
            r = g["r"].values
            ax.plot(r, y, color=colour(system.index), linewidth=1.0, label=system.label if row == 0 else None)
            if np.isfinite(dy).any():
                ax.fill_between(r, y - dy, y + dy, color=colour(system.index), alpha=0.3, linewidth=0)
    end = float(results.systems[0].ensemble["r"].max())
    center = tex(results.systems[0].first)
    for row, neighbor in enumerate(shown):
        ax.axhline(1 + row * step, color="black", linewidth=0.4, zorder=0)
        lift = f" + {row * step:g}" if row else ""
        ax.text(
            0.97 * end, row * step + 0.45, rf"$g_\mathrm{{{center}{tex(neighbor)}}}${lift}", ha="right", va="center"
        )  # fmt: skip
    ax.set_xlim(0.5, end)
    ax.set_ylim(0, step * (len(shown) - 1) + 1.12 * tallest)
    ax.set_xlabel(rf"$r$ (${length}$)")
    ax.set_ylabel("$g(r)$, thermal")
    coldest = sorted({round(float(system.temperature.min()), 6) for system in results.systems})
    said = []
    if max(len(system.neighbors) for system in results.systems) > NEIGHBORS:
        said.append(f"{NEIGHBORS} of {len(results.systems[0].neighbors)} species")
    if len(results.systems) == 1:
        ax.text(0.97, 0.97, f"$T$ = {temperatures(coldest)}", transform=ax.transAxes, ha="right", va="top")
    else:
        handles = [
            Line2D([], [], color=colour(s.index), label=f"{s.label}, $T$ = {temperatures([s.temperature.min()])}")
            for s in results.systems
        ]
        ax.legend(handles=handles, loc="upper right")
    letter(ax, "c", said)


def _diffusion(ax: Axes, results: Results) -> None:
    length, energy, time = results.units
    lacking, drawn = [], False
    for system in results.systems:
        D = system.ensemble["diffusivity"].values
        error = system.ensemble["diffusivity_err"].values
        known = np.isfinite(D) & (D > 0)
        lacking += not_diffusive(results, system, ~known)
        if known.any():
            drawn = True
            ax.errorbar(
                1 / system.temperature[known], D[known], error_bars(error[known]), fmt=marker(system.index),
                color=colour(system.index), elinewidth=0.8, label=system.label,
            )  # fmt: skip
    ax.set_xlabel(rf"$1/T$ ($k_\mathrm{{B}}/{energy}$)")
    ax.set_ylabel(rf"$D_\mathrm{{{tex(results.systems[0].first)}}}$ (${length}^2/{time}$)")
    if drawn:
        log_y(ax)
        ax.legend(loc="best")
        letter(ax, "d", lacking)
    else:
        letter(ax, "d")
        instead(ax, "; ".join(lacking))
