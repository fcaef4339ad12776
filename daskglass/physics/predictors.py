"""Linear predictors on features of particles, by ridge regression or a support-vector machine, judged on what they never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays, margin, ridge
from daskglass.physics.defaults import FOLDS
from daskglass.physics.features import Samples, columns, inner, names_of, samples_of, variables_of
from daskglass.variables import described

NUMBERS = ("samples", "configurations", "folds", "explained")
PARTS = ("weights", "errors", "mean", "scale")
Method = Literal["ridge", "support_vectors"]
METHODS = get_args(Method)


@dataclass(frozen=True)
class LinearPredictor:
    """Linear predictor b + w·z of standardised features z = (x − mean) / scale, such as of propensity.

    Ridge regression [1]_: w minimises ⟨ (δy − w·δz)² ⟩ + λ |w|² over the particles of all configurations, δ the difference
    from the mean of the configuration. What makes one configuration differ from another is collective, and known from as
    many samples as there are configurations; particles of one do not count as so many samples of it.

    Or a support-vector machine on the same features [2]_: the plane of the largest soft margin between the particles whose
    target is above the median of their configuration and the others. The prediction is then the distance from the plane in
    units of the margin, as softness is. Made by `fit` or `from_dataset`.

    Parameters
    ----------
    weights : xarray.DataArray
        Weights w over (feature,), in units of what is predicted: its change with a feature by one standard deviation.
    errors : xarray.DataArray
        Standard errors of the weights over (feature,), by leaving out each fold of configurations in turn, at the same
        penalty.
    mean : xarray.DataArray
        Mean of each feature over (feature,).
    scale : xarray.DataArray
        Standard deviation of each feature within configurations over (feature,); 1 for one that is constant there, whose
        weight is 0.
    bias : float
        Offset b: what is predicted for the mean features.
    penalty : float
        Strength λ of the penalty. That of `sklearn.linear_model.Ridge` is λ times the number of particles; `C` of
        `sklearn.svm.LinearSVC` is 1 / (λ times that of the examples).
    metrics : dict
        Numbers of `samples` (particles), `configurations` and `folds`, and the share of the variance within configurations
        that is `explained` in the folds that were left out, at the penalty that they chose; of a support-vector machine, the
        squared correlation there.

    References
    ----------
    .. [1] A. E. Hoerl and R. W. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics
       12, 55 (1970).
    .. [2] C. Cortes and V. Vapnik, "Support-Vector Networks", Machine Learning 20, 273 (1995).

    Examples
    --------
    >>> names = {"feature": ["local energy", "local density"]}
    >>> weights, errors, mean, scale = (
    ...     xr.DataArray(v, names, ["feature"])
    ...     for v in ([0.2, -0.1], [0.01, 0.01], [-7.0, 9.0], [0.5, 0.1])
    ... )
    >>> model = dg.LinearPredictor(weights, errors, mean, scale, bias=0.6, penalty=0.01, metrics={})
    >>> features = xr.DataArray([[-6.0, 9.0], [-7.0, 9.2]], names, ["particle", "feature"])
    >>> print(model.predict(features).values.round(2))
    [1.  0.4]
    """

    weights: xr.DataArray
    errors: xr.DataArray
    mean: xr.DataArray
    scale: xr.DataArray
    bias: float
    penalty: float
    metrics: dict[str, Any]

    def __repr__(self) -> str:
        numbers = {"bias": self.bias, "penalty": self.penalty, **self.metrics}
        known = (f"{name} {numbers[name]:.4g}" for name in ("bias", "penalty", *NUMBERS) if name in numbers)
        return f"<daskglass.LinearPredictor (feature: {self.weights.sizes['feature']}), {', '.join(known)}>"

    @classmethod
    def fit(
        cls,
        features: xr.DataArray | xr.Dataset,
        target: xr.DataArray,
        groups: str | Sequence[str] = "configuration",
        seed: int = 0,
        folds: int = FOLDS,
        method: Method = "ridge",
    ) -> LinearPredictor:
        """Fit to the particles of all configurations; the penalty of a ridge regression by folds of whole configurations.

        Of the penalties 10⁻⁶ to 10², that with the least squared error in the folds that are left out in turn. A
        support-vector machine has C = 0.01, and at most 10,000 examples of either class, as many of every configuration.

        Parameters
        ----------
        features : xarray.DataArray or xarray.Dataset
            Features over (configuration, particle, feature), their names in the coordinate `feature`. Or variables over
            (configuration, particle), each also over any of `neighbor`, `mu`, `distance`, `degree`, `generation` and
            `feature`, which are features of their own. NaN where a particle has none: it is left out. Read one
            configuration after the other.
        target : xarray.DataArray
            What is predicted, over (configuration, particle). NaN where a particle is left out.
        groups : str or sequence of str, optional
            Dimensions whose members are configurations, never divided between folds.
        seed : int, optional
            Seed of the division into folds.
        folds : int, optional
            Number of folds; at most that of configurations.
        method : {"ridge", "support_vectors"}, optional
            Ridge regression, or a support-vector machine.

        Returns
        -------
        LinearPredictor
            Model, fitted to all configurations.

        Raises
        ------
        DataError
            If dimensions, lengths or labels do not match, a particle has a part of the features of a variable, there are
            fewer than two configurations, or no two particles, or the method is neither.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> axes = ("configuration", "particle")
        >>> features = xr.Dataset(
        ...     {name: (axes, rng.normal(size=(6, 50))) for name in ("energy", "density")}
        ... )
        >>> propensity = 1.0 + 0.2 * features.energy + 0.01 * features.density
        >>> model = dg.LinearPredictor.fit(features, propensity)
        >>> print(model.weights.feature.values, model.weights.values.round(2))
        ['energy' 'density'] [0.2  0.01]
        """
        return _fitted(_prepared(features, target, groups, seed, folds, method, least=2))

    @classmethod
    def cross_validated(
        cls,
        features: xr.DataArray | xr.Dataset,
        target: xr.DataArray,
        groups: str | Sequence[str] = "configuration",
        seed: int = 0,
        folds: int = FOLDS,
        method: Method = "ridge",
    ) -> xr.DataArray:
        """Predict every configuration by a model that never saw it, to be scored: all of them, and honestly.

        Each fold of whole configurations is predicted by a model fitted to the others, its penalty chosen by leaving out
        each of those in turn as well.

        Parameters
        ----------
        features : xarray.DataArray or xarray.Dataset
            Features, as `fit` takes them.
        target : xarray.DataArray
            What is predicted, over (configuration, particle). NaN where a particle is left out.
        groups : str or sequence of str, optional
            Dimensions whose members are configurations, never divided between folds.
        seed : int, optional
            Seed of the division into folds.
        folds : int, optional
            Number of folds, three or more; at most that of configurations.
        method : {"ridge", "support_vectors"}, optional
            Ridge regression, or a support-vector machine.

        Returns
        -------
        xarray.DataArray
            Predictions over (configuration, particle), float64, in units of the target, or of the margin. NaN where
            features are. Coordinate `fold` over (configuration) says which ones were left out together; -1 of those
            without a target, which no fold has, and which are NaN.

        Raises
        ------
        DataError
            Where `fit` does, or if there are fewer than three configurations or folds.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> axes = ("configuration", "particle")
        >>> features = xr.Dataset(
        ...     {name: (axes, rng.normal(size=(6, 50))) for name in ("energy", "density")}
        ... )
        >>> propensity = (
        ...     1.0 + 0.2 * features.energy + xr.DataArray(0.2 * rng.normal(size=(6, 50)), dims=axes)
        ... )
        >>> species = xr.DataArray(np.zeros(50, np.int8), dims="particle", attrs={"names": ["A"]})
        >>> predicted = dg.LinearPredictor.cross_validated(features, propensity)
        >>> print(dg.score(predicted, propensity, species).pearson.round(2).item())
        0.75
        """
        return _predicted(_prepared(features, target, groups, seed, folds, method, least=3))

    def predict(self, features: xr.DataArray | xr.Dataset) -> xr.DataArray:
        """Predict from features.

        Parameters
        ----------
        features : xarray.DataArray or xarray.Dataset
            Features over (…, particle, feature), or variables over (…, particle, …), of the names that the model was
            fitted to, in any order.

        Returns
        -------
        xarray.DataArray
            Predictions over (…, particle), float64, in units of the target. NaN where features are; lazy when they are.

        Raises
        ------
        DataError
            If features are others than the model's, or a particle has a part of those of a variable.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> axes = ("configuration", "particle")
        >>> features = xr.Dataset(
        ...     {name: (axes, rng.normal(size=(6, 50))) for name in ("energy", "density")}
        ... )
        >>> model = dg.LinearPredictor.fit(features, 1.0 + 0.2 * features.energy)
        >>> new = xr.Dataset({"energy": ("particle", [-1.0, 2.0]), "density": ("particle", [0.5, 0.0])})
        >>> print(model.predict(new).values.round(2))
        [0.8 1.4]
        """
        variables = variables_of(features)
        names, known = names_of(variables), [str(name) for name in self.weights["feature"].values]
        if sorted(names) != sorted(known):
            lacking, strange = (sorted(set(a) - set(b)) for a, b in ((known, names), (names, known)))
            raise DataError(
                f"features differ from those the model was fitted to: it needs {lacking[:5]}, and knows no {strange[:5]}"
            )
        slope = (self.weights / self.scale).sel(feature=names).values
        offset = self.bias - float(slope @ self.mean.sel(feature=names).values)

        def compute(*values: NDArray[np.floating]) -> NDArray[np.float64]:
            lead = np.broadcast_shapes(*(x.shape[: x.ndim - n] for x, n in zip(values, depths, strict=True)))
            found = np.empty(lead)
            for row in np.ndindex(lead[:-1]):
                found[row] = columns([x[row] for x in values], variables) @ slope + offset
            return found

        depths = [len(inner(each)) for each in variables.values()]
        predicted: xr.DataArray = arrays.apply(
            compute,
            variables,
            core=[["particle", *inner(each)] for each in variables.values()],
            out=[["particle"]],
            dtypes=[np.float64],
        )
        predicted.attrs = {"long_name": "prediction", "units": self.weights.attrs.get("units", "1")}
        return predicted.rename(None)

    def to_dataset(self) -> xr.Dataset:
        """Return the model as plain arrays, from which `from_dataset` rebuilds it.

        Returns
        -------
        xarray.Dataset
            Variables `weights`, `errors`, `mean` and `scale` (feature), `bias`, `penalty` and the metrics.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = xr.DataArray(rng.normal(size=(4, 9, 2)), dims=("configuration", "particle", "feature"))
        >>> saved = dg.LinearPredictor.fit(x, x.sum("feature")).to_dataset()
        >>> saved.weights.dims, saved.configurations.item()
        (('feature',), 4)
        """
        dataset = xr.Dataset({name: getattr(self, name) for name in PARTS})
        units = {"units": self.weights.attrs.get("units", "1")}
        return described(dataset.assign(bias=((), self.bias, units), penalty=self.penalty, **self.metrics))

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> LinearPredictor:
        """Rebuild a model from the arrays of `to_dataset`.

        Parameters
        ----------
        dataset : xarray.Dataset
            Variables that `to_dataset` returns.

        Returns
        -------
        LinearPredictor
            Model, which predicts the same as the one that was saved.

        Raises
        ------
        DataError
            If a variable is missing, has other dimensions than `to_dataset` gives it, or is not finite.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = xr.DataArray(rng.normal(size=(4, 9, 2)), dims=("configuration", "particle", "feature"))
        >>> model = dg.LinearPredictor.fit(x, x.sum("feature"))
        >>> again = dg.LinearPredictor.from_dataset(model.to_dataset())
        >>> again.predict(x).identical(model.predict(x))
        True
        """
        single = ("bias", "penalty", *NUMBERS)
        needed = {**dict.fromkeys(PARTS, ("feature",)), **dict.fromkeys(single, ())}
        dataset = arrays.table(dataset, "model", needed).compute()
        if "feature" not in dataset.indexes or not dataset.indexes["feature"].is_unique:
            raise DataError("model.feature must hold the names of the features, each once")
        for name in (*PARTS, *single):
            wanted = ("feature",) if name in PARTS else ()
            if dataset[name].dims != wanted:
                raise DataError(f"model.{name} must be over {wanted}; it has {dict(dataset[name].sizes)}")
            values = dataset[name].values
            if not np.isfinite(values).all() or (name == "scale" and not (values > 0).all()):
                raise DataError(f"model.{name} holds values that are not finite{' and positive' * (name == 'scale')}")
        numbers = {name: dataset[name].item() for name in single}
        return cls(**{name: dataset[name].load() for name in PARTS}, bias=numbers.pop("bias"), penalty=numbers.pop("penalty"),
                   metrics=numbers)  # fmt: skip


def fit_and_cross_validate(
    features: xr.DataArray | xr.Dataset,
    target: xr.DataArray,
    groups: str | Sequence[str],
    seed: int,
    folds: int,
    method: Method,
) -> tuple[LinearPredictor, xr.DataArray]:
    """Return what `LinearPredictor.fit` and `cross_validated` do, from one pass over the configurations."""
    prepared = _prepared(features, target, groups, seed, folds, method, least=3)
    return _fitted(prepared), _predicted(prepared)


class _Prepared(NamedTuple):
    """Samples, their sums over each fold, and of a support-vector machine its examples and its planes without each fold."""

    samples: Samples
    sums: list[NDArray[np.float64]]
    examples: list[margin.Examples] | None
    planes: NDArray[np.float64]
    seed: int

    @property
    def units(self) -> str:
        """Units of what is predicted."""
        return str(self.samples.target.attrs.get("units", "1")) if self.examples is None else "1"


def _prepared(
    features: xr.DataArray | xr.Dataset,
    target: xr.DataArray,
    groups: str | Sequence[str],
    seed: int,
    folds: int,
    method: Method,
    least: int,
) -> _Prepared:
    if method not in METHODS:
        raise DataError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    samples = samples_of(features, target, groups, seed, folds, least)
    sums = samples.sums()
    if method == "ridge":
        return _Prepared(samples, sums, None, np.empty(0), seed)
    examples = margin.examples_of(samples, seed)
    return _Prepared(samples, sums, examples, margin.left_out(examples, sums, seed), seed)


def _fitted(prepared: _Prepared) -> LinearPredictor:
    samples, sums, examples, left_out, seed = prepared
    total = np.sum(sums, axis=0)
    mean, scale = ridge.standards(total)
    scale = np.where(np.isfinite(scale), scale, 1.0)
    if examples is None:
        place, left_out = ridge.choose(sums)
        penalty = float(ridge.PENALTIES[place])
        v = ridge.lines(total, ridge.PENALTIES[[place]])[:, 0]
        rest = sum(ridge.squared_errors(M, w[:, None]).item() for M, w in zip(sums, left_out, strict=True))
        explained = 1 - rest / total[-1, -1].item()
    else:
        v = margin.plane(examples, total, seed)
        penalty = 1 / (margin.C * sum(moves.size for _, moves in examples))
        explained = margin.explained(sums, left_out)
    scatter = (left_out[:, 1:-1] * scale[:-1]).var(axis=0)

    def over_features(values: NDArray[np.float64], text: str, units: str = "1") -> xr.DataArray:
        names = {"feature": names_of(samples.variables)}
        return xr.DataArray(values, names, ["feature"], attrs={"long_name": text, "units": units})

    return LinearPredictor(
        weights=over_features(-v[1:-1] * scale[:-1], "weight", prepared.units),
        errors=over_features(np.sqrt((len(sums) - 1) * scatter), "standard error of the weight", prepared.units),
        mean=over_features(mean[:-1], "mean of a feature"),
        scale=over_features(scale[:-1], "standard deviation of a feature within configurations"),
        bias=float(-v[1:-1] @ mean[:-1] - v[0]),
        penalty=penalty,
        metrics={
            "samples": int(total[0, 0]),
            "configurations": int((samples.fold >= 0).sum()),
            "folds": len(sums),
            "explained": explained,
        },
    )


def _predicted(prepared: _Prepared) -> xr.DataArray:
    samples = prepared.samples
    lines = ridge.nested(prepared.sums) if prepared.examples is None else prepared.planes
    found = np.full(samples.target.shape, np.nan)
    for where in samples.configurations():
        v = lines[samples.fold[where]]
        found[where] = -v[0] - samples.features(where) @ v[1:-1]
    predicted = samples.target.copy(data=found)
    predicted.attrs = {"long_name": "prediction", "units": prepared.units}
    about = {"long_name": "fold that was left out with others; -1 none", "units": "1"}
    return predicted.assign_coords(fold=(samples.axes, samples.fold, about))
