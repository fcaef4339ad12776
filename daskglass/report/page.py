"""The page of a study: figures, captions, tables and verdicts in one self-contained file."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import markupsafe
import numpy as np
import xarray as xr

from daskglass.registry import ENSEMBLE_FIGURES, OTHER_FIGURES
from daskglass.report.boards import about, board_tables, data_of_boards
from daskglass.report.caption_parts import data
from daskglass.report.claims import RULE, Claim, judge
from daskglass.report.figures import drawn, get_figure
from daskglass.report.numbers import Table, with_error
from daskglass.report.results import Results, SystemResults, unknown_onset
from daskglass.report.saving import save
from daskglass.stages.registry import FIGURES, names

# listed one by one, because names of systems contain underscores too
SYMBOLS = ("P_R", "T_A", "k_B", "y_E", "y_Σ", "τ_α", "p_hop", "V_ij", "σ_ii")
_INDEXED = re.compile(rf"(?<!\w)({'|'.join(SYMBOLS)})(?![a-z0-9_])")
TEMPLATE = "page.html"
Spent = Mapping[str, Mapping[str, float]]  # core seconds by stage and system


def write_figure(results: Results, number: int, folder: Path) -> None:
    """Write a figure as PNG and SVG; its number is its place among those of the study, from 1."""
    name = results.figures[number - 1]
    save(drawn(name, results), folder / file_name(name, number))


def file_name(name: str, number: int) -> str:
    """Name of the files of a figure, without ending: its number, which those of other structural variables have none of."""
    return name if name in OTHER_FIGURES else f"figure_{number}"


def write_page(results: Results, spent: Spent, figures: Path, folder: Path) -> None:
    """Write the page, which holds the figures that lie in a folder, and the core seconds spent."""
    images = []
    for number, name in enumerate(results.figures, start=1):
        figure = get_figure(name)
        svg = base64.b64encode((figures / f"{file_name(name, number)}.svg").read_bytes()).decode()
        images.append({
            "number": number, "title": figure.TITLE, "caption": f"{figure.caption(results)} {_data(name, results)}",
            "source": f"data:image/svg+xml;base64,{svg}",
        })  # fmt: skip
    (folder / "index.html").write_text(page(results, images, spent), encoding="utf-8")


def _data(figure: str, results: Results) -> str:
    """Amounts of data behind a figure."""
    return data_of_boards(results) if figure in ENSEMBLE_FIGURES else data(results)


def page(results: Results, images: Sequence[dict[str, object]], spent: Spent) -> str:
    """HTML of a study; text from a store is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daskglass", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["symbols"] = symbols
    return environment.get_template(TEMPLATE).render(
        title=results.title,
        versions=", ".join(f"{name} {version}" for name, version in results.versions.items()),
        systems=[
            *({"name": system.name, "about": _about(system), "tables": tables(system)} for system in results.systems),
            *(
                {"name": f"{board.name}, ensembles", "about": about(board), "tables": board_tables(board)}
                for board in results.boards
            ),
        ],
        images=images,
        claims=judge(results) if results.systems else [],
        others=_others(results) if results.systems else [],
        rule=RULE,
        cost=core_time(spent),
    )


def _others(results: Results) -> list[tuple[str, list[Claim]]]:
    """Claims of every structural variable beside those of the paper, by its label."""
    return [(variable.label, judge(results, variable)) for variable in results.others]


def core_time(spent: Spent) -> Table:
    """Core seconds of every stage and system; of drawing none, so that a page is the same whenever it is drawn."""
    spent = {stage: of_stage for stage, of_stage in spent.items() if stage != FIGURES}
    systems = list(dict.fromkeys(system for of_stage in spent.values() for system in of_stage))
    stages = sorted(spent, key=names().index)
    rows = [(stage, *(_seconds(spent[stage].get(system)) for system in systems)) for stage in stages]
    sums = [sum(of_stage.get(system, 0.0) for of_stage in spent.values()) for system in systems]
    total = f"{sum(sums):,.0f} core seconds" + f" ({sum(sums) / 3600:,.3g} core hours)" * (sum(sums) > 3600)
    return Table(
        f"Core seconds of all tasks before the figures; {total} in all",
        ("stage", *systems),
        [*rows, ("sum", *map(_seconds, sums))],
    )


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:,.1f}"


