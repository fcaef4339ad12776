"""Tables of docs/validation.md, and figures of all systems, from their tables alone.

`python docs/validation/summary.py TABLES PAGE FIGURES [STORE]` writes the tables into a page, each between `<!-- name -->` and
`<!-- end -->`, and draws into a folder, with s⁽²⁾ as in the published curves. The first figure, which shows particles of the
first system, is drawn where a store that has them is given.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.special import stdtr

import daskglass as dg
from daskglass.physics.systems import Mixture, temperature_scale
from daskglass.report import collapse
from daskglass.report.chance import lines_freedom
from daskglass.report.claims import RULE, judge, strata
from daskglass.report.claims.one_line import group_of
from daskglass.report.claims.strata import fold, spreads, straight
from daskglass.report.claims.verdicts import decided
from daskglass.report.figures import get_figure
from daskglass.report.fits import Group
from daskglass.report.numbers import percent, with_error
from daskglass.report.page import file_name, write_figure
from daskglass.report.results import Results, SystemResults, open_results, read_results
from daskglass.stages.structural import LOCAL_ENTROPY, SOFTNESS
from daskglass.store.tables import Tables, read_tables

VARIABLES = (SOFTNESS, LOCAL_ENTROPY)
FIGURES = 6  # of the paper


def main() -> None:
    """Write all tables, and draw the figures."""
    tables, page, folder, *store = map(Path, sys.argv[1:])
    results = together(read_tables(tables))
    page.write_text(written(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = published(results)
    for number in range(2, FIGURES + 1):
        write_figure(drawn, number, folder)
    if store:
        write_figure(with_particles(results, open_results(*store)), 1, folder)


def written(page: str, results: Results) -> str:
    """Page with the tables of some results."""
    for name, text_of in TABLES.items():
        text = text_of(results)
        page = replaced(page, name, lambda _, text=text: text)
    return page


def replaced(page: str, name: str, text_of: Callable[[str], str]) -> str:
    """Page with another text in the place of a name, made of the one that is there."""
    place = rf"(?<=<!-- {name} -->\n\n).*?(?=\n\n<!-- end -->)"
    page, count = re.subn(place, lambda found: text_of(found[0]), page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page has {count} places for {name}")
    return page


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def together(tables: dict[str, Tables]) -> Results:
    """Results of systems from their tables, with runs that say how much was simulated, and hold no particles."""
    groups: dict[str, xr.Dataset] = {}
    for name, of in tables.items():
        groups |= {
            f"{name}/production": without_particles(of),
            f"{name}/ensemble": of.ensemble,
            f"{name}/model": of.model,
        }
    return read_results(xr.DataTree.from_dict(groups))


def without_particles(tables: Tables) -> xr.Dataset:
    """Production run of some tables: its labels, species and attributes."""
    mixture = Mixture.model_validate_json(tables.attrs["mixture"])
    frames = json.loads(tables.attrs["study"])["source"]["simulate"]["production"]["frames"]
    counts = np.rint(np.array(mixture.fractions) * tables.attrs["particles"]).astype(int)
    inherent = {"inherent": np.nan} if "s2_thermal" in tables.ensemble else {}
    axes = {dim: tables.ensemble[dim].values for dim in ("temperature", "replica")}
    return xr.Dataset(
        inherent, axes | {"time": np.arange(frames), "species": ("particle", np.repeat(np.arange(counts.size), counts))},
        dict(tables.attrs),
    )  # fmt: skip


def with_particles(results: Results, store: Results) -> Results:
    """Results whose first system has the frames of a store."""
    first, *rest = results.systems
    (production,) = (system.production for system in store.systems if system.name == first.name)
    return replace(results, systems=(replace(first, production=production), *rest))


def published(results: Results) -> Results:
    """Results whose entropies are as in the published curves."""
    return replace(results, systems=tuple(as_published(system) for system in results.systems))


def as_published(system: SystemResults) -> SystemResults:
    """A system whose entropies leave the core out, as the published curves do; errors stay as they are."""
    ensemble, counts = system.ensemble, np.bincount(system.production["species"].values)
    entropies = {
        name.replace("g", "s2", 1): dg.excess_entropy(
            ensemble[name].assign_coords(fraction=("neighbor", counts / counts.sum())),
            float(ensemble["density"]),
            core="omit",
        )
        for name in ("g", "g_thermal", "g_grouped_pooled", "g_grouped_thermal_pooled")
    }
    return replace(system, ensemble=ensemble.assign(entropies))


# --- claims --------------------------------------------------------------------------------------------------------


def claims(results: Results) -> str:
    """Verdict of each claim, with its rule, its numbers and what would decide it."""
    parts = [RULE]
    for number, claim in enumerate(judge(results), start=1):
        more = [f"{text}." for text in (claim.power, claim.remedy) if text]
        parts += [
            f"### {number}. {claim.text}: {claim.verdict}",
            "\n".join(f"- {reason}" for reason in claim.reasons),
            " ".join([f"Tested: {claim.rule}.", *more]),
        ]
    return "\n\n".join(parts)


DROPPED = (0, 1, 2)  # of the hottest temperatures of a fit
BENDS = ("system", "all T of the fit", "without the hottest", "without the two hottest")


def bends(results: Results) -> Iterator[list[str]]:
    """Largest bend of a stratum of each system, and the verdict, with and without the hottest temperatures of the fits."""
    for system in results.systems:
        row = [system.name]
        for dropped in DROPPED:
            found = straight(system, {each: [system.cold(each.name) - dropped] for each in VARIABLES})
            verdict = decided("", "", [found]).verdict
            row.append(
                f"{percent(*max(((t.value, t.error) for t in found.tests), key=lambda t: abs(t[0])))}, {verdict}"
            )
        yield row


COLDEST = (
    "system", "T", "the paper’s", "τ_α", "recall", "P_R between strata of S", "of local s⁽²⁾", "of S over of local s⁽²⁾",
)  # fmt: skip


def coldest(results: Results) -> Iterator[list[str]]:
    """What the paper says of its coldest temperature."""
    for system in results.systems:
        row = system.ensemble.isel(temperature=-1)
        (S, S_err), (x, x_err) = ((of[-1] for of in spreads(system, each.name)) for each in VARIABLES)
        yield [
            system.name,
            f"{system.temperature[-1]:.2f}",
            f"{system.coldest_of_the_paper():.2f}",
            value(row, "relaxation_time"),
            percent(float(row["recall"]), float(row["recall_err"])),
            fold(S, S_err),
            fold(x, x_err),
            with_error(np.exp(S - x), np.exp(S - x) * math.hypot(S_err, x_err)),
        ]


LINES = ("system", "slope of y_Σ", "slope of y_E", "strata", "rms distance from the line, y_Σ", "y_E")


def lines(results: Results) -> Iterator[list[str]]:
    """Lines of the scaled barriers in s⁽²⁾, of each system and of all, and how far strata are from them."""
    found = {
        name: [group_of(collapse.points(system, results.inherent), of) for of in ("entropy", "energy")]
        for name, system in ((system.name, system) for system in results.systems)
    }
    known = {name: groups for name, groups in found.items() if all(isinstance(group, Group) for group in groups)}
    for name, groups in found.items():
        if name in known:
            slopes, apart = zip(*(line_of([group]) for group in groups), strict=True)
            yield [name, *slopes, str(groups[0].x.size), *apart]
        else:
            yield [name, *("errors unknown" for _ in range(2)), "–", "–", "–"]
    slopes, apart = zip(*(line_of([groups[k] for groups in known.values()]) for k in range(2)), strict=True)
    points = sum(groups[0].x.size for groups in known.values())
    yield ["all", *slopes, str(points), *apart]


def line_of(groups: Sequence[Group]) -> tuple[str, str]:
    """Slope of the line through strata of systems with its error, to first order, and their rms distance from it.

    All strata count alike: errors that they share, those of T_A and of the scale, would move a weighted line off all of them.
    """
    x, x_err, y = (np.concatenate([getattr(group, name) for group in groups]) for name in ("x", "x_err", "y"))
    design = np.column_stack([np.ones_like(x), x])
    inverse = np.linalg.pinv(design)
    line = inverse @ y
    variance, first = np.sum((inverse[1] * line[1] * x_err) ** 2), 0
    for group in groups:
        here = slice(first, first := first + group.y.size)
        # y are numbers over one scale
        gradient = np.append(inverse[1, here], -inverse[1, here] @ group.y)
        variance += gradient @ group.covariance @ gradient
    return with_error(line[1], np.sqrt(variance)), f"{np.sqrt(np.mean((y - design @ line) ** 2)):.2f}"


# --- dynamics ------------------------------------------------------------------------------------------------------

Quantity = Callable[[SystemResults], xr.DataArray]

# header, and what two systems have in common where they move alike
ALIKE: dict[str, Quantity] = {
    "τ_α": lambda system: system.ensemble["relaxation_time"],
    "τ_α ρ^⅓ √T": lambda system: (
        system.ensemble["relaxation_time"] * system.ensemble["density"] ** (1 / 3) * np.sqrt(system.temperature)
    ),
    "D": lambda system: system.ensemble["diffusivity"],
    "rearranging": lambda system: system.ensemble["rearranging_fraction"],
}
ONE_CURVE = ("system", *(f"by {name}" for name in ALIKE), "by T_A from S", "by T_A from local s⁽²⁾", "the paper’s T")
FACTORS = np.linspace(1, 4, 3001)  # of temperatures, to search


def one_curve(results: Results) -> Iterator[list[str]]:
    """Factors on T that bring what moves onto the curve of the first system, beside those of T_A and of the paper."""
    first, *others = results.systems
    for system in others:
        factors = {name: closest(first, system, quantity) for name, quantity in ALIKE.items()}
        ratio = temperature_scale(system.delta) / temperature_scale(first.delta)
        yield [
            system.name,
            *(f"{found:.2f}, rms {apart:.2f}" for found, apart in factors.values()),
            *(of_onsets(first, system, each.name, factors["τ_α"][0]) for each in VARIABLES),
            f"{ratio:.2f}",
        ]


def closest(first: SystemResults, system: SystemResults, quantity: Quantity) -> tuple[float, float]:
    """Factor on T after which ln of a quantity lies closest to that of the first system, and rms of what is left."""
    return min(((factor, apart(first, system, quantity, factor)) for factor in FACTORS), key=lambda found: found[1])


def apart(first: SystemResults, system: SystemResults, quantity: Quantity, factor: float) -> float:
    """Rms of ln of a quantity from that of the first system, after a factor on T."""
    (x, y), (u, v) = ((1 / each.temperature, np.log(quantity(each).values)) for each in (first, system))
    inside = (factor * u >= x.min()) & (factor * u <= x.max())
    # a few points at an end of the curve say little
    if inside.mean() < 0.5:
        return np.inf
    return float(np.sqrt(np.mean((v[inside] - np.interp(factor * u[inside], x, y)) ** 2)))


def of_onsets(first: SystemResults, system: SystemResults, variable: str, factor: float) -> str:
    """Ratio of two T_A, rms of ln τ_α over T/T_A, and the p-value, by Student's t, of the factor that it should be."""
    (T_0, error_0), (T, error) = (each.onset(variable) for each in (first, system))
    relative = math.hypot(error_0 / T_0, error / T)
    freedom = min(lines_freedom(each.cold(variable)) for each in (first, system))
    p = 2 * stdtr(freedom, -abs(np.log(T / T_0 / factor)) / relative)
    left = apart(first, system, ALIKE["τ_α"], T / T_0)
    return f"{with_error(T / T_0, T / T_0 * relative)}, rms {left:.2f}, p = {p:.2g}"


