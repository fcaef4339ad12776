"""What a study comes to: its systems with their runs, layouts, files and the fingerprints of their stages."""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from daskglass import stages, structure
from daskglass.engines.sweep import lag_grid
from daskglass.errors import StudyError, TrajectoryError
from daskglass.store import Block, Layout, frames_per_block, frames_per_chunk
from daskglass.study import Simulate, Study, System
from daskglass.trajectories import gsd
from daskglass.variables import FRAMES, VARIABLES, Variable

Stage = Literal[
    "simulate", "convert", "inherent", "hops", "structure", "train", "softness", "entropy", "ensemble", "barriers",
    "figures",
]  # fmt: skip
STAGES: tuple[Stage, ...] = Stage.__args__  # type: ignore[attr-defined]
UPSTREAM: Mapping[Stage, tuple[Stage, ...]] = {
    "simulate": (),
    "convert": ("simulate",),
    "inherent": ("convert",),
    "hops": ("inherent",),
    "structure": ("hops",),
    "train": ("structure",),
    "softness": ("train",),
    "entropy": ("inherent",),
    "ensemble": ("softness", "entropy"),
    "barriers": ("ensemble",),
    "figures": ("barriers",),
}
LONGEST_LAG_STEPS = 10**9


class SystemPlan:
    """One system of a study: its files, its layouts and its fingerprints."""

    def __init__(self, study: Study, system: System) -> None:
        self.study, self.system, self.name = study, system, system.system
        self.path = Path(study.store)

    @cached_property
    def positions(self) -> str:
        """Variable that structure and hops are computed from."""
        return stages.THERMAL if self.study.inherent == "none" else stages.INHERENT

    @property
    def training_temperature(self) -> int:
        """Index of the temperature of the labelled examples among those of the system."""
        return self.system.temperatures.index(self.study.training_temperature(self.system))

    def source(self, run: str, temperature: float, replica: int) -> Path:
        """GSD file of one run: of the user's, or one that the engine writes."""
        if self.study.source.trajectories is None:
            return self.folder(temperature, replica) / f"{run}.gsd"
        return trajectory_path(self.study.source.trajectories.path, self.name, temperature, replica)

    def folder(self, temperature: float, replica: int) -> Path:
        """Folder of the files that the engine writes for one temperature and replica."""
        root = self.path.with_name(f"{self.path.stem}.trajectories")
        return root / self.name / f"r{replica}" / f"T{temperature:g}"

    @cached_property
    def header(self) -> gsd.Header:
        """Header of the first file of the user's trajectories, which all others must agree with."""
        return gsd.read_header(self.source("production", self.system.temperatures[0], 0), self.system.mixture.species)

    @cached_property
    def particles(self) -> int:
        """Number of particles."""
        return self.system.particles if self.study.source.simulate else int(self.header.species.size)

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """Layout of every run, by its name."""
        simulate = self.study.source.simulate
        if simulate is None:
            assert self.study.source.trajectories is not None
            interval = self.header.interval * self.study.source.trajectories.timestep
            times = np.arange(self.header.frames) * interval
            self.study.check_reach(self.name, float(self.header.box.min()))
            if times[-1] < self.study.hops.window:
                raise TrajectoryError(
                    f"{self.source('production', self.system.temperatures[0], 0)}: {times.size} frames over "
                    f"{times[-1]:g} τ are fewer than hops.window = {self.study.hops.window} τ spans"
                )
            return {"production": self._particles_layout("production", times, self.system.temperatures)}
        layouts = {
            "production": self._particles_layout(
                "production", _times(simulate.production.frames, simulate.production.interval), self.system.temperatures
            ),
            "relaxation": self._relaxation_layout(),
        }
        if simulate.training is not None:
            times = _times(simulate.training.frames, simulate.training.interval)
            T = self.system.temperatures[self.training_temperature]
            layouts["training"] = self._particles_layout("training", times, (T,))
        return layouts

    @property
    def softness_run(self) -> str:
        """Run of the labelled examples."""
        return self.study.softness.train_on.run

    @property
    def softness_temperature(self) -> int:
        """Index of the temperature of the labelled examples within their run."""
        return 0 if self.softness_run == "training" else self.training_temperature

    def frames_of(self, run: str, duration: float) -> int:
        """Number of frames of a run in a time.

        Raises
        ------
        StudyError
            If it is not whole.
        """
        interval = float(np.diff(self.layouts[run].coordinates["time"][:2])[0])
        if abs(duration / interval - round(duration / interval)) > 1e-3:
            raise StudyError(f"{duration} τ is no whole number of frames of the {run} run, {interval:g} τ apart")
        return round(duration / interval)

    def rows(self, run: str) -> list[Block]:
        """One block per temperature and replica, over all its frames."""
        layout = self.layouts[run]
        return [replace(b, stop=layout.sizes["time"]) for b in layout.blocks() if b.start == 0]

    def _coordinates(self, temperatures: Sequence[float]) -> dict[str, xr.DataArray]:
        species = self.system.mixture.species
        if self.study.source.simulate:
            codes = np.repeat(np.arange(len(species)), self.system.mixture.counts(self.particles)).astype(np.int8)
            box = np.full(3, self.system.mixture.box_length(self.particles))
        else:
            codes, box = self.header.species, self.header.box
        coordinates = {
            "temperature": _coordinate("temperature", np.array(temperatures, np.float64)),
            "replica": _coordinate("replica", np.arange(self.system.replicas)),
            "species": _coordinate("species", codes),
            "box": _coordinate("box", box),
            "neighbor": xr.DataArray(list(species), dims="neighbor", attrs={"long_name": "species of the neighbour"}),
            "xyz": xr.DataArray(list("xyz"), dims="xyz"),
        }
        coordinates["species"].attrs["names"] = list(species)
        return coordinates

    def _particles_layout(self, run: str, times: np.ndarray, temperatures: Sequence[float]) -> Layout:
        names = [stages.THERMAL]
        if self.study.source.simulate:
            names += ["potential_energy", "pressure"]
        else:
            names += self.header.quantities
        if self.study.inherent != "none":
            names += [stages.INHERENT, "inherent_force"]
        names += ["hop", "softness", "local_entropy"]
        variables = [VARIABLES[name] for name in names]
        if run == self.softness_run:
            variables.append(VARIABLES["label"])
        coordinates = self._coordinates(temperatures) | {"time": _coordinate("time", times)}
        sizes = {}
        if run == "production":
            r = structure.bin_middles(self.study.radial.r_max, self.study.radial.bin_width)
            coordinates["r"] = _coordinate("r", r)
            sizes["r"] = r.size
            variables += [VARIABLES["g"]] + [_thermal(VARIABLES["g"])] * (self.study.inherent != "none")
            if self.study.source.simulate is None:
                coordinates["lag"] = _coordinate("lag", times)
                sizes["lag"] = times.size
                variables += [VARIABLES["scattering"], VARIABLES["msd"]]
        return self._layout(run, coordinates, variables, sizes | {"time": times.size, "temperature": len(temperatures)})

    def _relaxation_layout(self) -> Layout:
        simulate = self.study.source.simulate
        assert simulate is not None
        lags = np.array(lag_grid(LONGEST_LAG_STEPS)) * simulate.timestep
        variables = [
            VARIABLES[stages.THERMAL],
            VARIABLES["potential_energy"],
            VARIABLES["pressure"],
            replace(VARIABLES["time"], dims=FRAMES),
            VARIABLES["scattering"],
            VARIABLES["msd"],
        ]
        frames = _relaxation_frames(simulate)
        coordinates = self._coordinates(self.system.temperatures) | {"lag": _coordinate("lag", lags)}
        sizes = {"time": frames, "lag": lags.size, "temperature": len(self.system.temperatures)}
        return self._layout("relaxation", coordinates, variables, sizes)

    def _layout(
        self, run: str, coordinates: Mapping[str, xr.DataArray], variables: list[Variable], sizes: Mapping[str, int]
    ) -> Layout:
        chunk = frames_per_chunk(self.particles)
        all_blocks = sum(_frames_of(self.study, s) for s in self.study.systems) / chunk * len(variables)
        return Layout(
            system=self.name,
            run=run,
            coordinates=coordinates,
            variables=variables,
            sizes={
                "replica": self.system.replicas,
                "particle": self.particles,
                "xyz": 3,
                "neighbor": len(self.system.mixture.species),
                **sizes,
            },
            chunk=chunk,
            block=frames_per_block(self.particles, int(all_blocks)),
        )

    def fingerprint(self, stage: Stage) -> str:
        """Hash of the settings of a stage and of all stages before it."""
        return self._fingerprints[stage]

    @cached_property
    def _fingerprints(self) -> dict[Stage, str]:
        study, system = self.study, self.system
        settings: dict[Stage, tuple[Any, ...]] = {
            "simulate": (study.source.simulate, system.model_dump(mode="json")) if study.source.simulate else (),
            "convert": (study.precision, system.system, *self._sources()),
            "inherent": (study.inherent, system.mixture),
            "hops": (study.hops.model_dump(exclude={"lead"}), study.softness.train_on.run),
            "structure": (
                study.structure, study.hops.lead, study.training_temperature(system),
                study.softness.model_dump(include={"samples_per_class", "seed"}),
            ),
            "train": (study.softness,),
            "softness": (),
            "entropy": (study.radial.r_max, study.radial.bin_width),
            "ensemble": (study.strata, study.dynamics, study.radial.core),
            "barriers": (study.barriers, study.radial.softness_bins),
            "figures": (),
        }  # fmt: skip
        found: dict[Stage, str] = {}
        for stage in STAGES:
            found[stage] = study.fingerprint(stage, settings[stage], [found[before] for before in UPSTREAM[stage]])
        return found

    def _sources(self) -> list[tuple[str, int, int]]:
        if self.study.source.trajectories is None:
            return []
        found = []
        for T in self.system.temperatures:
            for replica in range(self.system.replicas):
                path = self.source("production", T, replica)
                if not path.is_file():
                    raise TrajectoryError(f"{path}: no such file, for {self.name}, T = {T:g}, replica {replica}")
                status = path.stat()
                found.append((str(path), status.st_size, status.st_mtime_ns))
        return found

    def attributes(self) -> dict[str, Any]:
        """Attributes of every group of the system: what it is, and what it was made with."""
        mixture = self.system.mixture
        return {
            "system": self.name,
            "delta": mixture.delta,
            "density": mixture.density,
            "mixture": mixture.model_dump_json(),
            "study": self.study.model_dump_json(),
            "versions": json.dumps({name: version(name) for name in ("daskglass", "numpy", "xarray", "zarr")}),
        }

    def equilibration_multiple(self, index: int) -> float:
        """Number of τ_α to equilibrate at a temperature: from the first value, at the hottest, to the second."""
        assert self.study.source.simulate is not None
        hot, cold = self.study.source.simulate.equilibration.relaxation_times
        return hot + (cold - hot) * index / max(len(self.system.temperatures) - 1, 1)


