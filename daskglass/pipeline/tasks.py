"""The graph of a system: one task per block, sums combined as trees, each task after those whose data it reads."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daskglass.engines.sweep import Equilibration, Link, Logarithmic, Uniform
from daskglass.physics import structure
from daskglass.pipeline.plan import Stage, SystemPlan
from daskglass.stages import functions as stages
from daskglass.store.blocks import Block
from daskglass.store.wholeness import Region
from daskglass.study.settings import Inherent

FAN_IN = 16  # partial results combined in one task


@dataclass(frozen=True)
class Task:
    """One call on a worker.

    Attributes
    ----------
    key : unique name, of the stage and what it is done to; also the task's name in the ledger
    function, arguments : what is called
    needs : tasks whose results are handed over behind the arguments
    after : tasks that must be complete before, whose results are not needed
    inputs : hashes of all that the result depends on, by name; None for a partial result, which lives in memory until
        its sum is written
    owns : what the task writes, and what else is out of date when it is to run: taken back before any task runs
    problem : why the task cannot be done; empty where it can be tried
    """

    stage: Stage
    system: str
    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    inputs: Mapping[str, str] | None = None
    owns: tuple[Region, ...] = ()
    problem: str = ""


def key_of(stage: Stage, what: str) -> str:
    """Name of a task; Dask's dashboard groups by what stands before the dash."""
    return f"{stage}-{what}"


def stage_and_system(key: str) -> tuple[str, str]:
    """Stage and system that the key of a task begins with."""
    stage, _, what = key.partition("-")
    return stage, what.partition("/")[0]


def convert_tasks(plan: SystemPlan) -> list[Task]:
    """Tasks that bring a system's files into the store, and do nothing else."""
    graph = _Graph(plan)
    graph.read()
    return [task for task in graph.tasks if task.stage == "convert"]


def system_tasks(plan: SystemPlan) -> list[Task]:
    """All tasks of a system, every one after those it waits for."""
    plan.check_analysis()
    graph = _Graph(plan)
    graph.read()
    graph.hops_and_training()
    graph.soften()
    graph.entropy()
    graph.ensemble()
    graph.barriers()
    return graph.tasks