RANGES = ("system", "strata of", "coldest T that lie below the T_A of their fit, and that T_A")


def ranges(results: Results) -> Iterator[list[str]]:
    """Ranges of temperatures that are supercooled by the T_A that they give, all in the strata of the tables."""
    for system in results.systems:
        for variable, label in zip(VARIABLES, ("S", "local s⁽²⁾"), strict=True):
            fits, counts = system.fits(variable.name), sorted(strata.ranges(system, variable))
            yield [system.name, label, ", ".join(f"{k}: {strata.onset_of_coldest(fits, k):.3f}" for k in counts)]


# --- systems and temperatures --------------------------------------------------------------------------------------

SYSTEMS = (
    "system", "time step", "T in the fits of S, of local s⁽²⁾", "T_A from S", "T_A from local s⁽²⁾", "P_R(T_A) from S",
    "P_R(T_A) from local s⁽²⁾", "Pearson, pooled", "held-out accuracy", "common scatter s of ln P_R",
)  # fmt: skip


def systems(results: Results) -> Iterator[list[str]]:
    """What is one number for each system."""
    for system in results.systems:
        scatter = system.fits("softness")["scatter"].values
        yield [
            system.name,
            f"{system.production.attrs['timestep']:.5g}",
            ", ".join(str(system.cold(each.name)) for each in VARIABLES),
            *(with_error(*system.onset(each.name)) for each in VARIABLES),
            *(onset_probability(system.fits(each.name)) for each in VARIABLES),
            value(system.ensemble, "pearson_pooled"),
            f"{float(system.model['accuracy']):.3f}",
            f"{scatter.min():.3f} to {scatter.max():.3f}",
        ]


