"""Fixtures: a fake backbone whose features can be computed by hand, test images, and pages of a browser."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from featx import inspection
from featx.backbones.table import BACKBONES, Backbone, KerasWeights
from featx.duplicates import grouping
from featx.engines import BackboneLoader, Engine
from featx.runtime import Runtime
from featx.store import open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class QuadrantRunner:
    """Runner of the fake backbone: mean red, green and blue of the four quadrants, from 0 to 1; shape (n, 12)."""

    name = "openvino"
    precision = "float32"
    device = "cpu"
    n_features = 12
    producer = {"engine": "quadrants"}  # noqa: RUF012

    def __init__(self, images: list[int]) -> None:
        self._images = images

    def run(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for pixels in batches:
            self._images.append(len(pixels))
            yield quadrant_means(pixels)


def quadrant_means(pixels: np.ndarray) -> np.ndarray:
    """Return the features that :class:`QuadrantRunner` computes."""
    half = pixels.shape[1] // 2
    parts = [
        pixels[:, rows, columns]
        for rows in (slice(half), slice(half, None))
        for columns in (slice(half), slice(half, None))
    ]
    means = [part.reshape(len(pixels), -1, 3).astype(np.float64).mean(axis=1) / 255 for part in parts]
    return np.concatenate(means, axis=1).astype(np.float32)


@dataclass(frozen=True)
class FakeEngine(Engine):
    """Engine that runs the fake backbone for every network."""

    start_fake: Callable[[BackboneLoader], QuadrantRunner] | None = None

    def start(self, loader: BackboneLoader, device: str, precision: str) -> QuadrantRunner:
        return self.start_fake(loader)

    def has_precision(self, precision: str) -> bool:
        return precision == "float32"

    def sees_gpu(self) -> bool:
        return False


class Fake:
    """The fake backbone ``quadrants`` and a count of the images that it computed.

    Attributes
    ----------
    runtime : Runtime
        Runtime with a separate cache, whose notices are collected.
    notices : list of str
    engine : Engine
        Record of an engine that runs the fake backbone.
    runner : callable
        Function that creates the runner, given a list to which the runner appends its batch sizes.
    """

    def __init__(self, cache: Path) -> None:
        self.engine: Engine = FakeEngine(
            "openvino", ("cpu",), ("float32", "bfloat16", "int8"), "float32", start_fake=self.start
        )
        self._batches: list[int] = []
        self.starts = 0
        self.notices: list[str] = []
        self.runtime = Runtime(cache, workers=2, notice=self.notices.append)
        self.runner: Callable[[list[int]], QuadrantRunner] = QuadrantRunner

    def start(self, loader: BackboneLoader) -> QuadrantRunner:
        """Start a runner; see :meth:`featx.engines.Engine.start`."""
        loader.file()
        self.starts += 1
        self._batches.append(-10)  # the ten probe images are not counted
        return self.runner(self._batches)

    @property
    def n_computed(self) -> int:
        """Number of images computed so far, without probe images."""
        return sum(self._batches)


@pytest.fixture(autouse=True, scope="session")
def versions_are_remembered() -> Iterator[None]:
    """Search each set of images only once for augmented versions: most tests use the same few sets."""
    search = grouping.find_transformed
    found: dict[bytes, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}

    def remembered(hashes, read, groups, progress):
        signatures = read(np.arange(len(hashes)))
        key = sha256(b"".join((hashes.tobytes(), groups.tobytes(), signatures.tobytes()))).digest()
        if key not in found:
            reported: list[tuple[int, int]] = []
            found[key] = search(hashes, read, groups, lambda *done: reported.append(done)), reported
        pairs, reported = found[key]
        for done in reported:
            progress(*done)
        return pairs

    with pytest.MonkeyPatch.context() as patch:
        for module in (grouping, inspection):
            patch.setattr(module, "find_transformed", remembered)
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt; a shell ignores it in the background, and commands handle it differently."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[Fake]:
    """Add the backbone ``quadrants`` with its own engine to the table of backbones."""
    fake = Fake(folder / "cache")
    weights = KerasWeights("quadrants.h5")
    row = Backbone("quadrants", "none.None", 32, "none", 12, 0, "Apache-2.0", weights, fake.engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(folder / "keras"))
        patch.setitem(BACKBONES, "quadrants", row)
        weights.path(32).parent.mkdir(parents=True)
        weights.path(32).write_bytes(b"weights of the quadrants")
        yield fake


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    """Return the installed fake backbone ``quadrants``."""
    with installed(tmp_path) as made:
        yield made


def save_image(path: Path, colour: tuple[int, int, int], seed: int = 0, size: tuple[int, int] = (40, 40)) -> Path:
    """Write a PNG of one colour with weak noise from a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(seed).integers(-12, 13, (size[1], size[0], 3))
    Image.fromarray(np.clip(np.array(colour) + grain, 0, 255).astype(np.uint8)).save(path, "PNG")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of two easy classes, 12 images each."""
    return make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 12)


def make_classes(folder: Path, colours: dict[str, tuple[int, int, int]], n: int) -> Path:
    """Write ``n`` images of each class into class folders."""
    for number, (name, colour) in enumerate(colours.items()):
        for i in range(n):
            save_image(folder / name / f"{name}-{i:02}.png", colour, seed=1000 * number + i)
    return folder


def stored_bytes(store: Path) -> bytes:
    """Return the export of a feature store, whose bytes depend only on the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.h5"
        open_store(store).snapshot().export(path, lambda done, total: None)
        return path.read_bytes()


