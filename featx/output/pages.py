"""HTML pages of one file: they load nothing, run one script that is named by its hash, and show names as text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from featx.output.marks import GENERATOR

_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, marks that turn the direction of what follows, and halves of surrogate pairs."""


def shown_text(text: str) -> str:
    """Return text with what cannot be seen, or would disorder what stands beside it, written out as ``\\u202e``."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def render_page(package: str, name: str, /, **values: Any) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    package : str
        It holds ``templates/<name>.html.j2``, which extends ``base.html.j2`` of this room, and the page's script,
        ``templates/<name>.js``.
    name : str
    **values
        What the template shows: plain values, whose texts pass through :func:`shown_text`. ``data`` is also what the
        script reads.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("featx.output")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    assert environment.loader is not None
    script = environment.loader.get_source(environment, f"{name}.js")[0].replace("\r\n", "\n")  # as browsers read it
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(f"{name}.html.j2").render(
        _shown(values), generator=GENERATOR, script=script, script_hash=digest
    )


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return shown_text(value)
    if isinstance(value, Mapping):
        return {_shown(name): _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return value
