"""A preview window for the camera, with Tk, because the headless OpenCV package has no windows."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.capturing.boxes import Box

_LARGEST = (960, 720)
_GREEN = (60, 220, 60)


class Preview:
    """A preview window; closing it or pressing q or Escape ends the recording.

    Parameters
    ----------
    cv2, tkinter, ImageTk : module
    title : str
    mirrored : bool
        Flip the frames horizontally, as in a mirror.
    """

    def __init__(self, cv2: Any, tkinter: Any, ImageTk: Any, title: str, mirrored: bool) -> None:
        self._cv2, self._tk, self._image_tk = cv2, tkinter, ImageTk
        self._title = title
        self._mirrored = mirrored
        self._window = tkinter.Tk(className="featx")
        self._window.title(title)
        self._window.protocol("WM_DELETE_WINDOW", self.close)
        for key in ("q", "<Escape>"):
            self._window.bind(key, lambda _: self.close())
        self._image = tkinter.Label(self._window)
        self._image.pack()
        self._shown: Any = None
        self.is_open = True

    def show(self, frame: NDArray[np.uint8], box: Box | None, text: str) -> bool:
        """Show a frame with a box; return whether the window is still open.

        Parameters
        ----------
        frame : ndarray of shape (height, width, 3), uint8
            Pixels in BGR order.
        box : Box or None
            Part of the frame that is kept; None if no face was found.
        text : str
            Text after the title.
        """
        if self.is_open:
            with contextlib.suppress(self._tk.TclError):  # the window was closed in the meantime
                self._draw(frame.copy(), box, text)
        return self.is_open

    def _draw(self, frame: NDArray[np.uint8], box: Box | None, text: str) -> None:
        if box is not None:
            self._cv2.rectangle(frame, (box.left, box.top), (box.right - 1, box.bottom - 1), _GREEN, 2)
        image = Image.fromarray(np.ascontiguousarray(frame[:, :: -1 if self._mirrored else 1, ::-1]))
        image.thumbnail(_LARGEST)
        self._shown = self._image_tk.PhotoImage(image, master=self._window)  # Tk does not keep a reference
        self._image.configure(image=self._shown)
        self._window.title(f"{self._title}: {text}")
        self._window.update()

    def close(self) -> None:
        """Close the window."""
        if self.is_open:
            self.is_open = False
            self._window.destroy()


@contextlib.contextmanager
def open_preview(cv2: Any, title: str, mirrored: bool, notice: Callable[[str], None]) -> Iterator[Preview | None]:
    """Open a preview window for the duration of the context; if there is no display or no Tk, yield None."""
    window = _try_window(cv2, title, mirrored, notice)
    try:
        yield window
    finally:
        if window is not None:
            window.close()


def _try_window(cv2: Any, title: str, mirrored: bool, notice: Callable[[str], None]) -> Preview | None:
    if not _has_display():
        notice("no preview: there is no display, or this is not the main thread")
        return None
    try:
        import tkinter

        from PIL import ImageTk
    except ImportError:
        notice("no preview: this Python has no tkinter (on Debian: apt install python3-tk)")
        return None
    try:
        return Preview(cv2, tkinter, ImageTk, title, mirrored)
    except tkinter.TclError as error:
        notice(f"no preview: {error}")
        return None


def _has_display() -> bool:
    if threading.current_thread() is not threading.main_thread():  # Tk needs the main thread
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY"))
