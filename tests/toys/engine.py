"""An engine without forces: particles rattle about the sites of a lattice, and a minimum is the sites."""

from pathlib import Path

import gsd.hoomd
import numpy as np
from typing_extensions import override

from daskglass.engines import Engine, Minima, Simulation
from daskglass.engines.states import State, minimize_frames, recorded_frame
from daskglass.physics.minima import Minimum
from daskglass.physics.systems import Mixture
from daskglass.registry import ENGINES, entry_of


class Rattling(Simulation):
    def __init__(self, mixture: Mixture, state: State, temperature: float, step: int = 0) -> None:
        self.mixture, self.state, self.temperature, self._step = mixture, state, temperature, step

    @property
    @override
    def step(self) -> int:
        return self._step

    @override
    def run(self, steps: int) -> None:
        self._step += steps

    @override
    def set_temperature(self, temperature: float) -> None:
        self.temperature = temperature

    @override
    def isolate(self) -> None:
        pass

    @override
    def forces(self) -> np.ndarray:
        return np.zeros_like(self.state.positions)

    @override
    def positions(self) -> np.ndarray:
        noise = np.random.default_rng(self._step).normal(0, 0.01, self.state.positions.shape)
        return self.state.positions + noise * self.temperature

    @override
    def frame(self) -> gsd.hoomd.Frame:
        state = self.state._replace(positions=self.positions())
        return recorded_frame(self.mixture, state, self._step, energy=0.0, pressure=0.0, temperature=self.temperature)

    @override
    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, step=self._step, **self.state._asdict())

    @override
    def close(self) -> None:
        pass


class Toy(Engine):
    @override
    def begin(self, mixture: Mixture, state: State, seed: int, temperature: float, timestep: float) -> Rattling:
        return Rattling(mixture, state, temperature)

    @override
    def load(self, path: Path, mixture: Mixture, timestep: float, temperature: float) -> Rattling:
        with np.load(path) as file:
            state = State(*(file[name] for name in State._fields))
            return Rattling(mixture, state, temperature, int(file["step"]))

    @override
    def minimize(self, mixture, positions, species, box, tolerance=1e-5, minimizer="fire") -> Minima:
        entry_of(ENGINES["toy"].minimizers, minimizer, "toy minimizer")
        return minimize_frames(mixture, positions, species, box, tolerance, on_sites)


def on_sites(positions: np.ndarray, species: np.ndarray, box: np.ndarray) -> Minimum:
    spacing = box / np.ceil(len(positions) ** (1 / 3))
    return Minimum((np.floor(positions / spacing) + 0.5) * spacing, 0.0, 0.0, 1)
