"""Prevent featx commands from importing code of the working folder.

This module imports only modules that Python loads at startup, because Python could find any other module in the working
folder.
"""

import os
import sys


def forget_working_folder() -> None:
    """Remove the working folder and relative entries from ``sys.path``, except the folder that contains featx."""
    try:
        working = os.path.realpath(os.getcwd())
    except OSError:  # the working folder was deleted
        working = ""
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    kept = []
    for entry in sys.path:
        place = os.path.realpath(entry or ".")
        if place == home or (os.path.isabs(entry) and place != working):
            kept.append(place if not os.path.isabs(entry) else entry)
    sys.path[:] = kept
