"""Features of particles: variables of any dimensions, side by side as columns with names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays, ridge

INNER = (
    "generation",
    "degree",
    "neighbor",
    "mu",
    "distance",
    "feature",
)  # along which a variable holds several features
LARGEST_SEED = 2**32 - 1  # of scikit-learn


def variables_of(features: Any) -> dict[str, xr.DataArray]:
    """Variables (…, particle, …) of features, by name, each checked, with the dimensions of `INNER` last.

    Raises
    ------
    DataError
        If there is none, or one is no array over particles.
    """
    if isinstance(features, xr.Dataset):
        given = {str(name): each for name, each in features.data_vars.items()}
    else:
        given = {str(getattr(features, "name", None) or "features"): features}
    if not given:
        raise DataError("features hold no variable")
    checked = {name: arrays.array(each, name, ["particle"]) for name, each in given.items()}
    checked = {name: arrays.array(each, name, ["particle", *inner(each)]) for name, each in checked.items()}
    return {name: each.transpose(..., *inner(each)) for name, each in checked.items()}


def inner(variable: xr.DataArray) -> list[str]:
    """Dimensions of a variable along which it holds several features."""
    return [dim for dim in INNER if dim in variable.dims]


def names_of(variables: Mapping[str, xr.DataArray]) -> list[str]:
    """Name of every feature, in the order of columns: labels of a dimension `feature` alone, else variable(label, …).

    Raises
    ------
    DataError
        If two are the same.
    """
    found = []
    for name, each in variables.items():
        dims = inner(each)
        labels = [[_text(x) for x in each.indexes[dim]] if dim in each.indexes else [str(k) for k in range(each.sizes[dim])]
                  for dim in dims]  # fmt: skip
        texts = [", ".join(combination) for combination in itertools.product(*labels)]
        alone = len(variables) == 1 and dims == ["feature"]
        found += [name] if not dims else texts if alone else [f"{name}({text})" for text in texts]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise DataError(f"features must have names of their own; {twice[0]!r} is there more than once")
    return found


def _text(label: Any) -> str:
    if isinstance(label, tuple):
        return ", ".join(map(_text, label))
    return f"{label:g}" if isinstance(label, float | np.floating) else str(label)


def columns(values: Sequence[NDArray[np.floating]], names: Iterable[str], where: str = "") -> NDArray[np.float64]:
    """Features (particle, feature) from values (particle, …) of all variables; NaN where a particle has none of one.

    Raises
    ------
    DataError
        If a particle has a part of the features of a variable; naming both, and where it is.
    """
    blocks = [each.reshape(len(each), -1) for each in values]
    for name, block in zip(names, blocks, strict=True):
        known = np.isfinite(block)
        partly = known.any(axis=1) & ~known.all(axis=1)
        if partly.any():
            particle = int(np.argmax(partly))
            raise DataError(
                f"{where}particle {particle}: feature {int(np.argmin(known[particle]))} of {name} is missing, others are not; a "
                "particle has all features of a variable, or none"
            )
    return np.concatenate(blocks, axis=1, dtype=np.float64)


# --- samples -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Samples:
    """Features and target of configurations, and the fold of each; -1 of one without a target."""

    variables: dict[str, xr.DataArray]
    target: xr.DataArray
    axes: tuple[str, ...]
    fold: NDArray[np.int64]

    def configurations(self) -> list[tuple[int, ...]]:
        """Index of every configuration that has a fold."""
        return [tuple(map(int, where)) for where in np.argwhere(self.fold >= 0)]

    def features(self, where: tuple[int, ...]) -> NDArray[np.float64]:
        """Features (particle, feature) of a configuration."""
        import dask

        at = dict(zip(self.axes, where, strict=True))
        values = dask.compute(*(each.isel(at).data for each in self.variables.values()))
        return columns(values, self.variables, f"configuration {where}, ")

    def sums(self) -> list[NDArray[np.float64]]:
        """Sums over the particles of each fold, configurations as groups; see `ridge`.

        Raises
        ------
        DataError
            If a fold has fewer than two particles with features and a target; naming a configuration of it.
        """
        size = 2 + sum(int(np.prod([each.sizes[dim] for dim in inner(each)])) for each in self.variables.values())
        sums = [np.zeros((size, size)) for _ in range(self.fold.max() + 1)]
        for where in self.configurations():
            xy = np.column_stack([self.features(where), self.target.values[where]])
            sums[self.fold[where]] += ridge.sums_of(xy[np.isfinite(xy).all(axis=1)])
        if empty := [k for k, M in enumerate(sums) if M[0, 0] < 2]:
            where = tuple(map(int, np.argwhere(self.fold == empty[0])[0]))
            raise DataError(
                f"configuration {where} has fewer than two particles with features and a target: leave it out"
            )
        return sums


def samples_of(
    features: xr.DataArray | xr.Dataset,
    target: xr.DataArray,
    groups: str | Sequence[str],
    seed: int,
    folds: int,
    least: int,
) -> Samples:
    """Features and target, checked, configurations divided into `least` folds or more."""
    from sklearn.model_selection import KFold

    axes = (groups,) if isinstance(groups, str) else tuple(groups)
    if not axes or len(set(axes)) < len(axes) or {"particle", *INNER} & set(axes):
        raise DataError(f"groups must name dimensions of configurations, each once; got {groups!r}")
    seed, folds = arrays.whole(seed, "seed", 0, LARGEST_SEED), arrays.whole(folds, "folds", least)
    variables, own = variables_of(features), (*axes, "particle")
    names_of(variables)
    for name, each in {"target": arrays.array(target, "target", own), **variables}.items():
        arrays.array(each, name, own)
        if strange := [dim for dim in each.dims if dim not in (*own, *(INNER if name in variables else ()))]:
            raise DataError(f"{name} must be over {own} alone; select one of {strange[0]}, or name it in groups")
    given = arrays.together({"target": arrays.array(target, "target").compute(), **variables})
    target = given.pop("target").transpose(*own)
    existing = np.argwhere(target.notnull().any("particle").values)
    # labels, not places, decide which ones a seed puts together
    places = [_places(target, axis)[each] for axis, each in zip(axes, existing.T, strict=True)]
    existing = existing[np.lexsort(places[::-1])]
    if len(existing) < least:
        raise DataError(f"{len(existing)} configurations with a target are too few: at least {least} are needed")
    fold = np.full(target.shape[:-1], -1)
    division = KFold(min(folds, len(existing)), shuffle=True, random_state=seed).split(existing)
    for k, (_, members) in enumerate(division):
        fold[tuple(existing[members].T)] = k
    return Samples({name: each.transpose(*own, *inner(each)) for name, each in given.items()}, target, axes, fold)


def _places(array: xr.DataArray, dim: str) -> NDArray[np.intp]:
    """Place of each label along a dimension among all of them, where it has some."""
    labels = array.indexes.get(dim)
    return np.argsort(np.arange(array.sizes[dim]) if labels is None else labels.argsort())
