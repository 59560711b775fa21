"""Merge caches in small segments, for tests that kill the process: ``merge_runs TARGET FOLDER...``.

Print a line when the merge begins; then the JSON object of ``featx cache merge``, or an error on standard error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import featx
from featx.caching import merge_caches


def main() -> None:
    target, *folders = map(Path, sys.argv[1:])
    with mock.patch.multiple("featx.store.copying", _MOST_FILES=2, _SEGMENT_BYTES=1 << 17):
        print("begins", flush=True)
        try:
            merge = merge_caches(folders, runtime=featx.Runtime(cache=target))
        except featx.FeatxError as error:
            sys.exit(f"error: {error}")
        print(json.dumps(merge.to_dict()))


if __name__ == "__main__":
    main()
