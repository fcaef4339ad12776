"""Checks that the runs of a study must pass whatever the physics of the glass, and what they cost.

`python docs/validation/checks.py STORE PAGE` writes the rows of the systems of a store into the tables of a page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri, fdtrc
from summary import markdown, replaced

import daskglass as dg
from daskglass.physics.motion import PARTS, diffusivity_error, relaxation_time_error
from daskglass.physics.systems import Mixture
from daskglass.report.results import SystemResults, read_results
from daskglass.store.ledger import core_seconds_of

FRAMES = 9  # of each run, whose forces are taken pair by pair
BLOCKS = 5  # of a run, or of half of one, whose means say how much it varies
CHECKS = (
    "system", "configurational T over T", "each run, less 1", "pressure of pairs less engine's, over its noise",
    "R² of U(T) = a + b T^0.6 above T_A, at all T", "D of production over that of relaxation", "halves at the coldest T",
)  # fmt: skip


def checks(system: SystemResults, node: xr.DataTree) -> list[str]:
    """Row of a system."""
    run, relaxation = node["production"].dataset, node["relaxation"].dataset
    ratio, error, apart = np.array([forces_of(run.isel(at), system.mixture) for at in runs_of(run)]).T
    t = (ratio - 1) / error
    squares = chdtri(1, fdtrc(1, FRAMES - 1, t**2))
    return [
        system.name,
        f"{ratio.mean():.4f} ± {ratio.std(ddof=1) / np.sqrt(ratio.size):.4f}",
        f"χ² {squares.sum():.0f} of {ratio.size} (p = {chdtrc(ratio.size, squares.sum()):.2g}), "
        f"at most {np.max(np.abs(ratio - 1)):.1%}",
        f"{np.sqrt(np.mean(np.square(apart))):.2f} of {apart.size} runs, at most {np.max(np.abs(apart)):.1f}",
        straightness(system),
        diffusion(run, relaxation),
        halves(run, relaxation),
    ]


def runs_of(run: xr.Dataset) -> list[dict[str, int]]:
    """Where each temperature and replica stands."""
    dims = ("temperature", "replica")
    return [dict(zip(dims, at, strict=True)) for at in np.ndindex(*(run.sizes[dim] for dim in dims))]


def forces_of(run: xr.Dataset, mixture: Mixture) -> tuple[float, float, float]:
    """Of one run, ⟨F²⟩/⟨∇²U⟩ over T, its error, and how far the pressure of its pairs is from the engine's.

    The engine's has the kinetic energy of the moment, which fluctuates: in units of that.
    """
    T, N, volume = float(run["temperature"]), run.sizes["particle"], float(run["box"].prod())
    squares, laplacian, apart = np.empty((3, FRAMES))
    for k, frame in enumerate(np.linspace(0, run.sizes["time"] - 1, FRAMES).astype(int)):
        at = run.isel(time=frame)
        F, laplacian[k], virial = pair_sums(at["position"].values, run["species"].values, run["box"].values, mixture)
        squares[k] = (F**2).sum()
        apart[k] = (N * T + virial / 3) / volume - float(at["pressure"])
    ratio = squares.sum() / laplacian.sum()
    error = np.std(squares - ratio * laplacian, ddof=1) / np.sqrt(FRAMES) / laplacian.mean()
    noise = N / volume * T * np.sqrt(2 / (3 * N * FRAMES))
    return ratio / T, error / T, apart.mean() / noise


def pair_sums(
    x: NDArray[np.floating], codes: NDArray[np.integer], box: NDArray[np.floating], mixture: Mixture
) -> tuple[NDArray[np.float64], float, float]:
    """Forces, the trace of the Hessian and the virial, from every pair."""
    x = x.astype(np.float64)
    F, trace, virial, h, shell = np.zeros_like(x), 0.0, 0.0, 1e-5, 0.05
    for i in range(len(x) - 1):
        apart = x[i] - x[i + 1 :]
        apart -= box * np.round(apart / box)
        r = np.sqrt((apart**2).sum(axis=1))
        for code, name in enumerate(mixture.species):
            pair = (mixture.species[codes[i]], name)
            cutoff = 2.5 * mixture.pair(*pair).sigma
            alike = codes[i + 1 :] == code
            near = np.flatnonzero(alike & (r < cutoff))
            force = dg.pair_force(mixture, *pair, r[near])
            slope = (dg.pair_force(mixture, *pair, r[near] + h) - dg.pair_force(mixture, *pair, r[near] - h)) / (2 * h)
            each = force[:, None] * apart[near] / r[near, None]
            F[i] += each.sum(axis=0)
            F[i + 1 + near] -= each
            virial += float((force * r[near]).sum())
            # ∇² of V(r) is V'' + 2V'/r, of both particles
            inside = r[near] < cutoff - h
            trace += 2 * float((-slope - 2 * force / r[near])[inside].sum())
            # the force jumps at the cut-off, where V'' is a delta function
            crossing = (alike & (np.abs(r - cutoff) < shell)).sum() / (2 * shell)
            trace += 2 * crossing * float(dg.pair_force(mixture, *pair, cutoff * (1 - 1e-9)))
    return F, trace, virial


def straightness(system: SystemResults) -> str:
    """R² of U against T^0.6 at the temperatures above the onset, and at all."""
    T, U = system.ensemble["temperature"].values, system.ensemble["potential_energy"].values
    hot = system.onset("softness")[0] < T
    return f"{of_line(T[hot] ** 0.6, U[hot]):.5f} ({hot.sum()} T), {of_line(T**0.6, U):.5f} ({T.size} T)"


def of_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """R² of a line; NaN of fewer than three points."""
    rest = y - np.polyval(np.polyfit(x, y, 1), x) if x.size > 2 else np.nan
    return float(1 - np.sum(rest**2) / np.sum((y - y.mean()) ** 2))


def diffusion(run: xr.Dataset, relaxation: xr.Dataset) -> str:
    """Ratio of the diffusion coefficients of two runs that were simulated one after the other; geometric mean of all."""
    species = run["species"].load()
    of_run = [
        dg.mean_squared_displacement(run["position"].isel(temperature=k).load(), species, lags_of(run))
        for k in range(run.sizes["temperature"])
    ]
    D = dg.diffusivity(xr.concat(of_run, run["temperature"]))
    ratio = np.log(D / dg.diffusivity(relaxation["msd"].load())).values
    ratio = ratio[np.isfinite(ratio)]
    if ratio.size < 2:
        return f"{ratio.size} of {D.size} runs diffuse"
    error = ratio.std(ddof=1) / np.sqrt(ratio.size)
    return f"{np.exp(ratio.mean()):.4f} ± {error:.4f} ({ratio.size} of {D.size} runs)"


def lags_of(run: xr.Dataset) -> NDArray[np.float64]:
    """Lags up to half of a run, so that pairs of frames are many."""
    time = run["time"].values
    return time[: time.size // 2 + 1] - time[0]


REPLICAS = (
    "system", "τ_α", "D", "U", "P", "local s⁽²⁾", "rearranging", "recall", "precision", "Pearson", "all", "p",
)  # fmt: skip


def between_replicas(name: str, node: xr.DataTree) -> list[str]:
    """Row of a system: χ² of what two replicas differ by in each quantity, over the temperatures that have it."""
    run, relaxation = node["production"].dataset, node["relaxation"].dataset
    scattering, msd = relaxation[["scattering", "scattering_err"]].load(), relaxation[["msd", "msd_err"]].load()
    tau = dg.relaxation_time(scattering["scattering"])
    squares = {
        "τ_α": discrepancy(tau, relaxation_time_error(scattering["scattering"], scattering["scattering_err"]), PARTS),
        "D": discrepancy(dg.diffusivity(msd["msd"]), diffusivity_error(msd["msd"], msd["msd_err"]), PARTS),
    }
    for quantity, series in series_of(run).items():
        error = np.sqrt(variance(series, tau) * of_mean(duration(series), tau))
        squares[quantity] = discrepancy(series.mean("time"), error, BLOCKS)
    squares["all"] = np.concatenate([squares[quantity] for quantity in REPLICAS[1:-2]])
    known = {quantity: of[np.isfinite(of)] for quantity, of in squares.items()}
    each = [f"{known[quantity].sum():.0f} of {known[quantity].size}" for quantity in REPLICAS[1:-1]]
    return [name, *each, f"{chdtrc(known['all'].size, known['all'].sum()):.2g}"]


def series_of(run: xr.Dataset) -> dict[str, xr.DataArray]:
    """Quantities of the page, frame by frame: their means over time are those of a replica."""
    S, entropy, hop = run["softness"].load(), run["local_entropy"].load(), run["hop"].dropna("time", how="all").load()
    # under other names frames and replicas stay apart
    each = {"time": "frame", "replica": "run"}
    of = dg.recall_precision(S.sel(time=hop["time"]).rename(each), hop.rename(each)).rename(frame="time", run="replica")
    return {
        "U": run["potential_energy"].load(),
        "P": run["pressure"].load(),
        "local s⁽²⁾": entropy.mean("particle"),
        "rearranging": ratio(of["rearranging"], of["samples"]),
        "recall": ratio(of["soft_and_rearranging"], of["rearranging"]),
        "precision": ratio(of["soft_and_rearranging"], of["soft"]),
        "Pearson": xr.corr(S, entropy, "particle"),
    }


def ratio(part: xr.DataArray, whole: xr.DataArray) -> xr.DataArray:
    """Series whose mean over time is the ratio of two sums, and which varies as that does, to first order."""
    of_all = part.sum("time") / whole.sum("time")
    return of_all + (part - of_all * whole) / whole.mean("time")


def discrepancy(values: xr.DataArray, errors: xr.DataArray, parts: int) -> NDArray[np.float64]:
    """χ² of the difference of two replicas, whose errors are over few parts of time: it has Student's distribution."""
    difference = values.isel(replica=0) - values.isel(replica=1)
    squares = difference**2 / (errors**2).sum("replica", skipna=False)
    return chdtri(1, fdtrc(1, 2 * (parts - 1), squares.values))


