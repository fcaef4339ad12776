"""Particles that move at random or along a given path."""

import numpy as np

from tests.conftest import particles

A_ONLY = {"names": ["A"]}


def walk(seed, frames=60, count=20, step=0.1, dtype=np.float32):
    """Random walk of particles of one species."""
    x = np.cumsum(np.random.default_rng(seed).normal(0, step, (frames, count, 3)), axis=0)
    return particles(x.astype(dtype), np.zeros(count, np.int8), names=["A"])


def motion(x, time=None):
    """Particles at x(t), and as many mirrored in the origin: their centre of mass is at rest."""
    x = np.asarray(x, np.float64).reshape(len(x), -1, 3)
    both = np.concatenate([x, -x], axis=1)
    return particles(both, np.zeros(both.shape[1], np.int8), names=["A"], time=time)
