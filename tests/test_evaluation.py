"""Records of an evaluation: accepted values can be displayed, and errors name every other value."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from dataclasses import fields

import numpy as np
import pytest
from conftest import installed, make_classes

from featx.errors import ClassifierError
from featx.evaluation import (
    ByClass,
    Contradiction,
    Evaluation,
    FinetuneComparison,
    FinetuneEvaluation,
    HeldOut,
    Interval,
    ModelEvaluation,
    ViewsGain,
    read_evaluation,
)
from featx.evaluation.records.fields import Fields
from featx.extraction import extract
from featx.fitting import fit
from featx.model import Classifier
from featx.reports import report


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Members of a model file with three classes, by name; no part of its evaluation is empty."""
    folder = tmp_path_factory.mktemp("model")
    colours = {"red": (200, 50, 40), "blue": (30, 60, 200), "grey": (120, 120, 120)}
    data = make_classes(folder / "set", colours, 10)
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        path.rename(path.with_name(f"P{number % 3:02}-{number:02}.png"))
    with installed(folder) as fake:
        table = extract(data, "quadrants", runtime=fake.runtime)
        fit(table, params={"C": 1.0}, cv=3, runtime=fake.runtime).save(folder / "m.featx")
    with zipfile.ZipFile(folder / "m.featx") as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(found["model.json"])
    evaluation = header["evaluation"]
    part = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "n": 3, "as_given": 0.5, "n_as_given": 4}
    part |= {"per_class": [], "confusion": []}
    evaluation |= {"val": part, "test": part | {"accuracy": None, "low": None, "high": None, "n": 0}}
    interval = Interval(0.5, 0.4, 0.6)
    evaluation["views"] = ViewsGain(2, "flip", 0, interval, Interval(0.1, -0.1, 0.3)).to_dict()
    hint = evaluation["group_hints"][0]
    hint["accuracy"] = {"mean": 0.7, "low": 0.6, "high": 0.8}
    accuracy, other = (Interval(**one["accuracy"]) for one in (evaluation["cv"], hint))
    difference = Interval(-0.3, -0.4, -0.2)
    lower = Contradiction("group hint", accuracy, other, difference, accuracy, hint["name"], hint["group_by"])
    header["evaluation"] = Evaluation.from_dict(evaluation | {"contradictions": [lower.to_dict()]}).to_dict()
    assert evaluation["learning_curve"]["outlook"]
    return found | {"model.json": json.dumps(header).encode()}


@pytest.fixture(scope="module")
def tuned_members(members):
    """Members of the model file of a fine-tuned network, by name."""
    header = json.loads(members["model.json"])
    cv = Evaluation.from_dict(header["evaluation"]).cv
    epoch = {
        "number": 0,
        "learning_rate": 0.0,
        "loss": None,
        "accuracy": None,
        "val_loss": 1.0,
        "val_accuracy": 0.5,
        "seconds": 1,
    }
    epochs = [epoch, {**epoch, "number": 1, "learning_rate": 0.1, "loss": 0.5, "accuracy": 0.7}]
    history = {"best": 1, "epochs": epochs}
    comparison = FinetuneComparison(
        "finetuned", Interval(0.5, 0.4, 0.6), cv.accuracy, Interval(0.0, -0.1, 0.1), 30, True, "the top", history
    )
    evaluation = Evaluation.from_dict(header["evaluation"])
    shared = {one.name: getattr(evaluation, one.name) for one in fields(ModelEvaluation)}
    tuned = FinetuneEvaluation(**shared, comparison=comparison, by_class=ByClass(cv.per_class, cv.confusion))
    stream = io.BytesIO()
    fold = np.load(io.BytesIO(members["arrays/oof_fold.npy"]))
    np.lib.format.write_array(stream, np.zeros_like(fold), allow_pickle=False)
    header["evaluation"] = tuned.to_dict()
    assert header["evaluation"]["contradictions"] == []
    return members | {"model.json": json.dumps(header).encode(), "arrays/oof_fold.npy": stream.getvalue()}


@pytest.fixture(params=["cross-validated", "fine-tuned"])
def either(request, members, tuned_members):
    """Members of a model file of each kind."""
    return members if request.param == "cross-validated" else tuned_members