def variance(series: xr.DataArray, tau: xr.DataArray) -> xr.DataArray:
    """σ² of a series with correlations exp(−t/τ), from blocks of it, which resemble one another.

    A mean over t varies by σ² v(t), and n blocks of length b by σ² [v(b) − v(nb)] n/(n − 1). Of a series with a fast part too,
    errors that follow are upper bounds.
    """
    length = series.sizes["time"] // BLOCKS
    means = series.isel(time=slice(length * BLOCKS)).coarsen(time=length).mean()
    return of_blocks(means.var("time", ddof=1), duration(series) * length / series.sizes["time"], tau)


def of_blocks(squares: xr.DataArray, b: float, tau: xr.DataArray) -> xr.DataArray:
    """σ² of a series from the variance of the means of its blocks of length b."""
    return squares * (BLOCKS - 1) / BLOCKS / (of_mean(b, tau) - of_mean(BLOCKS * b, tau))


def of_mean(t: float, tau: xr.DataArray) -> xr.DataArray:
    """v(t) = 2 τ/t [1 − τ/t (1 − exp(−t/τ))], the variance of a mean over t in units of σ²."""
    return 2 * tau / t * (1 - tau / t * (1 - np.exp(-t / tau)))


def duration(series: xr.DataArray) -> float:
    """Time that frames at equal intervals stand for."""
    return series.sizes["time"] * float(series["time"].diff("time").mean())


