"""The report of a classifier for callers who have images: the room ``reporting`` works on features only."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec

from featx.arguments import checked
from featx.classifier import Classifier
from featx.reporting import Report
from featx.reporting import report as report_on_features

_P = ParamSpec("_P")


def _reading_images(function: Callable[_P, Report]) -> Callable[_P, Report]:
    """Return the same function, whose model can read images wherever it has to."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def with_images(*args: _P.args, **options: _P.kwargs) -> Report:
        given = signature.bind(*args, **options)
        if given.arguments.get("on") is not None:
            from featx.extraction import featurize
            from featx.prediction import load

            model = given.arguments["model"]
            if not isinstance(model, Classifier):
                model = load(model)
            given.arguments["model"] = model if model.featurize is not None else model.with_featurize(featurize)
        return function(*given.args, **given.kwargs)

    return with_images


report = checked()(_reading_images(report_on_features))
