"""Frames that an engine simulates: every replica from hot to cold, one link of a chain per temperature."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskglass.engines.ensembles import Isoconfigurational
from daskglass.engines.link import Duration, Link
from daskglass.engines.saved import SEGMENT
from daskglass.engines.schedules import (
    Logarithmic,
    Uniform,
    expected_length,
    first_not_below,
    lag_grid,
    logarithmic_lags,
)
from daskglass.physics.systems import DENSITY, Mixture, temperature_scale
from daskglass.sources import Effort, Feed, Origin, Recording, Simulation
from daskglass.sources.surveys import ENSEMBLE
from daskglass.sources.timesteps import folder_of, timestep_of
from daskglass.store.blocks import Block
from daskglass.store.ledger import Ledger
from daskglass.study.settings import Ensembles, Simulate, Study, System, fingerprint
from daskglass.variables import FRAMES, VARIABLES, over

LONGEST_LAG_STEPS = 10**9
PROPENSITIES = ("position", "propensity", "propensity_half", "trajectories", "mean_potential_energy", "mean_pressure")
LONGEST_OF_WHOLE_LINKS = 25.0  # τ_α, the default of relaxation runs then
RECORDED = ("position", "potential_energy", "pressure")
# Vogel-Fulcher-Tammann law of τ_α for Δ = 0 (T = 0.70: 4.7, T = 0.55: 28, T = 0.45: about 2000), good to a factor of
# two. Temperatures at which other Δ are as fast grow less than those of the study: by this power of their scale.
TAU, STRENGTH, DIVERGENCE = 0.42, 0.85, 0.35
AS_FAST = 0.6


def simulated(study: Study, system: System, ledger: Ledger) -> Simulated:
    """Return the source of a system that the study simulates; what an earlier version simulated for it stays."""
    given, mixture, replicas = study.source.simulate, system.mixture, system.replicas
    trained_at = study.training_temperature(system.system, system.temperatures)
    if given is None or mixture is None or replicas is None or trained_at is None:
        raise TypeError(f"{system.system}: a system that is simulated has mixture, temperatures and replicas")
    source = Simulated(
        system=system.system,
        particles=system.particles,
        mixture=mixture,
        listed=system.temperatures,
        number=replicas,
        given=given,
        timestep=timestep_of(study, system),
        training_temperature=trained_at,
        root=folder_of(study, system.system),
    )
    inputs = (mark.get("inputs", {}).get("source.simulate") for mark in ledger.marks.values())
    earlier = replace(source, in_whole_links=True)
    known = {simulation.inputs["source.simulate"] for simulation in earlier.simulations}
    return source if known.isdisjoint(inputs) else earlier


@dataclass(frozen=True)
class Simulated:
    """Frames of one system that an engine simulates; see `Source`."""

    system: str
    particles: int
    mixture: Mixture
    listed: tuple[float, ...]
    number: int
    given: Simulate
    timestep: float
    training_temperature: float
    root: Path
    in_whole_links: bool = False  # as daskglass did before links were handed over while they ran

    @property
    def species(self) -> tuple[str, ...]:
        return self.mixture.species

    @property
    def codes(self) -> NDArray[np.int8]:
        return np.repeat(np.arange(len(self.species)), self.mixture.counts(self.particles)).astype(np.int8)

    @property
    def box(self) -> NDArray[np.float64]:
        # trajectory files hold single precision
        return np.full(3, np.float32(self.mixture.box_length(self.particles)), np.float64)

    def temperatures(self, run: str) -> tuple[float, ...]:
        if run == ENSEMBLE:
            return self.given.isoconfigurational.at(self.listed) if self.given.isoconfigurational else ()
        return (self.training_temperature,) if run == "training" else self.listed

    def replicas(self, run: str) -> tuple[int, ...]:
        return tuple(range(self.number))

    @cached_property
    def runs(self) -> Mapping[str, Recording]:
        given, recorded = self.given, tuple(VARIABLES[name] for name in RECORDED)
        uniform = {"production": given.production} | ({"training": given.training} if given.training else {})
        runs = {
            run: Recording(of.frames, np.round(np.arange(of.frames) * of.interval, 9), None, recorded)
            for run, of in uniform.items()
        }
        lags = np.array(lag_grid(LONGEST_LAG_STEPS)) * self.timestep
        varying = (*recorded, over(FRAMES, VARIABLES["time"]))
        relaxation = Recording(given.relaxation.frames, None, lags, varying, alone=self.in_whole_links)
        found = {"production": runs["production"], "relaxation": relaxation, **runs}
        if given.isoconfigurational and self.temperatures(ENSEMBLE):
            found[ENSEMBLE] = self._ensembles(given.isoconfigurational)
        return found

    def _ensembles(self, given: Ensembles) -> Recording:
        # the middles of equal parts: away from both ends, where p_hop is not defined
        spacing = self.given.production.frames / given.configurations
        frames = ((np.arange(given.configurations) + 0.5) * spacing).astype(np.int64)
        names = (*PROPENSITIES, "final_position") if given.positions else PROPENSITIES
        variables = tuple(VARIABLES[name] for name in names)
        lags = np.array([round(steps * self.timestep, 9) for steps in self._steps(given)])
        kept = np.arange(given.trajectories) if given.positions else None
        return Recording(
            frames.size, None, lags, variables, configurations=frames, of="production",
            trajectories=given.trajectories, kept=kept,
        )  # fmt: skip

    def _steps(self, given: Ensembles) -> tuple[int, ...]:
        """Time steps of all lags of ensembles, at whatever temperature."""
        if isinstance(given.lags, tuple):
            return tuple(round(lag / self.timestep) for lag in given.lags)
        return tuple(logarithmic_lags(given.lags.per_decade, LONGEST_LAG_STEPS, self.timestep))

    def _longest_lag(self, given: Ensembles, T: float) -> float:
        """Length of a trajectory at a temperature, τ_A; 0 where nobody knows it yet."""
        if isinstance(given.lags, tuple):
            return given.lags[-1]
        tau = self.relaxation_time(T)
        if tau is None or math.isinf(tau):
            return tau or 0.0
        steps = self._steps(given)
        last = first_not_below(steps, given.lags.relaxation_times * tau, self.timestep)
        return steps[-1 if last is None else last] * self.timestep

    def trajectories(self, block: Block) -> Sequence[Isoconfigurational]:
        whole = self._trajectories(block)
        # several short ones to a task: starting an engine takes longer than some
        given = self.given.isoconfigurational
        steps = self._longest_lag(given, block.temperature) / self.timestep if given else 0.0
        together = max(1, int(SEGMENT / (self.particles * (steps or whole.steps[-1]))))
        starts = range(0, len(whole.numbers), together)
        return [replace(whole, numbers=whole.numbers[first : first + together]) for first in starts]

    def _trajectories(self, block: Block) -> Isoconfigurational:
        """All trajectories that start from a configuration."""
        given, configurations = self.given.isoconfigurational, self.runs[ENSEMBLE].configurations
        assert given is not None
        assert configurations is not None
        frame = int(configurations[block.start])
        folder = self._folder(block.temperature, block.replica).resolve()
        return Isoconfigurational(
            engine=self.given.engine,
            mixture=self.mixture,
            temperature=block.temperature,
            timestep=self.timestep,
            production=folder / "production.gsd",
            frame=frame,
            replica=block.replica,
            seed=self.given.seed + zlib.crc32(self.system.encode()),
            numbers=tuple(range(given.trajectories)),
            steps=self._steps(given),
            folder=folder / ENSEMBLE / f"c{frame}",
            threads=self.given.threads,
            relaxation_times=None if isinstance(given.lags, tuple) else given.lags.relaxation_times,
            positions=given.positions,
        )

    def has_frames(self, run: str, temperature: float, replica: int) -> bool:
        return True

    def feed(self, block: Block) -> Feed:
        if block.run == ENSEMBLE:
            whole = self._trajectories(block)
            link = next(
                simulation
                for simulation in self.simulations
                if (simulation.link.temperature, simulation.link.replica) == (block.temperature, block.replica)
            )
            return Feed(whole, {**link.inputs, "trajectories": fingerprint(*whole.asked)})
        return Feed(Origin(self._folder(block.temperature, block.replica) / f"{block.run}.gsd"))

    @cached_property
    def simulations(self) -> Sequence[Simulation]:
        found = []
        for replica in self.replicas("production"):
            previous: Path | None = None
            before = ""
            for T in self.listed:
                link = self._link(T, replica, previous)
                # the next colder link starts from this one
                if self.in_whole_links:
                    whole = before = fingerprint(before, self._settings_of_whole_link(link))
                else:
                    before = fingerprint(before, link.beginning)
                    whole = fingerprint(before, link.recorded)
                found.append(Simulation(link, {"source.simulate": before}, {"source.simulate": whole}))
                previous = link.folder
        return found

    def _link(self, T: float, replica: int, previous: Path | None) -> Link:
        given = self.given
        training = given.training if self.training_temperature == T else None
        equilibration = Duration(given.equilibration.minimum, self._equilibration_multiple(T))
        handover = None
        if given.handover != "full" and not self.in_whole_links:
            # the default is not longer than a short equilibration
            early = (given.handover.minimum, given.handover.relaxation_times)
            handover = Duration(*map(min, early, equilibration))
        return Link(
            engine=given.engine,
            system=self.system,
            mixture=self.mixture,
            particles=self.particles,
            replica=replica,
            seed=given.seed + zlib.crc32(self.system.encode()),
            temperature=T,
            timestep=self.timestep,
            folder=self._folder(T, replica).resolve(),
            previous=previous,
            production=Uniform(given.production.frames, given.production.interval),
            training=Uniform(training.frames, training.interval) if training else None,
            relaxation=Logarithmic(**given.relaxation.model_dump()),
            equilibration=equilibration,
            handover=handover,
            relaxation_time=given.known_relaxation_time(T),
            threads=given.threads,
        )

    def _settings_of_whole_link(self, link: Link) -> dict[str, Any]:
        """What decided a link when it was simulated as a whole, as ledgers have it."""
        settings = {name: value for name, value in link.beginning.items() if name not in ("handover", "threads")}
        if "longest" not in self.given.relaxation.model_fields_set and link.relaxation is not None:
            settings["relaxation"] = link.relaxation._replace(longest=LONGEST_OF_WHOLE_LINKS)
        return settings

    def _folder(self, temperature: float, replica: int) -> Path:
        """Folder of the files that the engine writes for one temperature and replica."""
        return self.root / f"r{replica}" / f"T{temperature:g}"

    def _equilibration_multiple(self, T: float) -> float:
        """Number of τ_α to equilibrate at a temperature: from the first value, at the hottest, to the second."""
        hot, cold = self.given.equilibration.relaxation_times
        return hot + (cold - hot) * self.listed.index(T) / max(len(self.listed) - 1, 1)

    def effort(self) -> Effort:
        given, notes = self.given, []
        whole = chain = handed = beside = 0.0
        for link in (self._link(T, 0, None) for T in self.listed):
            tau = self.relaxation_time(link.temperature)
            if tau is None:
                notes.append(
                    f"T = {link.temperature:g}: relaxation time unknown (source.simulate.relaxation_time): its steps are "
                    "a minimum"
                )
                tau = 0.0
            duration = link.equilibration.of(tau)
            duration += expected_length(link.relaxation, tau) if link.relaxation and tau else 0.0
            duration += sum((of.frames - 1) * of.interval for of in (link.production, link.training) if of)
            if (each := given.isoconfigurational) and link.temperature in self.temperatures(ENSEMBLE):
                beside += each.configurations * each.trajectories * self._longest_lag(each, link.temperature)
            whole += duration
            chain = max(chain, handed + duration)
            handed += duration if link.handover is None else link.handover.of(tau)
        steps = self.particles / self.timestep
        return Effort(
            (whole + beside) * steps * self.number,
            chain * steps,
            given.engine,
            given.threads,
            self.mixture.delta > 0,
            tuple(notes),
        )

    def relaxation_time(self, temperature: float) -> float | None:
        """τ_α to plan with: of the study file, or of the built-in systems; None for other mixtures."""
        if (known := self.given.known_relaxation_time(temperature)) is not None:
            return known
        mixture = self.mixture
        if not self.system.startswith("ka_") or mixture.density != DENSITY.get(mixture.delta):
            return None
        reduced = temperature / temperature_scale(mixture.delta) ** AS_FAST
        return TAU * math.exp(STRENGTH / (reduced - DIVERGENCE)) if reduced > DIVERGENCE else math.inf

    def shortest_edges(self) -> Mapping[Path, float]:
        return {}

    def attributes(self, run: str) -> dict[str, Any]:
        return {"engine": self.given.engine}
