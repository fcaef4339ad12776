"""Values of settings: their types and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from daskglass.errors import StudyError
from daskglass.physics.systems import Positive
from daskglass.registry import ENGINES, READERS, entry_of, listed, simulating
from daskglass.study.paths import check_no_address, expand_path, follow

# --- limits: larger studies would fail later, or exhaust the machine that plans them ---------------------------------

MOST_PARTICLES = (2**31 - 1) // 12  # positions of a frame are one chunk, and Blosc compresses at most 2 GiB
MOST_TEMPERATURES = 1000  # events are counted in every stratum for every pair of temperatures
MOST_REPLICAS = 1000  # a plan lists the tasks of each, at every temperature
MOST_FRAMES = 10_000_000  # of a run: its times are held in memory, and its blocks are listed
MOST_FRAMES_IN_ALL = 100_000_000  # of a study: at 16 a block, its plan lists some 10^8 tasks
MOST_STEPS = 10**9  # between two frames: lags are counted up to this many time steps
MOST_BINS = 100_000  # of g(r): single precision does not tell distances apart that differ by less
MOST_RADII = 10_000  # of the structure functions, each of every particle
MOST_STRATA = 1000  # each is fitted alone
MOST_EXAMPLES = 10_000_000  # of a class: training holds the structure functions of all
MOST_RESAMPLES = 1_000_000
MOST_FOLDS = 1000
MOST_TRAJECTORIES = 10_000  # of a configuration
MOST_LAGS = 1000  # at which propensities are kept
MOST_PER_DECADE = 100  # of them, to a factor of ten in time
MOST_THREADS = 256  # of a simulation: more than a node has cores
LARGEST_SEED = 2**32 - 1  # of NumPy and scikit-learn
SHORTEST = 1e-9  # τ: times are rounded to this
FINEST, COARSEST = 1e-8, 0.1  # σ: positions in single precision are no finer, and structure is lost beyond

# --- types of values -----------------------------------------------------------------------------------------------

FrameCount = Annotated[int, Field(gt=0, le=MOST_FRAMES, strict=True)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)]
Bins = Annotated[int, Field(ge=2, le=MOST_STRATA, strict=True)]
Percentile = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)]
Timestep = Annotated[Positive, Field(ge=SHORTEST)]
# a value, or a word in its place: what is wrong is said of the one that was meant
VALUE, WORD, LIST = "<value>", "<word>", "<list>"
LIST_OR_SECTION = Discriminator(lambda given: LIST if isinstance(given, list | tuple) else VALUE)
VALUE_OR_WORD = Discriminator(lambda given: WORD if isinstance(given, str) else VALUE)
LONGEST_NAME = 100  # of a system: file systems allow 255 bytes, and temporary names are longer
NAME = "^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]
OF_OTHER_STORES = (".ledger", ".lock")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _pattern(text: str) -> str:
    # expanded where fields and text are distinguished
    check_no_address(text)
    return text


def _store(path: str) -> str:
    expanded = expand_path(path)
    name = Path(expanded).name
    if name in ("", "..", "zarr.json") or name.endswith(OF_OTHER_STORES):
        raise ValueError("the store needs a file name, such as mine.zarr")
    if name != name.strip():
        raise ValueError("the store's name begins or ends with a space; remove it")
    if CONTROL.search(expanded):
        raise ValueError("the store's name contains line breaks or control characters; remove them")
    return str(follow(expanded))


def _constant(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a constant must be a word or a number")
    return value


def known(registry: Mapping[str, Any], name: str, what: str) -> str:
    """Refuse a name that is not in a registry, with those that are."""
    try:
        entry_of(registry, name, what)
    except StudyError as error:
        raise error_at(message=str(error)) from None
    return name


def _simulates(name: str) -> str:
    if name in ENGINES and name not in simulating():
        raise error_at(message=f"engine {name} only minimises; to simulate choose {listed(simulating())}")
    return known(simulating(), name, "engine")


FilePath = Annotated[str, Field(min_length=1), AfterValidator(lambda path: expand_path(path))]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
StorePath = Annotated[str, Field(min_length=1), AfterValidator(_store)]
Constant = Annotated[str | int | float, BeforeValidator(_constant)]
FormatName = Annotated[str, AfterValidator(lambda name: known(READERS, name, "trajectory format"))]
EngineName = Annotated[str, AfterValidator(_simulates)]
MinimizerName = Annotated[str, AfterValidator(lambda name: known(ENGINES, name, "engine"))]


def error_at(*keys: int | str, message: str) -> PydanticCustomError:
    """Error of a whole section, reported at one of its keys."""
    return PydanticCustomError("study", "{message}", {"message": message, "at": keys})
