"""Softness against scikit-learn, and what it predicts against counting by hand."""

import numpy as np
import pytest
import xarray as xr
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import daskglass as dg
from daskglass.errors import DataError
from daskglass.physics.softness import sample_examples
from daskglass.physics.structure import MU


def labelled(seed=0, soft=200, hard=200, shift=0.15):
    """Examples of two overlapping classes of structure, on the scale of real structure functions."""
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], [soft, hard]).astype(np.int8)
    G = rng.gamma(4, 0.5, (label.size, 2, 27))
    G[..., 5] += shift * 4 * label[:, None]
    return xr.Dataset(
        {"G": (("example", "neighbor", "mu"), G.astype(np.float32), {"width": 0.1}), "label": ("example", label)},
        coords={"neighbor": ["A", "B"], "mu": list(MU)},
    )


@pytest.fixture(scope="module")
def examples():
    return labelled()


@pytest.fixture(scope="module")
def model(examples):
    return dg.Softness.fit(examples, seed=3)


def same(first, second):
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("weights", "mean", "scale", "bias")
    )


# --- the machine ---------------------------------------------------------------------------------------------------


def test_softness_is_the_decision_function_of_the_pipeline_it_stands_for(examples, model):
    features = examples.G.values.reshape(400, -1).astype(np.float64)
    label = examples.label.values
    train, test, train_label, test_label = train_test_split(
        features, label, test_size=0.25, random_state=3, stratify=label
    )
    pipeline = make_pipeline(StandardScaler(), LinearSVC(C=1.0, max_iter=10_000, dual="auto", random_state=3))
    pipeline.fit(train, train_label)
    np.testing.assert_allclose(model.transform(examples.G), pipeline.decision_function(features), rtol=1e-4, atol=1e-5)
    assert model.metrics["accuracy"] == pytest.approx(pipeline.score(test, test_label))


def test_normalized_softness_is_a_distance_from_the_hyperplane(examples, model):
    ratio = model.transform(examples.G) / model.transform(examples.G, normalize=True)
    np.testing.assert_allclose(ratio, np.linalg.norm(model.weights), rtol=1e-4)


def test_soft_examples_are_on_the_positive_side(examples, model):
    S = model.transform(examples.G)
    assert S[examples.label.values == 1].mean() > 0 > S[examples.label.values == 0].mean()


def test_separable_examples_are_told_apart():
    model = dg.Softness.fit(labelled(shift=5.0))
    assert model.metrics["accuracy"] == 1.0


def test_examples_that_do_not_differ_are_told_apart_by_chance():
    model = dg.Softness.fit(labelled(soft=2000, hard=2000, shift=0.0))
    # the standard error of a coin over 1000 held-out examples is 0.016
    assert abs(model.metrics["accuracy"] - 0.5) < 4 * 0.016


def test_confusion_counts_the_held_out_quarter(model):
    assert model.metrics["confusion"].sum() == model.metrics["held_out"] == 100
    assert model.metrics["trained_on"] == 300


def test_the_same_seed_gives_the_same_model(examples, model):
    assert same(dg.Softness.fit(examples, seed=3), model)


def test_another_seed_gives_another_model(examples, model):
    assert not same(dg.Softness.fit(examples, seed=4), model)


def test_classes_are_balanced_by_the_smaller_one():
    model = dg.Softness.fit(labelled(soft=50, hard=300))
    assert model.metrics["trained_on"] + model.metrics["held_out"] == 100
    assert (model.metrics["soft_examples"], model.metrics["hard_examples"]) == (50, 300)


def test_a_sample_is_balanced_bounded_and_of_labelled_examples_only():
    label = np.random.default_rng(0).choice([-1, 0, 1], (20, 100), p=[0.8, 0.15, 0.05]).astype(np.int8)
    chosen = label.ravel()[sample_examples(label, 40, seed=1)]
    assert (np.bincount(chosen) == 40).all()


def test_a_sample_has_no_example_twice():
    chosen = sample_examples(np.repeat([0, 1], 30).astype(np.int8), 30, seed=1)
    np.testing.assert_array_equal(chosen, np.arange(60))


# --- transform -----------------------------------------------------------------------------------------------------


def test_softness_is_nan_where_structure_is(small, model):
    S = model.transform(dg.structure_functions(small.position, small.species, small.box))
    np.testing.assert_array_equal(S.isnull(), np.broadcast_to(small.species != 0, S.shape))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_softness_is_lazy_and_equal_to_the_bit_for_any_chunks(small, model, frames):
    G = dg.structure_functions(small.position, small.species, small.box)
    lazy = model.transform(G.chunk(time=frames))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, model.transform(G).values)


def test_softness_does_not_depend_on_the_order_of_dimensions(examples, model):
    turned = examples.G.transpose("mu", "example", "neighbor")
    np.testing.assert_array_equal(model.transform(turned).values, model.transform(examples.G).values)


def test_a_model_survives_as_plain_arrays(examples, model):
    back = dg.Softness.from_dataset(model.to_dataset())
    assert same(back, model)
    assert back.metrics["accuracy"] == model.metrics["accuracy"]
    np.testing.assert_array_equal(back.transform(examples.G), model.transform(examples.G))


