"""The rooms and what may be imported where; import-linter checks the rest in CI."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import make_classes

from featx.extraction import extract
from featx.fitting import fit
from featx.runtime import Runtime

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "featx"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    ("libraries", "rooms"),
    [
        ({"h5py"}, {"network_files", "store"}),
        ({"keras", "tensorflow"}, {"augmentation", "backbones", "engines", "libraries", "training"}),
        ({"cv2"}, {"opencv"}),
        ({"dask", "distributed"}, {"cluster"}),
    ],
)
def test_who_may_name_a_library(libraries, rooms):
    assert {room(path) for path in modules() if imported(path) & libraries} == rooms


def test_what_people_name_is_written_by_output_and_what_the_cache_holds_by_store():
    writers = {"write_atomically", "publish", "open_new", "temporary_name"}
    taken = {
        (room(path), alias.name)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "featx.files"
        for alias in node.names
    }
    assert {where for where, name in taken if name in writers} == {"output", "store"}


def test_every_imported_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {"dev", "integration"}
    extras = [name for extra, names in project["optional-dependencies"].items() if extra not in own for name in names]
    declared = {re.split(r"[^\w-]", name)[0].lower() for name in [*project["dependencies"], *extras]}
    names = set().union(*map(imported, modules())) - set(sys.stdlib_module_names) - {"featx"}
    packages = {
        "PIL": "pillow", "sklearn": "scikit-learn", "pillow_heif": "pillow-heif", "cv2": "opencv-python-headless",
        "cykooz_resizer": "cykooz-resizer",
    }  # fmt: skip
    assert {packages.get(name, name) for name in names} <= declared


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Return the calls in a module, each with the text of what is called."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [(ast.unparse(node.func), node) for node in nodes if isinstance(node, ast.Call)]


OPENED = {
    "backbones": "weights",
    "capturing": "videos",
    "classifier": "models",
    "files.py": "",
    "output": "what is to be replaced",
    "prediction/record.py": "records of tables",
    "prediction/sorting.py": "the tag of a folder that featx made",
    "reports/provenance.py": "models",
    "source/blob.py": "archives",
    "source/local.py": "images and manifests",
    "source/walk.py": "tags of caches and outputs",
    "store": "caches",
    "training/checkpoints.py": "checkpoints",
}
"""The rooms or modules that open files, and which."""


def test_one_module_opens_image_files():
    def opens(path: Path) -> bool:
        return any(re.search(r"(^|\.)(open|read)_regular$", name) for name, _ in calls(path))

    names = [path.relative_to(PACKAGE).as_posix() for path in modules() if opens(path)]
    assert {name if name in OPENED else name.split("/")[0] for name in names} == set(OPENED)


def test_images_are_decoded_from_bytes_in_memory():
    opened = [(path, node) for path in modules() for name, node in calls(path) if name == "Image.open"]
    assert {path.parent.name for path, _ in opened} == {"images"}
    assert all(ast.unparse(node.args[0]).startswith("io.BytesIO(") for _, node in opened)
    assert not [path for path in modules() if room(path) == "images" and "pathlib" in imported(path)]


def test_no_room_is_a_drawer():
    assert not {room(path) for path in modules()} & {"utils", "helpers", "common", "core", "base"}


def undocumented(node: ast.Module | ast.ClassDef, name: str) -> list[str]:
    """Return the public classes and functions below a node that have no docstring."""
    found = [] if ast.get_docstring(node) else [name]
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            found += undocumented(child, f"{name}.{child.name}")
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_") and not ast.get_docstring(child):
            found.append(f"{name}.{child.name}")
    return found


def test_everything_public_has_a_docstring():
    trees = [(ast.parse(path.read_text(encoding="utf-8")), path.stem) for path in modules()]
    assert [name for tree, stem in trees for name in undocumented(tree, stem)] == []


def test_the_contract_names_every_room():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = {name.strip() for floor in contracts[0]["layers"] for name in floor.split("|")}
    assert floors == {room(path) for path in modules()} - {"__init__"}


def test_fitting_imports_no_network_library():
    script = (
        "import sys, featx; featx.fit, featx.latest; assert not {'keras', 'tensorflow', 'openvino'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_records_of_an_evaluation_import_no_scikit_learn():
    script = "import sys, featx.evaluation; assert not {'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_predicting_imports_no_scikit_learn(tmp_path):
    data = make_classes(tmp_path / "set", {"red": (200, 50, 40), "blue": (30, 60, 200)}, 6)
    runtime = Runtime(tmp_path / "cache")
    model = fit(extract(data, weights="random:0", size=64, runtime=runtime), "logreg", runtime=runtime)
    model.save(tmp_path / "model.featx")
    new = make_classes(tmp_path / "new", {"x": (210, 45, 45)}, 1)
    script = (
        "import sys, featx; featx.predict(*sys.argv[1:3], runtime=featx.Runtime(sys.argv[3])); "
        "assert not {'keras', 'tensorflow', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.featx", new, tmp_path / "cache"], check=True, timeout=300
    )


def test_public_names_are_all_there():
    import featx

    for name in featx.__all__:
        assert getattr(featx, name) is not None
    assert set(featx.__all__) == set(featx._HOMES)
    assert set(featx.__all__) <= set(dir(featx))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        featx.nonsense  # noqa: B018
