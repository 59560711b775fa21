"""featx backbones: the table of backbones."""

from __future__ import annotations

from featx.cli import options as o
from featx.cli.console import Console
from featx.cli.following import extract_next
from featx.options import DEFAULT_BACKBONE


def backbones(as_json: o.Json = False) -> None:
    """List the backbones with numbers of features and parameters, input size, licence, and presence of weights."""
    console = Console(as_json)
    from featx.backbones import list_backbones

    rows = [row.to_dict() for row in list_backbones()]
    lines = [f"{'name':<20} {'features':>8} {'input':>6} {'parameters':>11}  {'licence':<13} weights"]
    for row in rows:
        weights = "present" if row["weights_present"] else row["how_to_get"]
        lines.append(
            f"{row['name']:<20} {row['n_features']:>8,} {row['size']:>6} {row['n_parameters'] / 1e6:>9.1f} M  "
            f"{row['licence']:<13} {weights}"
        )
    console.result({"backbones": rows}, [*lines, "", extract_next(None, "--backbone", DEFAULT_BACKBONE)])
