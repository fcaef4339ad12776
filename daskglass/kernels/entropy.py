"""Local pair excess entropy from structure functions."""

import numpy as np

from daskglass.kernels.flags import Float, Int, jit

MANTISSA = 23  # bits, of a number in single precision
BITS_OF_TWO_THIRDS = 0x3F2AAAAB
LEAST = 1e-30  # in the place of g = 0, whose g ln g is 0 too


@jit
def local_entropy(G: Float, mu: Float, step: float, width: float, weight: Float, s2: Float) -> None:
    """s⁽²⁾ of each particle (paper, Eq. 5 and 6), with the Gaussian's norm √(2π) Δμ restored.

    Parameters
    ----------
    G : (particle, species, m); mu : (m,) radii; step : Δr; width : Δμ
    weight : (m,) the cut-off function L(r − η) at each radius
    s2 : (particle,) result, NaN where G is
    """
    m = mu.shape[0]
    volume = 4.0 / 3.0 * np.pi * mu[-1] ** 3
    norm = np.sqrt(2.0 * np.pi) * width
    shell = norm * 4.0 * np.pi * mu * mu
    measure = mu * mu * weight * step
    g, ln_g, rounded = np.empty(m), np.empty(m), np.empty(m, np.float32)
    for i in range(G.shape[0]):
        total = 0.0
        for K in range(G.shape[1]):
            neighbors = 0.0
            for k in range(m):
                neighbors += np.float64(G[i, K, k])
            rho = neighbors * step / (norm * volume)  # ρ*_K
            if rho == 0.0:
                continue
            for k in range(m):
                g[k] = max(np.float64(G[i, K, k]) / (rho * shell[k]), 0.0)
                rounded[k] = max(g[k], LEAST)
            logarithms(rounded, rounded.view(np.int32), ln_g)
            integral = 0.0
            for k in range(m):
                integral += (g[k] * ln_g[k] - g[k] + 1.0) * measure[k]
            total += rho * integral
            if np.isnan(neighbors):
                total = np.nan
        s2[i] = -2.0 * np.pi * total


@jit
def logarithms(x: Float, bits: Int, ln_x: Float) -> None:
    """Take logarithms of numbers in single precision as vectors, good to 1e-8.

    x = 2^n y, with y between 2/3 and 4/3, and ln y = 2 artanh[(y − 1) / (y + 1)], a series.

    Parameters
    ----------
    x : (k,) positive; bits : its memory as integers, in which y is left; ln_x : (k,) result
    """
    for k in range(x.shape[0]):
        n = (bits[k] - BITS_OF_TWO_THIRDS) >> MANTISSA
        bits[k] -= n << MANTISSA
        ln_x[k] = n * np.log(2.0)
    for k in range(x.shape[0]):
        y = np.float64(x[k])
        t = (y - 1.0) / (y + 1.0)
        t2 = t * t
        ln_x[k] += 2.0 * t * (1.0 + t2 * (1 / 3 + t2 * (1 / 5 + t2 * (1 / 7 + t2 / 9))))