@pytest.mark.filterwarnings("ignore:.*not part in the Zarr format 3 specification")
@pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification")
def test_a_model_survives_on_disk(examples, model, tmp_path):
    model.to_dataset().to_zarr(tmp_path / "model.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "model.zarr", consolidated=False) as stored:
        back = dg.Softness.from_dataset(stored)
    assert same(back, model)
    np.testing.assert_array_equal(back.transform(examples.G), model.transform(examples.G))


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("soft", "hard", "name"), [(0, 20, "soft"), (20, 0, "hard")])
def test_a_class_without_an_example_is_refused(soft, hard, name):
    with pytest.raises(DataError, match=f"no {name} example among the labels \\(soft: {soft}, hard: {hard}\\)"):
        dg.Softness.fit(labelled(soft=soft, hard=hard))


def test_too_few_examples_to_hold_some_out_are_refused():
    with pytest.raises(DataError, match="3 examples of each class are too few"):
        dg.Softness.fit(labelled(soft=3, hard=20))


def test_examples_that_are_not_finite_are_refused():
    broken = labelled()
    broken.G[7, 0, 3] = np.nan
    with pytest.raises(DataError, match="structure functions of an example are not finite"):
        dg.Softness.fit(broken)


def test_examples_without_a_width_are_refused(examples):
    with pytest.raises(DataError, match=r'must carry attrs\["width"\]'):
        dg.Softness.fit(examples.assign(G=examples.G.drop_attrs()))


@pytest.mark.parametrize("change", [{"mu": slice(1, None)}, {"neighbor": [1, 0]}])
def test_structure_functions_on_other_radii_or_species_are_refused(examples, model, change):
    with pytest.raises(DataError, match="other radii mu or other species"):
        model.transform(examples.G.isel(change))


@pytest.mark.parametrize("attrs", [{}, {"width": 0.2}])
def test_structure_functions_of_another_width_are_refused(examples, model, attrs):
    with pytest.raises(DataError, match=r"differ from the model's 0\.1"):
        model.transform(examples.G.drop_attrs().assign_attrs(attrs))


def test_the_order_of_labelled_examples_does_not_matter(examples):
    labelled_ones = examples.assign_coords(example=np.arange(examples.sizes["example"]))
    mixed = labelled_ones.isel(example=np.random.default_rng(0).permutation(examples.sizes["example"]))
    assert same(dg.Softness.fit(mixed, seed=3), dg.Softness.fit(labelled_ones, seed=3))


@pytest.mark.parametrize("width", [np.nan, -0.1, "x", None])
def test_a_width_is_a_positive_number(examples, width):
    with pytest.raises(DataError, match=r"width of examples\.G must be"):
        dg.Softness.fit(examples.assign(G=examples.G.assign_attrs(width=width)))


def test_species_of_one_name_are_refused(examples, model):
    twice = examples.assign_coords(neighbor=["A", "A"])
    with pytest.raises(DataError, match="with labels, each once"):
        dg.Softness.fit(twice)
    with pytest.raises(DataError, match="with labels, each once"):
        dg.Softness.from_dataset(model.to_dataset().assign_coords(neighbor=["A", "A"]))


def test_metrics_of_a_model_have_the_dimensions_they_were_written_with(model):
    saved = model.to_dataset()

    turned = dg.Softness.from_dataset(saved.assign(confusion=saved.confusion.T))

    np.testing.assert_array_equal(turned.metrics["confusion"], model.metrics["confusion"])
    other_order = dg.Softness.from_dataset(saved.isel(true=[1, 0]))
    np.testing.assert_array_equal(other_order.metrics["confusion"], model.metrics["confusion"])
    for classes in ([0, 1, 1], [0]):
        with pytest.raises(DataError, match=r"confusion must have the classes \['hard', 'soft'\] along true"):
            dg.Softness.from_dataset(saved.isel(true=classes))
    with pytest.raises(DataError, match="confusion"):
        dg.Softness.from_dataset(saved.assign(confusion=saved.confusion.isel(true=0)))
    with pytest.raises(DataError, match="accuracy must be one number"):
        dg.Softness.from_dataset(saved.assign(accuracy=saved.accuracy.expand_dims(replica=2)))


def test_a_seed_is_one_of_scikit_learn(examples):
    with pytest.raises(DataError, match="seed must be a whole number, 4294967295 at most"):
        dg.Softness.fit(examples, seed=2**32)


def test_normalize_is_yes_or_no(examples, model):
    with pytest.raises(DataError, match="normalize must be True or False"):
        model.transform(examples.G, normalize="no")


# --- what it predicts ----------------------------------------------------------------------------------------------


def test_recall_and_precision_are_counted_where_both_are_known():
    dims = ("time", "particle")
    hop = xr.DataArray([[0.3, 0.3, 0.1, 0.2], [0.3, 0.1, np.nan, 0.9]], dims=dims)
    softness = xr.DataArray([[1.0, -1.0, 2.0, 3.0], [4.0, -1.0, 5.0, np.nan]], dims=dims)
    # known: six; of them three rearrange (0.2 does not), four are soft, two are both
    counted = dg.recall_precision(softness, hop)
    assert float(counted.recall) == pytest.approx(2 / 3)
    assert float(counted.precision) == pytest.approx(2 / 4)
    assert int(counted.samples) == 6


def test_recall_and_precision_keep_temperatures_apart():
    hop = xr.DataArray([[[0.3, 0.1]], [[0.1, 0.3]]], dims=("temperature", "time", "particle"))
    softness = xr.DataArray([[[1.0, 1.0]], [[1.0, -1.0]]], dims=("temperature", "time", "particle"))
    counted = dg.recall_precision(softness, hop)
    np.testing.assert_array_equal(counted.recall, [1.0, 0.0])
    np.testing.assert_array_equal(counted.precision, [0.5, 0.0])
