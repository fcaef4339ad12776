"""Reading a study file, with an error text for each problem."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from daskglass.errors import StudyError, setting
from daskglass.registry import READERS
from daskglass.study.paths import ledger_path
from daskglass.study.settings import Study, System
from daskglass.study.values import LIST, VALUE, WORD
from daskglass.study.yaml_file import MOST_PROBLEMS, line_of, read_yaml

MOST_SHOWN = 100  # characters of a wrong value


def found_system(name: str) -> System:
    """System found in files, known by its name alone.

    Raises
    ------
    StudyError
        If the name is not valid for a group of the store.
    """
    try:
        return System.model_validate({"system": name})
    except ValidationError:
        raise StudyError(
            f"{name!r} is not a valid system name: use only letters, digits and _ . + -; give `constants: {{system: …}}`, or a "
            "column `system` in a table"
        ) from None


def study_of_files(
    store: Path, precision: float | None = None, systems: Sequence[Mapping[str, Any]] = (), **trajectories: Any
) -> Study:
    """Study that only converts files.

    Parameters
    ----------
    store : the store
    precision : of positions, σ
    systems : the section `systems` of a study file; if empty, all systems with files
    trajectories : the section `source.trajectories` of a study file; without `timestep`, time counts time steps

    Raises
    ------
    StudyError
        If a value is not valid.
    """
    form = trajectories.get("format")
    in_steps = trajectories.get("timestep") is None and not (form in READERS and READERS[form].ensembles)
    content = {
        "study": "convert",
        "store": str(store),
        "systems": list(systems),
        "source": {"trajectories": trajectories | ({"timestep": 1.0} if in_steps else {})},
        "inherent": "none",
        "softness": {"train_on": {"run": "production"}},
        "precision": precision,
    }
    try:
        study = Study.model_validate(content)
        check_place(study.store)
        assert study.source.trajectories is not None
        study.source.trajectories._in_steps = in_steps
        return study
    except ValidationError as error:
        raise StudyError("; ".join(f"{setting(_key(e))}: {_message(e)}" for e in error.errors())) from None


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read and validate a study file.

    Parameters
    ----------
    path : str or os.PathLike
        Study file, YAML.

    Returns
    -------
    Study
        All settings of the study, each given or by default.

    Raises
    ------
    StudyError
        Naming the file, and for each problem its line and key.

    Examples
    --------
    >>> text = '''
    ... study: example
    ... store: example.zarr
    ... systems: [{system: ka_0.0, particles: 1200, temperatures: [0.80, 0.62]}]
    ... source: {simulate: {engine: lammps}}
    ... '''
    >>> with open("example.yaml", "w") as file:
    ...     _ = file.write(text)
    >>> study = dg.load_study("example.yaml")
    >>> study.systems[0].temperatures, study.hops.window
    ((0.8, 0.62), 10.0)
    """
    path = Path(path)
    if os.path.isdir(path):
        raise StudyError("cannot be read: it is a folder", file=path, remedy="name the study file, such as first.yaml")
    if not os.path.exists(path):
        raise StudyError(
            "cannot be read: there is no such file",
            file=path,
            remedy="name the study file, or begin one with `daskglass new NAME`",
        )
    text, root, content = read_yaml(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1: a study file consists of keys such as study, store, systems")
    try:
        study = Study.model_validate(content)
        study._text = text
    except ValidationError as error:
        problems = error.errors()
        shown = list(dict.fromkeys(_reported(path, root, problem) for problem in problems[:MOST_PROBLEMS]))
        more = [f"{path}: and {len(problems) - MOST_PROBLEMS:,} more"] * (len(problems) > MOST_PROBLEMS)
        raise StudyError("\n".join(shown + more)) from None
    try:
        check_place(study.store)
    except StudyError as error:
        raise StudyError(f"{path}:{line_of(root, ('store',))}: store: {error}") from None
    return study


def check_place(store: str) -> None:
    """Check that a store can be created at a path: no other file or folder exists there, nor another store around it.

    Raises
    ------
    StudyError
        If one does, or the file system rejects the path.
    """
    path = Path(store)
    try:
        there, is_store = path.exists(), (path / "zarr.json").exists() or ledger_path(path).exists()
        for folder in path.absolute().parents:
            if folder.exists() and not folder.is_dir():
                raise StudyError(f"{store}: {folder} is a file, not a folder; choose another place for the store")
            if (folder / "zarr.json").exists():
                raise StudyError(f"{store} is inside the store {folder}; choose a place outside it")
    except OSError as error:
        raise StudyError(f"{store}: {error.strerror}") from None
    if path.is_symlink():
        raise StudyError(f"{store} is a link to itself; delete it, or choose another name for the store")
    if there and not path.is_dir():
        raise StudyError(f"{store} is a file; choose another name for the store")
    if there and not is_store:
        raise StudyError(
            f"{store} is a folder, but not a store; choose another name for the store, such as {store}/mine.zarr"
        )


REMEDIES = {
    "string_type": ": put numbers and words such as true in quotes to make them text",
    "string_pattern_mismatch": ": use only letters, digits and _ . + -, and begin with a letter or digit",
    "tuple_type": ": write a list, such as [0.8, 0.7]",
    "model_type": ": write its keys, such as {key: value}",
}  # by the type of a Pydantic error


def _reported(path: Path, root: yaml.Node | None, problem: Mapping[str, Any]) -> str:
    """One line: file, line, key and problem."""
    keys = _keys(problem)
    return f"{path}:{line_of(root, keys)}: {'.'.join(map(str, keys)) or 'study'}: {_message(problem)}"


def _keys(problem: Mapping[str, Any]) -> tuple[int | str, ...]:
    keys = (*problem["loc"], *problem.get("ctx", {}).get("at", ()))
    return tuple(key for key in keys if key not in (VALUE, WORD, LIST))


def _key(problem: Mapping[str, Any]) -> str:
    """Key of a section or of one value of it, whichever of a list it is in."""
    return ".".join(key for key in _keys(problem) if isinstance(key, str))


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key; docs/study_file.md lists all keys"
    given = problem.get("input")
    # Pydantic would name the class
    message = "not a section" if problem["type"] == "model_type" else str(problem["msg"]).removeprefix("Value error, ")
    message += REMEDIES.get(problem["type"], "")
    # the value is shown unless the message contains it
    known = isinstance(given, (dict, list, tuple)) or given is None or problem["type"] == "study"
    shown = repr(given)
    return message if known else f"{message}; got {shown[:MOST_SHOWN]}{'…' * (len(shown) > MOST_SHOWN)}"
