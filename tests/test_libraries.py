"""Folders in which libraries look for their settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.backbones.table import find_backbone
from featx.errors import WeightsError
from featx.libraries import keras_home


def test_the_folder_of_keras_is_never_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    assert keras_home() == Path("/somewhere")
    monkeypatch.setenv("KERAS_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.path.expanduser", lambda text: text.replace("~", str(tmp_path)))
    assert keras_home() == tmp_path / ".keras"
    for home in ("~", "", "."):  # no home folder, or a variable without a folder
        monkeypatch.setattr("os.path.expanduser", lambda text, home=home: text.replace("~", home))
        assert not keras_home().exists()
        assert not keras_home().is_relative_to(tmp_path)
        assert not find_backbone("mobilenetv2").weights.present(224)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_saved(tmp_path, keras_start):
    from featx.backbones.applications import Download, fetch

    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"w.h5 cannot be written to the Keras folder .*; set KERAS_HOME to another"):
        fetch(Download("w.h5", "https://127.0.0.1:9/w.h5", ""), tmp_path / "file" / "models" / "w.h5")