class _Graph:
    """The growing list of a system's tasks; every method adds some and returns their keys where others need them."""

    def __init__(self, plan: SystemPlan) -> None:
        self.plan, self.study, self.path, self.name = plan, plan.study, plan.path, plan.name
        self.tasks: list[Task] = []
        self.by_place: dict[str, dict[tuple[float | None, int | None], list[Block]]] = {}
        self.data: dict[str, str] = {}  # hash of all files, or simulations, that a task's result is made from
        self.particle_runs = [run for run in plan.layouts if run != "relaxation"]
        self.mu = structure.mu_grid(*self.study.structure.mu)
        self.kinds = list(dict.fromkeys((plan.positions, stages.THERMAL)))

    def _write(
        self,
        stage: Stage,
        what: str,
        function: Callable[..., Any],
        *arguments: Any,
        of: Mapping[str, str] | None = None,
        owns: Sequence[Region] = (),
        **waits: Sequence[str],
    ) -> str:
        """Add a task that writes to the store, and that the ledger remembers; `of` is what it brings in from outside."""
        key = self._partial(stage, what, function, *arguments, **waits)
        inputs = self.plan.inputs(stage) | (dict(of) if of else {"data": self.data[key]})
        self.tasks[-1] = replace(self.tasks[-1], inputs=inputs, owns=tuple(owns))
        if of:
            self.data[key] = self.study.fingerprint(self.data[key], dict(of))
        return key

    def _partial(
        self,
        stage: Stage,
        what: str,
        function: Callable[..., Any],
        *arguments: Any,
        needs: Sequence[str] = (),
        after: Sequence[str] = (),
    ) -> str:
        """Add a task whose result goes to other tasks only."""
        self.data[key_of(stage, what)] = self.study.fingerprint([self.data[key] for key in (*needs, *after)])
        self.tasks.append(Task(stage, self.name, key_of(stage, what), function, arguments, tuple(needs), tuple(after)))
        return self.tasks[-1].key

    def _combine(self, stage: Stage, what: str, combine: Callable[..., Any], keys: list[str]) -> str:
        """Add a tree of tasks that combines results, in order, into one."""
        level = 0
        while len(keys) > 1 or level == 0:
            level += 1
            groups = [keys[k : k + FAN_IN] for k in range(0, len(keys), FAN_IN)]
            keys = [
                self._partial(stage, f"{what}/{combine.__name__}/{level}.{k}", combine, needs=group)
                for k, group in enumerate(groups)
            ]
        return keys[0]

    def _positions(self, block: Block) -> str:
        """Task that writes the positions which structure and hops are computed from."""
        return key_of("convert" if self.plan.positions == stages.THERMAL else "inherent", block.key)

    def _blocks(self, run: str, temperature: float | None = None, replica: int | None = None) -> list[Block]:
        if run not in self.by_place:
            # looked up for every block, so listed once
            listed = self.by_place.setdefault(run, {})
            for block in self.plan.layouts[run].blocks():
                for T in (None, block.temperature):
                    for k in (None, block.replica):
                        listed.setdefault((T, k), []).append(block)
        return self.by_place[run].get((temperature, replica), [])

    def read(self) -> None:
        """Simulate or convert, then minimise."""
        if self.study.source.simulate:
            self._simulate()
        for run in self.plan.layouts:
            for block in self._blocks(run):
                if self.plan.has_frames(run, block.temperature, block.replica):
                    self._convert(run, block)
        if isinstance(self.study.inherent, Inherent):
            given = self.study.inherent
            for run in self.particle_runs:
                for block in self._blocks(run):
                    self._write(
                        "inherent",
                        block.key,
                        stages.minimize,
                        self.path,
                        block,
                        self.plan.system.mixture,
                        given.engine,
                        given.minimizer,
                        given.force_tolerance,
                        self.study.precision,
                        after=[key_of("convert", block.key)],
                        owns=[_of(block, stages.INHERENT, "inherent_force")],
                    )

    def _simulate(self) -> None:
        simulate, system = self.study.source.simulate, self.plan.system
        assert simulate is not None
        assert system.mixture is not None
        for replica in self.plan.replicas:
            previous: Path | None = None
            after: list[str] = []
            before = ""
            for index, T in enumerate(self.plan.temperatures):
                training = simulate.training if self.plan.training_temperature == T else None
                link = Link(
                    engine=simulate.engine,
                    system=self.name,
                    mixture=system.mixture,
                    particles=self.plan.particles,
                    replica=replica,
                    seed=simulate.seed + zlib.crc32(self.name.encode()),
                    temperature=T,
                    timestep=simulate.timestep,
                    folder=self.plan.folder(T, replica).resolve(),
                    previous=previous,
                    production=Uniform(simulate.production.frames, simulate.production.interval),
                    training=Uniform(training.frames, training.interval) if training else None,
                    relaxation=Logarithmic(**simulate.relaxation.model_dump()),
                    equilibration=Equilibration(
                        simulate.equilibration.minimum, self.plan.equilibration_multiple(index)
                    ),
                    relaxation_time=simulate.known_relaxation_time(T),
                )
                settings = {name: value for name, value in vars(link).items() if name not in ("folder", "previous")}
                # the next colder link starts from this one
                before = self.study.fingerprint(before, settings | {"mixture": system.mixture.model_dump()})
                what, of = f"{self.name}/T{T}/r{replica}", {"source.simulate": before}
                after = [self._write("simulate", what, stages.simulate, link, after=after, of=of)]
                previous = link.folder

    def _convert(self, run: str, block: Block) -> None:
        if self.study.source.simulate:
            problem, grew = "", False
            simulated = key_of("simulate", f"{self.name}/T{block.temperature}/r{block.replica}")
            of = {"source.simulate": self.data[simulated]}
            origin = stages.Origin(self.plan.folder(block.temperature, block.replica) / f"{run}.gsd")
            after = [simulated]
        else:
            trajectories = self.study.source.trajectories
            assert trajectories is not None
            file = self.plan.file(run, block.temperature, block.replica)
            problem, grew = file.problem, bool(file.survey and file.survey.grew)
            of = {"file": self.plan.content(block)}
            survey = file.survey and file.survey.around(block.start, block.stop)
            origin = stages.Origin(file.path, trajectories.reader, survey, trajectories.images)
            after = []
            if file.survey and not file.survey.images and block.start:
                # without images, positions continue those of the block before
                earlier = [b for b in self._blocks(run, block.temperature, block.replica) if b.stop == block.start]
                after = [key_of("convert", b.key) for b in earlier]
        given = self.study.source.simulate or self.study.source.trajectories
        assert given is not None
        self._write(
            "convert",
            block.key,
            stages.convert,
            self.path,
            block,
            origin,
            self.plan.species,
            given.timestep,
            self.study.precision,
            run != "relaxation",
            after=after,
            of=of | {"frames": f"{block.start} to {block.stop}"},
            # frames of a file that only grew stay until all of it is read
            owns=[] if grew else [_of(block, *self._read_from_files(run))],
        )
        self.tasks[-1] = replace(self.tasks[-1], problem=problem)

    def _read_from_files(self, run: str) -> list[str]:
        """Variables of a run that come with its frames."""
        names = [stages.THERMAL, "box", "time", "potential_energy", "pressure"]
        return [variable.name for variable in self.plan.layouts[run].variables if variable.name in names]

    def hops_and_training(self) -> None:
        """Hop indicator everywhere; labels, examples and the model of the training run."""
        study, run = self.study, self.plan.softness_run
        for each in self.particle_runs:
            half = self.plan.frames_of(each, study.hops.window / 2)
            for block in self._blocks(each):
                near = [
                    self._positions(other)
                    for other in self._blocks(each, block.temperature, block.replica)
                    if (other.stop > block.start - half and other.start < block.stop + half)
                    # where the box varies, motion is relative to its first frame
                    or (other.start == 0 and self.plan.box is None)
                ]
                self._write(
                    "hops",
                    block.key,
                    stages.hops,
                    self.path,
                    block,
                    self.plan.positions,
                    study.hops.window,
                    half,
                    after=near,
                    owns=[_of(block, "hop")],
                )
        T = self.plan.training_temperature
        rows = [row for row in self.plan.rows(run) if row.temperature == T]
        labels = []
        for row in rows:
            after = [key_of("hops", block.key) for block in self._blocks(run, T, row.replica)]
            others = [other for other in self.plan.rows(run) if other.replica == row.replica and other.temperature != T]
            labels.append(
                self._write(
                    "hops",
                    f"{row.key}/labels",
                    stages.label,
                    self.path,
                    row,
                    study,
                    after=after,
                    # there are labels at one temperature only
                    owns=[_of(each, "label") for each in (row, *others)],
                )
            )
        lead = self.plan.frames_of(run, study.hops.lead)
        chosen = self._partial(
            "structure",
            f"{self.name}/select",
            stages.select,
            self.path,
            rows,
            lead,
            study.softness.samples_per_class,
            study.softness.seed,
            after=labels,
        )
        parts = [
            self._partial(
                "structure",
                block.key,
                stages.structure_of_examples,
                self.path,
                block,
                self.plan.positions,
                self.mu,
                study.structure.width,
                needs=[chosen],
            )
            for block in self._blocks(run, T)
        ]
        gathered = self._write(
            "structure",
            self.name,
            stages.gather_examples,
            self.path,
            self.name,
            needs=parts,
            owns=[Region(f"{self.name}/examples")],
        )
        given = study.softness
        self._write(
            "train",
            self.name,
            stages.train,
            self.path,
            self.name,
            given.samples_per_class,
            given.C,
            given.seed,
            after=[gathered],
            owns=[Region(f"{self.name}/model")],
        )

    def soften(self) -> None:
        """Softness and local entropy of every block."""
        for run in self.particle_runs:
            for block in self._blocks(run):
                self._write(
                    "softness",
                    block.key,
                    stages.soften,
                    self.path,
                    block,
                    self.plan.positions,
                    self.mu,
                    self.study.structure.width,
                    after=[key_of("train", self.name), self._positions(block)],
                    owns=[_of(block, "softness", "local_entropy")],
                )

    def entropy(self) -> None:
        """Radial distribution functions of every temperature and replica."""
        radial = self.study.radial
        for row in self.plan.rows("production"):
            for positions, name in zip(self.kinds, ("g", "g_thermal"), strict=False):
                parts = [
                    self._partial(
                        "entropy",
                        f"{block.key}/{name}",
                        stages.count_pairs,
                        self.path,
                        block,
                        positions,
                        radial.r_max,
                        radial.bin_width,
                        after=[key_of("convert", block.key), self._positions(block)],
                    )
                    for block in self._blocks("production", row.temperature, row.replica)
                ]
                total = self._combine("entropy", f"{row.key}/{name}", stages.add, parts)
                self._write(
                    "entropy",
                    f"{row.key}/{name}/row",
                    stages.write_radial,
                    self.path,
                    row,
                    name,
                    needs=[total],
                    owns=[_of(row, name)],
                )

    def ensemble(self) -> None:
        """Bulk dynamics, correlations, and the counts of every stratum."""
        study, run = self.study, "relaxation" if self.study.source.simulate else "production"
        lags = self.plan.layouts[run].coordinates["lag"].values
        motion = [
            self._write(
                "ensemble",
                f"{row.key}/dynamics",
                stages.bulk_dynamics,
                self.path,
                row,
                lags,
                study.dynamics.q,
                after=[key_of("convert", block.key) for block in self._blocks(run, row.temperature, row.replica)],
                owns=[_of(row, "scattering", "msd")],
            )
            for row in self.plan.rows(run)
        ]
        summaries = []
        for T in self.plan.temperatures:
            parts = [
                self._partial(
                    "ensemble",
                    f"{block.key}/summary",
                    stages.summarize,
                    self.path,
                    block,
                    study.hops.soft,
                    after=[key_of("softness", block.key), key_of("hops", block.key)],
                )
                for block in self._blocks("production", T)
            ]
            summaries.append(self._combine("ensemble", f"{self.name}/T{T}", stages.merge_summaries, parts))
        edges = self._partial("ensemble", f"{self.name}/edges", stages.candidate_edges, study, needs=summaries)
        counts = []
        for row in self.plan.rows("production"):
            parts = [
                self._partial(
                    "ensemble",
                    f"{block.key}/counts",
                    stages.count_strata,
                    self.path,
                    block,
                    study.hops.soft,
                    needs=[edges],
                )
                for block in self._blocks("production", row.temperature, row.replica)
            ]
            counts.append(self._combine("ensemble", f"{row.key}/counts", stages.join_counts, parts))
        radial = [task.key for task in self.tasks if task.stage == "entropy" and task.inputs is not None]
        self._write(
            "ensemble",
            self.name,
            stages.write_ensemble,
            self.path,
            study,
            self.name,
            needs=[*summaries, edges, *counts],
            after=[*motion, *radial],
            owns=[Region(f"{self.name}/ensemble")],
        )

    def barriers(self) -> None:
        """Arrhenius fits, then the radial distribution functions of the softness bins that they define."""
        study = self.study
        fits = self._partial(
            "barriers",
            f"{self.name}/fits",
            stages.fit_barriers,
            self.path,
            study,
            self.name,
            after=[key_of("ensemble", self.name)],
        )
        bins = self._partial(
            "barriers", f"{self.name}/bins", stages.softness_bins, study.radial.softness_bins, needs=[fits]
        )
        totals = []
        for T in self.plan.temperatures:
            parts = [
                self._partial(
                    "barriers",
                    f"{block.key}/grouped",
                    stages.count_grouped_pairs,
                    self.path,
                    block,
                    self.kinds,
                    study.radial.r_max,
                    study.radial.bin_width,
                    needs=[bins],
                )
                for block in self._blocks("production", T)
            ]
            totals.append(self._combine("barriers", f"{self.name}/T{T}", stages.add, parts))
        self._write(
            "barriers",
            self.name,
            stages.write_barriers,
            self.path,
            study,
            self.name,
            needs=[fits, bins, *totals],
            owns=[Region(f"{self.name}/ensemble", stages.BARRIERS)],
        )


def _of(block: Block, *names: str) -> Region:
    return Region(block.group, names, block)
