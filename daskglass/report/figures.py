"""The six figures of a study, each a function from an open store to a Matplotlib figure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from daskglass.report import collapse, snapshot
from daskglass.report.contents import Contents, System, plain, read, tex
from daskglass.report.style import (
    DASHES, GREY, SOFTNESS_MAP, WIDTH, colour, in_style, instead, letter, log_y, marker, new_figure, number, strata_bar,
    strata_colours, temperatures, wrapped,
)  # fmt: skip
from daskglass.systems import pair_energy

JOINT_MAP = "magma_r"  # few counts are pale, like the paper they stand on
PAPER = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "boxstyle": "square,pad=0.15"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NEIGHBORS = 3  # species around A that have room in one panel
FAR_ONSET = 2.0  # an onset temperature beyond so many times the hottest one is said, not drawn
VARIABLES = {"softness": "$S$", "local_entropy": r"$s^{(2)}_i$ ($k_\mathrm{B}$)"}
PLAIN = {"softness": "S", "local_entropy": "local $s^{(2)}$"}
S2 = r"$s^{(2)}$ ($k_\mathrm{B}$)"


# --- 1: potentials, a snapshot, structure, diffusion ---------------------------------------------------------------


@in_style
def figure_1(tree: xr.DataTree) -> Figure:
    """Pair potentials, a snapshot coloured by softness, g(r) and D(1/T)."""
    contents = read(tree)
    figure = new_figure(6.2)
    (a, b), (c, d) = figure.subplots(2, 2)
    _potentials(a, contents)
    _snapshot(b, contents)
    _radial(c, contents)
    _diffusion(d, contents)
    return figure


def _potentials(ax: Axes, contents: Contents) -> None:
    length, energy, _ = contents.units
    names: dict[str, Any] = {}
    left_out: set[str] = set()
    deepest, shortest, longest = 0.0, np.inf, 0.0
    for system in contents.systems:
        mixture = system.mixture
        for first, second in itertools.combinations_with_replacement(mixture.species, 2):
            if first + second not in names and len(names) == len(DASHES):
                left_out.add(first + second)
                continue
            dash = names.setdefault(first + second, DASHES[len(names)])
            sigma = mixture.pair(first, second).sigma
            r = np.linspace(max(0.6 * sigma, mixture.delta + 0.05), 2.5 * sigma, 1500)
            V = pair_energy(mixture, first, second, r)
            ax.plot(r, V, color=colour(system.index), linestyle=dash)
            deepest, longest = min(deepest, float(V.min())), max(longest, 2.0 * sigma)
            shortest = min(shortest, float(r[V < -0.85 * deepest].min()))
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_ylim(1.25 * deepest, -0.85 * deepest)
    ax.set_xlim(max(shortest - 0.12 * longest, 0.0), longest)
    ax.set_xlabel(rf"$r$ (${length}$)")
    ax.set_ylabel(rf"$V_{{ij}}(r)$ (${energy}$)")
    handles = [Line2D([], [], color=colour(s.index), label=s.label) for s in contents.systems]
    handles += [Line2D([], [], color="black", linestyle=dash, label=plain(name)) for name, dash in names.items()]
    ax.legend(handles=handles, loc="upper right", ncols=2 if len(handles) > 6 else 1, columnspacing=1.0)
    letter(ax, "a", [f"{len(left_out)} more pairs not drawn"] if left_out else [])


def first_of(system: System) -> str:
    """Name of the species that is studied."""
    return system.mixture.species[0]


def _snapshot(ax: Axes, contents: Contents) -> None:
    system = contents.systems[0]
    run = system.production
    T = int(np.argmin(run["temperature"].values))
    positions = "inherent" if system.inherent else "position"
    row = run[[positions, "softness", "species", "box"]].isel(temperature=T, replica=0)
    first = row["species"].values == 0
    softness = row["softness"].values
    whole = np.flatnonzero(np.isfinite(softness[:, first]).all(axis=1))
    kind = "inherent structure" if system.inherent else "thermal"
    name = f"{system.label}, " if len(contents.systems) > 1 else ""
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
    species = system.mixture.species
    size = np.array([system.mixture.pair(name, name).sigma for name in species])
    size[1:] *= 0.8
    radius = 0.5 * size[frame["species"].values]
    image = snapshot.render(snapshot.Spheres(snapshot.wrap(frame[positions].values, box), radius, colours), box)
    ax.imshow(image, interpolation="antialiased")
    ax.set_axis_off()
    ax.margins(0)
    bar = ax.figure.colorbar(ScalarMappable(norm, SOFTNESS_MAP), ax=ax, fraction=0.045, pad=0.02, aspect=24, extend="both")
    bar.set_label(f"softness $S$ of {_name(first_of(system))}")
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]


def _name(species: str) -> str:
    return rf"$\mathrm{{{tex(species)}}}$"


def _radial(ax: Axes, contents: Contents) -> None:
    length, _, _ = contents.units
    shown = max((system.neighbors[:NEIGHBORS] for system in contents.systems), key=len)
    tallest = max(float(system.thermal("g").isel(temperature=-1).max()) for system in contents.systems)
    step = float(np.ceil(0.9 * tallest))
    for system in contents.systems:
        g = system.thermal("g").isel(temperature=-1)
        g_err = system.thermal("g_err").isel(temperature=-1)
        for row, neighbor in enumerate(system.neighbors[:NEIGHBORS]):
            y, dy = g.sel(neighbor=neighbor).values + row * step, g_err.sel(neighbor=neighbor).values
            r = g["r"].values
            ax.plot(r, y, color=colour(system.index), linewidth=1.0, label=system.label if row == 0 else None)
            if np.isfinite(dy).any():
                ax.fill_between(r, y - dy, y + dy, color=colour(system.index), alpha=0.3, linewidth=0)
    end = float(contents.systems[0].ensemble["r"].max())
    center = tex(first_of(contents.systems[0]))
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
    coldest = sorted({round(float(system.temperature.min()), 6) for system in contents.systems})
    said = []
    if max(len(system.neighbors) for system in contents.systems) > NEIGHBORS:
        said.append(f"{NEIGHBORS} of {len(contents.systems[0].neighbors)} species")
    if len(contents.systems) == 1:
        ax.text(0.97, 0.97, f"$T$ = {temperatures(coldest)}", transform=ax.transAxes, ha="right", va="top")
    else:
        handles = [
            Line2D([], [], color=colour(s.index), label=f"{s.label}, $T$ = {temperatures([s.temperature.min()])}")
            for s in contents.systems
        ]
        ax.legend(handles=handles, loc="upper right")
    letter(ax, "c", said)


def _diffusion(ax: Axes, contents: Contents) -> None:
    length, energy, time = contents.units
    lacking, drawn = [], False
    for system in contents.systems:
        D = system.ensemble["diffusivity"].values
        error = system.ensemble["diffusivity_err"].values
        known = np.isfinite(D) & (D > 0)
        lacking += _not_diffusive(contents, system, ~known)
        if known.any():
            drawn = True
            ax.errorbar(
                1 / system.temperature[known], D[known], _bars(error[known]), fmt=marker(system.index),
                color=colour(system.index), elinewidth=0.8, label=system.label,
            )  # fmt: skip
    ax.set_xlabel(rf"$1/T$ ($k_\mathrm{{B}}/{energy}$)")
    ax.set_ylabel(rf"$D_\mathrm{{{tex(first_of(contents.systems[0]))}}}$ (${length}^2/{time}$)")
    if drawn:
        log_y(ax)
        ax.legend(loc="best")
        letter(ax, "d", lacking)
    else:
        letter(ax, "d")
        instead(ax, "; ".join(lacking))


def _not_diffusive(contents: Contents, system: System, missing: np.ndarray) -> list[str]:
    """What to say of temperatures at which particles never diffuse within a run."""
    if not missing.any():
        return []
    name = f"{system.label}: " if len(contents.systems) > 1 else ""
    return [f"{name}not diffusive at $T$ = {temperatures(system.temperature[missing])}"]


def _bars(error: np.ndarray) -> np.ndarray | None:
    """Error bars; None where no error is known."""
    return np.nan_to_num(error) if np.isfinite(error).any() else None


# --- 2: reduced diffusion ------------------------------------------------------------------------------------------


@in_style
def figure_2(tree: xr.DataTree) -> Figure:
    """Reduced diffusion against mean softness and against pair excess entropy."""
    contents = read(tree)
    figure = new_figure(2.9)
    axes = figure.subplots(1, 2, sharey=True)
    name = tex(first_of(contents.systems[0]))
    lacking, drawn = [], False
    for system in contents.systems:
        D, error = (system.ensemble[f"reduced_diffusivity{end}"].values for end in ("", "_err"))
        known = np.isfinite(D) & (D > 0)
        lacking += _not_diffusive(contents, system, ~known)
        if not known.any():
            continue
        drawn = True
        s2, s2_err = system.thermal("s2").values, system.thermal("s2_err").values
        for ax, x, x_err in ((axes[0], system.ensemble["mean_softness"].values, None), (axes[1], s2, s2_err)):
            ax.errorbar(
                x[known], D[known], _bars(error[known]), _bars(x_err[known]) if x_err is not None else None,
                fmt=marker(system.index), color=colour(system.index), elinewidth=0.8, label=system.label,
            )  # fmt: skip
    labels = (rf"mean softness $\langle S \rangle$ of $\mathrm{{{name}}}$", rf"thermal {S2}")
    for ax, which, label in zip(axes, "ab", labels, strict=True):
        letter(ax, which, lacking if drawn and which == "a" else [], 52)
        ax.set_xlabel(label)
        if drawn:
            log_y(ax)
        else:
            instead(ax, "; ".join(lacking))
    axes[0].set_ylabel(rf"$D^*_\mathrm{{{name}}} = \rho^{{1/3}} (m/k_\mathrm{{B}}T)^{{1/2}} D_\mathrm{{{name}}}$")
    if drawn:
        axes[0].legend(loc="best")
    return figure


# --- 3: rearrangement by stratum -----------------------------------------------------------------------------------


@in_style
def figure_3(tree: xr.DataTree) -> Figure:
    """Probability of rearrangement against 1/T by stratum, of softness and of local entropy; a row per system."""
    contents = read(tree)
    rows = len(contents.systems)
    figure = new_figure(3.0 if rows == 1 else 2.35 * rows)
    grid = figure.subplots(rows, 2, sharey="row", squeeze=False)
    letters = iter(LETTERS)
    for row, system in zip(grid, contents.systems, strict=True):
        for ax, variable in zip(row, VARIABLES, strict=True):
            said = _strata(ax, contents, system, variable)
            if rows > 1:
                said[0] = f"{system.label}: {said[0]}"
            letter(ax, next(letters), said, 50)
            fits = system.fits(variable)
            strata_bar(figure, ax, fits["stratum_edges"].values, fits["stratum_middle"].values, f"stratum of {VARIABLES[variable]}")
        row[0].set_ylabel(r"$P_\mathrm{R}$")
    for ax in grid[-1]:
        ax.set_xlabel(rf"$1/T$ ($k_\mathrm{{B}}/{contents.units[1]}$)")
    return figure


def _strata(ax: Axes, contents: Contents, system: System, variable: str) -> list[str]:
    """Draw one panel of figure 3; returns what must be said about it."""
    fits = system.fits(variable)
    T = system.temperature
    P, error = fits["probability"].transpose("temperature", "stratum").values, None
    if "probability_err" in fits:
        error = fits["probability_err"].reindex(temperature=T).transpose("temperature", "stratum").values
    happened = fits["events"].transpose("temperature", "stratum").values > 0
    cold = np.arange(T.size) >= T.size - system.cold(variable)
    energy, entropy = fits["activation_energy"].values, fits["activation_entropy"].values
    onset, onset_err = system.onset(variable)
    near = np.isfinite(onset) and onset <= FAR_ONSET * T.max()
    x = 1 / T
    left, right = min(x.min(), 1 / onset if near else np.inf), x.max()
    span = max(right - left, 0.08 * right)
    colours, _ = strata_colours(fits["stratum_edges"].values)
    for k in range(P.shape[1]):
        shade = colours(k)
        for chosen, face in ((cold, shade), (~cold, "white")):
            points = chosen & happened[:, k]
            if points.any():
                bars = _bars(error[points, k]) if error is not None else None
                ax.errorbar(
                    x[points], P[points, k], bars, fmt="o", color=shade, markerfacecolor=face, markersize=3.6, linewidth=0.8
                )  # fmt: skip
        if np.isfinite(energy[k]):
            inside = np.linspace(1 / T[cold].max(), x.max() + 0.02 * span, 50)
            ax.plot(inside, np.exp(entropy[k] - energy[k] * inside), color=shade, linewidth=1.0)
            if near and onset > T[cold].max():
                beyond = np.linspace(1 / onset, 1 / T[cold].max(), 50)
                ax.plot(beyond, np.exp(entropy[k] - energy[k] * beyond), color=shade, linewidth=0.9, linestyle=(0, (1.5, 1.5)))
    seen = P[happened]
    low = seen.min() if seen.size else 1e-3
    ax.set_ylim(min(low / 1.6, ax.get_ylim()[0] if ax.get_yscale() == "log" else 1.0), 1.25)
    log_y(ax)
    if near:
        if np.isfinite(onset_err) and onset_err < onset:
            ax.axvspan(1 / (onset + onset_err), 1 / (onset - onset_err), color=GREY, alpha=0.18, linewidth=0)
        ax.axvline(1 / onset, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.text(
            1 / onset + 0.015 * span, 0.04, r"$1/T_\mathrm{A}$", transform=ax.get_xaxis_transform(), color=GREY, fontsize=8.0
        )  # fmt: skip
    ax.axhline(1.0, color="black", linewidth=0.4)
    ax.set_xlim(left - 0.09 * span, right + 0.06 * span)
    said = [_said_of_onset(system, variable)]
    empty = int((~happened).sum())
    if empty:
        said.append(f"no event in {empty} of {happened.size} (stratum, $T$)")
    return said


def _said_of_onset(system: System, variable: str) -> str:
    cold = system.cold(variable)
    used = int(system.fits(variable)["temperatures_used"].max()) if "temperatures_used" in system.fits(variable) else cold
    if not np.isfinite(system.fits(variable)["activation_energy"].values).any():
        reason = f"{cold} supercooled temperature{'s' * (cold != 1)}" if used >= min(cold, 2) else "too few events"
        return f"{reason}: no fit"
    onset, error = system.onset(variable)
    if not np.isfinite(onset):
        return r"no $T_\mathrm{A}$: the strata do not meet"
    text = rf"$T_\mathrm{{A}}$ = {_pm(onset, error)}"
    if onset > FAR_ONSET * system.temperature.max():
        return f"{text}, far outside the simulated range: not drawn"
    if system.extrapolated(variable):
        text += ", extrapolated"
    P = float(system.fits(variable)["onset_probability"])
    if P > 1:
        text += rf"; $P_\mathrm{{R}}(T_\mathrm{{A}})$ = {P:.2f} cannot be"
    if cold == 2:
        text += "; 2 temperatures: a line fits always"
    return text


def _pm(value: float, error: float) -> str:
    """Value and error with digits that the error allows, for short labels."""
    if not np.isfinite(error) or error <= 0:
        return number(value, 3)
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 4))
    return f"{number(value, digits)} ± {number(error, digits)}"


# --- 4: softness and local entropy ---------------------------------------------------------------------------------


@in_style
def figure_4(tree: xr.DataTree) -> Figure:
    """Joint histogram of softness and local entropy, their correlation, and the onset temperatures of both."""
    contents = read(tree)
    count = len(contents.systems)
    letters = iter(LETTERS)
    if count == 1:
        figure = new_figure(2.75)
        axes = figure.subplots(1, 3, width_ratios=(1.3, 0.85, 1))
        panels, pearson, onset = [axes[0]], axes[1], axes[2]
    else:
        columns = 2 if count in (2, 4) else 3
        rows = -(-count // columns)
        figure = new_figure(2.25 * rows + 2.6)
        above, below = figure.subfigures(2, 1, height_ratios=(2.25 * rows, 2.6))
        grid = above.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax in grid[count:]:
            ax.set_axis_off()
        panels = list(grid[:count])
        pearson, onset = below.subplots(1, 2)
    mappable = _joint(panels, contents, letters)
    bar = panels[0].figure.colorbar(mappable, ax=panels, pad=0.02, aspect=22, fraction=0.08)
    bar.set_label("particles × frames")
    bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    _pearson(pearson, contents, next(letters))
    _onsets(onset, contents, next(letters))
    return figure


def _joint(panels: list[Axes], contents: Contents, letters: Any) -> ScalarMappable:
    joints = [system.ensemble["joint"] for system in contents.systems]
    norm = LogNorm(1, max(2, max(int(joint.max()) for joint in joints)))
    name = tex(first_of(contents.systems[0]))
    columns = 1 if len(panels) == 1 else (2 if len(panels) in (2, 4) else 3)
    for k, (ax, system, joint) in enumerate(zip(panels, contents.systems, joints, strict=True)):
        joint = joint.transpose("joint_local_entropy", "joint_softness")
        counts = np.ma.masked_less(joint.values, 1)
        ax.pcolormesh(
            joint["joint_softness"], joint["joint_local_entropy"], counts, norm=norm, cmap=JOINT_MAP, rasterized=True
        )  # fmt: skip
        if k + columns >= len(panels):
            ax.set_xlabel(rf"softness $S$ of $\mathrm{{{name}}}$")
            ax.tick_params(labelbottom=True)
        if k % columns == 0:
            ax.set_ylabel(r"local $s^{(2)}_i$ ($k_\mathrm{B}$)")
        pooled = float(system.ensemble["pearson_pooled"])
        ax.text(0.04, 0.96, f"$r$ = {number(pooled)}", transform=ax.transAxes, va="top", bbox=PAPER)
        letter(ax, next(letters), [system.label] if len(panels) > 1 else [])
    return ScalarMappable(norm, JOINT_MAP)


def _pearson(ax: Axes, contents: Contents, which: str) -> None:
    places = _places(ax, contents)
    step = 0.35 * min(np.diff(sorted(places.values())), default=1.0)
    for system in contents.systems:
        x = places[system.name]
        by_T = system.ensemble["pearson"].values
        # beside the value of all, so that neither hides the other
        ax.plot(
            x + step * np.linspace(0.3, 1.0, by_T.size), by_T, "o", color=colour(system.index), markersize=2.2, alpha=0.6
        )  # fmt: skip
        ax.plot(
            x, float(system.ensemble["pearson_pooled"]), marker(system.index), color=colour(system.index), markersize=5.5
        )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.0, low), max(0.75, high))
    ax.axhline(0.0, color="black", linewidth=0.4)
    ax.set_ylabel("Pearson correlation of $S$, $s^{(2)}_i$")
    handles = [
        Line2D([], [], color=GREY, marker="o", markersize=5.5, linestyle="", label="all $T$ pooled"),
        Line2D([], [], color=GREY, marker="o", markersize=2.2, linestyle="", label="each $T$, hot to cold"),
    ]
    ax.legend(handles=handles, loc="lower right" if len(contents.systems) > 1 else "lower center", handletextpad=0.2)
    letter(ax, which, _no_trend(contents), 24 if len(contents.systems) == 1 else 46)


def _no_trend(contents: Contents) -> list[str]:
    if len(contents.systems) == 1:
        return [r"one system: no trend with $\Delta$"]
    return [] if contents.in_delta else [r"systems differ in more than $\Delta$: no trend"]


def _places(ax: Axes, contents: Contents) -> Mapping[str, float]:
    """Where systems stand on an axis: at their Δ, or side by side with their names."""
    if contents.in_delta and len(contents.systems) > 1:
        ax.set_xlabel(rf"$\Delta$ (${contents.units[0]}$)")
        delta = [system.mixture.delta for system in contents.systems]
        room = 0.12 * max(max(delta) - min(delta), 0.1)
        ax.set_xlim(min(delta) - room, max(delta) + room)
        return {system.name: system.mixture.delta for system in contents.systems}
    turn = 25 if len(contents.systems) > 2 else 0
    ax.set_xticks(range(len(contents.systems)), [s.label for s in contents.systems], rotation=turn, ha="right" if turn else "center")
    ax.tick_params(axis="x", which="minor", bottom=False, top=False)
    ax.set_xlim(-0.6, len(contents.systems) - 0.4)
    return {system.name: float(k) for k, system in enumerate(contents.systems)}


def _onsets(ax: Axes, contents: Contents, which: str) -> None:
    energy = contents.units[1]
    said, drawn, open_ones = [], [], False
    for system in contents.systems:
        x, x_err = system.onset("softness")
        y, y_err = system.onset("local_entropy")
        name = f"{system.label}: " if len(contents.systems) > 1 else ""
        hottest = FAR_ONSET * system.temperature.max()
        if not (np.isfinite(x) and np.isfinite(y)):
            said.append(rf"{name}no $T_\mathrm{{A}}$ from {' and '.join(w for w, v in (('$S$', x), ('$s^{(2)}_i$', y)) if not np.isfinite(v))}")
            continue
        if max(x, y) > hottest:
            said.append(rf"{name}$T_\mathrm{{A}}$ far outside the simulated range: not drawn")
            continue
        outside = system.extrapolated("softness") or system.extrapolated("local_entropy")
        open_ones |= outside
        drawn.append((x, y, x_err, y_err))
        ax.errorbar(
            x, y, _one_bar(y_err), _one_bar(x_err), fmt=marker(system.index), color=colour(system.index), markersize=5,
            markerfacecolor="white" if outside else colour(system.index), linewidth=0.9, label=system.label,
        )  # fmt: skip
    ax.set_xlabel(rf"$T_\mathrm{{A}}$ from strata of $S$ (${energy}/k_\mathrm{{B}}$)")
    ax.set_ylabel(rf"$T_\mathrm{{A}}$ from $s^{{(2)}}_i$ (${energy}/k_\mathrm{{B}}$)")
    if not drawn:
        letter(ax, which)
        instead(ax, "; ".join(said), 28)
        return
    values = np.array(drawn)
    reach = np.nan_to_num(values[:, 2:]).max()
    low, high = values[:, :2].min() - 1.3 * reach, values[:, :2].max() + 1.3 * reach
    room = max(0.12 * (high - low), 0.04 * high)
    ends = np.array([max(low - room, 0.0), high + room])
    ax.plot(ends, ends, color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    ax.legend(loc="upper left")
    if open_ones:
        said.append("open: extrapolated beyond the simulated $T$")
    letter(ax, which, said, 26 if len(contents.systems) == 1 else 46)


def _one_bar(error: float) -> float | None:
    return error if np.isfinite(error) else None


# --- 5: structure by softness --------------------------------------------------------------------------------------


@in_style
def figure_5(tree: xr.DataTree) -> Figure:
    """g(r) around particles of each softness bin, and the pair excess entropy of each; a row per system."""
    contents = read(tree)
    rows = len(contents.systems)
    shown = min(NEIGHBORS, max(len(system.neighbors) for system in contents.systems))
    figure = new_figure(2.75 if rows == 1 else 2.3 * rows)
    grid = figure.subplots(rows, shown + 1, squeeze=False)
    letters = iter(LETTERS)
    for row, system in zip(grid, contents.systems, strict=True):
        edges, middles = _bin_edges(system)
        colours, _ = strata_colours(edges)
        g = system.ensemble["g_grouped_pooled"]
        center = tex(first_of(system))
        for column, ax in enumerate(row[:-1]):
            name = next(letters)
            if column >= len(system.neighbors):
                ax.set_axis_off()
                continue
            neighbor = system.neighbors[column]
            # the second shell tells bins apart, the first peak sets the scale: the inset enlarges the former
            inset = ax.inset_axes((0.40, 0.40, 0.575, 0.565))
            sigma = system.mixture.pair(first_of(system), neighbor).sigma
            y = g.sel(neighbor=neighbor).transpose("softness_bin", "r").values
            for panel, k in itertools.product((ax, inset), range(middles.size)):
                panel.plot(g["r"], y[k], color=colours(k), linewidth=0.8 if panel is ax else 0.7)
            near = (g["r"].values > 1.28 * sigma) & (g["r"].values < 2.7 * sigma)
            inset.set_xlim(1.28 * sigma, 2.7 * sigma)
            inset.set_ylim(0, 1.12 * float(np.nanmax(y[:, near], initial=1.0)))
            inset.tick_params(labelsize=6.5, pad=2)
            inset.minorticks_off()
            ax.set_xlim(0.6, min(3.6, float(g["r"].max())))
            ax.set_ylim(0, 1.06 * float(np.nanmax(y, initial=1.0)))
            ax.axhline(1, color="black", linewidth=0.4, zorder=0)
            ax.set_ylabel(rf"$g_\mathrm{{{center}{tex(neighbor)}}}(r)$")
            said = [system.label] if rows > 1 and column == 0 else []
            if column == 0:
                said.append(_kind(system))
            letter(ax, name, said, 34)
            if system is contents.systems[-1]:
                ax.set_xlabel(rf"$r$ (${contents.units[0]}$)")
        strata_bar(figure, list(row[:-1]), edges, middles, "bin of $S$")
        _entropy_of_softness(row[-1], system, colours, next(letters))
        if system is contents.systems[-1]:
            row[-1].set_xlabel("softness $S$")
    return figure


def _kind(system: System) -> str:
    cold = system.cold("softness")
    return f"{'inherent structures' if system.inherent else 'thermal'}, {cold} coldest $T$"


def _bin_edges(system: System) -> tuple[np.ndarray, np.ndarray]:
    middles = system.ensemble["softness_bin"].values
    half = (middles[1] - middles[0]) / 2 if middles.size > 1 else 0.5
    return np.append(middles - half, middles[-1] + half), middles


def _entropy_of_softness(ax: Axes, system: System, colours: Any, name: str) -> None:
    kinds = [("thermal", system.thermal("s2_grouped_pooled"), "s", (0, (3, 1.5)))]
    if system.inherent:
        kinds.append(("inherent", system.ensemble["s2_grouped_pooled"], "o", "-"))
    x = system.ensemble["softness_bin"].values
    for _, y, shape, dash in kinds:
        ax.plot(x, y, color=GREY, linestyle=dash, linewidth=0.9, zorder=1)
        ax.scatter(
            x, y, c=[colours(k) for k in range(x.size)], marker=shape, s=18, zorder=2, edgecolors="black", linewidths=0.4
        )  # fmt: skip
    ax.set_ylabel(S2)
    handles = [
        Line2D([], [], color=GREY, linestyle=dash, marker=shape, markeredgecolor="black", markeredgewidth=0.4, label=kind)
        for kind, _, shape, dash in kinds
    ]
    ax.legend(handles=handles, loc="best")
    letter(ax, name, [] if system.inherent else ["no inherent structures"], 36)


# --- 6: the collapse -----------------------------------------------------------------------------------------------


@in_style
def figure_6(tree: xr.DataTree) -> Figure:
    """Scaled and unscaled barriers of the strata of softness against the entropy of their surroundings."""
    contents = read(tree)
    figure = new_figure(4.9)
    (a, b, c), (d, e, f) = figure.subplots(2, 3)
    energy = contents.units[1]
    kind = "inherent" if all(system.inherent for system in contents.systems) else "thermal"
    label = rf"{kind} {S2}"
    f.set_axis_off()
    found = {system.name: collapse.points(system, kind == "inherent") for system in contents.systems}
    refused = [f"{s.label}: {_math(found[s.name].refused)}" for s in contents.systems if found[s.name].refused]
    panels = (
        (a, "a", "y_entropy", r"$y_\Sigma = \Sigma/\ln P_\mathrm{R}(T_\mathrm{A})$"),
        (b, "b", "y_energy", r"$y_E = \Delta E/[k_\mathrm{B}T_\mathrm{A} \ln P_\mathrm{R}(T_\mathrm{A})]$"),
        (d, "d", "entropy", r"$\Sigma$ ($k_\mathrm{B}$)"),
        (e, "e", "energy", rf"$\Delta E$ (${energy}$)"),
    )
    for ax, name, field, text in panels:
        drawn = False
        for system in contents.systems:
            points = found[system.name]
            y, error = getattr(points, field), getattr(points, f"{field}_err")
            known = np.isfinite(points.s2) & np.isfinite(y)
            if (field.startswith("y_") and points.refused) or not known.any():
                continue
            drawn = True
            ax.errorbar(
                points.s2[known], y[known], _bars(error[known]), fmt=marker(system.index), color=colour(system.index), linewidth=0.8
            )  # fmt: skip
        ax.set_xlabel(label)
        ax.set_ylabel(text)
        letter(ax, name)
        if not drawn:
            instead(ax, "; ".join(refused) or "no fit", 27)
    _identity(c, contents, found)
    handles = [
        Line2D([], [], color=colour(s.index), marker=marker(s.index), linestyle="", label=s.label) for s in contents.systems
    ]  # fmt: skip
    notes = [] if kind == "inherent" else ["no inherent structures: the entropy is thermal"]
    notes += [text for text in refused if len(refused) < len(contents.systems)]
    notes += [
        f"{s.label}: {found[s.name].outside} strata lie beyond the softness bins"
        for s in contents.systems
        if found[s.name].outside
    ]
    if len(contents.systems) == 1:
        notes.append("one system: nothing to collapse on")
    _key(f, handles, notes)
    return figure


def _math(text: str) -> str:
    """Text of a refusal with its symbols set as mathematics."""
    for symbol, typeset in (
        ("ln P_R(T_A)", r"$\ln P_\mathrm{R}(T_\mathrm{A})$"),
        (" P_R(T_A)", r" $P_\mathrm{R}(T_\mathrm{A})$"),
        ("no T_A", r"no $T_\mathrm{A}$"),
    ):
        text = text.replace(symbol, typeset)
    return text


def _key(ax: Axes, handles: list[Line2D], notes: list[str]) -> None:
    ax.legend(handles=handles, loc="upper left", title="system", alignment="left", fontsize=8.5)
    ax.text(0.03, 0.02, "\n".join(wrapped(note, 36) for note in notes), transform=ax.transAxes, va="bottom", color=GREY, fontsize=8.0, style="italic")


def _identity(ax: Axes, contents: Contents, found: Mapping[str, collapse.Points]) -> None:
    """Draw y_E against y_Σ - 1, which are equal where strata meet at T_A."""
    ends: list[float] = []
    for system in contents.systems:
        points = found[system.name]
        if points.refused:
            continue
        x, y = points.y_entropy - 1, points.y_energy
        ax.plot(x, y, marker(system.index), color=colour(system.index))
        ends += [*x[np.isfinite(x)], *y[np.isfinite(y)]]
    deviations = [points.deviation for points in found.values() if np.isfinite(points.deviation)]
    ax.set_xlabel(r"$y_\Sigma - 1$")
    ax.set_ylabel("$y_E$")
    letter(ax, "c")
    text = rf"largest $|y_E - y_\Sigma + 1|$: {max(deviations):.2g}" if deviations else ""
    if not ends:
        instead(ax, f"scaled barriers undetermined; {text}" if text else "no fit", 27)
        return
    room = 0.06 * (max(ends) - min(ends))
    line = np.array([min(ends) - room, max(ends) + room])
    ax.plot(line, line, color=GREY, linewidth=0.8, zorder=0, linestyle=(0, (4, 2)))
    ax.text(0.05, 0.93, text, transform=ax.transAxes, va="top", fontsize=8.0)


FIGURES = (figure_1, figure_2, figure_3, figure_4, figure_5, figure_6)
__all__ = ["FIGURES", "WIDTH", *(f"figure_{k}" for k in range(1, 7))]