def onset_probability(fits: xr.Dataset) -> str:
    """P_R(T_A), with the error of its logarithm, which is the last of the terms of the scaled barriers, over itself."""
    P = float(fits["onset_probability"])
    error = np.sqrt(fits["scaled_entropy_terms_cov"].values[-1, -1]) if "scaled_entropy_terms_cov" in fits else np.nan
    return with_error(P, P * abs(np.log(P)) * error)


# header, variable and what it is multiplied by
QUANTITIES = (
    ("τ_α", "relaxation_time", 1), ("10³ D", "diffusivity", 1000), ("U", "potential_energy", 1), ("P", "pressure", 1),
    ("s⁽²⁾", "s2", 1), ("thermal s⁽²⁾", "s2_thermal", 1), ("rearranging", "rearranging_fraction", 1), ("recall", "recall", 1),
    ("precision", "precision", 1), ("Pearson", "pearson", 1),
)  # fmt: skip
WITHOUT_CORE = ("s⁽²⁾, core omitted", "thermal s⁽²⁾, core omitted")
BY_TEMPERATURE = ("T", *(head for head, _, _ in QUANTITIES), *WITHOUT_CORE)


def by_temperature(results: Results) -> str:
    """A table for each system, from hot to cold."""
    parts = []
    for system in results.systems:
        rows, published = [], as_published(system).ensemble
        for k, T in enumerate(system.temperature):
            row = system.ensemble.isel(temperature=k)
            numbers = [brief(row, name, factor) for _, name, factor in QUANTITIES]
            omitted = [f"{float(published[name][k]):.3f}".replace("-", "−") for name in ("s2", "s2_thermal")]
            rows.append([f"{T:.2f}", *numbers, *omitted])
        parts += [f"### Δ = {system.delta:g}", markdown(BY_TEMPERATURE, rows)]
    return "\n\n".join(parts)


