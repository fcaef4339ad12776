"""The reference, from what the code declares: functions, command line, settings, cluster.yaml, variables, errors."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Iterator
from operator import attrgetter
from types import FunctionType
from typing import Any, get_args

from docstrings import public_errors
from numpydoc.docscrape import FunctionDoc
from pydantic import BaseModel
from typer.main import get_command

import daskglass
from daskglass.cli import app
from daskglass.cluster import checks
from daskglass.cluster.shipped import SHIPPED
from daskglass.errors import StudyError
from daskglass.registry import BATCH_SYSTEMS, ENGINES, READERS, TEMPLATES
from daskglass.stages.declare import Reduce
from daskglass.stages.registry import STAGES
from daskglass.study.settings import Study
from daskglass.study.templates import FOLDER
from daskglass.variables import VARIABLES

# modules of functions
TOPICS = {
    "Stores and studies": ("store.blocks", "store.queries", "store.export", "study.load"),
    "Structure": (
        "physics.structure", "physics.entropy", "physics.energies", "physics.neighborhood", "physics.order", "physics.minima",
    ),
    "Rearrangement and dynamics": ("physics.hops", "physics.dynamics", "physics.affine"),
    "Softness": ("physics.softness", "physics.receiver"),
    "Barriers": ("physics.strata", "physics.barriers", "physics.bootstrap"),
    "Propensity": ("physics.propensity", "physics.scores", "physics.descriptors", "physics.predictors"),
    "Mixtures": ("physics.systems",),
    "Plots": ("plot.liquid", "plot.rearrangement", "plot.softness", "plot.prediction", "plot.particles"),
}  # fmt: skip


def pages() -> dict[str, str]:
    """Generated pages, by their places."""
    return {
        "reference/api.md": functions(),
        **{f"reference/api/{name}.rst": function(name) for names in public().values() for name in names},
        "reference/command_line.md": command_line(),
        "reference/study_files.md": study_files(),
        "reference/cluster_yaml.md": cluster_yaml(),
        "reference/variables.md": variables(),
        "reference/errors.md": errors(),
    }


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table in Markdown."""
    lines = [list(head), ["---" for _ in head], *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def fenced(language: str, text: str) -> str:
    """Write a block of code in Markdown."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def code(names: Iterable[str]) -> str:
    """Write names as code, in a list."""
    return ", ".join(f"`{name}`" for name in names)


# --- functions -----------------------------------------------------------------------------------------------------


def public() -> dict[str, list[str]]:
    """Public names by their modules; those of the namespace `plot` with it."""
    plots = {module: [f"plot.{name}" for name in names] for module, names in daskglass.plot._HOME.items()}
    return {module: list(names) for module, names in daskglass._HOME.items()} | plots


def named(name: str) -> Any:
    """What has a public name."""
    return attrgetter(name)(daskglass)


def summary(name: str) -> str:
    """First line of the docstring of a public name."""
    first = inspect.cleandoc(named(name).__doc__).splitlines()[0]
    return first.replace(" [1]_", "").replace("`", "").replace("|", r"\|").replace("_", r"\_")


def functions() -> str:
    """List public names by topic."""
    listed = [module for modules in TOPICS.values() for module in modules]
    homes = public()
    if set(listed) != set(homes) or len(set(listed)) != len(listed):
        raise ValueError(f"list each module of public functions once in TOPICS: {set(listed) ^ set(homes)}")
    text = "# Functions\n\n```python\nimport daskglass as dg\n```\n\n"
    for topic, modules in TOPICS.items():
        names = [name for module in modules for name in homes[module]]
        lines = [f"- [`{name}`](api/{name}.rst): {summary(name)}" for name in names]
        toctree = fenced("{toctree}", "\n".join([":hidden:", "", *(f"api/{name}" for name in names)]))
        text += "\n".join([f"## {topic}", "", *lines, "", toctree, ""])
    return text


def members(kind: type) -> list[str]:
    """Public methods and properties that a class itself defines."""
    return [
        name
        for name, value in vars(kind).items()
        if not name.startswith("_") and isinstance(value, property | classmethod | staticmethod | FunctionType)
    ]


def function(name: str) -> str:
    """Page of a public function or class."""
    value = named(name)
    module, _, own = f"daskglass.{name}".rpartition(".")
    lines = [name, "=" * len(name), "", f".. currentmodule:: {module}", ""]
    if isinstance(value, type):
        lines += [f".. autoclass:: {own}", f"   :members: {', '.join(members(value))}", "   :member-order: bysource"]
    else:
        lines += [f".. autofunction:: {own}"]
    return "\n".join(lines) + "\n"


# --- command line --------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every command of the command line, with its arguments and options."""
    group: Any = get_command(app)
    text = "# Command line\n\nAlso as `python -m daskglass`. Exit status 0: done; 1: failed; 2: bad usage or study file.\n\n"
    text += _parameters(group.params)
    for name, command in group.commands.items():
        arguments = [it for it in command.params if it.param_type_name == "argument"]
        words = [it.name.upper() if it.required else f"[{it.name.upper()}]" for it in arguments]
        usage = " ".join(["daskglass", name, *words, *["[OPTIONS]"] * (len(arguments) < len(command.params))])
        text += (
            f"## {name}\n\n{inspect.cleandoc(command.help)}\n\n{fenced('text', usage)}\n{_parameters(command.params)}"
        )
    return text


def _parameters(parameters: Iterable[Any]) -> str:
    rows = [
        (f"`{it.name.upper()}`" if it.param_type_name == "argument" else _option(it), it.help or "", _default(it))
        for it in parameters
    ]
    return table(("argument or option", "meaning", "default"), rows) + "\n" if rows else ""


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.opts[0].lstrip('-').upper().replace('-', '_')}"
    names = code(f"{name}{value}" for name in (*option.opts, *option.secondary_opts))
    return names + " …" * option.multiple


