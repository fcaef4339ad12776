"""Reduced diffusion against mean softness and against pair excess entropy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from daskglass.report.beside import Named, Names, legend
from daskglass.report.caption_parts import not_diffusive, standard_errors
from daskglass.report.results import Results, tex
from daskglass.report.style import S2, colour, error_bars, instead, letter, log_y, marker, new_figure

TITLE = "Reduced diffusion, softness and excess entropy"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(2.5)
    axes = figure.subplots(1, 2, sharey=True)
    name = tex(results.systems[0].first)
    lacking: list[str] = []
    named: list[Named] = []
    for system in results.systems:
        D, error = (system.ensemble[f"reduced_diffusivity{end}"].values for end in ("", "_err"))
        known = np.isfinite(D) & (D > 0)
        lacking += not_diffusive(results, system, ~known)
        if not known.any():
            continue
        s2, s2_err = system.thermal("s2").values, system.thermal("s2_err").values
        for ax, x, x_err in ((axes[0], system.ensemble["mean_softness"].values, None), (axes[1], s2, s2_err)):
            ax.errorbar(
                x[known], D[known], error_bars(error[known]), error_bars(x_err[known]) if x_err is not None else None,
                fmt=marker(system.index), color=colour(system.index), elinewidth=0.8,
            )  # fmt: skip
        named.append(Named(system.label, system.ensemble["mean_softness"].values[known], D[known], system.index))
    labels = (rf"mean softness $\langle S \rangle$ of $\mathrm{{{name}}}$", rf"thermal {S2}")
    for ax, which, label in zip(axes, "ab", labels, strict=True):
        letter(ax, which, lacking if named and which == "a" else [])
        ax.set_xlabel(label)
        if named:
            log_y(ax)
        else:
            instead(ax, "; ".join(lacking))
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
