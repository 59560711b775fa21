"""The feature spec is the cache key: its content, and that its id does not change by accident."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from featx.errors import SpecError
from featx.spec import FeatureSpec

SPEC = FeatureSpec("vgg16", "ab" * 32, "caffe", 224, "1-0123456789ab", "tensorflow", "float32")


def test_canonical_json_leaves_defaults_out():
    assert SPEC.to_json() == (
        '{"backbone":"vgg16","decode":"1-0123456789ab","engine":"tensorflow","precision":"float32",'
        f'"preprocess":"caffe","size":224,"weights":"{"ab" * 32}"}}'
    )


def test_the_id_of_a_feature_spec_never_changes():
    assert SPEC.id == "56a168ed04f04195"


def test_every_field_changes_the_id():
    other = {
        "backbone": "vgg19",
        "weights": "cd" * 32,
        "preprocess": "tf",
        "size": 96,
        "decode": "2-0123456789ab",
        "engine": "openvino",
        "precision": "bfloat16",
        "layer": "block4_pool",
        "pooling": "max",
        "resize": "pad",
        "graph": "0123456789abcdef",
        "layout": "nhwc",
        "white": 4095,
        "page": 2,
        "augment": "zoom=0.2",
        "augment_seed": 1,
    }
    assert set(other) == {field.name for field in fields(FeatureSpec)}
    needed = {"augment_seed": {"augment": "flip=both"}}
    ids = {replace(SPEC, **{name: value}, **needed.get(name, {})).id for name, value in other.items()}
    assert len(ids | {SPEC.id}) == len(other) + 1
    assert replace(SPEC, augment="flip=both").id not in ids


def test_json_round_trip():
    spec = replace(SPEC, layer="x", pooling="flatten")
    assert FeatureSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "mean"}, "`pooling=mean`: expected avg, max or flatten"),
        ({"resize": "stretch"}, "`resize=stretch`: expected crop, squash or pad"),
        ({"preprocess": "vgg"}, "`preprocess=vgg`: expected caffe, tf, torch, lite or none"),
        ({"size": 4}, "`size=4`: expected 8 to 4096 pixels"),
        ({"augment_seed": 1}, "augment_seed is 1 without augment; leave it out"),
    ],
)
def test_impossible_values(changes, message):
    with pytest.raises(SpecError, match=message):
        replace(SPEC, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "lacks backbone, weights"),
        (SPEC.to_json()[:-1] + ',"colour":1}', "field 'colour' that this version of featx does not know; update featx"),
        (SPEC.to_json().replace("224", '"224"'), "size of the feature spec is '224'; expected int"),
        (SPEC.to_json().replace("224", "true"), "size of the feature spec is True; expected int"),
    ],
)
def test_damaged_json(text, message):
    with pytest.raises(SpecError, match=message):
        FeatureSpec.from_json(text)