def _default(option: Any) -> str:
    shown = option.show_default and option.default not in (None, False, (), [])
    return f"`{option.default}`" if shown and not callable(option.default) else ""


# --- settings ------------------------------------------------------------------------------------------------------


def models(model: type[BaseModel], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Sections of a study file in their order, and sections of these, by their keys."""
    yield keys, model
    for name, field in model.model_fields.items():
        for kind in _models_in(field.annotation):
            yield from models(kind, (*keys, name))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def limits_of_settings() -> str:
    """Types, limits and defaults of all settings, and what is chosen by name."""
    text = "\n## Types and limits\n\nOf every key, from the models that check it.\n\n"
    for keys, model in models(Study):
        schema = model.model_json_schema()
        path = ".".join(keys)
        rows = [
            (
                f"`{name}`",
                _values(given, schema.get("$defs", {})),
                "required" if name in schema.get("required", ()) else _value(given.get("default"), model, name),
            )
            for name, given in schema["properties"].items()
        ]
        about = inspect.cleandoc(model.__doc__ or "").split("\n\n")[0] if "physics" not in model.__module__ else ""
        title = f"`{path}`" if path else "The whole file"
        text += f"### {title}\n\n" + (about.replace("\n", " ") + "\n\n" if about else "")
        text += table(("key", "value", "default"), rows) + "\n"
    text += "### Trajectory formats\n\n" + table(
        ("`format`", "reads"), ((f"`{n}`", e.about) for n, e in READERS.items())
    )
    text += "\n### Engines\n\n" + table(
        ("`engine`", "is", "minimizers", "simulates"),
        ((f"`{n}`", e.about, code(e.minimizers), "yes" if e.simulates else "no") for n, e in ENGINES.items()),
    )
    return text


NAMES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def _values(given: dict[str, Any], kinds: dict[str, Any]) -> str:
    """Say what a key of a JSON schema allows, in words."""
    if "$ref" in given:
        kind = kinds[given["$ref"].rpartition("/")[2]]
        return "section" if kind.get("properties") else _values(kind, kinds)
    if choices := given.get("anyOf") or given.get("oneOf"):
        return " or ".join(dict.fromkeys(_values(choice, kinds) for choice in choices))
    if "const" in given:
        return f"`{given['const']}`"
    if "enum" in given:
        return code(given["enum"])
    if given.get("type") == "array":
        if "prefixItems" in given:
            return f"list of {len(given['prefixItems'])}: {_values(given['prefixItems'][0], kinds)}"
        most = f", at most {given['maxItems']:,}" if "maxItems" in given else ""
        return f"list{most}: {_values(given['items'], kinds)}"
    if given.get("type") == "object":
        return "names with values"
    bounds = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    limits = [f"{sign} {_number(given[key])}" for key, sign in bounds.items() if key in given]
    return ", ".join([NAMES[given["type"]], *limits])


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _value(default: Any, model: type[BaseModel], name: str) -> str:
    """Write a default as a study file has it; of a section, its keys have theirs."""
    value = model.model_fields[name].default
    if isinstance(value, BaseModel) or default in (None, [], {}):
        return ""
    return f"`{str(default).replace(chr(39), '')}`"


def study_files() -> str:
    """Study files that `daskglass new --from` begins from."""
    text = "# Study files to begin from\n\n`daskglass new NAME --from TEMPLATE` writes one into the working folder.\n\n"
    for name in TEMPLATES:
        text += f"## {name}\n\n{fenced('yaml', (FOLDER / f'{name}.yaml').read_text(encoding='utf-8'))}\n"
    return text


# --- cluster.yaml --------------------------------------------------------------------------------------------------


def cluster_yaml() -> str:
    """Keys of a profile, batch systems, and the cluster.yaml that daskglass brings along."""
    text = (
        "# cluster.yaml\n\nA profile is one entry of this file: see [From a laptop to a cluster](../clusters.md).\n\n"
    )
    text += "## Keys of daskglass\n\n"
    kinds = [(f"`{kind}`", code(keys)) for kind, keys in checks.OWN.items()]
    text += table(("`type`", "keys"), [*kinds, (code(BATCH_SYSTEMS), code(checks.OWN_OF_BATCH_SYSTEMS))])
    text += "\nA batch system also needs:\n\n"
    text += table(
        ("key", "remedy where it is missing"), ((f"`{key}`", remedy) for key, remedy in checks.REQUIRED.items())
    )
    text += "\nAll other keys are arguments of the cluster class. These are refused:\n\n"
    text += table(("key", "reason"), ((f"`{key}`", reason) for key, reason in checks.SET_BY_DASKGLASS.items()))
    text += "\nand these in `worker_extra_args`:\n\n"
    text += table(("argument", "reason"), ((f"`{key}`", why) for key, why in checks.ARGUMENTS_SET_BY_DASKGLASS.items()))
    text += "\n## Batch systems\n\n"
    text += table(
        ("`type`", "batch system", "cluster class", "walltime", "also needs", "says why a job waits"),
        (
            (
                f"`{name}`",
                it.about,
                f"`{it.place.partition(':')[2]}`",
                code(it.walltimes),
                code(it.required),
                f"`{it.why}`",
            )
            for name, it in BATCH_SYSTEMS.items()
        ),
    )
    return text + f"\n## The file\n\n{fenced('yaml', SHIPPED.read_text(encoding='utf-8'))}"


# --- variables and errors ------------------------------------------------------------------------------------------


def writers() -> dict[str, list[str]]:
    """Names of the stages that write each variable of runs."""
    found: dict[str, list[str]] = {}
    for stage in STAGES:
        for step in stage.steps:
            for name in (step.count if isinstance(step, Reduce) else step).writes:
                if stage.name not in found.setdefault(name, []):
                    found[name].append(stage.name)
    return found


def variables() -> str:
    """Every name of the store."""
    stages = writers()
    rows = (
        (
            f"`{name}`",
            it.long_name,
            f"`{it.units}`",
            ", ".join(it.dims),
            it.dtype,
            ", ".join(stages.get(name, ())),
        )
        for name, it in VARIABLES.items()
    )
    return (
        "# Variables of the store\n\nEvery array carries `long_name` and `units`. Reduced units: σ = σ_AA, ε = ε_AA, "
        "τ = σ √(m/ε). What is missing is NaN, and −1 in codes. `…_err` is a standard error. Where no "
        "stage is named, a variable is a coordinate, part of a table, or returned by a function.\n\n"
    ) + table(("name", "meaning", "units", "dimensions", "type", "stage"), rows)


def errors() -> str:
    """Every error that daskglass raises on purpose, and which public functions say that they raise it."""
    raised: dict[str, list[str]] = {}
    for name in itertools.chain.from_iterable(public().values()):
        value = named(name)
        for function in (
            [value, *(getattr(value, own) for own in members(value))] if isinstance(value, type) else [value]
        ):
            if isinstance(function, property):
                function = function.fget
            for entry in FunctionDoc(function)["Raises"]:
                for kind in (word.strip() for word in entry.type.split(",")):
                    if name not in raised.setdefault(kind, []):
                        raised[kind].append(name)
    text = "# Errors\n\nAll are in `daskglass.errors`. On the command line each is one line; `--debug` shows where it arose.\n\n"
    for name, kind in public_errors().items():
        lines = [f".. autoexception:: daskglass.errors.{name}", "   :show-inheritance:", "   :no-index-entry:"]
        by = ", ".join(f"[`{function}`](api/{function}.rst)" for function in raised.get(name, ()))
        status = "2" if issubclass(kind, StudyError) else "1"
        text += f"{fenced('{eval-rst}', chr(10).join(lines))}\nExit status {status}."
        text += (f" Raised by {by}." if by else "") + "\n\n"
    return text