def halves(run: xr.Dataset, relaxation: xr.Dataset) -> str:
    """Second half of the coldest runs less the first, in standard errors: from how far blocks of one half vary.

    A drift makes both halves differ by more than their blocks do. Energy and pressure are those of the relaxation run, which
    is the longest.
    """
    coldest = int(run["temperature"].values.argmin())
    run, relaxation = run.isel(temperature=coldest), relaxation.isel(temperature=coldest)
    tau = dg.relaxation_time(relaxation["scattering"].load())
    found = {name: apart(*blocks_of(series), tau) for name, series in series_of(run).items()}
    for name, variable in (("U", "potential_energy"), ("P", "pressure")):
        found[name] = apart(*uneven_blocks_of(relaxation[variable].load(), relaxation["time"].load()), tau)
    return ", ".join(f"{name} {each:+.1f}".replace("-", "−") for name, each in found.items())


def apart(means: xr.DataArray, b: float, tau: xr.DataArray) -> float:
    """Second half of a series of blocks of length b less the first, in standard errors, of all replicas."""
    each = means.coarsen(block=BLOCKS).construct(block=("half", "block"))
    sigma2 = of_blocks(each.var("block", ddof=1).mean("half"), b, tau)
    h = BLOCKS * b
    error2 = 4 * sigma2 * (of_mean(h, tau) - of_mean(2 * h, tau))
    return float(each.mean("block").diff("half").sum() / np.sqrt(error2.sum()))


def blocks_of(series: xr.DataArray) -> tuple[xr.DataArray, float]:
    """Means of the blocks of both halves of a series of frames at equal intervals, and the length of a block."""
    length = series.sizes["time"] // (2 * BLOCKS)
    means = series.isel(time=slice(length * 2 * BLOCKS)).coarsen(time=length).mean()
    return means.rename(time="block"), duration(series) * length / series.sizes["time"]


def uneven_blocks_of(series: xr.DataArray, time: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The same of frames at the times of each replica, which may be uneven."""
    elapsed = time - time.min("time")
    b = elapsed.max("time") / (2 * BLOCKS)
    block = np.floor(np.minimum(elapsed / b, 2 * BLOCKS - 1))
    return xr.concat([series.where(block == k).mean("time") for k in range(2 * BLOCKS)], "block"), b


COST = ("system", "core hours", "of them simulation")


def cost(name: str, seconds: dict[str, dict[str, float]]) -> list[str]:
    """Row of a system, from what the ledger says of each stage."""
    hours = {stage: of.get(name, 0.0) / 3600 for stage, of in seconds.items()}
    return [name, f"{sum(hours.values()):.1f}", f"{hours['simulate']:.1f}"]


def main() -> None:
    """Write the rows of every system."""
    store, page = map(Path, sys.argv[1:])
    tree = dg.open_store(store)
    systems, seconds = read_results(tree).systems, core_seconds_of(store)
    tables = {
        "checks": (CHECKS, [checks(system, tree[system.name]) for system in systems]),
        "replicas": (REPLICAS, [between_replicas(system.name, tree[system.name]) for system in systems]),
        "cost": (COST, [cost(system.name, seconds) for system in systems]),
    }
    text = page.read_text(encoding="utf-8")
    for name, (head, rows) in tables.items():
        text = replaced(text, name, lambda there, head=head, rows=rows: with_rows(there, head, rows))
    page.write_text(text, encoding="utf-8")


def with_rows(table: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table with some rows, and those of other systems that are there."""
    there = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in table.splitlines()[2:]]
    of = {row[0]: row for row in (*there, *rows)}
    return markdown(head, [of[name] for name in sorted(of)])


if __name__ == "__main__":
    main()
