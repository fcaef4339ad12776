"""Pictures of docs/what_it_computes.md, from a store: `python docs/images/equations.py STORE`.

Those of the repository are of the study of docs/tutorials/3_propensity.md: 880 particles of the Kob–Andersen mixture at
T = 0.90, 0.75 and 0.65, ensembles at the coldest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

import daskglass as dg
from daskglass.physics.defaults import DENSITY_CUTOFF, NEIGHBORHOOD, REARRANGING, RESTING, WIDTH
from daskglass.report import style

HEIGHT = 2.15  # inches
PIXELS_PER_INCH = 150
BLUE, ORANGE, GREEN = style.COLOURS[:3]
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": ORANGE, "linestyle": "--"},
    {"color": GREEN, "linestyle": "-."},
    {"color": BLUE, "linestyle": "-"},
)
RULE: dict[str, Any] = {"color": style.GREY, "linewidth": 0.7, "linestyle": ":"}


def interaction_and_structure(axes: Sequence[Axes], system: xr.DataTree) -> None:
    """Potentials, weights of structure functions over g(r), and weights of the other sums over neighbours."""
    potential, windows, weights = axes
    for pair, look in zip(("AA", "AB", "BB"), LOOKS, strict=True):
        dg.plot.pair_potential(dg.built_in(system.attrs["system"])[0], [pair], ax=potential, **look)
    potential.legend(loc="upper right")

    r = np.linspace(0.8, 3.0, 500)
    dg.plot.radial_distribution(coldest(system, "ensemble").sel(neighbor="A"), ax=windows, color="black")
    for mu, look in zip((1.1, 1.5, 2.0), LOOKS, strict=True):
        gaussian = np.exp(-((r - mu) ** 2) / (2 * WIDTH**2))
        windows.fill_between(r, gaussian, color=look["color"], alpha=0.25, linewidth=0)
        windows.plot(r, gaussian, label=rf"$\mu$ = {mu}", **look)
    windows.set(xlim=(r[0], r[-1]), ylim=(0, None), ylabel=r"$g_\mathrm{AA}(r)$, weight in $G(\mu)$")
    windows.legend()

    r = np.linspace(0, 5.0, 1000)
    sums = {
        "local density": np.where(r < DENSITY_CUTOFF, np.exp(-r / 2), 0),
        "average": np.where(r < NEIGHBORHOOD, np.exp(-r / NEIGHBORHOOD), 0),
        "bond order": np.exp(-((r - 1.1) ** 2) / (2 * 0.15**2)),
    }
    for (name, weight), look in zip(sums.items(), LOOKS, strict=True):
        weights.plot(r, weight, label=name, **look)
    weights.set(xlim=(0, r[-1]), ylim=(0, 1.08), xlabel=r"$r$ ($\sigma$)", ylabel="weight of a neighbour")
    weights.legend()


def motion(axes: Sequence[Axes], system: xr.DataTree) -> None:
    """Scattering with τ_α, mean squared displacement with D, and p_hop of a particle with its labels."""
    scattering, displacement, hop = axes
    ensemble, relaxation = system["ensemble"].dataset, system["relaxation"].dataset.isel(replica=0)
    for T, look in zip(relaxation.temperature.values, LOOKS, strict=True):
        run, found = relaxation.sel(temperature=T), ensemble.sel(temperature=T)
        dg.plot.scattering_function(run, ax=scattering, label=f"$T$ = {T:.2f}", **look)
        scattering.plot(found.relaxation_time, np.exp(-1), "o", color=look["color"])
        displacement.loglog(run.lag[1:], run.msd[1:], **look)
        late = run.lag[run.lag > 2]
        displacement.plot(late, 6 * found.diffusivity * late, color=look["color"], linewidth=0.5)
    scattering.axhline(np.exp(-1), **RULE)
    scattering.annotate(r"$1/e$", (0.06, np.exp(-1)), (0, 2), textcoords="offset points")
    scattering.set(xlim=(0.05, 100), ylim=(0, 1.02))
    scattering.legend(loc="lower left")
    displacement.axhline(1, **RULE)
    displacement.annotate(r"thin: $6Dt$", (0.05, 0.9), xycoords="axes fraction")
    displacement.set(xlim=(0.05, 100), ylim=(5e-3, 10), xlabel=r"$t$ ($\tau$)", ylabel=r"MSD ($\sigma^2$)")

    run = coldest(system, "training").isel(replica=0).load()
    both = (run.label == 0).any("time") & (run.label == 1).any("time")
    one = run.isel(particle=int(run.hop.max("time").where(both).argmax("particle")))
    hop.semilogy(one.time, one.hop, color=style.GREY, linewidth=0.8)
    for label, name, limit, marker, look in (
        (1, "soft", REARRANGING, "^", LOOKS[0]),
        (0, "hard", RESTING, "v", LOOKS[2]),
    ):
        hop.plot(one.time[one.label == label], one.hop[one.label == label], marker, color=look["color"], label=name)
        hop.axhline(limit, **RULE)
    hop.set(xlabel=r"$t$ ($\tau$)", ylabel=r"$p_\mathrm{hop}$ ($\sigma^2$)")
    hop.legend()


def softness(axes: Sequence[Axes], system: xr.DataTree) -> None:
    """Weights of the structure functions, histograms of softness, and how well it finds what rearranges."""
    weights, histogram, curves = axes
    for neighbor, look in zip(("A", "B"), LOOKS[::2], strict=True):
        w = system["model"].dataset.weights.sel(neighbor=neighbor)
        weights.plot(w.mu, w, label=f"{neighbor} neighbours", marker=".", **look)
    weights.axhline(0, color="black", linewidth=0.4)
    weights.set(xlabel=r"$\mu$ ($\sigma$)", ylabel=r"$w(\mu)$", ylim=(None, 0.75))
    weights.legend()

    run = coldest(system, "production").load()
    bins = list(np.linspace(-2, 3, 51))
    rearranges = run.hop > REARRANGING
    histogram.hist(run.softness.values.ravel(), bins, density=True, color="lightgrey", label="all A")
    histogram.hist(
        run.softness.where(rearranges).values.ravel(), bins, density=True, histtype="step", color=ORANGE,
        label="that rearrange",
    )  # fmt: skip
    histogram.axvline(0, **RULE)
    histogram.set(xlabel="softness $S$", ylabel="share of particles per unit of $S$")
    histogram.legend(loc="upper right")

    for name, look in zip(("softness", "local_entropy"), LOOKS[::-2], strict=True):
        found = dg.receiver_operating_curve(run[name], run.hop)
        label = f"{name.replace('_', ' ')}, area {float(found.area):.2f}"
        dg.plot.receiver_operating_curve(found, ax=curves, label=label, **look)
    curves.set(xlabel="share of false positives", ylabel="share of true positives")
    curves.legend(loc="lower right")


def entropy(axes: Sequence[Axes], system: xr.DataTree) -> None:
    """Distribution functions, what their integral sums, and local entropy beside softness."""
    g, integrand, joint = axes
    ensemble = coldest(system, "ensemble").load()
    for neighbor, look in zip(("A", "B"), LOOKS[::2], strict=True):
        around = ensemble.g_thermal.sel(neighbor=neighbor)
        dg.plot.radial_distribution(around, ax=g, label=f"A{neighbor}", **look)
        each = around * np.log(around.where(around > 0, 1)) - around + 1
        integrand.plot(around.r, each, **look)
    g.set_ylim(0, None)
    g.legend()
    core = float(around.r[around > 0][0])
    integrand.axvspan(0, core, color="lightgrey", linewidth=0)
    integrand.annotate(
        "empty\ncore", (core / 2, 0.6), xycoords=("data", "axes fraction"), ha="center", fontsize=style.SMALL
    )  # fmt: skip
    integrand.set(xlim=(0, around.r[-1]), ylim=(0, None), xlabel=r"$r$ ($\sigma$)", ylabel=r"$g\,\ln g - g + 1$")

    dg.plot.joint_histogram(ensemble.joint, ensemble.pearson_pooled, ax=joint)
    joint.set(xlabel="softness $S$", ylabel=r"local $s^{(2)}$ ($k_\mathrm{B}$)")


def barriers(axes: Sequence[Axes], system: xr.DataTree) -> None:
    """Probabilities of rearrangement with lines and onset, barriers, and their collapse."""
    probability, energy, scaled = axes
    ensemble = system["ensemble"].dataset.sel(variable="softness").load()
    dg.plot.rearrangement_probability(ensemble, ax=probability)
    dg.plot.arrhenius(ensemble, [*ensemble.temperature.values, float(ensemble.onset_temperature)], ax=probability)
    dg.plot.onset_temperature(ensemble, ax=probability)
    probability.set_xlim(right=1.85)
    probability.legend(loc="upper right", title="$S$")

    s2 = ensemble.s2_grouped_pooled.interp(softness_bin=ensemble.stratum_middle)
    dg.plot.barriers(ensemble, s2, ax=energy, color=BLUE)
    dg.plot.collapse(ensemble, ax=scaled, color=BLUE)


def propensity(axes: Sequence[Axes], system: xr.DataTree) -> None:
    """Propensity in a slab, a linear prediction of it, and scores of indicators below the ceiling."""
    slab, predicted, scores = axes
    run = coldest(system, "isoconfigurational").isel(replica=0).load()
    frame = run.sel(lag=3.0).isel(configuration=0)
    dg.plot.slab(frame, "propensity", positions="inherent", ax=slab)

    dots: dict[str, Any] = {"markersize": 1.5, "alpha": 0.5, "color": BLUE, "markeredgewidth": 0}
    predicted.plot(frame.predicted_propensity.where(frame.species == 0), frame.propensity, "o", **dots)
    mean = float(frame.propensity.mean())
    predicted.axline((mean, mean), slope=1, **RULE)
    predicted.set(xlabel=r"$b + \mathbf{w}\cdot\mathbf{z}$ ($\sigma$)", ylabel=r"propensity ($\sigma$)")

    board = coldest(system, "scoreboard").load()
    names = {"prediction": "predicted_propensity", "softness": "softness", "local entropy, average": "local_entropy, 2"}
    for (label, name), look, marker in zip(names.items(), LOOKS[::-1], style.MARKERS, strict=False):
        dg.plot.score(board.sel(indicator=name), ax=scores, label=label, marker=marker, **look)
    dg.plot.noise_ceiling(board.isel(indicator=0), ax=scores)
    scores.annotate("above the ceiling", (0.97, 0.97), xycoords="axes fraction", ha="right", va="top")
    scores.set_ylabel(r"$|\rho|$ with propensity")
    scores.legend(loc="upper left", bbox_to_anchor=(0, 0.91))


def coldest(system: xr.DataTree, group: str) -> xr.Dataset:
    """Tables of a group at its lowest temperature."""
    tables = system.children[group].dataset
    return tables.sel(temperature=tables.temperature.min())


def draw(row: Callable[[Sequence[Axes], xr.DataTree], None], system: xr.DataTree) -> None:
    """Draw a row of panels, and write it beside this file."""
    figure = style.new_figure(HEIGHT)
    axes = figure.subplots(1, 3)
    row(axes, system)
    for ax, letter in zip(axes, "abc", strict=True):
        style.letter(ax, letter)
    figure.savefig(Path(__file__).with_name(f"equations_{row.__name__}.png"), dpi=PIXELS_PER_INCH)


if __name__ == "__main__":
    with style.styled():
        for each in (interaction_and_structure, motion, softness, entropy, barriers, propensity):
            draw(each, next(iter(dg.open_store(sys.argv[1]).children.values())))
