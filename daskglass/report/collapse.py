"""What the collapse of figure 6 is made of, and when it must not be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskglass.report.results import SystemResults, known, unknown_onset
from daskglass.stages.structural import LOCAL_ENTROPY, StructuralVariable


@dataclass(frozen=True)
class Points:
    """Barriers of the strata of softness of one system.

    Attributes
    ----------
    x : softness-grouped structure at the middle of each stratum: pair excess entropy, or another variable's mean
    x_err : its standard error; NaN where it is unknown
    y_entropy, y_energy : y_Σ and y_E
    …_terms_cov : covariances of the barriers of the strata and, last, of their common scale ln P_R(T_A), over that scale;
        NaN where they are unknown
    deviation : largest |y_E − y_Σ + 1|
    refused : why the scaled barriers mean nothing here; empty where they mean something
    outside : number of strata beyond the softness bins, whose entropy is not known
    """

    x: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_entropy: NDArray[np.float64]
    y_entropy_terms_cov: NDArray[np.float64]
    y_energy: NDArray[np.float64]
    y_energy_terms_cov: NDArray[np.float64]
    deviation: float
    refused: str
    outside: int


def points(system: SystemResults, inherent: bool = True, other: StructuralVariable = LOCAL_ENTROPY) -> Points:
    """Barriers of a system against structure of the softness bins, interpolated linearly at the middles of the strata.

    The scaled barriers all share the factor 1/ln P_R(T_A). Where P_R(T_A) is close to 1, or above it, that factor is
    not known, or has the wrong sign, and the points say nothing about a collapse: such a system is refused.

    Parameters
    ----------
    system : of a study
    inherent : take the entropy of the inherent structures, not the thermal one
    other : whose structure; of local entropy, that of the pair excess entropy
    """
    fits, ensemble = system.fits("softness"), system.ensemble
    middles, bins = fits["stratum_middle"].values, ensemble["softness_bin"].values
    grouped, grouped_err = grouped_by_softness(system, other, inherent)
    x = np.interp(middles, bins, grouped, left=np.nan, right=np.nan)
    # how much of each bin is in each stratum
    weights = np.stack([np.interp(middles, bins, row) for row in np.eye(bins.size)], axis=1)
    x_err = np.sqrt((np.where(weights > 0, weights * grouped_err, 0.0) ** 2).sum(axis=1))

    y_entropy, y_energy = (fits[f"scaled_{name}"].values.astype(np.float64) for name in ("entropy", "energy"))
    entropy_cov, energy_cov = (
        known(fits, f"scaled_{name}_terms_cov", (middles.size + 1, middles.size + 1)) for name in ("entropy", "energy")
    )
    apart = np.abs(y_energy - y_entropy + 1)
    return Points(
        x, x_err, y_entropy, entropy_cov, y_energy, energy_cov,
        float(np.nanmax(apart)) if np.isfinite(apart).any() else np.nan,
        _refused(system, y_entropy, float(entropy_cov[-1, -1]) ** 0.5),
        int(((middles < bins[0]) | (middles > bins[-1])).sum()),
    )  # fmt: skip


def grouped_by_softness(
    system: SystemResults, other: StructuralVariable, inherent: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Structure of the softness bins and its error: s⁽²⁾ in place of local entropy, the mean of any other variable."""
    ensemble, name = system.ensemble, "mean_grouped_pooled"
    if other == LOCAL_ENTROPY:
        name = "s2_grouped_pooled" if inherent else system.thermal_name("s2_grouped_pooled")
    else:
        ensemble = ensemble.sel(variable=other.name)
    values = ensemble[name].values.astype(np.float64)
    return values, known(ensemble, f"{name}_err", values.shape)


def _refused(system: SystemResults, y: NDArray[np.float64], error: float) -> str:
    """Why scaled barriers mean nothing; `error` is that of ln P_R(T_A), relative to it."""
    fits = system.fits("softness")
    onset, _ = system.onset("softness")
    P = float(fits["onset_probability"])
    if not np.isfinite(fits["activation_energy"].values).any():
        return "no supercooled fit"
    if not (np.isfinite(onset) and np.isfinite(y).any() and np.isfinite(P)):
        return "no T_A, nothing to scale by"
    if why := unknown_onset(system.fits("softness")):
        return f"T_A is unknown ({why})"
    if not P < 1:
        return f"P_R(T_A) = {P:.2f} is no probability below 1"
    if error >= 1:
        logarithm = f"{np.log(P):.2f}".replace("-", "−")
        return f"ln P_R(T_A) = {logarithm} is 0 within its error, so scaled barriers are undetermined"
    return ""
