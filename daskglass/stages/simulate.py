"""Simulate: each temperature of a replica starts from what the next hotter one hands over, and goes on beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from daskglass.engines import ensembles, saved, sweep
from daskglass.engines.link import Link
from daskglass.registry import ENGINES
from daskglass.stages.declare import ENSEMBLES, MOVED, POSITION, RECORDED, Item, Place, Plan, Stage, Step
from daskglass.study.settings import fingerprint

HANDED = "handed"  # states that colder simulations start from, in files


@dataclass(frozen=True)
class Handovers:
    """Every temperature of every replica, from hot to cold, each after the next hotter one."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the simulations."""
        hotter: Place | None = None
        for simulation in plan.source.simulations:
            place = _place(simulation.link)
            follows = () if simulation.link.previous is None or hotter is None else (hotter,)
            yield Item(place, (simulation.link,), simulation.beginning, follows)
            hotter = place

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the simulations."""
        return {"": len(plan.source.simulations)}


@dataclass(frozen=True)
class Simulations:
    """Every temperature of every replica, each after what it handed over itself, or after the whole hotter one."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the simulations."""
        for item, simulation in zip(Handovers().items(plan), plan.source.simulations, strict=True):
            follows = item.follows if simulation.link.handover is None else ()
            yield Item(item.place, item.arguments, simulation.inputs, follows)

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the simulations."""
        return Handovers().count(plan)


@dataclass(frozen=True)
class FromConfigurations:
    """Isoconfigurational trajectories of every configuration, some at a time."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List them, with the configuration that they start from."""
        inputs = {_place(simulation.link): simulation.inputs for simulation in plan.source.simulations}
        for block in plan.blocks(ENSEMBLES):
            for job in plan.source.trajectories(block):
                part = f"/c{job.frame}/{job.numbers[0]}"
                place = Place(block.system, block.temperature, block.replica, part)
                own = {"trajectories": fingerprint(*job.asked)}
                yield Item(place, (job,), {**inputs[replace(place, part="")], **own})

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the tasks."""
        blocks = plan.blocks(ENSEMBLES)
        number = Counter(block.temperature for block in blocks)
        one = {block.temperature: block for block in blocks}
        return {"": sum(number[T] * len(plan.source.trajectories(block)) for T, block in one.items())}


def hand_over(link: Link) -> dict[str, Any]:
    """Run one link of a temperature sweep until the next one can start."""
    state = sweep.hand_over(link)
    return {"relaxation_time": state.relaxation_time, "steps": state.total, "seconds": state.wall}


def simulate(link: Link) -> dict[str, Any]:
    """Run one link of a temperature sweep, or what is left of it."""
    handed = saved.handed_over(link)
    receipt = sweep.simulate(link)
    return {
        "relaxation_time": receipt.relaxation_time,
        "energy": receipt.energy,
        "pressure": receipt.pressure,
        "steps": receipt.steps,
        "seconds": receipt.wall - (handed.wall if handed else 0.0),
    }


def _place(link: Link) -> Place:
    return Place(link.system, link.temperature, link.replica)


def _memory(plan: Plan, run: str) -> int:
    # and the frames that tell whether a relaxation run is long enough
    frames = plan.layouts["relaxation"].frames if "relaxation" in plan.layouts else 0
    return plan.source.particles * (ENGINES[plan.source.effort().engine].memory + frames * POSITION)


def _threads(plan: Plan) -> int:
    return plan.source.effort().threads


def _is_handed_over(plan: Plan) -> bool:
    return any(simulation.link.handover for simulation in plan.source.simulations)


def _seconds(plan: Plan, gpu: bool) -> float:
    effort = plan.source.effort()
    engine = ENGINES[effort.engine]
    speed = engine.gpu if gpu and engine.gpu else engine.core
    # steps that nobody knows would make a time of no use
    cores = effort.threads / speed.speedup(effort.threads)
    return 0.0 if effort.notes else cores * effort.particle_steps / speed.steps[effort.shifted]


STAGE = Stage(
    "simulate",
    (
        Step(
            hand_over,
            over=Handovers(),
            name="handover",
            writes=(HANDED,),
            memory=_memory,
            when=_is_handed_over,
            threads=_threads,
        ),
        Step(
            simulate,
            over=Simulations(),
            reads=(HANDED,),
            writes=(RECORDED,),
            memory=_memory,
            seconds=_seconds,
            when=lambda plan: bool(plan.source.simulations),
            threads=_threads,
        ),
        Step(
            ensembles.simulate,
            over=FromConfigurations(),
            name="trajectories",
            reads=(RECORDED,),
            writes=(MOVED,),
            memory=lambda plan, run: plan.source.particles * ENGINES[plan.source.effort().engine].memory,
            threads=_threads,
        ),
    ),
)
