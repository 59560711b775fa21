"""Render self-contained HTML pages, which load no other file, execute only one script and escape all text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from featx.output.marks import GENERATOR

_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, characters that change the direction of text, and lone surrogates."""


def shown_text(text: str) -> str:
    """Return text with escaped invisible characters, such as ``\\u202e``, which reverses the order of characters."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def render_page(package: str, name: str, /, **values: Any) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    package : str
        Package with the template ``templates/<name>.html.j2``, which extends ``base.html.j2`` of ``featx.output``, and
        with the script ``templates/<name>.js``.
    name : str
        Name of the page.
    **values
        JSON values for the template, whose strings are escaped by :func:`shown_text`. The script reads ``data``.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("featx.output")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    assert environment.loader is not None
    # Browsers normalise line ends before they compute the hash.
    script = environment.loader.get_source(environment, f"{name}.js")[0].replace("\r\n", "\n")
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
