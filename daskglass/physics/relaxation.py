"""F(Q,t) of displacements at hand, where it crosses 1/e, and where motion is diffusive; light, for running simulations too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskglass.physics.defaults import Q_PEAK


def self_scattering(displacement: NDArray[np.floating], drift: NDArray[np.float64], q: float = Q_PEAK) -> float:
    """F(Q,t) = ⟨ sin(QΔr)/(QΔr) ⟩ of particles displaced by (particle, 3) in a system that drifted by (3,), all in σ."""
    distance = np.linalg.norm(displacement - drift, axis=1)
    return float(np.mean(np.sinc(q * distance / np.pi)))


def crossing_time(earlier: tuple[float, float], later: tuple[float, float]) -> float:
    """Time at which F(t) crosses 1/e, between two points (t, F): linear in (log t, F), or in (t, F) from t = 0."""
    (t0, F0), (t1, F1) = earlier, later
    fraction = (F0 - np.exp(-1)) / (F0 - F1)
    return float(fraction * t1 if t0 == 0 else np.exp(np.log(t0) + fraction * np.log(t1 / t0)))


def is_diffusive(t: NDArray[np.float64], msd: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where d ln MSD / d ln t > 0.95 and MSD > 1 σ², at rising lags t."""
    return np.asarray((logarithmic_slope(t, msd) > 0.95) & (msd > 1.0))


def logarithmic_slope(t: NDArray[np.float64], x: NDArray[np.float64], span: float = 1.5) -> NDArray[np.float64]:
    """Slope d ln x / d ln t at each t: that of a line through ln x between t/span and t·span."""
    log_t, log_x = np.log(t), np.log(x)
    slopes = np.full(t.size, np.nan)
    for k in range(t.size):
        near = np.abs(log_t - log_t[k]) <= np.log(span)
        if near.sum() > 1:
            slopes[k] = np.polyfit(log_t[near], log_x[near], 1)[0]
    return slopes