def symbols(text: str) -> markupsafe.Markup:
    """Escaped text, with subscripts and superscripts of symbols."""
    escaped = str(markupsafe.escape(text))
    escaped = _INDEXED.sub(lambda found: "{}<sub>{}</sub>".format(*found[0].split("_")), escaped)
    return markupsafe.Markup(re.sub(r"\^\(([-\d/]+)\)", r"<sup>\1</sup>", escaped))  # noqa: S704 - escaped above


def _about(system: SystemResults) -> str:
    sizes = system.production.sizes
    counts = np.bincount(system.production["species"].values, minlength=len(system.neighbors))
    parts = " : ".join(f"{100 * count / counts.sum():.3g}" for count in counts)
    delta = "" if system.mixture is None else f"Δ = {system.delta:g}, "
    rho = system.ensemble["density"]
    density = " to ".join(dict.fromkeys(f"{value:.4g}" for value in (float(rho.min()), float(rho.max()))))
    T = system.temperature
    extent = f"{T.max():g} to {T.min():g}" if T.size > 1 else f"{T.max():g}"
    return (
        f"{'–'.join(system.neighbors)} {parts} %, {delta}ρ = {density}; {sizes['particle']:,} "
        f"particles, {sizes['replica']} replica{'s' * (sizes['replica'] != 1)}, {T.size} "
        f"temperature{'s' * (T.size != 1)} ({extent}), {sizes['time']} frames each; structure of "
        f"{'inherent structures' if system.inherent else 'thermal configurations'}"
    )


def tables(system: SystemResults) -> list[Table]:
    """Numbers of one system."""
    return [_model(system), _confusion(system), _temperatures(system), _onsets(system), *_barriers(system)]


def _model(system: SystemResults) -> Table:
    model = system.model
    total = int(model["held_out"])
    accuracy = float(model["accuracy"])
    error = np.sqrt(accuracy * (1 - accuracy) / total) if total else np.nan
    counts = [f"{int(model[name]):,}" for name in ("soft_examples", "hard_examples", "trained_on")]
    return Table(
        "Softness: held-out accuracy (binomial standard error) and examples",
        ("accuracy", "soft examples", "hard examples", "trained on", "held out", "‖w‖"),
        [(with_error(accuracy, error), *counts, f"{total:,}", f"{float(model['norm']):.3f}")],
    )


def _confusion(system: SystemResults) -> Table:
    confusion = system.model["confusion"].transpose("true", "predicted")
    predicted = [f"predicted {name}" for name in confusion["predicted"].values]
    rows = [
        (f"truly {name}", *(f"{int(count):,}" for count in row))
        for name, row in zip(confusion["true"].values, confusion.values, strict=True)
    ]
    return Table("Confusion matrix of the held-out examples", ("", *predicted), rows)


