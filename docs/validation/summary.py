"""Tables of docs/validation.md and figures of all systems, from their tables alone.

`python docs/validation/summary.py docs/validation FIGURES` prints Markdown, and draws into a folder. Systems are run one after
the other, in stores of their own; only the first figure, which shows particles, needs such a store.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.optimize import minimize_scalar

import daskglass as dg
from daskglass.physics.systems import Mixture, temperature_scale
from daskglass.report.claims import judge
from daskglass.report.claims.strata import fold, spreads
from daskglass.report.numbers import percent, with_error
from daskglass.report.page import write_figure
from daskglass.report.results import Results, SystemResults, read_results
from daskglass.store.tables import Tables, read_tables


def main() -> None:
    """Print all tables, and draw the figures."""
    tables, folder = map(Path, sys.argv[1:3])
    results = together(read_tables(tables))
    for system in results.systems:
        print(f"\n### {system.name}\n")
        markdown(BY_TEMPERATURE, by_temperature(system))
    print("\n### Systems\n")
    markdown(BY_SYSTEM, [of_system(system) for system in results.systems])
    print("\n### At the coldest T\n")
    markdown(COLDEST, [at_the_coldest(system) for system in results.systems])
    print("\n### τ_α against T/T_A\n")
    markdown(ONE_CURVE, on_one_curve(results.systems))
    print("\n### Equal dynamics\n")
    markdown(EQUAL, equal_dynamics(results.systems))
    print("\n### Ranges below their own T_A\n")
    markdown(RANGES, (row for system in results.systems for row in own_ranges(system)))
    print("\n### Claims\n")
    markdown(("claim", "verdict", "numbers"), claims(results))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2, len(results.figures) + 1):
        write_figure(results, number, folder)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    for cells in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(cells)} |")


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


# --- results -------------------------------------------------------------------------------------------------------

# header, variable and what it is multiplied by
QUANTITIES = (
    ("τ_α", "relaxation_time", 1), ("10³ D", "diffusivity", 1000), ("U", "potential_energy", 1), ("P", "pressure", 1),
    ("s⁽²⁾", "s2", 1), ("rearranging", "rearranging_fraction", 1), ("recall", "recall", 1), ("precision", "precision", 1),
    ("Pearson", "pearson", 1),
)  # fmt: skip
BY_TEMPERATURE = ("T", *(head for head, _, _ in QUANTITIES))


def by_temperature(system: SystemResults) -> Iterator[list[str]]:
    """Rows of a system, from hot to cold."""
    for k, T in enumerate(system.temperature):
        row = system.ensemble.isel(temperature=k)
        yield [f"{T:.2f}", *(brief(row, name, factor) for _, name, factor in QUANTITIES)]


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


def core(system: SystemResults) -> str:
    """What s⁽²⁾ gains where the core is left out, as the published curves have it: its range over the temperatures."""
    counts = np.bincount(system.production["species"].values)
    g = system.ensemble["g"].assign_coords(fraction=("neighbor", counts / counts.sum()))
    density = float(system.ensemble["density"])
    gained = dg.excess_entropy(g, density, core="omit") - dg.excess_entropy(g, density)
    return " to ".join(dict.fromkeys(f"{float(end):.4f}" for end in (gained.min(), gained.max())))


def value(row: xr.Dataset, name: str) -> str:
    """A number with its error."""
    return with_error(float(row[name]), float(row[f"{name}_err"]))


BY_SYSTEM = (
    "system", "time step", "supercooled T", "T_A from S", "T_A from local s⁽²⁾", "Pearson, pooled",
    "P_R(T_A)", "held-out accuracy", "common scatter s of ln P_R", "core",
)  # fmt: skip


def of_system(system: SystemResults) -> list[str]:
    """Row of a system."""
    fits = system.fits("softness")
    scatter = fits["scatter"].values
    return [
        system.name,
        f"{system.production.attrs['timestep']:.5g}",
        str(system.cold("softness")),
        with_error(*system.onset("softness")),
        with_error(*system.onset("local_entropy")),
        value(system.ensemble, "pearson_pooled"),
        f"{float(fits['onset_probability']):.3f}",
        f"{float(system.model['accuracy']):.3f}",
        f"{scatter.min():.3f} to {scatter.max():.3f}",
        core(system),
    ]


COLDEST = (
    "system", "T", "the paper’s", "τ_α", "recall", "P_R between strata of S", "of local s⁽²⁾", "of S over of local s⁽²⁾",
)  # fmt: skip


def at_the_coldest(system: SystemResults) -> list[str]:
    """Row of a system: what the paper says of its coldest temperature."""
    row = system.ensemble.isel(temperature=-1)
    (S, S_err), (x, x_err) = ((of[-1] for of in spreads(system, name)) for name in ("softness", "local_entropy"))
    return [
        system.name,
        f"{system.temperature[-1]:.2f}",
        f"{system.coldest_of_the_paper():.2f}",
        value(row, "relaxation_time"),
        percent(float(row["recall"]), float(row["recall_err"])),
        fold(S, S_err),
        fold(x, x_err),
        with_error(np.exp(S - x), np.exp(S - x) * math.hypot(S_err, x_err)),
    ]


ONE_CURVE = ("system", "T_A/T", "by τ_α: T_A over its own", "rms of ln τ_α", "by τ_α √T", "rms of ln τ_α √T")
FACTORS = (0.6, 1.6)  # on T_A, to search


def on_one_curve(systems: Sequence[SystemResults]) -> Iterator[list[str]]:
    """How far τ_α(T/T_A) is from that of the first system: what T_A had to be for it to lie there, and what is left then.

    The error is of the ratio of the two T_A, from softness.
    """
    first, *others = systems
    for system in others:
        errors = [error / T_A for T_A, error in (each.onset("softness") for each in (first, system))]
        inverse, _ = relaxation(system, 0.0)
        row = [system.name, f"{inverse.min():.2f} to {inverse.max():.2f}"]
        for power in (0.0, 0.5):
            curve, (x, y) = relaxation(first, power), relaxation(system, power)

            def apart(factor: float, curve=curve, x=x, y=y) -> np.ndarray:
                inside = (factor * x >= curve[0].min()) & (factor * x <= curve[0].max())
                return y[inside] - np.interp(factor * x[inside], *curve)

            found = minimize_scalar(lambda factor: np.mean(apart(factor) ** 2), bounds=FACTORS, method="bounded")
            if np.isclose(found.x, FACTORS, rtol=1e-3).any():
                raise ValueError(f"{system.name}: no factor from {FACTORS[0]} to {FACTORS[1]} is best: widen FACTORS")
            row += [with_error(found.x, found.x * math.hypot(*errors)), f"{np.sqrt(found.fun):.3f}"]
        yield row


def relaxation(system: SystemResults, power: float) -> tuple[np.ndarray, np.ndarray]:
    """T_A/T, rising, and ln τ_α T^power."""
    T, tau = system.temperature, system.ensemble["relaxation_time"].values
    return system.onset("softness")[0] / T, np.log(tau * T**power)


EQUAL = ("system", "τ_α", "D", "rearranging fraction", "T_A from S", "the paper’s temperatures")


def equal_dynamics(systems: Sequence[SystemResults]) -> Iterator[list[str]]:
    """Temperatures at which a system is as fast as the first one, over those of the first; and the two that should be."""
    first, *others = systems
    for system in others:
        row = [system.name]
        for name in ("relaxation_time", "diffusivity", "rearranging_fraction"):
            (x, y), (T, of) = ((each.temperature, np.log(each.ensemble[name].values)) for each in (first, system))
            order = np.argsort(y)
            ratio = T / np.interp(of, y[order], x[order], left=np.nan, right=np.nan)
            row.append(f"{np.nanmin(ratio):.3f} to {np.nanmax(ratio):.3f}")
        (T_A, error), (own, own_error) = (each.onset("softness") for each in (first, system))
        ratio = own / T_A
        row += [
            with_error(ratio, ratio * math.hypot(error / T_A, own_error / own)),
            f"{temperature_scale(system.delta) / temperature_scale(first.delta):.3f}",
        ]
        yield row


RANGES = ("system", "strata of", "coldest T that lie below the T_A of their fit, and that T_A")
FEWEST = 4  # temperatures of a range


def own_ranges(system: SystemResults) -> Iterator[list[str]]:
    """Ranges of temperatures that are supercooled by the T_A that they give, all in the strata of the tables."""
    for variable, label in (("softness", "S"), ("local_entropy", "local s⁽²⁾")):
        P = system.fits(variable)[["probability", "events", "probability_err"]].sortby("temperature")
        T = P["temperature"].values
        found = []
        for count in range(FEWEST, T.size + 1):
            T_A = float(dg.onset_temperature(dg.arrhenius(P.isel(temperature=slice(count)))))
            if (T_A > T).sum() == count:
                found.append(f"{count}: {T_A:.3f}")
        yield [system.name, label, ", ".join(found)]


def claims(results: Results) -> Iterator[list[str]]:
    """What the page says of each claim."""
    for claim in judge(results):
        yield [claim.text, claim.verdict, "; ".join(claim.reasons)]


if __name__ == "__main__":
    main()
