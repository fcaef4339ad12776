"""Reduced diffusion against mean softness and against pair excess entropy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from daskglass import plot
from daskglass.plot.panel import S2, log_y
from daskglass.report.beside import Named, Names, legend
from daskglass.report.caption_parts import not_diffusive, standard_errors
from daskglass.report.results import Results, tex
from daskglass.report.style import colour, instead, letter, marker, new_figure

TITLE = "Reduced diffusion, softness and excess entropy"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(2.5)
    axes = figure.subplots(1, 2, sharey=True)
    name = tex(results.systems[0].first)
    lacking: list[str] = []
    named: list[Named] = []
    for system in results.systems:
        D = system.ensemble["reduced_diffusivity"].values
        known = np.isfinite(D) & (D > 0)
        lacking += not_diffusive(results, system, ~known)
        if not known.any():
            continue
        for ax, against in zip(axes, ("mean_softness", system.thermal_name("s2")), strict=True):
            plot.reduced_diffusivity(
                system.ensemble, against, ax=ax, fmt=marker(system.index), color=colour(system.index), elinewidth=0.8
            )
        named.append(Named(system.label, system.ensemble["mean_softness"].values[known], D[known], system.index))
    labels = (rf"mean softness $\langle S \rangle$ of $\mathrm{{{name}}}$", rf"thermal {S2}")
    for ax, which, label in zip(axes, "ab", labels, strict=True):
        letter(ax, which, lacking if named and which == "a" else [])
        ax.set_xlabel(label)
        if named:
            log_y(ax)
        else:
            instead(ax, "; ".join(lacking))
    axes[1].set_ylabel("")
    axes[0].set_ylabel(rf"$D^*_\mathrm{{{name}}} = \rho^{{1/3}} (m/k_\mathrm{{B}}T)^{{1/2}} D_\mathrm{{{name}}}$")
    if len(results.systems) > 1 and named:
        Names(axes[0], named, legend(axes[0], named))
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    return (
        f"Reduced diffusion coefficient D* = ρ^(1/3) (m/k_BT)^(1/2) D of {results.systems[0].first} against (a) the mean "
        f"softness and (b) the thermal pair excess entropy, one point per temperature. {standard_errors(results)}."
    )
