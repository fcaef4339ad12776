"""F(Q,t) of displacements at hand, and the time at which it crosses 1/e; light, since running simulations measure it too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskglass.physics.defaults import Q_PEAK


def self_scattering(displacement: NDArray[np.float64], drift: NDArray[np.float64], q: float = Q_PEAK) -> float:
    """F(Q,t) = ⟨ sin(QΔr)/(QΔr) ⟩ of particles displaced by (particle, 3) in a system that drifted by (3,), all in σ."""
    distance = np.linalg.norm(displacement - drift, axis=1)
    return float(np.mean(np.sinc(q * distance / np.pi)))


def crossing_time(earlier: tuple[float, float], later: tuple[float, float]) -> float:
    """Time at which F(t) crosses 1/e, between two points (t, F): linear in (log t, F), or in (t, F) from t = 0."""
    (t0, F0), (t1, F1) = earlier, later
    fraction = (F0 - np.exp(-1)) / (F0 - F1)
    return float(fraction * t1 if t0 == 0 else np.exp(np.log(t0) + fraction * np.log(t1 / t0)))
