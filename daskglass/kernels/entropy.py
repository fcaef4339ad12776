"""Local pair excess entropy from structure functions."""

import numpy as np

from daskglass.kernels.flags import Float, jit


@jit
def local_entropy(G: Float, mu: Float, step: float, width: float, weight: Float, s2: Float) -> None:
    """s⁽²⁾ of each particle (paper, Eq. 5 and 6), with the Gaussian's norm √(2π) Δμ restored.

    Parameters
    ----------
    G : (particle, species, m); mu : (m,) radii; step : Δr; width : Δμ
    weight : (m,) the cut-off function L(r − η) at each radius
    s2 : (particle,) result, NaN where G is
    """
    norm = np.sqrt(2.0 * np.pi) * width
    volume = 4.0 / 3.0 * np.pi * mu[-1] ** 3
    for i in range(G.shape[0]):
        total = 0.0
        for K in range(G.shape[1]):
            neighbors = 0.0
            for k in range(mu.shape[0]):
                neighbors += np.float64(G[i, K, k])
            rho = neighbors * step / (norm * volume)  # ρ*_K
            if rho == 0.0:
                continue
            integral = 0.0
            for k in range(mu.shape[0]):
                r2 = mu[k] * mu[k]
                g = np.float64(G[i, K, k]) / (norm * 4.0 * np.pi * rho * r2)
                term = 1.0 - g
                if g > 0.0:
                    term += g * np.log(g)
                integral += term * r2 * weight[k]
            total += rho * integral * step
            if np.isnan(neighbors):
                total = np.nan
        s2[i] = -2.0 * np.pi * total
