"""Softness: a linear support-vector machine on structure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels.softness import linear
from daskglass.physics import arrays, defaults
from daskglass.variables import described, named

CLASSES = {"hard": 0, "soft": 1}
EXAMPLES = ("soft_examples", "hard_examples")
CONFUSION = ("true", "predicted")  # dimensions of the confusion matrix
HELD_OUT = 0.25
MAX_ITERATIONS = 10_000
LARGEST_SEED = 2**32 - 1  # of scikit-learn


def sample_examples(label: NDArray[np.int8], per_class: int, seed: int) -> NDArray[np.int64]:
    """Choose labelled examples at random, as many of each class: `per_class`, or the size of the smaller class.

    Parameters
    ----------
    label : numpy.ndarray
        Labels, of any shape: 1 soft, 0 hard, others unlabelled.
    per_class : int
        Largest number per class.
    seed : int
        Seed of the random choice.

    Returns
    -------
    numpy.ndarray
        Flat indices (example,) into `label`, rising.

    Raises
    ------
    DataError
        If a class has no example.
    """
    members = {name: np.flatnonzero(label == code) for name, code in CLASSES.items()}
    for name, found in members.items():
        if found.size == 0:
            raise DataError(
                f"no {name} example among the labels (soft: {members['soft'].size}, hard: {members['hard'].size}): "
                "train on a longer run or another temperature, or change the thresholds of p_hop"
            )
    n = min(per_class, *(found.size for found in members.values()))
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.choice(found, n, replace=False) for found in members.values()]))


def _balanced(examples: xr.Dataset, samples_per_class: int, seed: int) -> tuple[NDArray[np.int64], xr.DataArray]:
    """Choose as many examples of each class; return which, and their structure functions (example, neighbor, mu)."""
    label = examples["label"].values
    if label.ndim > 1:
        raise DataError(f"examples.label must be over example alone; it has {dict(examples['label'].sizes)}")
    chosen = sample_examples(label, samples_per_class, seed)
    if chosen.size < 2 * 4:
        raise DataError(f"{chosen.size // 2} examples of each class are too few to train on and hold some out")
    G = arrays.in_order(examples["G"], "mu", "examples.G").isel(example=chosen)
    if G.ndim > 3 or not _species(G):
        raise DataError(
            f"examples.G must be over (example, neighbor, mu), with labels, each once; it has {dict(G.sizes)}"
        )
    G = G.transpose("example", "neighbor", "mu")
    if "width" not in G.attrs:
        raise DataError('structure functions must carry attrs["width"], the Δμ they were computed with')
    return chosen, G


@dataclass(frozen=True)
class Softness:
    """Softness S = w·z + b of standardised structure functions z = (G − mean) / scale.

    S/‖w‖ is the signed distance from the hyperplane of a linear support-vector machine that separates particles about
    to rearrange (S > 0) from particles at rest (S < 0) [1]_ [2]_. Made by `fit` or `from_dataset`.

    Parameters
    ----------
    weights : xarray.DataArray
        Normal w of the hyperplane over (neighbor, mu).
    mean : xarray.DataArray
        Mean of each structure function over (neighbor, mu).
    scale : xarray.DataArray
        Standard deviation of each structure function over (neighbor, mu).
    bias : float
        Offset b.
    width : float
        Width Δμ of the structure functions in σ.
    metrics : dict
        Held-out `accuracy` and `confusion` matrix, and numbers of examples: `trained_on`, `held_out`, `soft_examples`
        and `hard_examples`.

    References
    ----------
    .. [1] S. S. Schoenholz, E. D. Cubuk, D. M. Sussman, E. Kaxiras and A. J. Liu, "A structural approach to relaxation
       in glassy liquids", Nature Physics 12, 469 (2016).
    .. [2] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> axes, labels = ("neighbor", "mu"), {"neighbor": ["A"], "mu": [1.0, 1.5]}
    >>> weights, mean, scale = (
    ...     xr.DataArray([v], labels, axes) for v in ([2.0, -1.0], [1.0, 3.0], [1.0, 0.5])
    ... )
    >>> model = dg.Softness(weights, mean, scale, bias=0.1, width=0.1, metrics={})
    >>> G = xr.DataArray([[1.5, 3.0]], labels, axes, attrs={"width": 0.1})
    >>> round(model.transform(G).item(), 2)
    1.1
    """

    weights: xr.DataArray
    mean: xr.DataArray
    scale: xr.DataArray
    bias: float
    width: float
    metrics: dict[str, Any]

    def __repr__(self) -> str:
        size = " × ".join(f"{dim}: {size}" for dim, size in self.weights.sizes.items())
        numbers = {"width": self.width, "bias": self.bias, **self.metrics}
        known = (
            f"{name} {numbers[name]:.4g}" for name in ("width", "bias", "accuracy", "trained_on") if name in numbers
        )
        return f"<daskglass.Softness ({size}), {', '.join(known)}>"

    @classmethod
    def fit(
        cls,
        examples: xr.Dataset,
        seed: int = 0,
        samples_per_class: int = defaults.EXAMPLES_PER_CLASS,
        C: float = defaults.C,
    ) -> Softness:
        """Fit to labelled examples, balanced by random undersampling, a quarter held out.

        `StandardScaler`, then `LinearSVC` (L2 penalty, squared hinge loss, `dual="auto"`) of scikit-learn [1]_.

        Parameters
        ----------
        examples : xarray.Dataset
            Structure functions `G` (example, neighbor, mu) and `label` (example,): 1 soft and 0 hard, others left out.
        seed : int, optional
            Seed of the undersampling, the division and the optimiser.
        samples_per_class : int, optional
            Largest number of examples of each class.
        C : float, optional
            Inverse strength of the penalty.

        Returns
        -------
        Softness
            Model, with its held-out accuracy and confusion matrix in `metrics`.

        Raises
        ------
        DataError
            If dimensions or variables are missing, a class has no example, or too few to hold some out, or a structure
            function is not finite.

        References
        ----------
        .. [1] R.-E. Fan, K.-W. Chang, C.-J. Hsieh, X.-R. Wang and C.-J. Lin, "LIBLINEAR: A Library for Large Linear
           Classification", Journal of Machine Learning Research 9, 1871 (2008).

        Examples
        --------
        Soft particles have fewer neighbours at 1 σ:

        >>> label = np.repeat(np.int8([0, 1]), 40)
        >>> G = np.ones((80, 1, 2))
        >>> G[:, 0, 0] = 5 - 2 * label + np.linspace(0, 1, 80)
        >>> examples = xr.Dataset(
        ...     {"G": (("example", "neighbor", "mu"), G, {"width": 0.1}), "label": ("example", label)},
        ...     coords={"neighbor": ["A"], "mu": [1.0, 1.5]},
        ... )
        >>> model = dg.Softness.fit(examples)
        >>> model.metrics["accuracy"], model.metrics["held_out"]
        (1.0, 20)
        >>> print(np.sign(model.weights.values))
        [[-1.  0.]]
        """
        # a heavy import that opening a store does not need
        from sklearn.metrics import confusion_matrix
        from sklearn.model_selection import train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC

        examples = arrays.table(examples, "examples", {"G": ("example", "neighbor", "mu"), "label": ("example",)})
        examples = arrays.as_labelled(examples, "example")
        seed = arrays.whole(seed, "seed", 0, LARGEST_SEED)
        samples_per_class = arrays.whole(samples_per_class, "samples_per_class")
        C = arrays.number(C, "C")
        label = examples["label"].values
        chosen, G = _balanced(examples, samples_per_class, seed)
        width = arrays.number(G.attrs["width"], "width of examples.G")
        features = G.values.reshape(chosen.size, -1).astype(np.float64)
        if not np.isfinite(features).all():
            raise DataError("structure functions of an example are not finite: is it a particle of the first species?")
        train, test, train_label, test_label = train_test_split(
            features, label[chosen], test_size=HELD_OUT, random_state=seed, stratify=label[chosen]
        )
        pipeline = make_pipeline(
            StandardScaler(), LinearSVC(C=C, max_iter=MAX_ITERATIONS, dual="auto", random_state=seed)
        ).fit(train, train_label)
        scaler, machine = pipeline[0], pipeline[1]

        def over_features(values: NDArray[np.float64]) -> xr.DataArray:
            return G.isel(example=0, drop=True).reset_coords(drop=True).copy(data=values.reshape(G.shape[1:]))

        confusion = confusion_matrix(test_label, pipeline.predict(test), labels=list(CLASSES.values()))
        return cls(
            weights=over_features(machine.coef_[0]),
            mean=over_features(scaler.mean_),
            scale=over_features(scaler.scale_),
            bias=float(machine.intercept_[0]),
            width=width,
            metrics={
                "accuracy": float(np.trace(confusion) / confusion.sum()),
                "confusion": confusion,
                "trained_on": int(train_label.size),
                "held_out": int(test_label.size),
                "soft_examples": int((label == CLASSES["soft"]).sum()),
                "hard_examples": int((label == CLASSES["hard"]).sum()),
            },
        )

    @property
    def norm(self) -> float:
        """Norm ‖w‖ of the weights: S/‖w‖ is the signed distance from the hyperplane.

        Examples
        --------
        >>> axes, labels = ("neighbor", "mu"), {"neighbor": ["A"], "mu": [1.0, 1.5]}
        >>> one = xr.DataArray([[1.0, 1.0]], labels, axes)
        >>> dg.Softness(
        ...     weights=one * [3.0, 4.0], mean=one, scale=one, bias=0.0, width=0.1, metrics={}
        ... ).norm
        5.0
        """
        return float(np.linalg.norm(self.weights))

    def transform(self, G: xr.DataArray, normalize: bool = False) -> xr.DataArray:
        """Softness of structure functions.

        Parameters
        ----------
        G : xarray.DataArray
            Structure functions over (…, neighbor, mu), on the radii (in any order) and of the width that the model was
            trained on.
        normalize : bool, optional
            Return S/‖w‖, the signed distance from the hyperplane.

        Returns
        -------
        xarray.DataArray
            Softness over (…), float32, dimensionless. NaN where G is; lazy when G is.

        Raises
        ------
        DataError
            If radii, species or width differ from the model's.

        Examples
        --------
        >>> axes, labels = ("neighbor", "mu"), {"neighbor": ["A"], "mu": [1.0, 1.5]}
        >>> one = xr.DataArray([[1.0, 1.0]], labels, axes)
        >>> model = dg.Softness(
        ...     weights=one * [3.0, 4.0], mean=one, scale=one, bias=0.0, width=0.1, metrics={}
        ... )
        >>> G = xr.DataArray(
        ...     [[[1.5, 1.0]], [[0.5, 1.0]]], labels, ("particle", *axes), attrs={"width": 0.1}
        ... )
        >>> print(model.transform(G).values)
        [ 1.5 -1.5]
        >>> print(model.transform(G, normalize=True).values)
        [ 0.3 -0.3]
        """
        if not isinstance(normalize, bool | np.bool_):
            raise DataError(f"normalize must be True or False; got {normalize!r}")
        G = arrays.in_order(arrays.array(G, "G", ["neighbor", "mu"]), "mu", "G")
        same = G.sizes["mu"] == self.weights.sizes["mu"] and np.allclose(G["mu"].values, self.weights["mu"].values)
        if (
            not same
            or "neighbor" not in G.coords
            or list(G["neighbor"].values) != list(self.weights["neighbor"].values)
        ):
            raise DataError("structure functions differ from the model's: other radii mu or other species")
        if not np.isclose(arrays.number(G.attrs.get("width", 0.0), "width of G", False), self.width):
            raise DataError(f"structure functions of width {G.attrs.get('width')} differ from the model's {self.width}")
        slope = (self.weights / self.scale).values.ravel()
        offset = self.bias - float(slope @ self.mean.values.ravel())
        if normalize:
            slope, offset = slope / self.norm, offset / self.norm

        def compute(values: NDArray[np.floating]) -> NDArray[np.float32]:
            S = np.empty(values.shape[:-2], np.float32)
            linear(values.reshape(-1, slope.size), slope, offset, S.reshape(-1))
            return S

        S = arrays.apply(compute, {"G": G}, core=[["neighbor", "mu"]], out=[[]], dtypes=[np.float32])
        return named(S, "softness", normalized=int(normalize))

    def to_dataset(self) -> xr.Dataset:
        """Return the model as plain arrays, from which `from_dataset` rebuilds it.

        Returns
        -------
        xarray.Dataset
            Variables `weights`, `mean` and `scale` (neighbor, mu), `bias`, `norm` and the metrics; `attrs["width"]`
            holds Δμ.

        Examples
        --------
        >>> axes, labels = ("neighbor", "mu"), {"neighbor": ["A"], "mu": [1.0, 1.5]}
        >>> one = xr.DataArray([[1.0, 1.0]], labels, axes)
        >>> model = dg.Softness(
        ...     one, mean=one, scale=one, bias=0.5, width=0.1, metrics={"accuracy": 0.9}
        ... )
        >>> saved = model.to_dataset()
        >>> saved.bias.item(), saved.accuracy.item(), saved.attrs["width"]
        (0.5, 0.9, 0.1)
        """
        arrays = {"weights": self.weights, "mean": self.mean, "scale": self.scale}
        dataset = xr.Dataset({name: array.drop_attrs() for name, array in arrays.items()})
        dataset = dataset.assign(bias=self.bias, norm=self.norm)
        for name, value in self.metrics.items():
            dims = CONFUSION if name == "confusion" else ()
            dataset[name] = (dims, value)
        dataset = dataset.assign_coords({dim: list(CLASSES) for dim in CONFUSION}).assign_attrs(width=self.width)
        return described(dataset, coordinates=True)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Softness:
        """Rebuild a model from the arrays of `to_dataset`.

        Parameters
        ----------
        dataset : xarray.Dataset
            Variables that `to_dataset` returns, as a store holds them under `model`.

        Returns
        -------
        Softness
            Model, which gives the same softness as the one that was saved.

        Raises
        ------
        DataError
            If a variable is missing, has other dimensions than `to_dataset` gives it, or is not finite.

        Examples
        --------
        >>> label = np.repeat(np.int8([0, 1]), 40)
        >>> G = 5 + np.linspace(0, 1, 80)[:, None, None] - 2 * label[:, None, None]
        >>> examples = xr.Dataset(
        ...     {"G": (("example", "neighbor", "mu"), G, {"width": 0.1}), "label": ("example", label)},
        ...     coords={"neighbor": ["A"], "mu": [1.0]},
        ... )
        >>> model = dg.Softness.fit(examples)
        >>> again = dg.Softness.from_dataset(model.to_dataset())
        >>> again.transform(examples.G).identical(model.transform(examples.G))
        True
        """
        parts, numbers = ("weights", "mean", "scale"), ("accuracy", "trained_on", "held_out", *EXAMPLES)
        axes = ("neighbor", "mu")
        of_single = dict.fromkeys(("bias", *numbers), ())
        dataset = arrays.table(dataset, "model", {**dict.fromkeys(parts, axes), "confusion": CONFUSION, **of_single})
        for name, dims in {"confusion": CONFUSION, **of_single}.items():
            if set(dataset[name].dims) != set(dims):
                wanted = f"over {dims}" if dims else "one number"
                raise DataError(f"model.{name} must be {wanted}; it has {dict(dataset[name].sizes)}")
        metrics = {name: dataset[name].item() for name in numbers}
        metrics["confusion"] = _by_class(dataset["confusion"]).transpose(*CONFUSION).values
        found = {name: arrays.in_order(dataset[name], "mu", f"model.{name}").load() for name in parts}
        for name, values in found.items():
            if set(values.dims) != set(axes) or not _species(values):
                raise DataError(
                    f"model.{name} must be over {axes}, with labels, each once; it has {dict(values.sizes)}"
                )
            if not np.isfinite(values).all() or (name == "scale" and not (values > 0).all()):
                raise DataError(f"model.{name} holds values that are not finite{' and positive' * (name == 'scale')}")
        bias, width = arrays.number(dataset["bias"], "bias", False), arrays.number(dataset.attrs.get("width"), "width")
        found = {name: values.transpose(*axes) for name, values in found.items()}
        return cls(**found, bias=bias, width=width, metrics=metrics)


def _by_class(confusion: xr.DataArray) -> xr.DataArray:
    """Confusion matrix with both classes in order, by their labels where it has some."""
    for dim in CONFUSION:
        labels = confusion.indexes.get(dim, CLASSES)
        if sorted(labels) != sorted(CLASSES) or confusion.sizes[dim] != len(CLASSES):
            raise DataError(f"model.confusion must have the classes {list(CLASSES)} along {dim}; it has {list(labels)}")
        confusion = confusion.isel({dim: [list(labels).index(name) for name in CLASSES]})
    return confusion


def _species(G: xr.DataArray) -> bool:
    """Whether each species of neighbours has a label of its own."""
    return "neighbor" in G.indexes and G.indexes["neighbor"].is_unique


def recall_precision(softness: xr.DataArray, hop: xr.DataArray, threshold: float = defaults.REARRANGING) -> xr.Dataset:
    """How well softness predicts rearrangement, p_hop above the threshold (R).

    Recall is P(S>0|R), precision P(R|S>0), over all particles and frames where both softness and p_hop exist. The paper
    [1]_ prints "P(R|S>0)" for numbers that are the recall.

    Parameters
    ----------
    softness : xarray.DataArray
        Softness over (…, time, particle). NaN where it is missing.
    hop : xarray.DataArray
        Values of p_hop over (…, time, particle) in σ², with the same labels. NaN where one is missing.
    threshold : float, optional
        Value of p_hop in σ² above which a particle rearranges.

    Returns
    -------
    xarray.Dataset
        Variables `recall` and `precision` over what remains of the dimensions without replica, time and particle, NaN
        where there is nothing to count; and the counts behind them: `soft_and_rearranging`, `rearranging`, `soft` and
        `samples`.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> softness = xr.DataArray([[1.0, 0.5, -0.2, -1.0]], dims=("time", "particle"))
    >>> hop = xr.DataArray([[0.7, 0.1, 0.4, np.nan]], dims=("time", "particle"))
    >>> found = dg.recall_precision(softness, hop)
    >>> found.recall.item(), found.precision.item(), found.samples.item()
    (0.5, 0.5, 3)
    """
    threshold = arrays.number(threshold, "threshold", False)
    checked = {
        name: arrays.array(values, name, ["particle"]) for name, values in (("softness", softness), ("hop", hop))
    }
    softness, hop = arrays.together(checked).values()
    valid = softness.notnull() & hop.notnull()
    dims = [dim for dim in ("replica", "time", "particle") if dim in valid.dims]
    rearranging, soft = valid & (hop > threshold), valid & (softness > 0)
    both = (rearranging & soft).sum(dims)
    return described(
        xr.Dataset(
            {
                "recall": both / rearranging.sum(dims),
                "precision": both / soft.sum(dims),
                "soft_and_rearranging": both,
                "rearranging": rearranging.sum(dims),
                "soft": soft.sum(dims),
                "samples": valid.sum(dims),
            }
        )
    )
