"""Each error is also the builtin that a caller would catch."""

from __future__ import annotations

import inspect

import pytest

from featx import errors


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.DatasetError, ValueError),
        (errors.DatasetNotFoundError, FileNotFoundError),
        (errors.ImageError, ValueError),
        (errors.SpecError, ValueError),
        (errors.BackboneError, ValueError),
        (errors.WeightsError, OSError),
        (errors.EngineError, RuntimeError),
        (errors.StoreError, OSError),
        (errors.HeadError, ValueError),
        (errors.EvaluationError, ValueError),
        (errors.ClassifierError, ValueError),
        (errors.OutputError, OSError),
        (errors.CaptureError, RuntimeError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_builtin(kind, builtin):
    assert issubclass(kind, errors.FeatxError)
    assert issubclass(kind, builtin)
    assert str(kind("what to do")) == "what to do"


def test_the_drawn_tree_names_every_class():
    classes = [name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)]
    assert [name for name in classes if name not in errors.__doc__] == []
