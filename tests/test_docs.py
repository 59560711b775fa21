"""The code blocks and links of the documentation work."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from featx.extraction import extract
from featx.runtime import Runtime

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NETWORKS = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
FORMAT = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_readme_opens_with_two_complete_commands():
    first, second = blocks(README, "sh")[:2]
    for command in (first, second):
        assert len(command.strip().splitlines()) == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert first.strip().endswith(".venv/bin/featx demo")
    assert second.strip().endswith(".venv/bin/python -m pytest -n 2")
    assert f"<!-- demo -->\n```sh\n{first}```" in README  # .ci/run finds the commands by these comments
    assert f"<!-- test -->\n```sh\n{second}```" in README


def test_the_plain_h5py_reader_of_the_format(fake, images):
    table = extract(images, "quadrants", runtime=fake.runtime)
    scope: dict = {}
    exec(blocks(FORMAT, "python")[0], scope)
    for sample, features in zip(table.samples, table.X, strict=True):
        cached = scope["features_of"](images / sample.sample_id, table.extraction.store)
        np.testing.assert_array_equal(cached, features)
    assert scope["features_of"](ROOT / "README.md", table.extraction.store) is None


def test_the_four_lines_of_the_library(fake, images, tmp_path, monkeypatch, capsys):
    """The README's lines run unchanged, except for the name of the backbone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").rename(tmp_path / "data")
    (tmp_path / "featx-demo").mkdir()
    (tmp_path / "featx-demo" / "new").symlink_to(tmp_path / "data" / "red")
    lines = blocks(README, "python")[0]
    assert len([line for line in lines.splitlines() if line and not line.startswith("import")]) == 4
    exec(lines.replace('extract("data")', 'extract("data", "quadrants")'), {})
    assert "accuracy 1.000" in capsys.readouterr().out
    assert (tmp_path / "model.featx").exists()


def test_the_export_of_a_network_from_timm(tmp_path, images, monkeypatch):
    """featx computes timm's own features from the exported file (random weights); skipped without timm."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    pytest.importorskip("onnxscript")
    from featx.backbones import find_backbone_source
    from featx.images import prepare

    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and timm
        exec(blocks(NETWORKS, "python")[0].replace("pretrained=True", "pretrained=False"), scope)
    table = extract(images, "net.onnx", precision="float32", runtime=Runtime(tmp_path / "cache"))
    size = find_backbone_source("net.onnx").size
    pixels = np.stack([prepare((images / s.sample_id).read_bytes(), size).pixels for s in table.samples])
    mean, std = (np.array(scope["config"][name]) for name in ("mean", "std"))
    scaled = torch.from_numpy(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        np.testing.assert_allclose(table.X, scope["model"](scaled).numpy(), rtol=1e-3, atol=1e-3)


def test_links_within_the_documentation_exist():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name}: {link}"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml"])
def test_the_usual_files_of_a_project_exist(name):
    assert (ROOT / name).stat().st_size > 100
