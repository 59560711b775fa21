"""The command line: help, JSON, exit codes, and no tracebacks on the terminal."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import make_classes, save_image, without_progress
from typer.testing import CliRunner

import featx
from featx.cli.app import app
from featx.cli.console import next_line, printable
from featx.cli.following import gallery_next

COMMANDS = {
    "extract": featx.extract,
    "fit": featx.fit,
    "finetune": featx.finetune,
    "compare": featx.compare,
    "report": featx.report,
    "predict": featx.predict,
    "inspect": featx.inspect,
    "capture": featx.capture,
    "backbones": featx.list_backbones,
    "demo": featx.make_sample,
    "cache ls": featx.list_cache,
    "cache verify": featx.verify_cache,
    "cache gc": featx.clean_cache,
    "cache export": featx.export_features,
    "cache merge": featx.merge_caches,
}
"""Each command, and the library function that does the same."""


def commands():
    """Return every command by its full name, as in ``cache ls``."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        below = getattr(command, "commands", None)
        found |= {name: command} if below is None else {f"{name} {sub}": one for sub, one in below.items()}
    return found


DOCS = Path(__file__).parent.parent / "docs" / "commands.md"


def run(*words: object, code: int = 0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def workplace(fake, tmp_path, monkeypatch):
    """Change to an empty folder, and use the cache of the fake backbone."""
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_every_command_has_help_json_documentation_and_a_twin():
    assert set(commands()) == set(COMMANDS)
    for name, command in commands().items():
        assert command.help
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, name
        assert all(getattr(parameter, "help", None) for parameter in command.params), name
        assert COMMANDS[name].__doc__
        documented = DOCS.read_text(encoding="utf-8")
        assert f"## featx {name}" in documented
        section = documented.split(f"## featx {name}\n")[1].split("\n## ")[0]
        for option in options:
            if option.startswith("--"):
                assert f"`{option}" in section, f"{name} {option} is not documented"


@pytest.mark.parametrize(
    "name", ["extract", "predict", "inspect", "capture", "cache verify", "cache gc", "cache export", "cache merge"]
)
def test_arguments_are_those_of_the_library_twin(name):
    command = commands()[name]
    own = {
        "cache",
        "workers",
        "batch_size",
        "device",
        "max_pixels",
        "cluster",
        "as_json",
    }  # parameters of Runtime, and --json
    theirs = set(inspect.signature(COMMANDS[name]).parameters) - {"runtime"}
    assert {parameter.name for parameter in command.params} - own == theirs


@pytest.mark.parametrize("name", ["extract", "capture"])
def test_defaults_are_those_of_the_library_twin(name):
    command = commands()[name]
    twin = inspect.signature(COMMANDS[name]).parameters
    for parameter in command.params:
        if parameter.name in twin and parameter.name != "label":
            assert str(parameter.default) == str(twin[parameter.name].default), parameter.name


def test_the_main_job(workplace, images, tmp_path):
    output = run("extract", images, "--backbone", "quadrants").output
    assert "2 classes (by folder): blue (12 images), red (12)" in output
    assert "images     0 cached, 24 computed" in output
    assert output.rstrip().endswith("next       featx fit --head logreg")
    assert "images     24 cached, 0 computed" in run("extract", images, "--backbone", "quadrants").output
    output = run("fit", "--head", "svm").output
    assert without_progress(output).splitlines()[0] == (
        f"data set extracted last: {images}: 2 classes (by folder): blue (12 images), red (12)"
    )
    assert "accuracy   1.000" in output
    assert "model      set-quadrants-svm.featx" in output
    assert output.rstrip().endswith("next       featx report set-quadrants-svm.featx --html report.html")
    message = "error: set-quadrants-svm.featx exists; add --overwrite to replace it, or choose another name"
    assert without_progress(run("fit", "--head", "svm", code=1).stderr).strip() == message
    assert "model      set-quadrants-svm.featx" in run("fit", "--head", "svm", "--overwrite").output
    new = make_classes(tmp_path / "new", {"red": (205, 45, 45)}, 2)
    output = run("predict", "set-quadrants-svm.featx", new, "-o", "scores.csv").output
    assert "images     2 predicted, 0 skipped" in output
    assert "table      scores.csv" in output
    assert (workplace / "scores.csv").read_text().count("red") >= 2
    assert "fitted on  24 images in 24 groups" in run("report").output


def test_fit_with_data_extracts_what_it_lacks(workplace, images, fake):
    output = run("fit", images, "--backbone", "quadrants", "--param", "C=[0.1,1]", "--cv", 3, "-o", "my.featx").output
    assert "images     0 cached, 24 computed" in output
    assert (workplace / "my.featx").exists()
    assert fake.n_computed == 24


def test_fit_refuses_what_only_an_extraction_can_do(workplace, images):
    run("extract", images, "--backbone", "quadrants")
    said = run("fit", "--pooling", "max", "--label-by", "parent", code=2).output
    assert "error: fit: label_by, pooling apply only to a folder or manifest" in said


def test_json_is_one_object_on_stdout_with_the_keys_others_rely_on(workplace, images):
    extracted = json.loads(run("extract", images, "--backbone", "quadrants", "--json").stdout)
    assert set(extracted) >= {
        "features_id", "store", "backbone", "engine", "device", "precision", "n_features", "n_images", "n_computed",
        "n_cached", "n_skipped", "skipped", "n_ignored", "seconds", "images_per_second",
    }  # fmt: skip
    fitted = json.loads(run("fit", "--json").stdout)
    assert set(fitted) >= {
        "model", "head", "params", "classes", "n_images", "n_groups", "cv", "ungrouped_cv", "val", "test", "baseline",
        "seconds",
    }  # fmt: skip
    assert set(fitted["cv"]) >= {"splitter", "n_folds", "accuracy", "balanced_accuracy", "per_fold"}
    assert set(fitted["cv"]["accuracy"]) == {"mean", "low", "high"}
    assert set(fitted["ungrouped_cv"]["accuracy"]) == {"mean", "low", "high"}
    predicted = json.loads(run("predict", fitted["model"], images, "-o", "s.csv", "--json").stdout)
    assert set(predicted) >= {
        "model", "n_images", "n_predicted", "n_rejected", "n_skipped", "output", "seconds", "images_per_second",
    }  # fmt: skip
    assert json.loads(run("report", "--json").stdout)["model"] == fitted["model"]
    rows = json.loads(run("backbones", "--json").stdout)["backbones"]
    assert {row["name"] for row in rows} >= {"quadrants", "vgg16", "efficientnet-lite0"}
    assert set(rows[0]) >= {"n_features", "size", "n_parameters", "weights_present"}


def test_errors_are_one_line_and_exit_1(workplace, images):
    cases = {
        ("extract", "nowhere"): "error: no such file or folder: nowhere",
        ("fit",): "error: no data set has been extracted into",
        ("report",): "error: there is no .featx file in this folder; name one, or create one: featx fit DATA",
        ("predict", "no.featx", images): "error: no.featx: no such model file; create one with featx fit",
    }
    for words, message in cases.items():
        result = run(*words, code=1)
        assert result.stderr.startswith(message) or f"\n{message}" in result.stderr, result.stderr
        assert "Traceback" not in result.output


def test_an_output_that_cannot_be_is_refused_before_any_work(workplace, images, fake):
    result = run("fit", images, "--backbone", "quadrants", "-o", "nowhere/model.featx", code=1)
    assert "error: -o nowhere/model.featx: the folder nowhere does not exist" in result.stderr
    assert fake.starts == 0


def test_wrong_usage_exits_2(workplace):
    run("extract", "--nonsense", code=2)
    run("fit", "--cv", "1", code=2)
    run("extract", "--workers", "0", code=2)
    run("predict", code=2)


def test_errors_not_foreseen_are_one_line_too(workplace, images, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("never seen before")

    monkeypatch.setattr("featx.extraction.extract", fail)
    message = "error: ZeroDivisionError: never seen before (unexpected error; FEATX_TRACEBACK=1 shows the traceback)"
    assert without_progress(run("extract", images, code=1).stderr).strip() == message
    monkeypatch.setenv("FEATX_TRACEBACK", "1")
    result = CliRunner().invoke(app, ["extract", str(images)])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/root/x"), "/root/x: Permission denied"),
        (OSError(18, "Invalid cross-device link", "a", None, "b"), "a and b: Invalid cross-device link"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),
        (MemoryError(), "there is not enough memory (an allocation failed). Results so far are kept: close other"),
        (
            RuntimeError("can't start new thread"),
            "the system allows no more threads. Results so far are kept: end other",
        ),
        (RuntimeError("Symlink loop from '/a/b'"), "symbolic links form a loop: '/a/b'"),
        (ValueError("lstat: embedded null character in path"), "a path contains a NUL character"),
        (ValueError("embedded null byte"), "a path contains a NUL character, which file names cannot contain"),
    ],
)
def test_errors_of_the_system_are_one_clear_line(workplace, images, monkeypatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("featx.extraction.extract", fail)
    told = run("extract", images, code=1).stderr
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1
    assert "unexpected error" not in told


def test_a_watching_thread_that_cannot_start_is_one_clear_line(workplace, images, monkeypatch):
    def fail():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("featx.cli.console.watch", fail)
    told = run("extract", images, code=1).stderr
    assert told.startswith("error: the system allows no more threads.")
    assert told.count("\n") == 1


def test_an_empty_environment_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", "")
    assert next_line("fit", cache=Path("cache")) == "next       featx fit"
    assert next_line("fit", cache=Path("other")) == "next       featx fit --cache other"


@pytest.mark.skipif(sys.platform == "win32", reason="the quoting is that of Unix shells")
def test_next_commands_can_be_typed():
    odd = Path("-a\n'\udcff\\ü")
    line = next_line("predict", Path("-m.featx"), odd, "--group-by", "(a b)", cache=Path("-c"))
    words = line.removeprefix("next       featx ")
    assert words.startswith("predict ./-m.featx $'./-a")
    assert printable(words) == words
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True)
    typed = [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]
    assert typed == ["predict", "./-m.featx", f"./{odd}", "--group-by", "(a b)", "--cache", "./-c"]


