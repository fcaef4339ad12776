"""What a study will cost, before it runs: tasks, bytes, memory, particle-steps and hours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daskglass.physics.systems import DENSITY, SIXTH_ROOT_OF_TWO
from daskglass.pipeline.memory import Kind, system_kinds
from daskglass.pipeline.plan import STAGES, Stage, SystemPlan, plan_study
from daskglass.store.template import Layout
from daskglass.study.settings import Inherent, Simulate, Study

# One core of a 2024 server. Particle-steps per second of the embedded engine, for Δ = 0 and Δ > 0.
STEPS_PER_SECOND = (2.2e6, 1.7e6)
# Force evaluations of a frame to 1e-5, and particles evaluated per second.
EVALUATIONS = {"fire": 1500, "cg": 1700}
EVALUATIONS_PER_SECOND = 1.7e6
# Seconds per particle and frame of the stages that follow.
SECONDS: dict[Stage, float] = {
    "convert": 1e-6, "hops": 1e-7, "softness": 5e-6, "entropy": 4e-6, "ensemble": 1e-6, "barriers": 4e-6,
}  # fmt: skip
# Vogel-Fulcher-Tammann law of τ_α for Δ = 0 (T = 0.70: 4.7, T = 0.55: 28, T = 0.45: about 2000), good to a factor of
# two; other Δ at the temperature of the same depth of supercooling.
TAU, STRENGTH, DIVERGENCE = 0.42, 0.85, 0.35


@dataclass(frozen=True)
class Cost:
    """Cost of one system.

    Attributes
    ----------
    nbytes, files : of the store, uncompressed
    kinds : of its tasks, with the memory that they need
    hours : of one core, by stage; they lack what cannot be estimated
    chain : hours of the longest chain of tasks that wait for one another: the simulations of one replica, from hot to cold
    """

    system: str
    particles: int
    frames: int
    particle_steps: float
    nbytes: int
    files: int
    kinds: tuple[Kind, ...]
    tasks: dict[Stage, int]
    hours: dict[Stage, float]
    chain: float
    notes: tuple[str, ...]


def costs(study: Study) -> list[Cost]:
    """Estimate the cost of every system of a study; reads headers of files, writes nothing."""
    return [_cost(plan) for plan in plan_study(study)]


def wall_hours(plans: Sequence[Cost], workers: int) -> float:
    """Hours on `workers` workers: all core hours shared, but not less than the longest chain takes."""
    return max(sum(sum(plan.hours.values()) for plan in plans) / workers, *(plan.chain for plan in plans))


def longer_than(plans: Iterable[Cost], lifetime: float) -> list[str]:
    """Name the tasks that may not end while a worker lives: what is done of them is lost with it, again and again.

    Simulations leave checkpoints, other tasks do not. Those that take more than half a lifetime count.
    """
    found = []
    for plan in plans:
        for stage, hours in plan.hours.items():
            blocks = sum(kind.number for kind in plan.kinds if kind.stage == stage and kind.frames)
            seconds = 3600 * hours / max(blocks, 1)
            if stage != "simulate" and seconds > lifetime / 2:
                found.append(
                    f"{plan.system}: a task of stage {stage} takes about {seconds / 3600:.2g} h, and a worker leaves after "
                    f"{lifetime / 3600:.2g} h, before the walltime: ask for a longer one"
                )
    return found


def relaxation_time_estimate(plan: SystemPlan, temperature: float) -> float | None:
    """τ_α to plan with: of the study file, or of the built-in systems; None for other mixtures."""
    simulate = plan.study.source.simulate
    known = None if simulate is None else simulate.known_relaxation_time(temperature)
    if known is not None:
        return known
    mixture = plan.system.mixture
    if mixture is None or not plan.name.startswith("ka_") or mixture.density != DENSITY.get(mixture.delta):
        return None
    depth = (mixture.density / DENSITY[0.0]) ** (2 / 3) / (1 - SIXTH_ROOT_OF_TWO * mixture.delta) ** 2
    reduced = temperature / depth
    return TAU * math.exp(STRENGTH / (reduced - DIVERGENCE)) if reduced > DIVERGENCE else math.inf


def _cost(plan: SystemPlan) -> Cost:
    kinds = system_kinds(plan)
    counted = {stage: sum(kind.number for kind in kinds if kind.stage == stage) for stage in STAGES}
    layouts = plan.layouts.values()
    frames = {
        name: layout.sizes["temperature"] * layout.sizes["replica"] * layout.sizes["time"]
        for name, layout in plan.layouts.items()
    }
    analysed = sum(number for name, number in frames.items() if name != "relaxation") * plan.particles
    hours: dict[Stage, float] = {stage: seconds * analysed / 3600 for stage, seconds in SECONDS.items()}
    notes: list[str] = []
    steps = chain = 0.0
    if simulate := plan.study.source.simulate:
        steps = _steps(plan, simulate, notes) * plan.particles
        if not notes:
            per_second = STEPS_PER_SECOND[plan.system.mixture is not None and plan.system.mixture.delta > 0]
            hours["simulate"] = steps / per_second / 3600
            chain = hours["simulate"] / len(plan.replicas)
    if isinstance(plan.study.inherent, Inherent):
        hours["inherent"] = analysed * EVALUATIONS[plan.study.inherent.minimizer] / EVALUATIONS_PER_SECOND / 3600
    return Cost(
        system=plan.name,
        particles=plan.particles,
        frames=sum(frames.values()),
        particle_steps=steps,
        nbytes=sum(sum(layout.nbytes().values()) for layout in layouts),
        files=sum(_files(layout) for layout in layouts),
        kinds=tuple(kinds),
        tasks={stage: number for stage, number in counted.items() if number},
        hours=hours,
        chain=chain,
        notes=tuple(notes),
    )


def _files(layout: Layout) -> int:
    """Chunks, or shards, of all variables of a run."""
    rows = layout.sizes["temperature"] * layout.sizes["replica"]
    blocks = math.ceil(layout.sizes["time"] / layout.block)
    return sum(rows * (blocks if "time" in variable.dims else 1) for variable in layout.variables)


def _steps(plan: SystemPlan, simulate: Simulate, notes: list[str]) -> float:
    """Time steps of all replicas of a system."""
    total = 0.0
    for index, T in enumerate(plan.temperatures):
        tau = relaxation_time_estimate(plan, T)
        if tau is None:
            notes.append(
                f"T = {T:g}: relaxation time unknown (source.simulate.relaxation_time): its steps are a minimum"
            )
            tau = 0.0
        duration = max(simulate.equilibration.minimum, plan.equilibration_multiple(index) * tau)
        duration += (simulate.relaxation.longest + simulate.relaxation.origins - 1) * tau
        duration += (simulate.production.frames - 1) * simulate.production.interval
        if simulate.training and plan.training_temperature == T:
            duration += (simulate.training.frames - 1) * simulate.training.interval
        total += duration / simulate.timestep
    return total * len(plan.replicas)