def brief(row: xr.Dataset, name: str, factor: float) -> str:
    """A number with the error of its last digits: 0.372(2)."""
    value, error = (factor * float(row[each]) for each in (name, f"{name}_err"))
    if not error > 0:
        return f"{value:.4g}".replace("-", "−")
    # of the rounded error: 0.0998 is 0.10
    digits = max(0, 1 - int(f"{error:.1e}".partition("e")[2]))
    shown = f"{error:.{digits}f}"
    text = f"{value:.{digits}f}({shown if error >= 1 else shown.replace('.', '').lstrip('0')})"
    return text.replace("-", "−")


def value(row: xr.Dataset, name: str) -> str:
    """A number with its error."""
    return with_error(float(row[name]), float(row[f"{name}_err"]))


# --- figures -------------------------------------------------------------------------------------------------------


def figures(results: Results) -> str:
    """Figures and their captions."""
    parts = []
    for number, name in enumerate(results.figures[:FIGURES], start=1):
        figure = get_figure(name)
        image = f"![{figure.TITLE}](validation/figures/{file_name(name, number)}.png)"
        parts += [image, f"Figure {number}. {figure.caption(results)}"]
    return "\n\n".join(parts)


TABLES: dict[str, Callable[[Results], str]] = {
    "claims": claims,
    "bends": lambda results: markdown(BENDS, bends(results)),
    "coldest": lambda results: markdown(COLDEST, coldest(results)),
    "lines": lambda results: markdown(LINES, lines(results)),
    "lines as published": lambda results: markdown(LINES, lines(published(results))),
    "one curve": lambda results: markdown(ONE_CURVE, one_curve(results)),
    "ranges": lambda results: markdown(RANGES, ranges(results)),
    "systems": lambda results: markdown(SYSTEMS, systems(results)),
    "by temperature": by_temperature,
    "figures": figures,
}


if __name__ == "__main__":
    main()
