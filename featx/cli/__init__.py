"""The command line: parse, one library call, render, exit code."""

from __future__ import annotations

import traceback

from featx.cli.stopping import finish, is_stopping, listen, report_stopped
from featx.cli.streams import secure_streams
from featx.importing import forget_working_folder

_TYPERS_STOPPED = 130


def main() -> None:
    """Run the command line; what the ``featx`` command starts."""
    forget_working_folder()
    secure_streams()
    listen()
    code = 1
    try:
        from featx.cli.app import app

        app()
    except KeyboardInterrupt:
        report_stopped("stopped; nothing was begun")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code == _TYPERS_STOPPED:
            code = 1
            report_stopped("stopped; nothing was begun")
    except Exception:
        if is_stopping():
            report_stopped("stopped; nothing was begun")
        else:  # shown because the user asked for it, see guarded
            traceback.print_exc()
    finish(code)