def test_a_model_whose_name_begins_with_a_dash(workplace, images):
    output = run("fit", images, "--backbone", "quadrants", "-o", "-m.featx").output
    todo = output.splitlines()[-1]
    assert todo == "next       featx report ./-m.featx --html report.html"
    run(*todo.removeprefix("next       featx ").split())


def test_fit_replaces_nothing_but_models_and_as_asked(workplace, images, fake):
    manifest = images / "labels.featx"
    manifest.write_text("path,label\n")
    (workplace / "set-quadrants-logreg.featx").write_text("mine")
    for words, message in {
        ("-o", images / "red" / "red-00.png"): "the name must end in .featx",
        ("-o", manifest): "exists and is never replaced, because featx did not write it; choose another name",
        (): "set-quadrants-logreg.featx exists and is never replaced, because featx did not write it",
    }.items():
        assert message in run("fit", images, "--backbone", "quadrants", *words, "--overwrite", code=1).stderr
    assert fake.n_computed == 0  # before any work
    run("fit", images, "--backbone", "quadrants", "-o", "m.featx")
    shutil.copy("m.featx", "n.featx")
    assert "m.featx exists; add --overwrite" in run("fit", "-o", "m.featx", code=1).stderr
    run("fit", "-o", "m.featx", "--head", "svm", "--overwrite")
    assert "svm" in run("report", "m.featx").output
    Path("n.featx").write_bytes(Path("n.featx").read_bytes()[:-200])
    assert "because featx did not write it" in run("fit", "-o", "n.featx", "--overwrite", code=1).stderr


