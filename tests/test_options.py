"""An option is written once: signatures, commands and the documentation follow its field."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Annotated, get_type_hints

import pytest
import typer
from make_options import PATH, options_page

import featx
from featx.cli.app import app
from featx.cli.options import Without, expand
from featx.errors import FeatxError
from featx.options import (
    AugmentOptions,
    BackboneOptions,
    DatasetOptions,
    ExtractOptions,
    FeatureOptions,
    FoldOptions,
    HeadOptions,
    PixelOptions,
    RunOptions,
    RuntimeOptions,
    SplitOptions,
    TrainOptions,
)

OF = {
    featx.extract: (ExtractOptions, RunOptions),
    featx.fit: (FoldOptions, HeadOptions, ExtractOptions, RunOptions),
    featx.finetune: (TrainOptions, SplitOptions, AugmentOptions, FeatureOptions, RunOptions),
    featx.compare: (FoldOptions, HeadOptions, AugmentOptions, FeatureOptions, RunOptions),
    featx.inspect: (PixelOptions, DatasetOptions),
    featx.report: (DatasetOptions, SplitOptions),
    featx.predict: (DatasetOptions, RunOptions),
    featx.Runtime: (RuntimeOptions,),
}
"""Public functions, and the options that they may have."""

OWN = {
    featx.fit: {"head", "params", "bundle"},
    featx.finetune: {"output", "overwrite"},
    featx.compare: {"scratch", "unfreeze", "curves", "overwrite", "backbones", "heads", "poolings", "resizes", "sizes"},
    featx.inspect: set(),
    featx.report: {"html", "suspects", "overwrite", "on", "weights"},
    featx.predict: {
        *("output", "top_k", "sort_into", "link", "gallery", "overwrite", "no_cache", "weights", "exact", "reject_rate")
    },
    featx.Runtime: {"notice", "progress"},
}
"""Parameters of a function that are its own."""


@pytest.mark.parametrize("function", OF, ids=lambda function: function.__name__)
def test_a_signature_is_that_of_its_fields(function):
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    described = {}
    for kind in OF[function]:
        types = get_type_hints(kind)
        for one in fields(kind):
            described.setdefault(one.name, (types[one.name], one.default))
    own = {"data", "backbone", "features", "model", "paths", "runtime", *OWN.get(function, ())}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in own:
            assert (hints[name], parameter.default) == described[name], name


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
            assert parameter.help == texts[parameter.name]


def test_the_page_of_options_is_made_of_the_fields():
    assert PATH.read_text(encoding="utf-8") == options_page(), "python tests/make_options.py writes it"


def test_options_are_picked_by_name_and_told_apart_from_defaults():
    options = ExtractOptions.of({"size": 64, "pooling": "max", "unknown": 1})
    assert options.changed() == {"pooling": "max", "size": 64}
    assert options.select(PixelOptions) == {"white": None, "page": 1}


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
