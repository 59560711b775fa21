"""An option is written once: signatures, commands and the documentation follow its field."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pytest
import typer
from make_options import PATH, options_page

import featx
from featx.cli.app import app
from featx.cli.options import Without, expand
from featx.errors import FeatxError, OptionError
from featx.options import (
    AugmentOptions,
    BackboneOptions,
    CaptureOptions,
    CompareOptions,
    DatasetOptions,
    ExtractOptions,
    FeatureOptions,
    FinetuneOptions,
    FitOptions,
    FoldOptions,
    HeadOptions,
    PixelOptions,
    PredictOptions,
    ReportOptions,
    RunOptions,
    RuntimeOptions,
    SplitOptions,
    TrainOptions,
)

OF = {
    featx.extract: (ExtractOptions, RunOptions),
    featx.fit: (FitOptions, FoldOptions, HeadOptions, ExtractOptions, RunOptions),
    featx.finetune: (FinetuneOptions, TrainOptions, SplitOptions, AugmentOptions, FeatureOptions, RunOptions),
    featx.compare: (CompareOptions, FoldOptions, HeadOptions, AugmentOptions, FeatureOptions, RunOptions),
    featx.inspect: (PixelOptions, DatasetOptions),
    featx.report: (ReportOptions, DatasetOptions),
    featx.predict: (PredictOptions, DatasetOptions, RunOptions),
    featx.capture: (CaptureOptions,),
    featx.Runtime: (RuntimeOptions,),
}
"""Public functions, and the options that they may have."""

OWN = {
    featx.fit: {"head", "params"},
    featx.capture: {"label", "source"},
    featx.Runtime: {"notice", "progress", "memory"},
}
"""Parameters of a function that are no options: what it works on, a head that may be an estimator, and callbacks."""


@pytest.mark.parametrize("function", OF, ids=lambda function: function.__name__)
def test_a_signature_is_that_of_its_fields(function):
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    described = {}
    for kind in OF[function]:
        types = get_type_hints(kind)
        for one in fields(kind):
            described.setdefault(one.name, (types[one.name], one.default))
    arguments = {"data", "backbone", "features", "model", "paths", "runtime"} - described.keys()
    own = {*arguments, *OWN.get(function, ())}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in own:
            hint, default = described[name]
            assert parameter.default == default, name
            assert hint in (hints[name], Sequence[Any]), name  # heads are estimators too, which options do not import


def test_every_option_of_extract_is_in_its_signature():
    names = {*ExtractOptions.names(), *RunOptions.names()}
    assert names == set(inspect.signature(featx.extract).parameters) - {"data", "backbone", "runtime"}


def test_every_option_has_a_line_of_help():
    for kind in {kind for kinds in OF.values() for kind in kinds} | {BackboneOptions}:
        for one in fields(kind):
            if kind is not featx.Runtime:
                assert one.metadata["help"].endswith("."), one.name


def test_commands_show_the_help_of_the_fields():
    commands = typer.main.get_command(app).commands
    texts = {one.name: one.metadata["help"] for one in fields(ExtractOptions)}
    for parameter in commands["extract"].params:
        if parameter.name in texts:
            text = re.sub("`(\\w+)`", lambda found: f"--{found[1].replace('_', '-')}", texts[parameter.name])
            assert parameter.help.startswith(text)


def test_commands_have_the_options_that_a_help_text_names():
    commands = [one for one in typer.main.get_command(app).commands.values() if hasattr(one, "params")]
    for command in commands:
        options = {f"--{parameter.name.replace('_', '-')}" for parameter in command.params}
        for parameter in command.params:
            for named in re.findall(r"--[a-z-]+", parameter.help or ""):
                assert named in options, (command.name, parameter.name, named)


def test_the_page_of_options_is_made_of_the_fields():
    assert PATH.read_text(encoding="utf-8") == options_page(), "python tests/make_options.py writes it"


def test_options_are_picked_by_name_and_told_apart_from_defaults():
    options = ExtractOptions.of({"size": 64, "pooling": "max", "unknown": 1})
    assert options.changed() == {"pooling": "max", "size": 64}
    assert options.select(PixelOptions) == {"white": None, "page": 1}


KINDS = sorted({kind for kinds in OF.values() for kind in kinds}, key=lambda kind: kind.__name__)
BOUNDED = [(kind, one.name) for kind in KINDS for one in fields(kind) if {*one.metadata} & {"min", "max", "above"}]


@pytest.mark.parametrize(("kind", "name"), BOUNDED, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_the_range_of_a_number_is_that_of_its_field(kind, name):
    details = {one.name: one.metadata for one in fields(kind)}[name]
    is_list = isinstance({one.name: one.default for one in fields(kind)}[name], tuple)
    allowed = [details[bound] for bound in ("min", "max") if bound in details]
    refused = [details[bound] for bound in ("above", "below") if bound in details]
    refused += [
        *([details["min"] - 1] if "min" in details else []),
        *([details["max"] + 1] if "max" in details else []),
    ]
    for value in allowed:
        assert getattr(kind(**{name: (value,) if is_list else value}), name) == ((value,) if is_list else value)
    for value in [*refused, math.nan]:
        with pytest.raises(OptionError, match=f"^`{name}={value}`: expected "):
            kind(**{name: (value,) if is_list else value})


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (FoldOptions, {"cv": 1}, "`cv=1`: expected 2 or more"),
        (PixelOptions, {"white": 0}, "`white=0`: expected a number from 1 to 4,294,967,295"),
        (TrainOptions, {"warmup": 1.0}, "`warmup=1.0`: expected 0 or more and below 1"),
        (TrainOptions, {"learning_rate": 0.0}, "`learning_rate=0.0`: expected a number above 0"),
        (TrainOptions, {"layer_decay": 2.0}, "`layer_decay=2.0`: expected a number above 0 and at most 1"),
        (HeadOptions, {"hidden": (128, 0)}, "`hidden=0`: expected 1 or more"),
    ],
)
def test_the_message_of_a_range(kind, given, message):
    with pytest.raises(OptionError, match=f"^{message}$") as error:
        kind(**given)
    assert error.value.is_usage
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (featx.extract, {"page": 0}),
        (featx.fit, {"repeats": 0}),
        (featx.finetune, {"epochs": 0}),
        (featx.compare, {"sizes": [4]}),
        (featx.compare, {"cv": 1}),
        (featx.predict, {"paths": "d", "top_k": 0}),
        (featx.capture, {"every": 0}),
        (featx.inspect, {"white": 0}),
    ],
)
def test_a_function_refuses_a_number_out_of_range_before_any_work(function, given, tmp_path):
    with pytest.raises(OptionError, match="expected"):
        function(str(tmp_path / "none"), **given)


@pytest.mark.parametrize("noted", [{"sise": 1}, {"size": 1.5}, {"page": "2"}, {"views": None}])
def test_options_of_a_damaged_file_are_refused(noted):
    with pytest.raises((KeyError, TypeError)):
        ExtractOptions.read(noted)


def test_a_mistyped_option_names_itself(tmp_path):
    for function in (featx.extract, featx.fit, featx.finetune, featx.compare):
        with pytest.raises(TypeError, match="'sise'"):
            function(tmp_path, sise=3)


def test_the_error_of_a_class_of_options_is_no_private_one():
    with pytest.raises(FeatxError, match="no such"):
        featx.extract(Path("nowhere"), runtime=featx.Runtime(Path("nowhere") / "cache"))


def test_an_option_that_a_class_lacks_in_a_command_does_not_reach_it():
    """finetune has a batch size of its own, and none of the runtime."""
    given: dict[str, object] = {}

    def command(*, training: TrainOptions, runtime: Annotated[RuntimeOptions, Without(("batch_size",))]) -> None:
        given.update(training=training, runtime=runtime)

    expand(command)(**TrainOptions(batch_size=8).select(TrainOptions) | {"cache": Path("c"), "hidden": "4,2"})
    assert given["training"].batch_size == 8
    assert given["training"].hidden == (4, 2)
    assert given["runtime"] == RuntimeOptions(cache=Path("c"))