def test_a_folder_with_a_long_name(workplace, images):
    long = images.rename(images.with_name("n" * 240))
    output = run("fit", long, "--backbone", "quadrants").output
    (model,) = workplace.glob("*.featx")
    assert f"model      {model.name}" in output
    assert len(model.name) == 200


def test_stopping_says_how_to_go_on(workplace, images, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("featx.extraction.extract", stop)
    message = "stopped; results so far are kept: run the same command to continue"
    assert without_progress(run("extract", images, code=1).stderr).strip() == message


def test_from_capture_to_fit(workplace, tmp_path):
    pytest.importorskip("cv2")
    from test_capturing import two_labels

    for label, video in two_labels(tmp_path, 3):
        output = run("capture", label, "--source", video, "--full-frame", "--no-preview").output
    assert output.rstrip().endswith("next       featx extract data")
    assert (
        "2 classes (by folder): blue (36 images), red (36)" in run("extract", "data", "--backbone", "quadrants").output
    )
    for fitted in (run("fit").output, run("fit", "data", "--overwrite").output):
        assert "72 frames of 6 recordings would be split between training and test (72 images in 6 groups)" in fitted
        assert "3 folds (StratifiedGroupKFold)" in fitted
    assert "12 frames of one recording: blue/take-001-00001.jpg to blue/take-001-00012.jpg" in run("inspect").output


def test_a_stopped_capture_says_what_there_is(workplace, tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    from test_capturing import two_labels

    from featx.capturing import recordings

    _, video = next(two_labels(tmp_path, 1))
    words = ("capture", "blue", "--source", video, "--full-frame", "--no-preview")
    real = recordings.Recording.keep

    def keep_four(self, image):
        if self.n_kept == 4:
            raise KeyboardInterrupt
        return real(self, image)

    monkeypatch.setattr(recordings.Recording, "keep", keep_four)
    lines = run(*words, code=1).output.splitlines()
    assert lines[1] == f"stopped; 4 images are kept: recording 1 in {Path('data') / 'blue'}"
    assert lines[2] == "recordings blue 1"
    assert lines[-1] == "next       featx capture blue --source VIDEO --full-frame --no-preview"
    result = run(*words, "--json", code=1)
    assert result.stdout == ""
    assert "stopped; 4 images are kept: recording 2" in result.stderr


def test_strict(workplace, images):
    save_image(images / "red" / "torn.png", (1, 2, 3)).write_bytes(b"")
    assert "skipped    red/torn.png: empty file" in run("extract", images, "--backbone", "quadrants").output
    result = run("extract", images, "--backbone", "quadrants", "--strict", code=1)
    assert without_progress(result.stderr).strip() == (
        "error: --strict: 1 image cannot be used: red/torn.png: empty file (0 bytes)"
    )


def test_the_next_command_names_another_cache(workplace, images, tmp_path):
    other = tmp_path / "other cache"
    output = run("extract", images, "--backbone", "quadrants", "--cache", other).output
    assert output.rstrip().endswith(f"featx fit --head logreg --cache '{other}'")


def test_images_without_labels_are_for_predicting(workplace, images):
    output = run("extract", images / "red", "--backbone", "quadrants").output
    assert output.rstrip().endswith(f"next       featx predict MODEL {images / 'red'}")
    run("fit", images, "--backbone", "quadrants", "--head", "centroid", "-o", "one.featx")
    output = run("extract", images / "red", "--backbone", "quadrants").output
    assert output.rstrip().endswith(f"next       featx predict one.featx {images / 'red'}")


def following(output: str) -> list[str]:
    """Return the words of the next command that a command prints last."""
    last = output.rstrip().splitlines()[-1]
    assert last.startswith("next       featx "), last
    return shlex.split(last.removeprefix("next       featx "))


def test_next_commands_are_typed_as_they_are_printed(workplace, images, tmp_path):
    """Each printed command can be typed as it is; the only placeholder is FOLDER, for images of the user."""
    other = tmp_path / "other cache"
    new = make_classes(tmp_path / "new images", {"red": (205, 45, 45), "blue": (35, 60, 190)}, 2)
    words = ["extract", str(images), "--backbone", "quadrants", "--cache", str(other)]
    typed = []
    for command in ("extract", "fit", "report", "predict", "report", "compare", "fit"):
        assert words[0] == command
        assert words[-2:] == ["--cache", str(other)]
        assert words not in typed  # no command is suggested twice
        assert not [word for word in words if word.isupper() and word != "FOLDER"]
        typed.append(words)
        images = images if command == "compare" else new
        more = ["--backbones", "quadrants"] if command == "compare" else []
        words = following(run(*(images if word == "FOLDER" else word for word in words), *more).output)
    assert typed[2][2:4] == ["--html", "report.html"]
    assert "--gallery" in typed[3]
    assert not other.with_name("cache").exists()


def test_the_command_of_a_hint_is_the_one_that_was_typed(workplace, images):
    for path in sorted(images.rglob("*.png")):
        path.rename(path.with_name(f"P{int(path.stem[-2:]) % 4}_{path.name}"))
    words = ["fit", str(images), "--backbone=quadrants", "--head", "centroid", "--cv", "3"]
    shown = run(*words).output
    hint = next(text for text in shown.splitlines() if text.startswith("by name"))
    command = shlex.split(hint.partition("other sources, use: featx ")[2])
    assert command == [*words, "--group-by", r"(P\d+)", "--overwrite"]
    assert "new values of (P\\d+) (4 so far: P0 to P3)" in run(*command).output


def test_next_commands_of_the_others(workplace, images, tmp_path):
    manifest = images / "list.csv"
    rows = [f"{one.relative_to(images).as_posix()},{one.parent.name}" for one in sorted(images.rglob("*.png"))]
    manifest.write_text("\n".join(["file,what", *rows]))
    columns = ("--path-column", "file", "--label-column", "what")
    words = following(run("inspect", manifest, *columns, "--page", 1).output)
    assert words == ["extract", str(manifest), *columns]
    assert following(run(*words, "--backbone", "quadrants").output) == ["fit", "--head", "logreg"]
    assert following(run("backbones").output) == ["extract", "FOLDER", "--backbone", "efficientnet-lite0"]
    (workplace / "data").mkdir()
    assert following(run("backbones").output)[1] == "data"
    assert following(run("cache", "ls", "--cache", "empty").output) == ["extract", "data", "--cache", "empty"]
    words = following(run("compare", manifest, "--backbones", "quadrants", "--heads", "centroid,knn", *columns).output)
    run(*words)
    run("fit", "--head", "centroid", "-o", "m.featx")
    assert following(run("predict", "m.featx", images / "red").output) == [
        *("predict", "m.featx", str(images / "red"), "--gallery", "gallery.html"),
    ]
    run(*following(run("predict", "m.featx", images / "red").output))
    words = following(run("predict", "m.featx", images / "red", "-o", "scores.csv").output)
    assert words[-2:] == ["--gallery", "gallery-2.html"]  # gallery.html exists and is not replaced
    run(*words)
    for command in ("ls", "verify", "gc"):
        run(*following(run("cache", command).output))


def test_usage_errors_have_the_form_of_all_errors(workplace, images):
    cases = {
        ("extract", "--nonsense"): "No such option: --nonsense",
        ("fit", "--cv", "1"): "--cv 1: expected 2 or more",
        ("predict",): "Missing argument 'MODEL'",
        ("nosuch",): "No such command 'nosuch'",
        ("cache", "nosuch"): "No such command 'nosuch'",
        ("extract", images, "--workers", "many"): "Invalid value for '--workers'",
        ("fit", images, "--head", "forest"): "--head forest: expected logreg, svm",
        ("fit", images, "--param", "C"): "--param C: expected name=value",
        ("fit", images, "--param", "C=abc"): "--param 'C=\"abc\"': logreg cannot be fitted; scikit-learn reports: ",
        ("fit", images, "--hidden", "many"): "--hidden many: expected integers separated by commas",
        ("fit", images, "--class-weight", "no"): "--class-weight no: expected balanced",
        ("fit", images, "--group-by", "(P"): "--group-by '(P': not a regular expression",
        ("extract", images, "--backbone", "resnet5"): "no backbone or file is named 'resnet5'; did you mean",
        ("extract", images, "--pooling", "mean"): "--pooling mean: expected avg, max or flatten",
        ("extract", images, "--engine", "abacus"): "--engine abacus: expected auto",
        ("extract", images, "--precision", "float7"): "--precision float7: the openvino engine supports",
        ("extract", images, "--device", "abacus"): "--device abacus: expected auto",
        ("extract", images, "--label-by", "bottom"): "--label-by bottom: expected parent or top",
        ("compare", images, "--sizes", "big"): "--sizes big: expected integers separated by commas",
        ("finetune", images, "--top", "mean"): "--top mean: expected gap, gmp or flatten",
        ("finetune", images, "--optimizer", "none"): "--optimizer none: expected",
    }
    for words, message in cases.items():
        result = run(*words, code=2)
        (line,) = [text for text in result.stderr.splitlines() if text.lower().startswith("error")]
        assert line.startswith(f"error: {message}") or message in line, line
        assert "Usage:" not in result.output
        said = run(*words, "--json", code=2)
        assert json.loads(said.stdout) == {"error": line.removeprefix("error: ")}, words


def test_errors_under_json_are_json(workplace, images, monkeypatch):
    for words in (("extract", "nowhere"), ("report",), ("predict", "no.featx", images), ("fit",)):
        result = run(*words, "--json", code=1)
        assert f"error: {json.loads(result.stdout)['error']}" in result.stderr

    def fail(*_, **__):
        raise ZeroDivisionError("never seen before")

    monkeypatch.setattr("featx.extraction.extract", fail)
    assert json.loads(run("extract", images, "--json", code=1).stdout)["error"].startswith("ZeroDivisionError: ")


def test_help_cuts_no_sentence():
    shown = " ".join(run("--help").output.split())
    for command in commands().values():
        if command.name in COMMANDS:
            assert " ".join(command.help.split("\n\n")[0].rstrip(".").split()) in shown
    assert "..." not in run("--help").output.replace("[ARGS]...", "")
    assert "..." not in run("cache", "--help").output.replace("[ARGS]...", "")


@pytest.mark.parametrize("name", ["extract", "fit", "finetune", "compare", "report", "predict", "capture"])
def test_help_lists_options_in_panels_with_defaults_and_ranges(name):
    shown = run(name, "--help").output
    panels = re.findall(r"^(\w[\w ]*):\n", shown, re.M)
    assert panels[0] == "Arguments"
    assert panels[-2:] == ["Output", "Help"]
    assert len(panels) == len(set(panels)) >= 4
    text = re.sub(r"-\s+", "-", " ".join(shown.split()))
    for parameter in commands()[name].params:
        if parameter.opts[0].startswith("-"):
            assert re.sub(r"-\s+", "-", " ".join(parameter.help.split())) in text
            assert parameter.opts[0] in shown
    assert "<" not in shown
    if name == "finetune":
        assert "Range: 0 or more and below 1." in text
        assert "--batch-norm frozen|train" in text
        assert "[default: 0.8]" in text


def test_hostile_names_cannot_write_to_the_terminal(workplace, images):
    (images / "red" / "\x1b[31mred\x07\n.png").write_bytes(b"")
    output = run("extract", images, "--backbone", "quadrants").output
    assert "\x1b" not in output
    assert "\x07" not in output
    assert r"skipped    red/\x1b[31mred\x07\n.png: empty file" in output
    assert printable("a\udcffb") == r"a\udcffb"


def test_the_newest_model_of_the_folder_is_reported(workplace, images):
    run("fit", images, "--backbone", "quadrants", "-o", "old.featx")
    run("fit", "-o", "new.featx")
    os.utime("old.featx", (1, 1))
    assert run("report").output.startswith("model      new.featx")


def test_help_starts_at_once():
    script = (
        "import sys; sys.argv = ['featx', '--help']\n"
        "from featx.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert e.code == 0, e.code\n"
        "heavy = {'numpy', 'sklearn', 'h5py', 'PIL', 'keras', 'tensorflow', 'openvino', 'scipy', 'rich'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"extract .*fit .*report .*predict .*backbones .*demo", done.stdout, re.S)


def test_version():
    assert run("--version").output.strip() == f"featx {featx.__version__}"


def test_the_next_command_after_many_files_names_a_folder():
    files = [Path(f"{number}.png") for number in range(4)]
    assert "featx predict m.featx 0.png 1.png 2.png --gallery" in gallery_next(
        Path("m.featx"), files[:3], Path("cache")
    )
    assert "featx predict m.featx FOLDER --gallery" in gallery_next(Path("m.featx"), files, Path("cache"))
