"""The command line: parse arguments, call one library function, render the result, set the exit code."""

from __future__ import annotations

import traceback

from featx.cli.stopping import finish, is_stopping, listen, report_stopped
from featx.cli.streams import secure_streams
from featx.importing import forget_working_folder

_TYPERS_STOPPED = 130


def main() -> None:
    """Run the command line: the entry point of ``featx``."""
    forget_working_folder()
    secure_streams()
    listen()
    code = 1
    try:
        from featx.cli.app import app

        app()
    except KeyboardInterrupt:
        report_stopped("stopped before any work")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code == _TYPERS_STOPPED:
            code = 1
            report_stopped("stopped before any work")
    except Exception:
        if is_stopping():
            report_stopped("stopped before any work")
        else:  # FEATX_TRACEBACK is set, see guarded
            traceback.print_exc()
    finish(code)