def _temperatures(system: SystemResults) -> Table:
    ensemble = system.ensemble
    s2, s2_err = (system.thermal(name).values for name in ("s2", "s2_err"))

    def column(name: str) -> list[str]:
        errors = ensemble[f"{name}_err"].values if f"{name}_err" in ensemble else np.full(ensemble[name].shape, np.nan)
        return [with_error(*pair) for pair in zip(ensemble[name].values, errors, strict=True)]

    columns = {
        "T (ε/k_B)": [f"{T:.4g}" for T in system.temperature],
        "recall P(S>0|R)": column("recall"),
        "precision P(R|S>0)": column("precision"),
        "fraction rearranging": column("rearranging_fraction"),
        "τ_α (τ)": column("relaxation_time"),
        "D (σ²/τ)": column("diffusivity"),
        "D*": column("reduced_diffusivity"),
        "thermal s⁽²⁾ (k_B)": [with_error(*pair) for pair in zip(s2, s2_err, strict=True)],
    }
    if system.inherent:
        columns["inherent s⁽²⁾ (k_B)"] = column("s2")
    columns |= {"Pearson r": column("pearson"), "mean softness": column("mean_softness")}
    if system.replicas > 1:
        over = "replicas; those of recall, precision, the fraction rearranging and r also over blocks of time"
    else:
        over = "blocks of time of the one run; those of s⁽²⁾ are unknown"
    notes = [f"± are standard errors over {over}"]
    time = system.production["time"].values
    # also where it is unknown
    slow = ~(ensemble["relaxation_time"].values <= (time[-1] - time[0]) / 2)
    if slow.any():
        notes.append(
            f"where τ_α is longer than half the run, T ≤ {system.temperature[slow].max():.4g}, those over blocks are too small"
        )
    if (~np.isfinite(ensemble["diffusivity"].values)).any():
        notes.append("D – : not diffusive within the run")
    if (~np.isfinite(ensemble["relaxation_time"].values)).any():
        notes.append("τ_α – : F(Q,t) does not cross 1/e within the run")
    return Table(f"By temperature; {'; '.join(notes)}", list(columns), list(zip(*columns.values(), strict=True)))


def _onsets(system: SystemResults) -> Table:
    rows = []
    for variable in system.structural:
        fits = system.fits(variable.name)
        value, error = system.onset(variable.name)
        cold = system.cold(variable.name)
        coldest = system.temperature[-cold:]
        P = float(fits["onset_probability"])
        spread = float(fits["onset_temperature_spread"]) if np.isfinite(value) else np.nan
        where = "–" if not np.isfinite(value) else "extrapolated" if system.extrapolated(variable.name) else "within"
        if why := unknown_onset(system.fits(variable.name)):
            where = f"unknown: {why}"
        rows.append((
            variable.label, with_error(value, error), with_error(spread), where, with_error(P if np.isfinite(value) else np.nan),
            f"{cold} ({coldest.max():.4g} to {coldest.min():.4g})",
        ))  # fmt: skip
    head = ("strata of", "T_A (ε/k_B)", "spread of intersections", "simulated range", "P_R(T_A)", "temperatures fitted")
    return Table("Onset temperature; ± is a bootstrap standard error", head, rows)


def _barriers(system: SystemResults) -> list[Table]:
    found = []
    coldest = f"{system.temperature.min():.4g}"
    for variable in system.structural:
        fits = system.fits(variable.name)
        last = fits.isel(temperature=-1)
        rows = []
        for k in range(fits.sizes["stratum"]):
            one = fits.isel(stratum=k)
            P = float(last["probability"][k])
            P_err = float(last["probability_err"][k]) if "probability_err" in last else np.nan
            rows.append((
                f"{float(one['stratum_middle']):.3f}".replace("-", "−"),
                _estimate(one, "activation_energy"), _estimate(one, "activation_entropy"),
                _estimate(one, "scaled_energy"), _estimate(one, "scaled_entropy"),
                with_error(P, P_err) if int(last["events"][k]) else "no events",
                f"{int(one['events'].sum()):,} of {int(one['samples'].sum()):,}",
            ))  # fmt: skip
        head = ("middle", "ΔE (ε)", "Σ (k_B)", "y_E", "y_Σ", f"P_R at T = {coldest}", "events, all T")
        found.append(Table(f"Barriers by stratum of {variable.label}; ± are bootstrap standard errors", head, rows))
    return found


def _estimate(stratum: xr.Dataset, name: str) -> str:
    error = float(stratum[f"{name}_err"]) if f"{name}_err" in stratum else np.nan
    return with_error(float(stratum[name]), error)
