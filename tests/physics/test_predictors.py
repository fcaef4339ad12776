"""Linear predictors: against scikit-learn, with folds that cannot leak, and names that must match."""

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.svm import LinearSVC

import daskglass as dg
from daskglass.errors import DataError
from daskglass.physics.ridge import PENALTIES
from daskglass.store.blocks import read_table, write_table

CONFIGURATIONS, N, FEATURES = 7, 40, 6
NAMES = [f"x{k}" for k in range(FEATURES)]
AXES = ("configuration", "particle")
SPECIES = xr.DataArray(np.zeros(N, np.int8), dims="particle", attrs={"names": ["A"]})


def samples(seed=0, noise=1.0, configurations=CONFIGURATIONS, n=N):
    """Features of different sizes, some alike, and a target that depends on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(configurations, n, FEATURES)) + rng.normal(size=(configurations, 1, FEATURES))
    x[..., 1] = x[..., 0] + 0.1 * x[..., 1]
    y = x @ [1.0, -0.5, 0.3, 0.0, 0.0, 0.2] + noise * rng.normal(size=(configurations, n))
    features = xr.DataArray(x * 10.0 ** np.arange(-2, 4) + 5, {"feature": NAMES}, (*AXES, "feature"))
    return features, xr.DataArray(y, dims=AXES, attrs={"units": "sigma"})


def ridge(x, y, penalty):
    """Function of features that scikit-learn fits to those of configurations (configuration, particle, feature)."""
    dx, dy = ((each - each.mean(axis=1, keepdims=True)).reshape(-1, *each.shape[2:]) for each in (x, y))
    scale = dx.std(axis=0)
    model = Ridge(alpha=penalty * dy.size, fit_intercept=False).fit(dx / scale, dy)
    return lambda new: y.mean() + ((new - x.mean(axis=(0, 1))) / scale) @ model.coef_


def errors_within(predict, x, y):
    apart = predict(x) - y
    return ((apart - apart.mean(axis=1, keepdims=True)) ** 2).sum()


def chosen(x, y, folds):
    """Penalty of least error in folds (list of indices of configurations) left out in turn."""

    def error(penalty):
        total = 0.0
        for fold in folds:
            others = np.concatenate([each for each in folds if each is not fold])
            total += errors_within(ridge(x[others], y[others], penalty), x[fold], y[fold])
        return total

    return min(PENALTIES, key=error)


def divided(folds, configurations=CONFIGURATIONS, seed=0):
    return [test for _, test in KFold(folds, shuffle=True, random_state=seed).split(range(configurations))]


# --- the line ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.01, 3.0, 30.0])
def test_the_model_is_that_of_scikit_learn_at_the_penalty_that_folds_of_configurations_choose(noise):
    features, target = samples(noise=noise)
    x, y = features.values, target.values
    model = dg.LinearPredictor.fit(features, target, seed=3, folds=4)
    assert model.penalty == chosen(x, y, divided(4, seed=3))
    np.testing.assert_allclose(model.predict(features), ridge(x, y, model.penalty)(x), rtol=1e-8, atol=1e-8)
    assert model.predict(features).attrs["units"] == "sigma"
    rest = sum(
        errors_within(ridge(np.delete(x, fold, 0), np.delete(y, fold, 0), model.penalty), x[fold], y[fold])
        for fold in divided(4, seed=3)
    )
    total = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum()
    assert model.metrics["explained"] == pytest.approx(1 - rest / total)


def test_weights_are_those_of_standardised_features():
    features, target = samples()
    model = dg.LinearPredictor.fit(features, target)
    np.testing.assert_allclose(model.mean, features.mean(AXES), rtol=1e-12)
    np.testing.assert_allclose(
        model.scale, np.sqrt(((features - features.mean("particle")) ** 2).mean(AXES)), rtol=1e-12
    )
    by_hand = model.bias + ((features - model.mean) / model.scale * model.weights).sum("feature")
    np.testing.assert_allclose(model.predict(features), by_hand, rtol=1e-9)


def test_errors_of_weights_are_their_scatter():
    # of two that are alike weights depend on the penalty that is chosen
    drawn = [samples(seed) for seed in range(60)]
    models = [dg.LinearPredictor.fit(x.drop_sel(feature="x1"), y, folds=7) for x, y in drawn]
    scatter = np.std([model.weights for model in models], axis=0)
    np.testing.assert_allclose(np.mean([model.errors for model in models], axis=0), scatter, rtol=0.3)


def test_what_makes_configurations_differ_does_not_count():
    features, target = samples()
    shift = xr.DataArray(np.arange(CONFIGURATIONS) ** 2.0, dims="configuration")
    model, shifted = (dg.LinearPredictor.fit(features, each) for each in (target, target + shift))
    np.testing.assert_allclose(shifted.weights, model.weights, rtol=1e-9)
    assert shifted.bias == pytest.approx(model.bias + shift.mean().item())


def test_a_feature_that_is_constant_says_nothing():
    features, target = samples()
    with_constant = features.copy()
    with_constant[..., 4] = 0.1
    model = dg.LinearPredictor.fit(with_constant, target)
    assert model.weights.sel(feature="x4") == 0
    assert model.scale.sel(feature="x4") == 1
    without = dg.LinearPredictor.fit(features.drop_sel(feature="x4"), target)
    np.testing.assert_allclose(
        model.predict(with_constant), without.predict(features.drop_sel(feature="x4")), rtol=1e-8
    )


def test_more_features_than_particles_are_fitted():
    rng = np.random.default_rng(0)
    x = xr.DataArray(rng.normal(size=(5, 10, 200)), dims=(*AXES, "feature"))
    y = x.isel(feature=slice(100)).mean("feature") + xr.DataArray(rng.normal(size=(5, 10)), dims=AXES)
    model = dg.LinearPredictor.fit(x, y)
    np.testing.assert_allclose(
        model.predict(x), ridge(x.values, y.values, model.penalty)(x.values), rtol=1e-8, atol=1e-8
    )


# --- the plane ---------------------------------------------------------------------------------------------------


def machine(x, y):
    """Function of features whose sign scikit-learn finds, from those of configurations (configuration, particle, feature)."""
    dx = (x - x.mean(axis=1, keepdims=True)).reshape(-1, x.shape[-1])
    moves = (y > np.median(y, axis=1, keepdims=True)).ravel()
    model = LinearSVC(C=0.01, dual=False).fit(dx / dx.std(axis=0), moves)
    return lambda new: model.decision_function(((new - x.mean(axis=(0, 1))) / dx.std(axis=0)).reshape(-1, x.shape[-1]))


def test_a_support_vector_machine_is_that_of_scikit_learn():
    features, target = samples()
    x, y = features.values, target.values
    model = dg.LinearPredictor.fit(features, target, method="support_vectors")
    np.testing.assert_allclose(model.predict(features).values.ravel(), machine(x, y)(x), rtol=1e-3, atol=1e-3)
    assert model.predict(features).attrs["units"] == "1"
    assert model.penalty == pytest.approx(1 / (0.01 * y.size))
    assert (model.errors > 0).all()


def test_each_configuration_is_on_the_side_that_a_machine_of_the_others_says():
    features, target = samples(noise=3.0)
    x, y = features.values, target.values
    predicted = dg.LinearPredictor.cross_validated(features, target, folds=4, method="support_vectors")
    apart = []
    for fold in divided(4):
        others = np.delete(np.arange(CONFIGURATIONS), fold)
        by_hand = machine(x[others], y[others])(x[fold])
        np.testing.assert_allclose(predicted.values[fold].ravel(), by_hand, rtol=1e-3, atol=1e-3)
        apart.append(by_hand.reshape(len(fold), N) - by_hand.reshape(len(fold), N).mean(axis=1, keepdims=True))
    dy = np.concatenate([y[fold] - y[fold].mean(axis=1, keepdims=True) for fold in divided(4)])
    r = np.corrcoef(np.concatenate(apart).ravel(), dy.ravel())[0, 1]
    model = dg.LinearPredictor.fit(features, target, folds=4, method="support_vectors")
    assert model.metrics["explained"] == pytest.approx(r**2, rel=1e-3)


def test_only_the_order_of_the_target_counts_for_a_plane():
    features, target = samples()
    model, same = (
        dg.LinearPredictor.fit(features, each, method="support_vectors") for each in (target, np.exp(target))
    )
    np.testing.assert_array_equal(same.weights, model.weights)


def test_a_plane_does_not_depend_on_the_target_of_its_fold():
    features, target = samples()
    predicted = dg.LinearPredictor.cross_validated(features, target, method="support_vectors")
    for fold in np.unique(predicted.fold):
        mine = predicted.fold == fold
        again = dg.LinearPredictor.cross_validated(features, target.where(~mine, -target), method="support_vectors")
        np.testing.assert_array_equal(again[mine], predicted[mine])
        assert not np.isclose(again[~mine], predicted[~mine]).all()


def test_a_target_without_two_classes_is_refused():
    features, target = samples()
    with pytest.raises(DataError, match="above the median"):
        dg.LinearPredictor.fit(features, xr.ones_like(target), method="support_vectors")


def test_another_method_is_refused():
    with pytest.raises(DataError, match="method must be one of ridge, support_vectors; got 'lasso'"):
        dg.LinearPredictor.fit(*samples(), method="lasso")


# --- folds ---------------------------------------------------------------------------------------------------------


def test_cross_validated_predictions_are_those_of_nested_folds():
    features, target = samples(noise=3.0)
    x, y = features.values, target.values
    predicted = dg.LinearPredictor.cross_validated(features, target, folds=4)
    folds = divided(4)
    for k, fold in enumerate(folds):
        others = folds[:k] + folds[k + 1 :]
        among = np.concatenate(others)
        by_hand = ridge(x[among], y[among], chosen(x, y, others))(x[fold])
        np.testing.assert_allclose(predicted[fold], by_hand, rtol=1e-8, atol=1e-8)
        assert (predicted.fold[fold] == k).all()


@pytest.mark.parametrize("folds", [3, 5, 100])
def test_no_prediction_depends_on_the_target_of_its_configuration_or_fold(folds):
    features, target = samples()
    predicted = dg.LinearPredictor.cross_validated(features, target, folds=folds)
    for fold in np.unique(predicted.fold):
        mine = predicted.fold == fold
        other = target.where(~mine, -1000 * target**3)
        again = dg.LinearPredictor.cross_validated(features, other, folds=folds)
        np.testing.assert_array_equal(again[mine], predicted[mine])
        assert not np.isclose(again[~mine], predicted[~mine]).all()


def test_copies_of_particles_within_a_configuration_do_not_help():
    rng = np.random.default_rng(0)
    twins = rng.normal(size=(6, 20, 60)).repeat(2, axis=1), rng.normal(size=(6, 20)).repeat(2, axis=1)
    x, y = xr.DataArray(twins[0], dims=(*AXES, "feature")), xr.DataArray(twins[1], dims=AXES)
    board = dg.score(dg.LinearPredictor.cross_validated(x, y), y, SPECIES)
    assert abs(board.pearson) < 4 * board.pearson_err
    # as they would in folds of particles
    leaking = ridge(x.values[:, ::2], y.values[:, ::2], 1e-3)(x.values[:, 1::2])
    assert np.corrcoef(leaking.ravel(), y.values[:, 1::2].ravel())[0, 1] > 0.5


def test_a_target_that_is_noise_is_not_predicted():
    features, target = samples(configurations=30)
    noise = target.copy(data=np.random.default_rng(1).normal(size=target.shape))
    board = dg.score(dg.LinearPredictor.cross_validated(features, noise), noise, SPECIES)
    assert abs(board.pearson) < 4 * board.pearson_err
    assert dg.score(dg.LinearPredictor.fit(features, target).predict(features), target, SPECIES).pearson > 0.5


def test_members_of_all_named_dimensions_are_configurations():
    features, target = samples(configurations=8)

    def split(array):
        return array.coarsen(configuration=2).construct(configuration=("replica", "configuration"))

    groups = ("replica", "configuration")
    model, same = (
        dg.LinearPredictor.fit(split(features), split(target), groups),
        dg.LinearPredictor.fit(features, target),
    )
    np.testing.assert_allclose(model.weights, same.weights, rtol=1e-9)
    predicted = dg.LinearPredictor.cross_validated(split(features), split(target), groups)
    np.testing.assert_allclose(
        predicted.values.reshape(8, N), dg.LinearPredictor.cross_validated(features, target), rtol=1e-9
    )
    with pytest.raises(DataError, match="select one of replica, or name it in groups"):
        dg.LinearPredictor.fit(split(features), split(target))


def test_the_order_of_labelled_configurations_does_not_matter_and_seeds_do():
    features, target = samples(noise=3.0)
    features, target = (each.assign_coords(configuration=np.arange(CONFIGURATIONS)) for each in (features, target))
    order = np.random.default_rng(0).permutation(CONFIGURATIONS)
    predicted = dg.LinearPredictor.cross_validated(features, target)
    other = dg.LinearPredictor.cross_validated(
        features.isel(configuration=order), target.isel(configuration=order[::-1])
    )
    np.testing.assert_allclose(other.sel(configuration=predicted.configuration), predicted, rtol=1e-9)
    assert not np.allclose(dg.LinearPredictor.cross_validated(features, target, seed=1), predicted)
    unlabelled = dg.LinearPredictor.fit(
        features.isel(configuration=order).drop_vars("configuration"), target.isel(configuration=order)
    )
    np.testing.assert_allclose(unlabelled.weights, dg.LinearPredictor.fit(features, target).weights, rtol=1e-9)


# --- features and their names --------------------------------------------------------------------------------------


def test_variables_of_any_dimensions_are_features_side_by_side():
    features, target = samples()
    grid = xr.DataArray(
        features.values[..., :4].reshape(CONFIGURATIONS, N, 2, 2),
        {"neighbor": ["A", "B"], "mu": [0.4, 1.5]}, (*AXES, "neighbor", "mu"), name="G",
    )  # fmt: skip
    both = xr.Dataset(
        {"G": grid, **{name: features.isel(feature=k, drop=True) for k, name in ((4, "energy"), (5, "density"))}}
    )
    model, plain = dg.LinearPredictor.fit(both, target), dg.LinearPredictor.fit(features, target)
    assert list(model.weights.feature.values) == [
        "G(A, 0.4)", "G(A, 1.5)", "G(B, 0.4)", "G(B, 1.5)", "energy", "density",
    ]  # fmt: skip
    np.testing.assert_array_equal(model.weights, plain.weights)
    other = both[["density", "G", "energy"]].isel(mu=[1, 0]).transpose("mu", "particle", "configuration", "neighbor")
    np.testing.assert_allclose(model.predict(other).transpose(*AXES), plain.predict(features), rtol=1e-8)
    alone = dg.LinearPredictor.fit(grid.stack(feature=("neighbor", "mu")), target)
    assert list(alone.weights.feature.values) == ["A, 0.4", "A, 1.5", "B, 0.4", "B, 1.5"]


def test_predictions_are_lazy_and_keep_leading_dimensions():
    features, target = samples()
    model = dg.LinearPredictor.fit(features, target)
    lazy = model.predict(features.chunk(configuration=2, particle=9).expand_dims(temperature=[0.5, 0.6]))
    assert lazy.chunks is not None
    for T in (0.5, 0.6):
        np.testing.assert_array_equal(lazy.sel(temperature=T), model.predict(features))
    chunked = dg.LinearPredictor.fit(features.chunk(configuration=1, feature=2), target.chunk(particle=9))
    xr.testing.assert_identical(chunked.to_dataset(), model.to_dataset())


def test_particles_without_features_or_target_are_left_out():
    features, target = samples()
    absent = xr.DataArray(np.arange(N) % 5 == 0, dims="particle")
    model = dg.LinearPredictor.fit(features.where(~absent), target)
    kept = dg.LinearPredictor.fit(features.isel(particle=~absent), target.isel(particle=~absent))
    np.testing.assert_allclose(model.weights, kept.weights, rtol=1e-9)
    assert model.metrics["samples"] == CONFIGURATIONS * N * 4 // 5
    np.testing.assert_allclose(dg.LinearPredictor.fit(features, target.where(~absent)).weights, kept.weights, rtol=1e-9)
    assert (model.predict(features.where(~absent)).isnull() == absent).all()
    assert (dg.LinearPredictor.cross_validated(features.where(~absent), target).isnull() == absent).all()
    # of two variables one may exist for all
    both = xr.Dataset({"x": features.where(~absent), "energy": target**2})
    assert (dg.LinearPredictor.fit(both, target).predict(both).isnull() == absent).all()


def test_configurations_without_a_target_belong_to_no_fold():
    features, target = samples()
    gone = target.where(xr.DataArray(np.arange(CONFIGURATIONS) != 2, dims="configuration"))
    model = dg.LinearPredictor.fit(features, gone)
    kept = dg.LinearPredictor.fit(features.drop_isel(configuration=2), target.drop_isel(configuration=2))
    np.testing.assert_allclose(model.weights, kept.weights, rtol=1e-9)
    assert model.metrics["configurations"] == CONFIGURATIONS - 1
    predicted = dg.LinearPredictor.cross_validated(features, gone)
    assert predicted.fold[2] == -1
    assert (predicted.isnull().all("particle") == (predicted.fold == -1)).all()


def test_a_saved_model_predicts_the_same(tmp_path):
    features, target = samples()
    model = dg.LinearPredictor.fit(features, target)
    write_table(tmp_path, "ka/predictor", model.to_dataset())
    again = dg.LinearPredictor.from_dataset(read_table(tmp_path, "ka/predictor"))
    xr.testing.assert_identical(again.predict(features), model.predict(features))
    xr.testing.assert_equal(again.to_dataset(), model.to_dataset())
    assert again.metrics == model.metrics


# --- bad input -----------------------------------------------------------------------------------------------------


def test_features_that_the_model_was_not_fitted_to_are_refused():
    features, target = samples()
    model = dg.LinearPredictor.fit(features, target)
    shuffled = features.isel(feature=[3, 1, 0, 5, 4, 2])
    np.testing.assert_allclose(model.predict(shuffled), model.predict(features), rtol=1e-8)
    with pytest.raises(DataError, match=r"it needs \['x2'\], and knows no \[\]"):
        model.predict(features.drop_sel(feature="x2"))
    with pytest.raises(DataError, match=r"it needs \['x0', .*\], and knows no \['y0'"):
        model.predict(features.assign_coords(feature=[f"y{k}" for k in range(FEATURES)]))
    with pytest.raises(DataError, match="it needs"):
        model.predict(features.drop_vars("feature"))


def test_a_particle_with_a_part_of_its_features_is_named():
    features, target = samples()
    model = dg.LinearPredictor.fit(features, target)
    features[3, 11, 2] = np.nan
    with pytest.raises(DataError, match=r"configuration \(3,\), particle 11: feature 2 of features is missing, others"):
        dg.LinearPredictor.fit(features, target)
    with pytest.raises(DataError, match="particle 11: feature 2 of features is missing, others are not"):
        model.predict(features)


def test_too_little_to_learn_from_is_refused():
    features, target = samples()
    one, two = (features.isel(configuration=slice(k)) for k in (1, 2))
    with pytest.raises(DataError, match="1 configurations with a target are too few: at least 2 are needed"):
        dg.LinearPredictor.fit(one, target.isel(configuration=slice(1)))
    with pytest.raises(DataError, match="2 configurations with a target are too few: at least 3 are needed"):
        dg.LinearPredictor.cross_validated(two, target.isel(configuration=slice(2)))
    with pytest.raises(DataError, match=r"configuration \(1,\) has fewer than two particles"):
        dg.LinearPredictor.fit(two.where(two.configuration != 1), target.isel(configuration=slice(2)))
    with pytest.raises(DataError, match="folds must be a whole number, 3 or more"):
        dg.LinearPredictor.cross_validated(features, target, folds=2)


def test_arrays_that_do_not_fit_are_refused():
    features, target = samples()
    with pytest.raises(DataError, match="target lacks the dimension configuration"):
        dg.LinearPredictor.fit(features, target.isel(configuration=0))
    with pytest.raises(DataError, match="particle differs: target has 40, features has 39"):
        dg.LinearPredictor.fit(features.isel(particle=slice(39)), target)
    with pytest.raises(DataError, match="features must have names of their own; 'x0' is there more than once"):
        dg.LinearPredictor.fit(features.assign_coords(feature=["x0", *NAMES[:-1]]), target)
    with pytest.raises(DataError, match="features hold no variable"):
        dg.LinearPredictor.fit(xr.Dataset(), target)
    for groups in ("particle", (), "mu"):
        with pytest.raises(DataError, match="groups must name dimensions of configurations"):
            dg.LinearPredictor.fit(features, target, groups)


def test_what_is_no_model_is_refused():
    saved = dg.LinearPredictor.fit(*samples()).to_dataset()
    for wrong, words in (
        (saved.drop_vars("weights"), "model lacks weights"),
        (saved.assign(scale=-saved.scale), "model.scale holds values that are not finite and positive"),
        (saved.assign(bias=np.nan), "model.bias holds values that are not finite"),
        (saved.drop_vars("feature"), "must hold the names of the features"),
        (saved.expand_dims(system=2), "model.weights must be over"),
    ):
        with pytest.raises(DataError, match=words):
            dg.LinearPredictor.from_dataset(wrong)