def without_progress(text: str) -> str:
    """Return the output of a command without progress lines, which appear only on slow machines."""
    return re.sub(r"^.* s (so far|left)\)?\n", "", text, flags=re.M)


def make_graph(size: int = 32, n_features: int = 12, name: str = "net") -> bytes:
    """Return a graph in the format of featx, of a network without operations; it is never run."""

    def port(number: int, *sides: int) -> str:
        return f'<port id="{number}">{"".join(f"<dim>{side}</dim>" for side in sides)}</port>'

    pixels, features = (4, size, size, 3), (4, n_features)
    xml = (
        f'<?xml version="1.0"?><net name="{name}" version="11"><layers>'
        '<layer id="0" name="pixels" type="Parameter" version="opset1">'
        f'<data shape="4,{size},{size},3" element_type="u8"/><output>{port(0, *pixels)}</output></layer>'
        '<layer id="1" name="features" type="Convert" version="opset1"><data destination_type="f32"/>'
        f"<input>{port(0, *pixels)}</input><output>{port(1, *features)}</output></layer>"
        f'<layer id="2" name="end" type="Result" version="opset1"><input>{port(0, *features)}</input></layer>'
        '</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>'
        '<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges><rt_info/></net>'
    ).encode()
    return len(xml).to_bytes(8, "little") + xml


class Pages:
    """Pages of a browser, with their messages and requests.

    Attributes
    ----------
    complaints : list of str
        Console messages and uncaught exceptions.
    requests : list of str
        Requested addresses, loaded or not; Playwright does not report ``data:`` addresses.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def open(self, address: str, *, width: int = 1280, dark: bool = False) -> Page:
        """Open an address in a new session and return the loaded page."""
        page = self._browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        return page

    def close(self) -> None:
        """Close all pages."""
        for context in self._browser.contexts:
            context.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium; skip the test if there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="not run: the extra integration is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("not run: there is no chromium (a package of Debian) on this machine")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Return a helper that opens pages in the browser."""
    opened = Pages(browser)
    yield opened
    opened.close()


def axe_violations(page: Page) -> list[str]:
    """Return the accessibility violations that axe-core reports for a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    violations = axe.run(page).response["violations"]
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in violations for node in one["nodes"]]


@pytest.fixture(scope="session")
def keras_start() -> Callable[[], None]:
    """Import Keras once, without its messages, and return the function that does this."""
    from featx.libraries import start_keras

    start_keras()
    return start_keras


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, keras_start: Callable[[], None]) -> Path:
    """Return a Keras file with three convolutional blocks with random weights, for images of 32 x 32."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    inputs = x = keras.Input((32, 32, 3))
    for number, filters in enumerate((6, 8, 8), 1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
        x = layers.MaxPooling2D(name=f"block{number}_pool")(x)
    path = tmp_path_factory.mktemp("network") / "tiny.keras"
    keras.Model(inputs, x).save(path)
    return path
