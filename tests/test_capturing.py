"""Capture images from videos written by OpenCV: selection, file names, and errors if no image is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import without_progress
from PIL import Image

import featx
from featx.capturing import count_recordings, dataset_root
from featx.capturing.choosing import sharpness
from featx.capturing.faces import FaceFinder
from featx.capturing.recordings import check_label, new_recording
from featx.errors import CaptureError, MissingExtraError, OptionError, OutputError
from featx.runtime import Runtime

cv2 = pytest.importorskip("cv2")

GREY = (150, 140, 130)


def textured(seed: int, height: int = 400, width: int = 600, colour: Sequence[int] = (128, 128, 128)) -> np.ndarray:
    """Return an image of soft patches of many sizes around a colour, in BGR order."""
    rng = np.random.default_rng(seed)
    patches = sum(
        cv2.resize(rng.normal(0, 30, (height // size, width // size)), (width, height), interpolation=cv2.INTER_CUBIC)
        for size in (4, 12, 40)
    )
    return (np.array(colour) + patches[:, :, None]).clip(0, 255).astype(np.uint8)


def moving(n: int, seed: int = 0, step: int = 9, colour: Sequence[int] = (128, 128, 128)) -> list[np.ndarray]:
    """Return frames of 120 x 160 pixels that pan over a textured image."""
    image = textured(seed, 300, 170 + n * step, colour)
    return [image[50:170, i * step : i * step + 160] for i in range(n)]


def face(side: int) -> np.ndarray:
    """Draw a face that fills a square, with the features that a cascade detects: dark eyes, brows, nose and mouth."""
    k = side / 200

    def oval(x: int, y: int, a: int, b: int, colour: tuple[int, int, int], start: int = 0, end: int = 360) -> None:
        centre, axes = (round(x * k), round(y * k)), (round(a * k), round(b * k))
        cv2.ellipse(drawn, centre, axes, 0, start, end, colour, -1)

    drawn = np.full((side, side, 3), GREY, np.uint8)
    oval(100, 105, 72, 92, (160, 190, 225))
    oval(100, 45, 78, 52, (40, 50, 60), 180, 360)
    for x in (70, 130):
        oval(x, 88, 20, 13, (110, 140, 180))
        oval(x, 90, 15, 7, (235, 235, 235))
        oval(x, 90, 7, 7, (40, 40, 40))
        oval(x, 72, 21, 5, (50, 60, 70))
    oval(100, 115, 8, 24, (175, 205, 240))
    oval(100, 136, 15, 6, (110, 140, 180))
    oval(100, 162, 27, 8, (80, 80, 160))
    return cv2.GaussianBlur(drawn, (0, 0), 1.5 * k)


def scene_with(*faces: tuple[int, int, int]) -> np.ndarray:
    """Return a frame of 240 x 320 pixels with faces at (left, top, side)."""
    frame = np.full((240, 320, 3), GREY, np.uint8)
    for left, top, side in faces:
        frame[top : top + side, left : left + side] = face(side)
    return frame


def write_video(path: Path, frames: Sequence[np.ndarray], codec: str = "MJPG") -> Path:
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter_fourcc(*codec), 20, (width, height))
    assert video.isOpened()
    for frame in frames:
        video.write(np.ascontiguousarray(frame))
    video.release()
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def read(path: Path) -> np.ndarray:
    """Return an image in BGR order, as in OpenCV."""
    return np.asarray(Image.open(path).convert("RGB"), np.int16)[:, :, ::-1]


def numbers_kept(folder: Path, frames: Sequence[np.ndarray]) -> list[int]:
    """Return the number of the frame that is most similar to each image of a folder."""
    images = [read(path) for path in sorted(folder.iterdir())]
    return [int(np.argmin([np.abs(image - frame).mean() for frame in frames])) for image in images]


@pytest.fixture
def recording(tmp_path, notices):
    """Return a function that captures images into ``tmp_path / data`` without a window."""

    def run(label: str, source: object, **options: object) -> featx.Capture:
        options = {"output": tmp_path / "data", "preview": False, "runtime": Runtime(notice=notices.append), **options}
        return featx.capture(label, source, **options)

    return run


@pytest.fixture
def notices() -> list[str]:
    return []


def test_whole_frames_become_images(tmp_path, recording, notices):
    frames = moving(30)
    done = recording("room", write_video(tmp_path / "v.avi", frames), full_frame=True)
    folder = tmp_path / "data" / "room"
    assert names(tmp_path / "data") == ["room", *(f"room/take-001-{i:05d}.jpg" for i in range(1, 31))]
    assert numbers_kept(folder, frames) == list(range(30))
    assert max(np.abs(read(p) - f).mean() for p, f in zip(sorted(folder.iterdir()), frames, strict=True)) < 6
    assert notices == [f"{tmp_path / 'v.avi'}, 160 x 120: recording 1, written to {folder}"]
    result = done.to_dict()
    assert result.pop("seconds") >= 0
    assert result == {
        "label": "room", "source": str(tmp_path / "v.avi"), "recording": 1, "folder": str(folder), "n_kept": 30,
        "n_frames": 30, "n_blurred": 0, "n_alike": 0, "n_no_face": 0, "recordings": {"room": 1},
    }  # fmt: skip


def test_a_recording_ends_after_count_images(tmp_path, recording):
    done = recording("room", write_video(tmp_path / "v.mp4", moving(40), "mp4v"), full_frame=True, count=7)
    assert (done.n_kept, done.n_frames) == (7, 7)
    assert len(names(tmp_path / "data" / "room")) == 7


@pytest.mark.parametrize("blurred", [[4, 9, 14, 19, 20, 21, 39], [0, 1, 2, 3, 4, 30]])
def test_blurred_frames_are_skipped_from_the_first_frame_on(tmp_path, recording, blurred):
    frames = moving(40)
    for i in blurred:
        frames[i] = cv2.GaussianBlur(frames[i], (0, 0), 3)
    video = write_video(tmp_path / "v.avi", frames)
    done = recording("room", video, full_frame=True)
    assert (done.n_kept, done.n_blurred, done.n_alike) == (40 - len(blurred), len(blurred), 0)
    assert numbers_kept(done.folder, frames) == [i for i in range(40) if i not in blurred]
    assert recording("all", video, full_frame=True, min_sharpness=0).n_kept == 40


def test_sharpness_is_measured_at_the_input_size_of_backbones():
    grey = cv2.cvtColor(textured(0, 480, 640), cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (256, 192), interpolation=cv2.INTER_AREA)
    assert sharpness(cv2, grey) == pytest.approx(sharpness(cv2, small))
    assert sharpness(cv2, cv2.GaussianBlur(grey, (0, 0), 6.4)) < 0.1 * sharpness(cv2, grey)
    assert sharpness(cv2, np.full((50, 50), 7, np.uint8)) == 0


def test_near_identical_frames_are_skipped(tmp_path, recording):
    frames = [frame for frame in moving(12) for _ in range(3)]
    video = write_video(tmp_path / "v.avi", frames)
    done = recording("room", video, full_frame=True)
    assert (done.n_kept, done.n_alike, done.n_frames) == (12, 24, 36)
    assert numbers_kept(done.folder, frames[::3]) == list(range(12))
    assert recording("all", video, full_frame=True, min_difference=0).n_kept == 36


def test_a_slow_change_adds_up_to_a_difference(tmp_path, recording):
    """Each frame is two grey levels brighter than the one before, so every second frame differs enough to be kept."""
    base = np.clip(textured(0, 120, 160), 60, 150)
    done = recording("room", write_video(tmp_path / "v.avi", [base + 2 * i for i in range(21)]), full_frame=True)
    assert 9 <= done.n_kept <= 12
    assert done.n_kept + done.n_alike == 21


def test_every_third_frame(tmp_path, recording):
    frames = moving(30)
    done = recording("room", write_video(tmp_path / "v.avi", frames), full_frame=True, every=3)
    assert done.n_frames == 10
    assert numbers_kept(done.folder, frames) == list(range(0, 30, 3))


@pytest.mark.parametrize(("left", "top", "side"), [(90, 50, 60), (20, 30, 100), (150, 70, 160), (220, 10, 100)])
def test_a_face_is_found_where_it_is(left, top, side):
    found = FaceFinder(cv2).find(cv2.cvtColor(scene_with((left, top, side)), cv2.COLOR_BGR2GRAY))
    assert np.abs(np.subtract(found, (left, top, left + side, top + side))).max() <= 0.08 * side


def test_the_largest_face_counts_in_frames_of_any_size():
    frame = scene_with((20, 20, 70), (150, 60, 130))
    grey = cv2.cvtColor(cv2.resize(frame, None, fx=3, fy=3), cv2.COLOR_BGR2GRAY)
    assert np.abs(np.subtract(FaceFinder(cv2).find(grey), (450, 180, 840, 570))).max() <= 30


def test_a_frame_without_a_face_has_none():
    assert FaceFinder(cv2).find(cv2.cvtColor(scene_with(), cv2.COLOR_BGR2GRAY)) is None


def test_faces_are_cut_out_with_a_margin(tmp_path, recording):
    frames = [scene_with((60 + 6 * i, 60, 100)) for i in range(18)]
    done = recording("anna", write_video(tmp_path / "v.avi", frames), min_difference=0)
    assert (done.n_kept, done.n_no_face) == (18, 0)
    images = [read(path) for path in sorted(done.folder.iterdir())]
    for i, (image, frame) in enumerate(zip(images, frames, strict=True)):
        height, width = image.shape[:2]
        assert height == width
        assert width == pytest.approx(160, abs=10)
        likeness = cv2.matchTemplate(frame, image.astype(np.uint8), cv2.TM_SQDIFF)
        x, y = cv2.minMaxLoc(likeness)[2]
        assert (x, y) == (pytest.approx(60 + 6 * i - 30, abs=8), pytest.approx(30, abs=8))
    assert read(next(recording("tight", tmp_path / "v.avi", margin=0).folder.iterdir())).shape[0] == pytest.approx(
        100, abs=8
    )


def test_a_margin_ends_at_the_edge_of_the_frame(tmp_path, recording):
    done = recording("anna", write_video(tmp_path / "v.avi", [scene_with((215, 130, 100))] * 3), count=1)
    height, width = read(next(done.folder.iterdir())).shape[:2]
    assert (height, width) == (pytest.approx(140, abs=8), pytest.approx(135, abs=8))


def test_frames_without_a_face_are_counted(tmp_path, recording):
    frames = [scene_with()] * 10 + [scene_with((40 + 5 * i, 50, 110)) for i in range(10)] + [scene_with()] * 5
    done = recording("anna", write_video(tmp_path / "v.avi", frames), min_difference=0)
    assert (done.n_kept, done.n_no_face, done.n_frames) == (10, 15, 25)


def test_a_blurred_face_in_front_of_a_sharp_wall_counts_as_blurred(tmp_path, recording):
    wall = np.clip(textured(3, 240, 320), 110, 170)
    frames = []
    for i in range(12):
        frame = wall.copy()
        frame[60:160, 90 + i : 190 + i] = cv2.GaussianBlur(face(100), (0, 0), 3 if i % 6 == 5 else 0.1)
        frames.append(frame)
    done = recording("anna", write_video(tmp_path / "v.avi", frames), min_difference=0)
    assert (done.n_blurred, done.n_kept) == (2, 10)


def test_a_video_without_faces_is_an_error_and_leaves_no_folder(tmp_path, recording):
    video = write_video(tmp_path / "v.avi", [scene_with()] * 12)
    with pytest.raises(CaptureError, match=r"no face in 12 frames of .*v\.avi.*: move closer, or .* `full_frame=True`"):
        recording("anna", video)
    assert not (tmp_path / "data").exists()


def test_recordings_are_numbered_over_runs_and_labels(tmp_path, recording):
    video = write_video(tmp_path / "v.avi", moving(5))
    numbers = [recording(label, video, full_frame=True).recording for label in ("cup", "pen", "cup")]
    assert numbers == [1, 2, 3]
    done = recording("pen", video, full_frame=True, count=1)
    assert (done.recording, done.recordings) == (4, {"cup": 2, "pen": 2})
    assert {name[5:8] for name in names(tmp_path / "data" / "cup")} == {"001", "003"}


def test_recordings_are_numbered_over_the_parts_of_a_data_set(tmp_path, recording):
    video = write_video(tmp_path / "v.avi", moving(3))
    for part, number in (("train", 1), ("test", 2)):
        done = recording("cup", video, full_frame=True, output=tmp_path / "set" / part)
        assert (done.recording, done.recordings) == (number, {"cup": number})
    assert dataset_root(tmp_path / "set" / "test") == tmp_path / "set"
    assert count_recordings(tmp_path / "set") == {"cup": 2}


def test_other_images_of_the_data_set_stay_and_count_as_no_recording(tmp_path, recording):
    (tmp_path / "data" / "mug").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "data" / "mug" / "1.png")
    done = recording("cup", write_video(tmp_path / "v.avi", moving(3)), full_frame=True)
    assert done.recordings == {"cup": 1, "mug": 0}


def test_two_captures_at_once_have_two_numbers(tmp_path):
    with new_recording(tmp_path / "data", "cup") as one, new_recording(tmp_path / "data", "pen") as other:
        assert (one.number, other.number) == (1, 2)
        one.keep(b"jpeg")
    assert names(tmp_path / "data") == ["cup", "cup/take-001-00001.jpg"]
    with new_recording(tmp_path / "data", "pen") as third:
        assert third.number == 2  # recording 2 above kept no image


def test_nothing_is_replaced(tmp_path):
    with new_recording(tmp_path, "cup") as begun:
        (tmp_path / "cup").mkdir()
        (tmp_path / "cup" / "take-001-00001.jpg").write_bytes(b"mine")
        with pytest.raises(OutputError, match=r"take-001-00001\.jpg exists and is not replaced"):
            begun.keep(b"jpeg")
    assert (tmp_path / "cup" / "take-001-00001.jpg").read_bytes() == b"mine"


def test_an_output_that_is_a_file_is_an_error(tmp_path, recording):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OutputError, match=r"`output=.*data` cannot be written: "):
        recording("cup", write_video(tmp_path / "v.avi", moving(3)), full_frame=True)


def test_an_interrupted_recording_keeps_its_images(tmp_path, recording, notices):
    frames = moving(30)
    video = write_video(tmp_path / "v.avi", frames)

    def stop(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("capturing, image", 100)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recording("room", video, full_frame=True, runtime=Runtime(notice=notices.append, progress=stop))
    assert names(tmp_path / "data") == ["room", *(f"room/take-001-{i:05d}.jpg" for i in range(1, 6))]
    assert numbers_kept(tmp_path / "data" / "room", frames) == list(range(5))
    assert notices[-1] == f"stopped; 5 images are kept: recording 1 in {tmp_path / 'data' / 'room'}"
    assert recording("room", video, full_frame=True).recording == 2


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("..", "begins or ends with a dot"),
        (".hidden", "begins or ends with a dot"),
        ("cup ", "begins or ends with a dot or a space"),
        ("a/b", "contains '/'"),
        ("a\\b", r"contains '\\\\'"),
        ("a\nb", r"contains '\\n'"),
        ("what?", r"contains '\?'"),
        ("NUL", "is a reserved name on some systems"),
        ("com1.x", "is a reserved name on some systems"),
        ("Thumbs.db", "is a reserved name on some systems"),
        ("test", "would be read as the test part of a data set"),
        ("Validation", "would be read as the val part of a data set"),
        ("é" * 101, "is longer than 200 bytes"),
    ],
)
def test_labels_that_cannot_be_folder_names(recording, label, reason):
    with pytest.raises(CaptureError, match=rf"the label .* {reason}.*; choose a plain name, such as anna or cup_2"):
        recording(label, 0)


@pytest.mark.parametrize("label", ["anna", "cup_2", "Zoë Ö.", "train wagon", "שלום", "-", "console"])
def test_valid_labels(label):
    check_label(label.rstrip("."))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "`count=0`: expected 1 or more"),
        ({"every": 0}, "`every=0`: expected 1 or more"),
        ({"margin": -0.1}, "`margin=-0.1`: expected a number from 0 to 10"),
        ({"margin": float("nan")}, "`margin=nan`: expected a number from 0 to 10"),
        ({"min_sharpness": 1.5}, "`min_sharpness=1.5`: expected a number from 0 to 1"),
        ({"min_difference": 300}, "`min_difference=300`: expected a number from 0 to 255"),
    ],
)
def test_numbers_out_of_range(recording, options, message):
    with pytest.raises(OptionError, match=f"^{message}$"):
        recording("anna", 0, **options)


def test_invalid_sources(tmp_path, recording):
    cases = {
        99: "camera 99 does not exist or cannot be accessed; close programs that use it",
        "99": "camera 99 does not exist",
        -1: "`source=-1`: expected the number of a camera",
        tmp_path / "nowhere.mp4": r"`source=.*nowhere\.mp4`: no such video file; expected the number of a camera",
        tmp_path: "is a folder, not a file; expected the number of a camera or a video file",
        tmp_path / "text.txt": r"text\.txt cannot be read as a video .*; save it as MP4 or AVI",
        tmp_path / "text.mp4": r"text\.mp4 cannot be read as a video",
        tmp_path / "empty.avi": r"empty\.avi cannot be read as a video",
        tmp_path / "image.jpg": r"image\.jpg is an image, not a video; copy it into the folder of its label",
        tmp_path / "half.mp4": r"half\.mp4 cannot be read as a video \(it may be truncated",
    }
    for name in ("text.txt", "text.mp4"):
        (tmp_path / name).write_text("this is no film\n" * 500)
    (tmp_path / "empty.avi").touch()
    Image.new("RGB", (64, 64)).save(tmp_path / "image.jpg")
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe.mp4")
        os.symlink("circle.mp4", tmp_path / "circle.mp4")
        cases |= {
            "/dev/zero": "`source=/dev/zero` is a device, not a file; expected the number of a camera",
            tmp_path / "pipe.mp4": "is a named pipe, not a file; expected",
            tmp_path / "circle.mp4": "cannot be read: Too many levels of symbolic links",
            tmp_path / ("n" * 300): "cannot be read: File name too long",
        }
    whole = write_video(tmp_path / "whole.mp4", moving(20), "mp4v").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])  # the index of an MP4 file is at its end
    for source, message in cases.items():
        with pytest.raises(CaptureError, match=message):
            recording("anna", source)
    assert not (tmp_path / "data").exists()


def test_a_truncated_video_gives_its_first_frames_and_is_reported(tmp_path, recording, notices):
    whole = write_video(tmp_path / "whole.avi", moving(60)).read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) // 2])
    done = recording("room", tmp_path / "half.avi", full_frame=True)
    assert 20 <= done.n_frames <= 40
    assert notices[-1] == f"ended early: {done.n_frames} of 60 frames could be read: the file is truncated or damaged"


@pytest.fixture
def camera(monkeypatch):
    """Simulate camera 7, which plays a video file and is lost at its end."""
    real = cv2.VideoCapture

    def plug_in(path: Path) -> None:
        monkeypatch.setattr(cv2, "VideoCapture", lambda source: real(os.fspath(path) if source == 7 else source))

    return plug_in


def test_a_lost_camera_is_an_error_and_its_images_are_kept(tmp_path, recording, camera):
    camera(write_video(tmp_path / "v.avi", moving(30)))
    message = r"the camera was lost: .* unplugged or another program uses it; 20 images are kept: recording 1 in .*room"
    with pytest.raises(CaptureError, match=message):
        recording("room", 7, full_frame=True)
    assert len(names(tmp_path / "data" / "room")) == 20  # the first ten frames are used to adjust the exposure


def test_a_camera_that_gives_enough_images_is_no_error(tmp_path, recording, camera, notices):
    frames = moving(30)
    camera(write_video(tmp_path / "v.avi", frames))
    done = recording("room", "7", full_frame=True, count=15)
    assert (done.source, done.n_kept) == (7, 15)
    assert numbers_kept(done.folder, frames) == list(range(10, 25))
    assert notices[0].startswith("camera 7, 160 x 120: recording 1")


def test_a_camera_without_a_face_ends_the_recording(tmp_path, recording, camera, notices, monkeypatch):
    monkeypatch.setattr("featx.capturing.capturing._PATIENCE", 20)
    camera(write_video(tmp_path / "v.avi", [scene_with()] * 45))
    with pytest.raises(CaptureError, match="no face in 20 frames of camera 7"):
        recording("anna", 7)
    frames = [scene_with((40 + 5 * i, 50, 110)) for i in range(18)] + [scene_with()] * 45
    camera(write_video(tmp_path / "w.avi", frames))
    done = recording("anna", 7, min_difference=0)
    assert (done.n_kept, done.n_no_face) == (8, 20)
    assert notices[-1] == "ended early: no face in 20 frames"


def test_a_camera_that_does_not_respond_is_an_error(tmp_path, recording, monkeypatch):
    monkeypatch.setattr("featx.capturing.footage._OPEN_SECONDS", 0.1)
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: time.sleep(2))
    with pytest.raises(CaptureError, match="camera 0 did not respond within 0 s; close programs that may use it"):
        recording("anna", 0)


def test_an_opencv_without_cascades_keeps_whole_frames(tmp_path, recording, monkeypatch):
    video = write_video(tmp_path / "v.avi", moving(5))
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(
        MissingExtraError, match="cannot find faces; keep whole frames with `full_frame=True`, or install version 4"
    ):
        recording("anna", video)
    assert recording("anna", video, full_frame=True).n_kept == 5


def test_a_missing_display_is_reported_in_one_line(tmp_path, recording, notices, monkeypatch):
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always a display here")
    video = write_video(tmp_path / "v.avi", moving(3))
    monkeypatch.delenv("DISPLAY", raising=False)
    assert recording("room", video, full_frame=True, preview=True).n_kept == 3
    assert notices[0] == "no preview: there is no display, or this is not the main thread"
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    recording("room", video, full_frame=True, preview=True)
    assert "no preview: this Python has no tkinter (on Debian: apt install python3-tk)" in notices


def test_a_display_that_does_not_respond_is_not_an_error(tmp_path, recording, notices, monkeypatch):
    pytest.importorskip("tkinter")
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always a display here")
    monkeypatch.setenv("DISPLAY", ":987")
    assert recording("room", write_video(tmp_path / "v.avi", moving(3)), full_frame=True, preview=True).n_kept == 3
    assert notices[0].startswith("no preview: ")


def test_closing_the_window_ends_the_recording(tmp_path, recording, notices):
    tkinter = pytest.importorskip("tkinter")
    try:
        tkinter.Tk().destroy()
    except tkinter.TclError as error:
        pytest.skip(f"a window cannot be shown here: {error}")

    def close(stage: str, done: int, total: int) -> None:
        if done == 20:
            window = tkinter._default_root
            window.tk.eval(window.protocol("WM_DELETE_WINDOW"))  # as a click on the close button does

    runtime = Runtime(notice=notices.append, progress=close)
    done = recording(
        "room", write_video(tmp_path / "v.avi", moving(40)), full_frame=True, preview=True, runtime=runtime
    )
    assert done.n_kept == 20
    assert notices[-1] == "ended early: the preview window was closed"


def featx_command(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a new process without a display."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "FEATX_CACHE")}
    done = subprocess.run(
        [sys.executable, "-m", "featx", *map(str, words)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_opencv_writes_nothing_to_the_terminal(tmp_path):
    damaged = bytearray(write_video(tmp_path / "v.mp4", moving(40), "mp4v").read_bytes())
    for at in range(200, len(damaged) // 2, 37):
        damaged[at] ^= 0x5A
    (tmp_path / "v.mp4").write_bytes(damaged)
    done = featx_command("capture", "room", "--source", "v.mp4", "--full-frame", "--no-preview", cwd=tmp_path)
    assert without_progress(done.stderr) == ""
    for source in ("99", "v.txt"):
        (tmp_path / "v.txt").write_text("no film")
        done = featx_command("capture", "room", "--source", source, cwd=tmp_path, code=1)
        assert without_progress(done.stderr).startswith("error: ")
        assert len(without_progress(done.stderr).splitlines()) == 1


def test_the_command_ends_with_what_to_do_next(tmp_path):
    for i in range(6):
        write_video(tmp_path / f"{i}.avi", moving(12, seed=i))
    done = featx_command("capture", "cup", "--source", "0.avi", "--full-frame", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "no preview: there is no display, or this is not the main thread"
    shown = done.stdout.splitlines()[-5:]
    assert shown[0].startswith("images     12 kept of 12 frames in ")
    assert shown[1] == f"recording  number 1 of this data set, in {Path('data') / 'cup'}"
    assert shown[2] == "recordings cup 1"
    assert shown[3].startswith("too few    capture more recordings, on other days or in other places: 2 of cup; ")
    assert shown[4] == "next       featx capture cup --source VIDEO --full-frame"
    more = "-o more --count 1000000 --full-frame --margin 0.5 --every 2 --min-difference 2.5"
    output = featx_command("capture", "cup", "--source", "0.avi", *more.split(), cwd=tmp_path).stdout
    assert output.splitlines()[-1] == f"next       featx capture cup --source VIDEO {more}"
    options = ("--full-frame", "--no-preview", "--json")
    for i in (1, 2):
        result = json.loads(featx_command("capture", "cup", "--source", f"{i}.avi", *options, cwd=tmp_path).stdout)
    assert result["recordings"] == {"cup": 3}
    assert {"label", "source", "recording", "folder", "n_kept", "n_frames", "n_blurred", "n_alike", "n_no_face",
            "seconds"} <= set(result)  # fmt: skip
    lines = featx_command("capture", "pen", "--source", "3.avi", *options[:2], cwd=tmp_path).stdout.splitlines()
    assert lines[-3:-1] == ["recordings cup 3, pen 1", lines[-2]]
    assert "places: 2 of pen;" in lines[-2]
    assert lines[-1] == "next       featx capture pen --source VIDEO --full-frame --no-preview"
    for i in (4, 5):
        done = featx_command("capture", "pen", "--source", f"{i}.avi", *options[:2], cwd=tmp_path)
    assert done.stdout.splitlines()[-2:] == ["recordings cup 3, pen 3", "next       featx extract data"]


def two_labels(folder: Path, n_recordings: int) -> Iterator[tuple[str, Path]]:
    """Write videos of two labels; the frames of a recording have only their colour in common."""
    for number in range(n_recordings):
        for label, colour in (("blue", (190, 90, 60)), ("red", (60, 80, 190))):
            shade = np.array(colour) + 8 * number
            yield label, write_video(folder / f"{label}{number}.avi", moving(12, 10 * number + len(label), 90, shade))


def folds_of(model: featx.Classifier) -> dict[str, set[int]]:
    """Return the folds in which the images of each recording were left out."""
    found: dict[str, set[int]] = {}
    for sample_id, fold in zip(model.out_of_fold.sample_ids, model.out_of_fold.fold.tolist(), strict=True):
        found.setdefault(sample_id.rpartition("-")[0], set()).add(fold)
    return found


def test_folds_keep_each_recording_together_without_an_option(tmp_path, fake, recording):
    for label, video in two_labels(tmp_path, 3):
        assert recording(label, video, full_frame=True).n_kept == 12
    table = featx.extract(tmp_path / "data", "quadrants", runtime=fake.runtime)
    model = featx.fit(table, runtime=fake.runtime)
    assert (model.evaluation.n_images, model.evaluation.n_groups) == (72, 6)
    assert model.evaluation.groups["n_recordings"] == 6
    assert model.evaluation.cv.n_folds == 3
    folds = folds_of(model)
    assert len(folds) == 6
    assert [len(found) for found in folds.values()] == [1] * 6
    # The frames are so different that without their names only parts of a recording are found.
    for number, path in enumerate(sorted((tmp_path / "data").rglob("*.jpg"))):
        path.rename(path.with_name(f"{'abcdefghij'[number // 10]}{'abcdefghij'[number % 10]}.jpg"))
    renamed = featx.fit(featx.extract(tmp_path / "data", "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    assert 6 < renamed.evaluation.n_groups <= 72


def test_recordings_stay_together_among_other_images_and_groups(tmp_path, fake, recording):
    for label, video in two_labels(tmp_path, 2):
        recording(label, video, full_frame=True)
    for number in range(8):
        for label, colour in (("blue", (190, 90, 60)), ("red", (60, 80, 190))):
            image = Image.fromarray(textured(900 + 2 * number + len(label), 120, 160, colour)[:, :, ::-1])
            image.save(tmp_path / "data" / label / f"{'abcdefgh'[number]}.png")
    moved = (
        tmp_path / "data" / "blue" / "take-002-00003.jpg"
    )  # a corrected label; the image still belongs to its recording
    shutil.move(tmp_path / "data" / "red" / moved.name, moved)
    table = featx.extract(tmp_path / "data", "quadrants", runtime=fake.runtime)
    model = featx.fit(table, group_by="([a-h])[.]png", runtime=fake.runtime)
    assert model.evaluation.n_groups == 4 + 8
    recordings = {}
    for name, folds in folds_of(model).items():
        if "/take-" in name:
            recordings.setdefault(name.rpartition("/")[2], set()).update(folds)
    assert {name: len(folds) for name, folds in recordings.items()} == {f"take-00{i}": 1 for i in (1, 2, 3, 4)}


def test_one_recording_of_each_label_gives_no_accuracy_estimate(tmp_path, fake, recording):
    for label, video in two_labels(tmp_path, 1):
        recording(label, video, full_frame=True)
    table = featx.extract(tmp_path / "data", "quadrants", runtime=fake.runtime)
    evaluation = featx.fit(table, runtime=fake.runtime).evaluation
    assert evaluation.cv is None
    assert "all 12 images in one group" in evaluation.cv_reason
