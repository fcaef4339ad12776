"""What every engine needs beside its own: the state a simulation starts from, recorded frames, blocks of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import ArrayLike, NDArray

from daskglass.engines import ENERGY, PRESSURE, TEMPERATURE, Minima
from daskglass.errors import DataError, EngineError
from daskglass.physics.minima import Minimum
from daskglass.physics.systems import Mixture
from daskglass.registry import ENGINES


class State(NamedTuple):
    """Particles in a periodic box whose corner is the origin; positions (N, 3), σ_AA; velocities (N, 3), σ_AA/τ_A."""

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    species: NDArray[np.int64]
    box: NDArray[np.float64]


def initial_state(mixture: Mixture, particles: int, seed: int, temperature: float) -> State:
    """Draw the state every engine starts from; it depends on these arguments alone.

    A simple cubic lattice of density ρ with n = ⌈N^{1/3}⌉ sites per edge, of which N are occupied at random, so that
    species are placed at random with particles sorted by species. Velocities are Maxwell-Boltzmann distributed, with
    zero total momentum and the exact temperature T = Σ|v|² / (3N − 3).

    Parameters
    ----------
    mixture : species and density
    particles : number of particles N
    seed : of every random choice
    temperature : ε_AA/k_B
    """
    rng = np.random.default_rng(seed)
    box = np.full(3, mixture.box_length(particles))
    species = np.repeat(np.arange(len(mixture.species)), mixture.counts(particles))
    return State(_lattice(particles, rng) * box, _maxwell_boltzmann(particles, temperature, rng), species, box)


def drawn_velocities(particles: int, temperature: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw velocities (N, 3) from the Maxwell-Boltzmann distribution of a temperature, with zero total momentum."""
    velocities = np.sqrt(temperature) * rng.standard_normal((particles, 3))
    return velocities - velocities.mean(axis=0)


def check_shift(mixture: Mixture, engine: str) -> None:
    """Refuse a mixture whose cut-off is shifted in a way that an engine does not have.

    Raises
    ------
    EngineError
        Naming both.
    """
    if mixture.cutoff_shift not in ENGINES[engine].shifts:
        raise EngineError(
            f"engine {engine} has no cut-off shifted by {mixture.cutoff_shift}",
            remedy="trajectories of such mixtures can be minimised with inherent: {engine: native}",
        )


def recorded_frame(
    mixture: Mixture, state: State, step: int, energy: float, pressure: float, temperature: float
) -> gsd.hoomd.Frame:
    """GSD frame of a state of unwrapped positions: wrapped and centred on the origin, images, and thermodynamics.

    Parameters
    ----------
    mixture : names of the species
    state : positions unwrapped
    step : of the simulation
    energy : total potential energy, ε_AA
    pressure : ε_AA/σ_AA³
    temperature : kinetic, ε_AA/k_B

    Raises
    ------
    EngineError
        If the energy is not finite any more.
    """
    if not np.isfinite(energy):
        raise EngineError(f"the energy is {energy} at step {step}: the time step is too large")
    frame = gsd.hoomd.Frame()
    frame.configuration.step = step
    frame.configuration.box = np.array([*state.box, 0, 0, 0], dtype=np.float32)
    frame.particles.types = list(mixture.species)
    frame.particles.typeid = state.species.astype(np.uint32)
    frame.particles.position, frame.particles.image = _wrap(state.positions, state.box)
    frame.particles.N = len(state.positions)
    frame.log = {ENERGY: np.array([energy]), PRESSURE: np.array([pressure]), TEMPERATURE: np.array([temperature])}
    return frame


def minimize_frames(
    mixture: Mixture,
    positions: ArrayLike,
    species: ArrayLike,
    box: ArrayLike,
    tolerance: float,
    minimize: Callable[[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]], Minimum],
) -> Minima:
    """Minimise every frame of a block on its own, so that its result does not depend on the block it comes in.

    Parameters
    ----------
    mixture, positions, species, box, tolerance : as in `daskglass.engines.Engine.minimize`
    minimize : what brings one frame to its minimum, from its positions, species and box

    Raises
    ------
    EngineError
        If a position is not finite, an array has the wrong shape, or a frame cannot be minimised at all.
    """
    frames = np.asarray(positions, dtype=np.float64)
    codes = np.asarray(species, dtype=np.int64)
    _check_block(frames, codes, len(mixture.species))
    edges = np.broadcast_to(np.asarray(box, dtype=np.float64), (len(frames), 3))
    found = []
    for k, (frame, edge) in enumerate(zip(frames, edges, strict=True)):
        try:
            found.append(minimize(frame, codes, edge))
        except (DataError, EngineError) as error:
            raise EngineError(f"frame {k}: {error}") from error
    force_rms = np.array([minimum.force_rms for minimum in found])
    return Minima(
        positions=np.array([minimum.positions for minimum in found], dtype=np.float32).reshape(frames.shape),
        energy=np.array([minimum.energy for minimum in found]),
        force_rms=force_rms,
        evaluations=np.array([minimum.evaluations for minimum in found], dtype=np.int64),
        converged=force_rms <= tolerance,
    )


def _lattice(particles: int, rng: np.random.Generator) -> NDArray[np.float64]:
    # sites of a simple cubic lattice in the unit cube, as many as there are particles
    edge = round(particles ** (1.0 / 3.0))
    edge += edge**3 < particles
    sites = rng.permutation(edge**3)[:particles]
    return (np.column_stack(np.unravel_index(sites, (edge,) * 3)) + 0.5) / edge


def _maxwell_boltzmann(particles: int, temperature: float, rng: np.random.Generator) -> NDArray[np.float64]:
    velocities = rng.standard_normal((particles, 3))
    velocities -= velocities.mean(axis=0)
    return velocities * np.sqrt(temperature * 3 * (particles - 1) / np.sum(velocities**2))


def _wrap(positions: NDArray[np.float64], box: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    # unwrapped, origin at a corner → wrapped into [−L/2, L/2) and images
    image = np.floor(positions / box).astype(np.int32)
    wrapped = (positions - image * box - box / 2).astype(np.float32)
    over = wrapped >= (box / 2).astype(np.float32)  # rounded up to the face
    return np.where(over, wrapped - box.astype(np.float32), wrapped), image + over


def _check_block(frames: NDArray[np.float64], species: NDArray[np.int64], known: int) -> None:
    if frames.ndim != 3 or frames.shape[1:] != (len(species), 3):
        raise EngineError(
            f"positions must have the shape (frames, {len(species)}, 3), one per species code; got {frames.shape}"
        )
    if species.min(initial=0) < 0 or species.max(initial=0) >= known:
        raise EngineError(f"species codes must be 0 to {known - 1}; got {species.min()} to {species.max()}")
    wrong = np.argwhere(~np.isfinite(frames).all(axis=2))
    if len(wrong):
        frame, particle = wrong[0].tolist()
        raise EngineError(f"frame {frame}, particle {particle}: position {frames[frame, particle]} is not finite")
