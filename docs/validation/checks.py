"""Checks that the runs of a study must pass whatever the physics of the glass: `python docs/validation/checks.py STORE`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc
from summary import markdown

import daskglass as dg
from daskglass.physics.motion import relaxation_time_error
from daskglass.physics.systems import Mixture
from daskglass.report.results import SystemResults, read_results

FRAMES = 3  # of each run, whose forces are taken pair by pair
CHECKS = (
    "system", "configurational T over T", "pressure of pairs less engine's, over its noise",
    "U(T) = a + b T^0.6 above T_A: R²", "D of production over that of relaxation", "replicas: χ² of τ_α, U, P, hops",
    "halves at the coldest T: U, hops",
)  # fmt: skip


def checks(system: SystemResults, node: xr.DataTree) -> list[str]:
    """Row of a system."""
    run = node["production"].dataset
    ratios, apart = zip(*(forces_of(run, k, system.mixture) for k in range(run.sizes["temperature"])), strict=True)
    return [
        system.name,
        f"{np.mean(ratios):.4f} ± {np.std(ratios, ddof=1) / np.sqrt(len(ratios)):.4f}",
        f"{np.sqrt(np.mean(np.square(apart))):.2f}",
        straightness(system),
        diffusion(run, node["relaxation"].dataset),
        between_replicas(node),
        halves(run),
    ]


def forces_of(run: xr.Dataset, k: int, mixture: Mixture) -> tuple[float, float]:
    """Configurational temperature ⟨F²⟩/⟨∇²U⟩ over T, and how far the pressure of its pairs is from the engine's.

    The engine's has the kinetic energy of the moment, which fluctuates: in units of that.
    """
    T = float(run["temperature"][k])
    squares, laplacian, apart = 0.0, 0.0, []
    for replica in range(run.sizes["replica"]):
        for frame in np.linspace(0, run.sizes["time"] - 1, FRAMES).astype(int):
            at = run.isel(temperature=k, replica=replica, time=frame)
            F, trace, virial = pair_sums(at["position"].values, run["species"].values, run["box"].values, mixture)
            squares, laplacian = squares + (F**2).sum(), laplacian + trace
            volume = float(run["box"].prod())
            apart.append((len(F) * T + virial / 3) / volume - float(at["pressure"]))
    noise = run.sizes["particle"] / volume * T * np.sqrt(2 / (3 * run.sizes["particle"] * len(apart)))
    return squares / laplacian / T, float(np.mean(apart) / noise)


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
    """R² of U against T^0.6 at the temperatures above the onset."""
    T, U = system.ensemble["temperature"].values, system.ensemble["potential_energy"].values
    hot = system.onset("softness")[0] < T
    if hot.sum() < 3:
        return f"{hot.sum()} temperatures above T_A"
    x = T[hot] ** 0.6
    rest = U[hot] - np.polyval(np.polyfit(x, U[hot], 1), x)
    return f"{1 - (rest**2).sum() / ((U[hot] - U[hot].mean()) ** 2).sum():.5f} ({hot.sum()} T)"


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


def between_replicas(node: xr.DataTree) -> str:
    """χ² of two replicas against the errors that blocks of time give each."""
    production, relaxation = node["production"].dataset, node["relaxation"].dataset
    parts = [
        blocks(production["potential_energy"]), blocks(production["pressure"]),
        blocks((production["hop"] > 0.2).where(production["hop"].notnull()).mean("particle")),
    ]  # fmt: skip
    tau = dg.relaxation_time(relaxation["scattering"].load())
    error = relaxation_time_error(relaxation["scattering"].load(), relaxation["scattering_err"].load())
    squares = []
    for values, errors in [*parts, (tau, error)]:
        difference = values.isel(replica=0) - values.isel(replica=1)
        squares.append(((difference**2) / (errors**2).sum("replica")).values)
    found = np.concatenate(squares)
    found = found[np.isfinite(found)]
    return f"{found.sum():.0f} of {found.size}, p = {chdtrc(found.size, found.sum()):.2g}"


def blocks(series: xr.DataArray, number: int = 5) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean over time of each row, and its error from so many blocks."""
    series = series.load().dropna("time", how="all")
    length = series.sizes["time"] // number
    each = series.isel(time=slice(length * number)).coarsen(time=length).mean()
    return series.mean("time"), each.std("time", ddof=1) / np.sqrt(number)


def halves(run: xr.Dataset) -> str:
    """Second half of the coldest runs less the first, in standard errors."""
    cold = run.isel(temperature=int(run["temperature"].values.argmin()))
    hops = (cold["hop"] > 0.2).where(cold["hop"].notnull()).mean("particle")
    found = []
    for series in (cold["potential_energy"], hops):
        series = series.load().dropna("time", how="all")
        middle = series.sizes["time"] // 2
        first, second = (blocks(series.isel(time=part)) for part in (slice(middle), slice(middle, None)))
        error = np.sqrt(float((first[1] ** 2 + second[1] ** 2).sum())) / run.sizes["replica"]
        found.append(float((second[0] - first[0]).mean()) / error)
    return ", ".join(f"{each:+.1f}".replace("-", "−") for each in found) + " of their errors"


def main() -> None:
    """Print the checks of every system as Markdown."""
    tree = dg.open_store(Path(sys.argv[1]))
    markdown(CHECKS, [checks(system, tree[system.name]) for system in read_results(tree).systems])


if __name__ == "__main__":
    main()
