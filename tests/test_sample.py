"""The sample in data/ equals the sample that an installed featx writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.errors import OutputError
from featx.sample import is_sample, make_new_images, make_sample

DATA = Path(__file__).parent.parent / "data"


def test_the_committed_sample_equals_the_written_one(tmp_path):
    if not DATA.is_dir():
        pytest.skip("not a checkout: data/ is missing")
    made = make_sample(tmp_path)
    files = sorted(path.relative_to(made) for path in made.rglob("*.png"))
    assert len(files) == 300
    assert files == sorted(path.relative_to(DATA) for path in DATA.rglob("*.png"))
    for name in files:
        with Image.open(made / name) as ours, Image.open(DATA / name) as committed:
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(committed))
            assert (ours.mode, ours.size) == ("L", (8, 8))


def test_new_images_differ_from_the_sample(tmp_path):
    sample = {path.name for path in make_sample(tmp_path / "data").rglob("*.png")}
    new = {path.name for path in make_new_images(tmp_path / "new").iterdir()}
    assert len(new) == 50
    assert not sample & new


def test_recognition_of_the_sample(tmp_path):
    assert not is_sample(tmp_path)
    assert is_sample(make_sample(tmp_path))
    next(tmp_path.rglob("*.png")).unlink()
    assert not is_sample(tmp_path)


def test_a_sample_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file.data.0 cannot be created: .*; choose another folder"):
        make_sample(tmp_path / "file" / "data")
