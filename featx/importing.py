"""Where a featx command imports from: never from the folder that it works in.

Imports nothing that Python has not loaded by itself, as anything else could be found in that folder.
"""

import os
import sys


def forget_working_folder() -> None:
    """Take the working folder, and what is relative to it, off the path of imports, unless featx itself lies there."""
    try:
        working = os.path.realpath(os.getcwd())
    except OSError:  # it was deleted
        working = ""
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    kept = []
    for entry in sys.path:
        place = os.path.realpath(entry or ".")
        if place == home or (os.path.isabs(entry) and place != working):
            kept.append(place if not os.path.isabs(entry) else entry)
    sys.path[:] = kept