def trajectory_path(pattern: str, system: str, temperature: float, replica: int) -> Path:
    """File of one run: $VARIABLES of the environment and {system}, {temperature:.2f}, {replica} filled in.

    Raises
    ------
    StudyError
        If a variable is not set or a field is unknown.
    """
    expanded = os.path.expandvars(pattern)
    if unset := re.findall(r"\$\{?(\w+)", expanded):
        raise StudyError(
            f"source.trajectories.path: environment variable {unset[0]} is not set; it stands in {pattern!r}"
        )
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(expanded) if name is not None}
        if unknown := fields - {"system", "temperature", "replica"}:
            raise KeyError(sorted(unknown)[0])
        return Path(expanded.format(system=system, temperature=temperature, replica=replica))
    except (KeyError, ValueError) as error:
        raise StudyError(
            f"source.trajectories.path: {pattern!r}: {error}; known fields are system, temperature, replica, "
            "with formats such as {temperature:.2f}"
        ) from None


def _relaxation_frames(simulate: Simulate) -> int:
    return simulate.relaxation.origins * (simulate.relaxation.points + 1)


def _frames_of(study: Study, system: System) -> int:
    """Frames of all runs of a system, as far as the study file alone says."""
    simulate = study.source.simulate
    if simulate is None:
        return 0
    each = simulate.production.frames + _relaxation_frames(simulate)
    training = simulate.training.frames if simulate.training else 0
    return system.replicas * (len(system.temperatures) * each + training)


def _times(frames: int, interval: float) -> np.ndarray:
    return np.round(np.arange(frames) * interval, 9)


def _coordinate(name: str, values: np.ndarray) -> xr.DataArray:
    variable = VARIABLES[name]
    return xr.DataArray(values.astype(variable.dtype), dims=variable.dims, attrs=variable.attrs)


def _thermal(variable: Variable) -> Variable:
    return replace(variable, name=f"{variable.name}_thermal", long_name=f"{variable.long_name}, thermal positions")