def write(path, members, header):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content if name != "model.json" else json.dumps(header))


def shown(path):
    """Render the report of a model as text, HTML and JSON."""
    found = report(path, html=path.with_suffix(".html"), overwrite=True)
    json.dumps(found.to_dict())
    return f"{found}\n{Classifier.load(path).evaluation}"


def places(value, at=()):
    """Yield the keys that lead to every value, object and list."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


ODD = (
    *(None, True, False, -1, 0, 1, 2, 3, 2**70, 10**500, 0.5, 1.5, -0.5, 1e300, 1e400, float("nan")),
    *("", "x", "0.5", "\x1b[2J", "\ud800", "<script>", "x" * 5000, [], {}, [[]], [None], {"a": 1}, {"a": {"b": []}}),
)


def test_any_value_is_accepted_or_rejected_with_an_error(either, tmp_path):
    header = json.loads(either["model.json"])
    path = tmp_path / "m.featx"
    write(path, either, header)
    assert "accuracy" in shown(path)
    rng = random.Random(0)
    every = [at for at in places(header) if not (at[0] == "sample_ids" and len(at) > 1 and at[1] > 1)]
    assert len(every) > 150
    accepted, messages = 0, []
    for number in range(600):
        changed = copy.deepcopy(header)
        *way, last = every[number % len(every)]
        holder = changed
        for key in way:
            holder = holder[key]
        if isinstance(holder, dict) and rng.random() < 0.1:
            del holder[last]
        else:
            holder[last] = rng.choice(ODD)
        write(path, either, changed)
        try:
            shown(path)
            accepted += 1
        except ClassifierError as error:
            messages.append(str(error))
    assert 20 < accepted < 400
    assert not [message for message in messages if "\n" in message or len(message) > 1000]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("cv.accuracy.mean", 0.2, "contradicts itself: the mean 0.2 lies outside|differs from that of its confusion"),
        ("cv.accuracy.low", 1.5, r"evaluation\.cv\.accuracy\.low is 1\.5; expected a number from 0 to 1"),
        ("cv.accuracy", None, r"evaluation\.cv\.accuracy is None; expected a JSON object"),
        ("cv.n_folds", 9, "it has 3 accuracies for 9 folds in 1 repeats"),
        ("cv.n_folds", 0, r"evaluation\.cv\.n_folds is 0; expected an integer from 1 to 9,007,199,254,740,992"),
        ("cv.per_fold", [], "it has 0 accuracies for 3 folds in 1 repeats"),
        ("cv.per_fold", [0.1, 0.1, 0.1], "its accuracy lies outside the range of its folds"),
        ("cv.confusion", [[1, 2], [3, 4]], "its confusion matrix is not 3 x 3"),
        ("cv.confusion", [[1, 2, 3]] * 3, "the scores of class 'blue' differ from the confusion matrix"),
        (
            "cv.confusion",
            [[-1, 0, 0]] * 3,
            r"evaluation\.cv\.confusion contains -1; all its values must be integers from 0 to",
        ),
        ("cv.per_class", [], "its classes differ from the classes of the model"),
        ("cv.untested", ["green"], "an untested class is not a class of the model"),
        ("classes", ["a", "b", "c"], "its classes differ from the classes of the model"),
        ("baseline.accuracy", 2, r"evaluation\.baseline\.accuracy is 2; expected a number from 0 to 1"),
        ("baseline.class", "green", "expected blue, grey or red"),
        ("n_groups", 99, "30 images cannot form 99 groups"),
        ("n_images", 3, "3 images cannot form 30 groups|images were tested"),
        ("n_images", 2**80, "is an integer above 9,007,199,254,740,992; expected an integer from 1 to"),
        ("reliability.bins", [], "reliability contradicts itself: it has no bins"),
        ("learning_curve.points.0.n", 0, r"points\.n is 0; expected an integer from 1 to"),
        ("learning_curve.points.0.n", 9999, "its points are not sorted by number of images"),
        ("learning_curve.points.3.accuracy.low", 0.0, "the last point of its learning curve is not its accuracy"),
        ("learning_curve.outlook.answer", "perhaps", "expected yes, no or unclear"),
        ("group_hints.0.examples", [], "values but no examples"),
        ("val.n", 9, "n is 9, n_as_given is 4"),
        ("val.confusion", [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "its classes differ from the classes of the model"),
        ("cv.balanced_accuracy.mean", 0.123, "lies outside|its balanced accuracy is not the mean recall"),
        ("finetuning", {"kept": "both"}, "a fine-tuned network, but has cv, ungrouped_cv"),
        ("contradictions.0.kind", "on dit", "expected test, val, ungrouped, group hint or on"),
        ("contradictions.0.kind", "test", "an accuracy of the contradiction 'test' is not an accuracy of the model"),
        ("contradictions.0.group_by", "x", "the contradiction 'group hint' is not an accuracy of the model"),
        ("contradictions.0.accuracy.low", 0.0, "the contradiction 'group hint' is not an accuracy of the model"),
        (
            "contradictions.0.difference",
            {"mean": 0, "low": -0.1, "high": 0.1},
            "the interval of the difference contains 0",
        ),
        ("contradictions.0.difference", {"mean": 0.3, "low": 0.2, "high": 0.4}, "the difference has the wrong sign"),
        ("contradictions.0.difference.low", -1.5, r"difference\.low is -1\.5; expected a number from -1 to 1"),
        ("contradictions.0.at_chance", [], "at_chance is a list of length 0; expected a JSON object"),
        ("contradictions", None, r"evaluation\.contradictions is None; expected a list"),
        ("views.difference", None, "the accuracy without views or the difference is missing"),
        ("groups.duplicate_conflicts", [["a"]], "an entry of duplicate_conflicts does not name two images"),
        ("groups.near_duplicate_conflicts", None, r"near_duplicate_conflicts is None; expected a list"),
        ("groups.version_examples", [["a"]], "an example of versions does not name two images"),
        ("groups.version_examples", [["a", 1]], "groups.version_examples contains 1; all its values must be strings"),
        ("groups.group_versions", 1, "groups.group_versions is 1; expected true or false"),
        (
            "params",
            {"C": []},
            r"evaluation\.params\.C is a list of length 0; expected a string, a number, true, false or null",
        ),
        ("notes", [1], r"evaluation\.notes contains 1; all its values must be strings"),
        ("seconds", float("nan"), r"evaluation\.seconds is nan; expected a number from 0 to 9,007,199,254,740,992"),
        ("calibrated_on", "x", "expected out of fold, val or nothing"),
    ],
)
def test_contradictions_are_named(members, place, value, message):
    with pytest.raises(ClassifierError, match=message):
        read_evaluation(changed(members, place, value))


def changed(members, place, value):
    """Return the evaluation of a model file with another value at a given place."""
    evaluation = json.loads(members["model.json"])["evaluation"]
    *way, last = (int(key) if key.isdecimal() else key for key in place.split("."))
    holder = evaluation
    for key in way:
        holder = holder[key]
    holder[last] = value
    return evaluation


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("finetuning.kept", "both", "expected frozen or finetuned"),
        ("finetuning.frozen", None, "the frozen accuracy or the difference is missing"),
        ("finetuning.history.best", 7, "the best epoch is 7; expected epochs numbered 0, 1, 2"),
        ("finetuning.frozen.accuracy.mean", 0.9, "the mean 0.9 lies outside 0.4 to 0.6"),
        ("finetuning.kept", "frozen", r"differs from the held-out results of the network that was kept \(frozen\)"),
        ("finetuning.n_held_out", 31, r"differs from the held-out results of the network that was kept \(finetuned\)"),
        ("test", None, r"evaluation\.test is None; expected a JSON object"),
        ("group_hints", [{}], "a fine-tuned network, but has group_hints"),
        ("n_groups", 99, "30 images cannot form 99 groups"),
    ],
)
def test_contradictions_of_a_fine_tuned_network_are_named(tuned_members, place, value, message):
    with pytest.raises(ClassifierError, match=message):
        read_evaluation(changed(tuned_members, place, value))


def test_reading_returns_the_written_values(either):
    evaluation = json.loads(either["model.json"])["evaluation"]
    assert json.loads(json.dumps(read_evaluation(evaluation).to_dict())) == evaluation


def test_an_evaluation_whose_accuracies_were_not_compared_is_refused(members):
    evaluation = json.loads(members["model.json"])["evaluation"]
    del evaluation["contradictions"]
    with pytest.raises(ClassifierError, match="lacks contradictions: it is from an older featx, .*; fit again"):
        read_evaluation(evaluation)


def test_one_kind_is_not_read_as_the_other(members, tuned_members):
    with pytest.raises(ClassifierError, match="it describes a fine-tuned network, not a cross-validated head"):
        Evaluation.from_dict(changed(tuned_members, "seconds", 1))
    with pytest.raises(ClassifierError, match="it describes a fine-tuned network, but has cv, ungrouped_cv"):
        FinetuneEvaluation.from_dict(changed(members, "seconds", 1))


def test_a_held_out_part_without_new_images():
    part = HeldOut(None, 0, 0.5, 8)
    assert HeldOut.from_fields(Fields(part.to_dict(), "test"), ("a", "b")) == part


@pytest.mark.parametrize(
    "sample_id",
    ["/etc/passwd", "../x.png", "a/../../x.png", "a//x.png", "./x.png", "", "a\0.png", "a/", "..", "/", 7, None],
)
def test_sample_ids_stay_below_the_data_folder(members, tmp_path, sample_id):
    header = json.loads(members["model.json"])
    header["sample_ids"][0] = sample_id
    write(tmp_path / "m.featx", members, header)
    with pytest.raises(ClassifierError, match="the sample id .* is not a path inside the folder of a data set"):
        Classifier.load(tmp_path / "m.featx")


def test_a_temperature_that_makes_scores_infinite(members, tmp_path):
    header = json.loads(members["model.json"]) | {"temperature": 1e-9}
    member = "arrays/oof_scores.npy"
    scores = np.load(io.BytesIO(members[member])) * 1e300
    stream = io.BytesIO()
    np.lib.format.write_array(stream, scores, allow_pickle=False)
    write(tmp_path / "m.featx", members | {member: stream.getvalue()}, header)
    with pytest.raises(ClassifierError, match="the out-of-fold scores divided by the temperature are not finite"):
        Classifier.load(tmp_path / "m.featx")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("oof_y", lambda a: a[::-1], "the confusion matrix does not match the out-of-fold classes"),
        ("oof_fold", lambda a: a + 9, "outside 0 to 2"),
        ("oof_fold", lambda a: 0 * a, "the accuracies of the folds do not match the out-of-fold classes"),
        ("oof_scores", lambda a: -a, "the out-of-fold classes do not match the out-of-fold scores"),
        ("oof_predicted", lambda a: a - 9, "outside 0 to 2"),
        ("oof_scores", lambda a: a[:, :2], "the out-of-fold scores have shape"),
        ("content_hashes", lambda a: np.repeat(a, 2, axis=0), "the model has 60 content hashes for 30 images"),
        ("content_hashes", lambda a: a[:0], "the model has 0 content hashes"),
        ("probes", lambda a: a[:3], "the model names 10 probe images"),
        ("probes", lambda a: a[:, :0], "do not match|probe images|matrices"),
        ("novelties", lambda a: a - 1e9, "the novelties or confidences are out of range"),
        ("confidences", lambda a: a + 1, "the novelties or confidences are out of range"),
        ("variances", lambda a: -a, "the variances of the rejector are not positive"),
        ("weight0", lambda a: a[:, :1], "do not match|scores for 3 classes"),
        ("weight0", np.asfortranarray, "is in Fortran order"),
        ("weight0", lambda a: a.astype(">f8"), "is not numeric"),
        ("weight0", lambda a: a.astype(complex), "is not numeric"),
    ],
)
def test_arrays_that_do_not_fit(members, tmp_path, name, change, message):
    member = f"arrays/{name}.npy"
    array = change(np.load(io.BytesIO(members[member])))
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    write(tmp_path / "m.featx", members | {member: stream.getvalue()}, json.loads(members["model.json"]))
    with pytest.raises(ClassifierError, match=message):
        Classifier.load(tmp_path / "m.featx")
