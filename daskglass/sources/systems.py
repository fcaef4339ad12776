"""The source of every system of a study."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from daskglass.sources import Source
from daskglass.sources.ensembles import of_ensembles
from daskglass.sources.files import of_files
from daskglass.sources.simulated import simulated
from daskglass.sources.surveys import Over, are_ensembles, by_system, find_files, survey_sources
from daskglass.store.ledger import Ledger
from daskglass.study.load import found_system
from daskglass.study.settings import Study


def sources_of(study: Study, ledger: Ledger | None = None, over: Over = map, adding: bool = False) -> list[Source]:
    """Return the source of every system; files are looked up, and surveyed where the ledger does not know them.

    Parameters
    ----------
    study : the study
    ledger : of its store
    over : runs a function over lists of its arguments, as `map` does
    adding : whether files join what is in the store, of which they need not be all

    Raises
    ------
    StudyError
        If the study does not say where files belong.
    TrajectoryError
        If no file is found, or two belong in one place.
    """
    ledger = Ledger(Path(study.store)) if ledger is None else ledger
    if study.source.simulate is not None:
        return [simulated(study, system, ledger) for system in study.systems]
    wanted = {system.system for system in study.systems}
    found = [file for file in find_files(study) if not wanted or file.system in wanted]
    systems = study.systems or [found_system(name) for name in dict.fromkeys(file.system for file in found)]
    look = partial(survey_sources, study, ledger, over=over)
    if are_ensembles(found):
        return [of_ensembles(study, system, found, look) for system in systems]
    files = by_system(look(found))
    return [of_files(study, system, files.get(system.system, {}), adding) for system in systems]


def reads_files(study: Study) -> bool:
    """Whether frames come from files, which must be looked into before anything is planned."""
    return study.source.trajectories is not None
