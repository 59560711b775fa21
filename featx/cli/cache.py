"""featx cache: list, verify, clean and merge caches, and export features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import extract_next, option_words
from featx.options import DatasetOptions, RuntimeOptions

_Cache = Annotated[RuntimeOptions, o.Without(("workers", "batch_size", "device", "cluster", "max_pixels"))]


def ls(*, runtime: _Cache, as_json: o.Json = False) -> None:
    """List the contents of the cache: feature stores, data sets, converted backbones (graphs) and training runs."""
    console = Console(as_json)
    from featx.caching import list_cache
    from featx.rendering import listing_lines

    working = console.runtime(runtime)
    with working.stage("listing the cache"):
        found = list_cache(runtime=working).to_dict()
    todo = next_line("cache", "verify", cache=runtime.cache) if found["n_bytes"] else extract_next(runtime.cache)
    console.result(found, [*listing_lines(found), todo])


def verify(*, runtime: _Cache, as_json: o.Json = False) -> None:
    """Verify every byte of the cache, without changing it."""
    console = Console(as_json)
    from featx.caching import verify_cache
    from featx.rendering import verification_lines

    done = verify_cache(runtime=console.runtime(runtime))
    found = done.to_dict()
    console.result(found, [*verification_lines(found), next_line("cache", "gc", "--dry-run", cache=runtime.cache)])
    if done.n_damaged:
        raise typer.Exit(1)


def gc(
    gone: Annotated[
        bool,
        typer.Option(
            "--gone",
            help="Also remove cached data of data sets whose folder does not exist, for example on an unmounted disk.",
            rich_help_panel="Run",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.", rich_help_panel="Run")
    ] = False,
    *,
    runtime: _Cache,
    as_json: o.Json = False,
) -> None:
    """Remove features of deleted images, files left by interrupted runs, and unused converted backbones (graphs)."""
    console = Console(as_json)
    from featx.caching import clean_cache
    from featx.rendering import cleaning_lines

    working = console.runtime(runtime)
    with working.stage("searching for files to remove"):
        done = clean_cache(gone=gone, dry_run=dry_run, runtime=working).to_dict()
    again = ["cache", "gc", *(["--gone"] if gone else [])]
    words = again if dry_run and done["removed"] else ["cache", "ls"]
    console.result(done, [*cleaning_lines(done), next_line(*words, cache=runtime.cache)])


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File to write: .h5, .npz, .npy, .csv or .parquet.",
            rich_help_panel="Output",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA", help="Folder or manifest that was extracted. If not given, the data set extracted last."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Id of a feature store, as shown by `featx cache ls`. If not given, the store of the last extraction.",
            rich_help_panel="Data",
        ),
    ] = None,
    whole_store: Annotated[
        bool,
        typer.Option(
            "--whole-store",
            help="Export all rows of the feature store, sorted by key, without paths and labels, to a .h5 file.",
            rich_help_panel="Data",
        ),
    ] = False,
    path_column: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Column of the manifest that contains the paths.", rich_help_panel="Data"),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Column of the manifest that contains the labels.", rich_help_panel="Data"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file that featx wrote.", rich_help_panel="Output")
    ] = False,
    *,
    options: Annotated[DatasetOptions, o.Without(("path_column", "label_column"))],
    runtime: Annotated[RuntimeOptions, o.Without(("batch_size", "device", "cluster", "max_pixels"))],
    as_json: o.Json = False,
) -> None:
    """Export cached features, with paths and labels, to one self-contained file; or all rows of a feature store."""
    console = Console(as_json)
    from featx.caching import export_features
    from featx.rendering import export_lines

    done = export_features(
        output,
        data,
        features=features,
        whole_store=whole_store,
        label_by=options.label_by,
        path_column=path_column,
        label_column=label_column,
        overwrite=overwrite,
        runtime=console.runtime(runtime),
    ).to_dict()
    console.result(done, [*export_lines(done), next_line("cache", "ls", cache=runtime.cache)])


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", help="Caches to merge, into which `featx extract --shard` wrote on different machines."
        ),
    ],
    *,
    runtime: _Cache,
    as_json: o.Json = False,
) -> None:
    """Merge the caches of shards into one cache; they are not changed."""
    console = Console(as_json)
    from featx.caching import merge_caches
    from featx.lookup import fit_options
    from featx.rendering import merge_lines
    from featx.spec import FeatureSpec

    done = merge_caches(folders, runtime=console.runtime(runtime))
    found = done.to_dict()
    todo = next_line("cache", "ls", cache=runtime.cache)
    if found["shards"]:
        shards = found["shards"][0]
        spec = next(store["spec"] for store in found["stores"] if store["id"] == shards["features_id"])
        options = fit_options(FeatureSpec.from_json(json.dumps(spec)))
        todo = next_line("fit", shards["root"], *option_words(options), cache=runtime.cache)
    console.result(found, [*merge_lines(found), todo])
    if done.problems:
        raise typer.Exit(1)
