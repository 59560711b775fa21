"""Evaluation without leakage: folds, tuning inside the folds, confidence intervals, temperature scaling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin

from featx.classifier import rank_suspects, softmax, suspicion_margins
from featx.evaluation import CrossValidation, Interval, LearningCurve
from featx.evaluation.procedures import (
    CrossValidated,
    TooFewGroups,
    TrainingSet,
    calibrate,
    cross_validate,
    find_temperature,
    learning_curve,
    measure_reliability,
    paired_difference,
    quiet_single_threads,
    tune_and_fit,
)
from featx.evaluation.procedures.folds import Fold, Folds, make_folds
from featx.evaluation.procedures.intervals import (
    corrected_resampled,
    difference_of_shares,
    difference_over_folds,
    effective_number,
    mean_of_shares,
    share_of,
    widen_interval,
    wilson,
)
from featx.evaluation.procedures.learning import _to_halve
from featx.evaluation.records.fields import Fields
from featx.heads import HEAD_NAMES, Head, make_head, scores_of
from featx.targets import SingleLabel


def training_set(n: int = 60, n_classes: int = 3, d: int = 20, signal: float = 1.0, seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = rng.normal(0, 1, (n, d)) + signal * rng.normal(0, 1, (n_classes, d))[y]
    return TrainingSet(X.astype(np.float32), y, np.arange(n), SingleLabel(tuple("abcdefgh"[:n_classes])))


def with_groups(data: TrainingSet, groups: np.ndarray) -> TrainingSet:
    return TrainingSet(data.X, data.y, groups, data.targets)


class Recorder(ClassifierMixin, BaseEstimator):
    """Predict class 0, and record the first feature of the training and test samples."""

    fitted: list[set] = []  # noqa: RUF012
    tested: list[set] = []  # noqa: RUF012

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        Recorder.fitted.append(set(X[:, 0].tolist()))
        return self

    def predict(self, X):
        Recorder.tested.append(set(X[:, 0].tolist()))
        return np.zeros(len(X), int)


def test_single_images_are_stratified():
    data = training_set(60)
    folds = make_folds(data.y, data.groups, data.classes, 5, 0)
    assert folds.splitter == "StratifiedKFold"
    assert sorted(np.concatenate([test for _, test in folds.pairs])) == list(range(60))
    assert all(np.bincount(data.y[test]).tolist() == [4, 4, 4] for _, test in folds.pairs)


def test_groups_are_never_split():
    data = training_set(60)
    groups = np.arange(60) // 6
    folds = make_folds(data.y, groups, data.classes, 5, 0)
    assert folds.splitter == "StratifiedGroupKFold"
    for train, test in folds.pairs:
        assert not set(groups[train]) & set(groups[test])
        assert set(data.y[train]) == {0, 1, 2}


def test_folds_are_as_many_as_the_fewest_groups():
    y = np.repeat([0, 1], [30, 9])
    groups = np.concatenate([np.arange(30), 100 + np.arange(9) // 3])
    assert len(make_folds(y, groups, ("a", "b"), 5, 0).pairs) == 3


@pytest.mark.parametrize(
    ("groups_of_b", "message"),
    [([100, 100, 100], 'class "b" has all 3 images in one group'), ([100], 'class "b" has one image')],
)
def test_a_class_with_a_single_group_cannot_be_cross_validated(groups_of_b, message):
    y = np.repeat([0, 1], [10, len(groups_of_b)])
    with pytest.raises(TooFewGroups, match=message):
        make_folds(y, np.concatenate([np.arange(10), groups_of_b]), ("a", "b"), 5, 0)


def test_groups_that_leave_a_class_out_of_every_training_part():
    y = np.array([0, 0, 0, 1, 1, 2, 2])
    groups = np.array([0, 1, 2, 0, 1, 0, 2])  # groups 0 and 1 together contain all of class b, groups 0 and 2 all of c
    for seed in range(20):
        folds = make_folds(y, groups, ("a", "b", "c"), 2, seed)
        assert all(set(y[train]) == {0, 1, 2} for train, _ in folds.pairs)
    with pytest.raises(
        TooFewGroups, match="no split of the groups leaves every class"
    ):  # two of three groups lack a class
        make_folds(np.array([0, 1, 0, 2, 1, 2]), np.array([0, 0, 1, 1, 2, 2]), ("a", "b", "c"), 3, 0)


def test_no_test_sample_is_used_for_fitting_or_tuning():
    data = training_set(40, 2)
    data.X[:, 0] = np.arange(40)
    Recorder.fitted, Recorder.tested = [], []
    head = Head("recorder", Recorder(), {"C": (1.0, 2.0)})
    result = cross_validate(head, data, 4, 1, seed=0)
    folds = make_folds(data.y, data.groups, data.classes, 4, 0)
    per_fold = 2 * 3 + 1  # two candidates on three inner folds, then the fit on the whole training part
    assert len(Recorder.fitted) == 4 * per_fold
    for number, (train, test) in enumerate(folds.pairs):
        own = slice(number * per_fold, (number + 1) * per_fold)
        touched = set.union(*Recorder.fitted[own], *Recorder.tested[own][:-1])
        assert touched == set(train.tolist())
        assert Recorder.fitted[own][-1] == set(train.tolist())
        assert Recorder.tested[own][-1] == set(test.tolist())
    assert result.summary.accuracy.mean == 0.5


def test_the_scaler_is_fitted_inside_each_fold():
    """An extreme test image must not change the mean that its fold subtracts."""
    data = training_set(40, 2)
    data.X[7] = 1e6
    head = make_head("logreg", {"C": 1.0})
    train = next(train for train, test in make_folds(data.y, data.groups, data.classes, 4, 0).pairs if 7 in test)
    with quiet_single_threads():
        tuned = tune_and_fit(head, data.part(train), 0)
    assert np.abs(tuned.estimator[0].mean_).max() < 10


@pytest.mark.parametrize("name", HEAD_NAMES)
def test_shuffled_labels_score_at_chance(name):
    data = training_set(240, 2, signal=3.0)
    shuffled = np.random.default_rng(1).permutation(data.y)
    result = cross_validate(make_head(name), TrainingSet(data.X, shuffled, data.groups, data.targets), 5, 1, seed=0)
    assert result.summary.accuracy.low < 0.5 < result.summary.accuracy.high
    assert cross_validate(make_head(name), data, 5, 1, seed=0).summary.accuracy.mean > 0.95


def test_duplicates_inflate_only_the_ungrouped_accuracy():
    data = training_set(60, 2, signal=0.0)
    ungrouped = TrainingSet(np.repeat(data.X, 4, 0), np.repeat(data.y, 4), np.arange(240), data.targets)
    grouped = with_groups(ungrouped, np.repeat(np.arange(60), 4))
    head = make_head("knn", {"n_neighbors": 1})
    assert cross_validate(head, ungrouped, 5, 1, seed=0).summary.accuracy.mean > 0.95
    assert cross_validate(head, grouped, 5, 1, seed=0).summary.accuracy.mean < 0.7


def test_results_do_not_depend_on_the_number_of_workers():
    data = training_set(90, 3)
    results = [cross_validate(make_head("logreg"), data, 5, 2, 0, workers).summary for workers in (1, 4)]
    assert results[0] == results[1]
    assert len(results[0].per_fold) == 10


def test_summary_counts_by_hand():
    data = training_set(40, 2)
    head = Head("recorder", Recorder())  # always predicts the first class
    summary = cross_validate(head, data, 4, 1, seed=0).summary
    assert summary.per_fold == (0.5, 0.5, 0.5, 0.5)
    assert summary.balanced_accuracy.mean == 0.5
    assert summary.confusion == ((20, 0), (20, 0))
    assert [(c.name, c.precision, c.recall, c.n) for c in summary.per_class] == [
        ("a", 0.5, 1.0, 20),
        ("b", 0.0, 0.0, 20),
    ]
    assert summary.accuracy.low <= wilson(0.5, 40).low  # four folds that agree by chance do not narrow the interval


def test_progress_counts_folds():
    reported = []
    cross_validate(make_head("centroid"), training_set(40, 2), 4, 2, 0, progress=lambda *at: reported.append(at))
    assert reported == [(i, 8) for i in range(9)]


def test_fits_that_do_not_converge_are_counted():
    data = training_set(60, 3)
    assert cross_validate(make_head("logreg", {"max_iter": 1}), data, 5, 1, 0).n_not_converged == 5
    assert cross_validate(make_head("logreg"), data, 5, 1, 0).n_not_converged == 0


def test_too_few_samples_to_tune_use_the_middle_of_the_grid():
    data = training_set(4, 2)
    with quiet_single_threads():
        tuned = tune_and_fit(make_head("logreg"), data.part(np.arange(2)), 0)
    assert (tuned.params, tuned.was_tuned) == ({"head__C": 1.0}, False)


def test_ties_go_to_the_most_regularised():
    data = training_set(60, 2, signal=10.0)
    with quiet_single_threads():
        assert tune_and_fit(make_head("logreg"), data, 0).params == {"head__C": 1e-4}


def test_wilson_against_scipy():
    for hits, n in ((0, 5), (5, 5), (93, 100), (1, 3)):
        theirs = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
        ours = wilson(hits / n, n)
        np.testing.assert_allclose((ours.low, ours.high), (theirs.low, theirs.high), atol=1e-12)


def test_effective_number_of_groups_by_hand():
    fours = np.arange(60) // 4
    assert effective_number(np.ones(60, bool), fours) == pytest.approx(15)  # no informative group: correlation of 1
    assert effective_number(fours % 2 == 0, fours) == pytest.approx(15)  # observed correlation of 1
    assert effective_number(np.arange(60) % 2 == 0, np.arange(60)) == 60
    # half of each group is correct: 14 of 15 groups show no correlation, and two perfectly correlated ones are added
    assert effective_number(np.arange(60) % 2 == 0, fours) == pytest.approx(60**2 / (60 + 2 / 16 * 15 * 12))
    large = np.repeat(np.arange(100), [1000] * 3 + [1] * 97)
    assert effective_number(np.ones(3097, bool), large) == pytest.approx(3097**2 / 3_000_097)
    assert effective_number(np.arange(3097) % 2 == 0, large) == pytest.approx(3097**2 / (3097 + 2 / 4 * 2_997_000))


def test_more_errors_do_not_raise_the_lower_bound():
    """One to ten errors in 240 samples of 60 groups, each in another group, compared with no error."""
    fours = np.arange(240) // 4
    lows = [share_of(~np.isin(np.arange(240), 4 * np.arange(n)), fours).low for n in range(11)]
    assert max(lows[1:]) < lows[0] + 5e-4
    assert lows[-1] < 0.92


def test_a_few_large_groups_do_not_narrow_the_interval():
    """Three correct groups of 60, and 20 samples of which half are wrong, do not count as 23 trials."""
    groups = np.repeat(np.arange(23), [60] * 3 + [1] * 20)
    data = with_groups(training_set(200, 2), groups)
    summary = cross_validate(make_head("centroid"), data, 5, 1, 0).summary
    pooled = sum(row[i] for i, row in enumerate(summary.confusion)) / 200
    effective = 200**2 / (3 * 60**2 + 20)  # no large group has an error: each counts as one sample
    assert summary.accuracy.low <= wilson(pooled, effective).low + 1e-9
    in_class = [wilson(score.recall, effective) for score in summary.per_class]
    assert summary.balanced_accuracy.low <= mean_of_shares(in_class).low + 1e-9


@pytest.mark.parametrize("sizes", [[1] * 80, [4] * 40, [60] * 3 + [1] * 40])
def test_intervals_contain_the_accuracy_on_new_samples(sizes):
    """Of 40 simulated data sets, 95 % are 38; fewer than 34 have a probability below 2 %."""
    head = make_head("centroid", {"shrink_threshold": None})
    n_covered = sum(covers_truth(head, np.repeat(np.arange(len(sizes)), sizes), seed) for seed in range(40))
    assert n_covered >= 34


def covers_truth(head: Head, groups: np.ndarray, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 0.5, (2, 10))

    def draw(groups):
        y = rng.permutation(np.arange(groups.max() + 1) % 2)[groups]
        noise = rng.normal(0, 0.9, (groups.max() + 1, 10))[groups] + rng.normal(0, 0.4, (len(groups), 10))
        return TrainingSet((centres[y] + noise).astype(np.float32), y, groups, SingleLabel(("a", "b")))

    data, new = draw(groups), draw(np.arange(2000))
    found = cross_validate(head, data, 5, 1, seed).summary.accuracy
    with quiet_single_threads():
        fitted = tune_and_fit(head, data, seed).estimator
    truth = (scores_of(fitted, new.X, 2).argmax(axis=1) == new.y).mean()
    return bool(found.low <= truth <= found.high)


def test_corrected_resampled_by_hand():
    scores = [0.8, 0.9, 0.85, 0.95, 0.9]
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * np.var(scores, ddof=1))
    found = corrected_resampled(scores, 1 / 4)
    np.testing.assert_allclose((found.mean, found.low), (0.88, 0.88 - half))
    np.testing.assert_allclose(found.high, min(1, 0.88 + half))


def test_paired_difference_of_two_on_the_same_folds():
    data = training_set(60, 2, signal=0.5)
    one, other = (cross_validate(make_head(name), data, 5, 1, 0) for name in ("logreg", "centroid"))
    found = paired_difference(one, other, data.y, data.groups)
    assert found.mean == pytest.approx(one.summary.accuracy.mean - other.summary.accuracy.mean)
    turned = paired_difference(other, one, data.y, data.groups)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_a_difference_that_is_the_same_in_each_fold_still_has_an_interval():
    data = training_set(60, 2)
    one = cross_validate(make_head("centroid"), data, 5, 1, 0)
    same = paired_difference(one, one, data.y, data.groups)
    assert same.mean == 0
    # the heads differ on none of 60 images: half an image is added to each of four cells (Agresti and Min 2005)
    half = 1.959963984540054 * np.sqrt(1 / 62) / np.sqrt(62)
    assert (same.low, same.high) == pytest.approx((-half, half))
    grouped = paired_difference(one, one, data.y, np.arange(60) // 6)
    half = 1.959963984540054 * np.sqrt(1 / 12) / np.sqrt(12)
    assert (grouped.low, grouped.high) == pytest.approx((-half, half))


@pytest.mark.parametrize("n_folds", [2, 5])
def test_intervals_that_hold_together_are_wider(n_folds):
    """The level of each of four intervals is 1 - 0.05 / 4."""
    rng, groups = np.random.default_rng(0), np.arange(100)
    hits, others = rng.random(100) < 0.8, rng.random(100) < 0.7
    one, four = (difference_of_shares(hits, others, groups, n) for n in (1, 4))
    wider = stats.norm.ppf(1 - 0.0125 / 2) / stats.norm.ppf(0.975)
    assert four.mean == one.mean
    assert four.high - four.low == pytest.approx(wider * (one.high - one.low))
    scores, other_scores = rng.random(n_folds), rng.random(n_folds)
    one, four = (difference_over_folds(scores, other_scores, 0.25, n) for n in (1, 4))
    wider = stats.t.ppf(1 - 0.0125 / 2, n_folds - 1) / stats.t.ppf(0.975, n_folds - 1)
    assert four.high - four.mean == pytest.approx(wider * (one.high - one.mean))


def test_mean_of_shares_and_shrunken_intervals():
    found = mean_of_shares([wilson(0.5, 10), wilson(1.0, 10)])
    down = [0.5 - wilson(0.5, 10).low, 1.0 - wilson(1.0, 10).low]
    np.testing.assert_allclose(found.low, 0.75 - np.hypot(*down) / 2)
    found = widen_interval(Interval(0.5, 0.4, 0.6), Interval(0.5, 0.45, 0.7))
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.4375, 0.7))  # a quarter of the way to 0.4
    wider = widen_interval(Interval(0.5, 0.5, 0.5), Interval(0.4, 0.3, 0.45))
    assert (wider.mean, wider.low, wider.high) == pytest.approx((0.4, 0.3, 0.4625))  # the estimate is the pooled one


def test_temperature_restores_probabilities():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    y = (softmax(logits).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    np.testing.assert_allclose(find_temperature(logits * 7, y), 7, rtol=0.05)


def test_no_error_on_few_images_does_not_give_a_probability_of_1():
    y = np.arange(10) % 2
    scores = np.where(np.eye(2)[y] > 0, 5.0, -5.0)
    confidence = softmax(scores / find_temperature(scores, y)).max(axis=1)
    np.testing.assert_allclose(confidence, 11 / 12, atol=0.01)


def test_out_of_fold_scores_do_not_use_their_own_sample():
    data = training_set(60, 2, signal=0.0)
    head = make_head("knn", {"n_neighbors": 1})
    scores = cross_validate(head, data, 5, 1, 0).scores
    assert (scores.argmax(axis=1) == data.y).mean() < 0.7  # with itself as neighbour, every sample would be correct


def test_reliability_of_calibrated_and_of_overconfident_probabilities():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 4000)
    y = (rng.uniform(size=4000) > confidence).astype(np.int64)
    calibrated = measure_reliability(SingleLabel(("a", "b")), np.stack([confidence, 1 - confidence], axis=1), y)
    assert calibrated.ece < 0.03
    assert sum(n for _, _, n in calibrated.bins) == 4000
    assert len(calibrated.bins) == 10
    overconfident = measure_reliability(SingleLabel(("a", "b")), np.tile([1.0, 0.0], (4000, 1)), y)
    assert overconfident.ece == pytest.approx((y == 1).mean())
    assert overconfident.brier == pytest.approx(2 * (y == 1).mean())
    assert overconfident.brier > calibrated.brier


def test_suspects_are_labels_less_probable_than_another_class():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.45, 0.5, 0.05], [0.3, 0.3, 0.4]])
    y = np.array([0, 0, 0, 0])
    assert rank_suspects(probabilities, y).tolist() == [1, 3, 2]
    assert suspicion_margins(probabilities, y).round(2).tolist() == [0.8, -0.5, -0.05, -0.1]


def test_a_learning_curve_rises_and_ends_at_the_cross_validated_accuracy():
    data = training_set(240, 3, 20, signal=0.5)
    head = make_head("logreg", {"C": 0.01})
    crossed = cross_validate(head, data, 5, 1, 0)
    curve = learning_curve(head, data, crossed, 0)
    sizes = [n for n, _ in curve.points]
    assert sizes == [24, 48, 96, 192]
    means = [accuracy.mean for _, accuracy in curve.points]
    assert curve.points[-1].accuracy == crossed.summary.accuracy
    assert means[0] < means[-1] - 0.05
    assert means[-1] <= curve.at_twice <= 1
    assert LearningCurve.from_fields(Fields(curve.to_dict(), "learning_curve")) == curve


def test_a_learning_curve_uses_whole_groups_and_leaves_out_parts_without_a_class():
    data = with_groups(training_set(60), np.arange(60) // 6)
    seen = []

    class FitRecorder(Recorder):
        def fit(self, X, y):
            seen.append(X[:, 0].tolist())
            return super().fit(X, y)

    head = Head("recorder", FitRecorder())
    folds = make_folds(data.y, data.groups, data.classes, 5, 0)
    curve = learning_curve(head, data, crossed_by(folds, 3), 0)
    place = {value: i for i, value in enumerate(data.X[:, 0].tolist())}
    for values in seen:
        groups = data.groups[[place[value] for value in values]]
        assert all((groups == group).sum() == 6 for group in groups)
    assert len(curve.points) == 4
    rare = TrainingSet(data.X, np.array([2, 2] + [0, 1] * 29), np.arange(60), data.targets)
    pairs = Fold(np.arange(60), np.arange(10)), Fold(np.arange(60), np.arange(10, 20))
    curve = learning_curve(head, rare, crossed_by(Folds("x", pairs), 3), 0)
    assert len(curve.points) == 4


@pytest.mark.parametrize(("signal", "answer"), [(0.3, "yes"), (0.4, "unclear"), (3.0, "no")])
def test_would_more_images_help(signal, answer):
    data = training_set(600, 8, 100, signal=signal)
    head = make_head("logreg", {"C": 0.01})
    curve = learning_curve(head, data, cross_validate(head, data, 3, 1, 0), 0)
    outlook = curve.outlook
    assert (outlook.answer, outlook.n) == (answer, 600)
    assert str(outlook).startswith(f"{answer}: the expected accuracy is {outlook.at_twice.mean:.3f}")
    assert "with 1,200 images" in str(outlook)
    assert ("half of the present error rate is expected" in str(outlook)) == (answer == "yes")
    assert ("too uncertain for an answer" in str(outlook)) == (answer == "unclear")
    twice = cross_validate(head, training_set(1200, 8, 100, signal=signal), 3, 1, 0).summary.accuracy
    assert outlook.at_twice.low < twice.mean <= outlook.at_twice.high
    for _, accuracy in curve.points:
        assert accuracy.low < accuracy.mean  # the interval always has a width


def test_a_forecast_extrapolates_the_last_doubling():
    data = training_set(240, 3, 20, signal=0.5)
    head = make_head("logreg", {"C": 0.01})
    crossed = cross_validate(head, data, 5, 1, 0)
    curve = learning_curve(head, data, crossed, 0)
    half, last = (accuracy for _, accuracy in curve.points[-2:])
    outlook, now = curve.outlook, crossed.summary.accuracy
    assert last.mean > half.mean
    assert outlook.gain.mean == pytest.approx(0.7 * (last.mean - half.mean))
    assert outlook.at_twice.mean == pytest.approx(now.mean + outlook.gain.mean)
    # The forecast is less certain than the present accuracy.
    assert outlook.at_twice.mean - outlook.at_twice.low > now.mean - now.low
    assert outlook.at_twice.high - outlook.at_twice.mean > min(now.high - now.mean, 1 - outlook.at_twice.mean - 1e-9)


def test_forecasts_contain_the_accuracy_with_twice_as_many_samples():
    """Of 40 intervals, at least 36 contain the accuracy on new samples, and the one of the next cross-validation."""
    head = make_head("logreg", {"C": 0.1})
    on_new, repeated = 0, 0
    for seed in range(40):
        every = training_set(2000 + 120, 3, 20, signal=0.35, seed=seed)
        data, both, new = (every.part(np.arange(*ends)) for ends in ((0, 60), (0, 120), (120, 2120)))
        at_twice = learning_curve(head, data, cross_validate(head, data, 5, 1, seed), seed).outlook.at_twice
        with quiet_single_threads():
            scores = scores_of(tune_and_fit(head, both, 0).estimator, new.X, 3)
        on_new += at_twice.low <= (scores.argmax(axis=1) == new.y).mean() <= at_twice.high
        repeated += at_twice.low <= cross_validate(head, both, 5, 1, seed).summary.accuracy.mean <= at_twice.high
    assert on_new >= 36
    assert repeated >= 36


def test_half_of_the_errors_needs_enough_doublings():
    # Doublings gain 0.1, 0.07, 0.049: three of them remove 0.219 of an error of 0.438.
    assert _to_halve(100, 0.438, 0.1) == 700
    assert _to_halve(100, 0.438, 0.219) == 100
    assert _to_halve(100, 0.438, 0.06) is None  # all further doublings together gain 0.2
    assert _to_halve(100, 0.438, 0.0) is None


def test_points_that_cannot_be_fitted_are_reported():
    data = training_set(40, 2)
    head = make_head("knn", {"n_neighbors": 15})
    curve = learning_curve(head, data, cross_validate(head, data, 4, 1, 0), 0)
    assert [n for n, _ in curve.left_out] == [4, 8]
    assert "n_neighbors" in curve.left_out[0][1]
    assert [n for n, _ in curve.points] == [16, 30]
    few = training_set(16, 2)
    curve = learning_curve(head, few, cross_validate(make_head("centroid"), few, 4, 1, 0), 0)
    assert [n for n, _ in curve.points] == [12]
    assert curve.outlook is None


def test_rare_classes_neither_prevent_cross_validation_nor_reduce_the_folds():
    y = np.concatenate([np.arange(60) % 3, [3], [4, 4]])
    with quiet_single_threads():
        folds = make_folds(y, np.arange(63), tuple("abcde"), 5, 0)
    assert (len(folds.pairs), folds.untested) == (5, ("d",))
    assert folds.tested.tolist() == [*range(60), 61, 62]
    assert all(set(y[train]) == {0, 1, 2, 3, 4} for train, _ in folds.pairs)
    groups = np.arange(63)
    groups[60] = groups[7]  # a duplicate of the only image of class d has another label: it is not tested either
    with quiet_single_threads():
        folds = make_folds(y, groups, tuple("abcde"), 5, 0)
    assert 7 not in folds.tested
    assert 60 not in folds.tested
    X = np.eye(5)[y] + np.random.default_rng(0).normal(0, 0.1, (63, 5))
    summary = cross_validate(
        make_head("centroid"), TrainingSet(X.astype(np.float32), y, np.arange(63), SingleLabel(tuple("abcde"))), 5, 1, 0
    ).summary
    assert (summary.accuracy.mean, summary.untested, sum(map(sum, summary.confusion))) == (1.0, ("d",), 62)


def crossed_by(folds: Folds, n_classes: int) -> CrossValidated:
    """Return a cross-validation on the given folds with scores of zero."""
    n, unknown = len(folds.tested), Interval(0.0, 0.0, 1.0)
    return CrossValidated(
        CrossValidation("x", len(folds.pairs), 1, unknown, unknown, (0.0,) * len(folds.pairs), (), ()),
        folds,
        folds.tested,
        np.zeros(n, np.int64),
        np.zeros((n, n_classes)),
        ({},) * len(folds.pairs),
        0,
        SingleLabel(tuple("abcdefgh"[:n_classes])),
    )


@pytest.mark.parametrize("C", [0.01, [1e-4, 0.01, 1.0]])
def test_a_sample_is_calibrated_without_its_own_label(C):
    """The scores of each fold are rescaled by the temperature of the other folds, whatever C each fold chose."""
    data = training_set(120, 3, 20, signal=0.3, seed=1)
    head = make_head("logreg", {"C": C})
    crossed = cross_validate(head, data, 5, 1, 0)
    chosen = {} if C == 0.01 else {"head__C": 1.0}
    if C != 0.01:
        assert len({str(params) for params in crossed.params}) > 1
    found = calibrate(head, chosen, data, crossed)
    np.testing.assert_array_equal(found.scores.argmax(axis=1), crossed.predicted)
    inside = crossed.fold == 1
    own = cross_validate(make_head("logreg", {"C": crossed.params[1].get("head__C", C)}), data, 5, 1, 0).scores
    at = find_temperature(own[~inside], data.y[~inside])
    np.testing.assert_allclose(
        softmax(found.scores[inside] / found.temperature), softmax(crossed.scores[inside] / at), rtol=1e-6
    )
    whole = cross_validate(make_head("logreg", {"C": chosen.get("head__C", C)}), data, 5, 1, 0).scores
    assert found.temperature == find_temperature(whole, data.y)


def test_half_of_a_single_split_is_calibrated_on_the_other_half():
    data = training_set(60, 2, signal=0.5)
    head = make_head("centroid", {"shrink_threshold": None})
    train, test = make_folds(data.y, data.groups, data.classes, 2, 0).pairs[0]
    with quiet_single_threads():
        fitted = tune_and_fit(head, data.part(train), 0).estimator
    folds = Folds("one", (Fold(train, test),))
    crossed = replace(crossed_by(folds, 2), scores=scores_of(fitted, data.X[test], 2))
    crossed = replace(crossed, summary=replace(cross_validate(head, data, 2, 1, 0).summary, n_folds=1))
    found = calibrate(head, {}, data, crossed)
    half = data.groups[test] % 2 == 0
    at = find_temperature(crossed.scores[~half], data.y[test][~half])
    np.testing.assert_allclose(found.scores[half] / found.temperature, crossed.scores[half] / at)
