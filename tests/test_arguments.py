"""Arguments of public functions that do not exist, or are of another type, are named before any work."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

import featx
from featx.arguments import checked
from featx.errors import ArgumentError, HeadError

WRONG = [
    (featx.extract, (None,), {}, "extract: data is None; expected str or Path"),
    (featx.extract, (np.zeros((2, 8, 8, 3)),), {}, "extract: data is of type ndarray; expected str or Path"),
    (featx.extract, (b"data",), {}, r"data is b'data' \(bytes\); expected str or Path"),
    (featx.extract, ("d",), {"size": "224"}, r"size is '224' \(str\); expected int or None"),
    (featx.extract, ("d",), {"size": (224, 224)}, r"size is \(224, 224\) \(tuple\); expected int or None"),
    (featx.extract, ("d",), {"size": True}, r"size is True \(bool\)"),
    (featx.extract, ("d",), {"backbon": "x"}, "extract has no argument 'backbon'; did you mean backbone"),
    (featx.extract, ("d",), {"cache": "c"}, r"it is one of runtime: runtime=featx.Runtime\(cache=...\)"),
    (featx.extract, ("d",), {"runtime": "c"}, r"expected Runtime or None, as featx.Runtime\(cache='c'\)"),
    (featx.fit, ("d",), {"cv": StratifiedKFold(3)}, "fit: cv is of type StratifiedKFold; expected int"),
    (featx.fit, ("d",), {"group_by": np.arange(3)}, "group_by is of type ndarray; expected str or None"),
    (featx.fit, ("d",), {"seed": None}, "seed is None; expected int"),
    (featx.fit, ("d",), {"size": "224"}, r"fit: size is '224' \(str\); expected int or None"),
    (featx.fit, ("d",), {"hidden": 128}, r"expected a sequence of int, as \[128\]"),
    (featx.compare, ("d",), {"heads": "svm"}, r"a sequence of str or BaseEstimator, as \['svm'\]"),
    (featx.compare, ("d",), {"bakbones": ["x"]}, "compare has no argument 'bakbones'; did you mean backbones"),
    (featx.finetune, ("d",), {"unfreez": 4}, "finetune has no argument 'unfreez'; did you mean unfreeze"),
    (featx.finetune, ("d",), {"unfreeze": 1.5}, r"unfreeze is 1.5 \(float\); expected int or str"),
    (featx.finetune, ("d",), {"hidden": 256}, r"expected a sequence of int, as \[256\]"),
    (featx.finetune, ("d",), {"hidden": ["256"]}, r"hidden is \['256'\] \(list\); expected a sequence of int"),
    (featx.load, ("m",), {"trusted": "mine.Own"}, r"expected a sequence of str, as \['mine.Own'\]"),
    (featx.load, ("m",), {"trusted": True}, r"trusted is True \(bool\); expected a sequence of str"),
    (featx.predict, ("m", 3), {}, r"predict: paths is 3 \(int\)"),
    (featx.report, (), {}, "report: missing a required argument: 'model'; it takes model, on, label_by"),
    (featx.report, ("m",), {"on": ["d"]}, r"on is \['d'\] \(list\); expected str, Path or None"),
    (
        featx.list_cache,
        ("c",),
        {},
        "list_cache: too many positional arguments; it takes runtime",
    ),
]


@pytest.mark.parametrize(("function", "given", "named", "message"), WRONG)
def test_wrong_arguments(function, given, named, message):
    with pytest.raises(ArgumentError, match=message) as error:
        function(*given, **named)
    assert isinstance(error.value, TypeError)


def test_a_model_predicts_no_arrays(fake, images):
    table = featx.extract(images, "quadrants", runtime=fake.runtime)
    model = featx.fit(table, "centroid")
    with pytest.raises(
        ArgumentError, match="images is of type ndarray; expected FeatureTable, str, Path or a sequence"
    ):
        model.predict(table.X)
    with pytest.raises(ArgumentError, match="predict has no argument 'strickt'; did you mean strict"):
        model.predict(images, strickt=True)
    for labels in (table.y, LogisticRegression):
        with pytest.raises(HeadError, match=r"expected a name \(logreg, svm") as error:
            featx.fit(table, labels)
        assert len(str(error.value)) < 200


def test_what_stands_for_a_type():
    @checked()
    def take(n: int = 0, share: float = 0, path: Path = Path(), several: typing.Sequence[str] = ()) -> bool:
        return True

    assert take(np.int64(3), np.float32(0.5), "file", ["a"])
    assert take(share=1, several=(name for name in "ab"))
    assert take(several=np.array(["a", "b"]))
    for wrong in ({"n": 1.0}, {"n": True}, {"share": "1"}, {"several": "ab"}, {"several": [1]}, {"several": {"a": 1}}):
        with pytest.raises(ArgumentError):
            take(**wrong)


def test_every_public_function_checks_its_arguments():
    functions = [getattr(featx, name) for name in featx.__all__ if inspect.isfunction(getattr(featx, name))]
    for function in functions:
        if inspect.signature(function).parameters:
            with pytest.raises(ArgumentError, match="has no argument 'no_such_argument'"):
                function(no_such_argument=1)
