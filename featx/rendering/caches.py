"""Text lines about a cache, from the dictionaries that ``--json`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from featx.rendering.terminal import line

_SHOWN = 20
_UNUSUAL = {"layer": None, "pooling": "avg", "resize": "crop", "layout": None, "white": None, "page": 1} | {
    "augment": None,
    "augment_seed": 0,
}
"""Default values of the fields of a feature spec that are shown only if they differ from the default."""

_ROWS = ("rows", "store")


def listing_lines(listing: Mapping[str, Any]) -> list[str]:
    """Return lines that list the contents of a cache; ``listing`` is the result of ``featx cache ls --json``."""
    lines = [line("cache", f"{listing['cache']}: {size(listing['n_bytes'])}")]
    lines += [line("features", _store(store)) for store in listing["stores"]]
    lines += [line("data set", _dataset(dataset)) for dataset in listing["datasets"]]
    for graph in listing["graphs"]:
        unneeded = "" if graph["needed"] else "   no feature store uses it; featx cache gc deletes it"
        converted = f"{graph['backbone'] or 'backbone'}, converted"
        lines.append(line("graph", f"{graph['name']}  {converted}   {size(graph['n_bytes'])}{unneeded}"))
    for run in listing["runs"]:
        state = "finished" if run["is_finished"] else "stopped; the same command continues it"
        lines.append(
            line("training", f"{run['id']}  {state}   {size(run['n_bytes'])}   used {_minute(run['last_used'])}")
        )
    if listing["n_pairs"]:
        lines.append(line("pairs", f"of similar images: {_files(listing['n_pairs'])}, {size(listing['pairs_bytes'])}"))
    if listing["n_leftovers"]:
        leftovers = f"{_files(listing['n_leftovers'])}, {size(listing['leftover_bytes'])}; featx cache gc deletes them"
        lines.append(line("leftovers", leftovers))
    return lines


def verification_lines(verification: Mapping[str, Any]) -> list[str]:
    """Return lines about the check of a cache; ``verification`` is the result of ``featx cache verify --json``."""
    lines = []
    for file in verification["files"]:
        if file["status"] != "ok":
            lines.append(line(file["status"], "; ".join(text for text in (file["problem"], file["remedy"]) if text)))
    checked = f"{_files(verification['n_files'])}, {verification['n_rows']:,} rows, {size(verification['n_bytes'])}"
    lines.append(line("checked", f"{checked} in {verification['seconds']:.1f} s"))
    n_damaged = verification["n_damaged"]
    return [*lines, line("damaged", _files(n_damaged) if n_damaged else "none")]


def cleaning_lines(cleaning: Mapping[str, Any]) -> list[str]:
    """Return lines about what was removed from a cache; ``cleaning`` is the result of ``featx cache gc --json``."""
    label = "to remove" if cleaning["dry_run"] else "removed"
    removed = cleaning["removed"]
    lines = [line(label, _removed(entry)) for entry in removed if entry["kind"] in (*_ROWS, "data set")]
    others = [entry for entry in removed if entry["kind"] not in (*_ROWS, "data set")]
    lines += [line(label, _removed(entry)) for entry in others[:_SHOWN]]
    for kind, count in Counter(entry["kind"] for entry in others[_SHOWN:]).items():
        lines.append(line(label, f"{count:,} more ({kind}); --json lists all"))
    lines += [line("kept", text) for text in cleaning["kept"]]
    total = f"{cleaning['n_rows']:,} rows of features, {size(cleaning['n_bytes'])}"
    return [*lines, line("total", total) if removed else line(label, "nothing")]


def export_lines(export: Mapping[str, Any]) -> list[str]:
    """Return lines about exported features; ``export`` is the result of ``featx cache export --json``."""
    skipped = f"; without {export['n_skipped']:,} skipped images" if export["n_skipped"] else ""
    shape = f"{export['n_images']:,} images x {export['n_features']:,} features"
    rows = f"{shape}, from the store {export['features_id']}{skipped}"
    return [line("features", rows), line("table", f"{export['output']}, {size(export['n_bytes'])}")]


def merge_lines(merge: Mapping[str, Any]) -> list[str]:
    """Return lines about merged caches; ``merge`` is the result of ``featx cache merge --json``."""
    n = len(merge["folders"])
    lines = [
        line("merged", f"{n:,} {'cache' if n == 1 else 'caches'} into {merge['cache']} in {merge['seconds']:.1f} s")
    ]
    for store in merge["stores"]:
        stored = f"{store['n_added']:,} of {store['n_rows']:,} rows added"
        if store["n_rows"] > store["n_added"]:
            stored += "; the others are stored already"
        lines.append(line("features", f"{store['id']}  {_described(store['spec'])}   {stored}"))
    for dataset in merge["datasets"]:
        skipped = f", {dataset['n_skipped']:,} skipped" if dataset["n_skipped"] else ""
        lines.append(line("data set", f"{dataset['id']}  {dataset['root']}   {dataset['n_images']:,} images{skipped}"))
    for one in merge["shards"]:
        which = f"{one['features_id']}  {one['root']}"
        views = f", {one['views']:,} views" if one["views"] else ""
        missing = f"missing: {_first(one['missing'])}" if one["missing"] else "none is missing"
        lines.append(line("shards", f"{which}{views}   {len(one['shards']):,} merged, {missing}"))
    lines += [line("note", text) for text in merge["remarks"]]
    return lines + [line("problem", text) for text in merge["problems"]]


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def size(n_bytes: int) -> str:
    """Return a number of bytes as text with a decimal unit."""
    value, unit = float(n_bytes), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{n_bytes:,} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def _store(store: Mapping[str, Any]) -> str:
    if store["status"] != "ok":
        return f"{store['id']}  {store['status']}, {size(store['n_bytes'])}   {store['problem']}"
    unfinished = f" (and {store['n_unfinished']:,} of an unfinished run)" if store["n_unfinished"] else ""
    rows = f"{store['n_rows']:,} rows{unfinished}, {store['n_features']:,} features each"
    used = f"used {_minute(store['last_used'])}"
    return f"{store['id']}  {_described(store['spec'])}   {rows}   {size(store['n_bytes'])}   {used}"


def _described(spec: Mapping[str, Any]) -> str:
    """Return the backbone of a feature spec, and the fields with unusual values."""
    # The digest of the file is shown for a backbone from a file, because such a backbone has no name.
    network = f"backbone file {spec['weights'][:12]}" if spec["backbone"] == "file" else spec["backbone"]
    unusual = [f"{name} {spec[name]}" for name, usual in _UNUSUAL.items() if spec.get(name, usual) != usual]
    seed = [spec["weights"]] if spec["weights"].startswith("random-") else []
    size_of_input = f"{spec['size']} pixels"
    return ", ".join([network, size_of_input, *seed, *unusual, spec["engine"], spec["precision"]])


def _dataset(dataset: Mapping[str, Any]) -> str:
    if dataset["status"] != "ok":
        return f"{dataset['id']}  {dataset['status']}, {size(dataset['n_bytes'])}   {dataset['problem']}"
    kinds = {"extract": "", "predict": " (from featx predict)", "manifest": " (manifest)"}
    gone = "" if dataset["root_exists"] else "   the folder no longer exists"
    skipped = f", {dataset['n_skipped']:,} skipped" if dataset["n_skipped"] else ""
    images = f"{dataset['n_images']:,} images{skipped}"
    scanned = f"{size(dataset['n_bytes'])}   scanned {_minute(dataset['scanned'])}"
    place = f"{dataset['root']}{kinds[dataset['kind']]}"
    return f"{dataset['id']}  {place}   {images}   {scanned}{gone}"


def _removed(entry: Mapping[str, Any]) -> str:
    counts = f"{entry['n_rows']:,} {'images' if entry['kind'] == 'data set' else 'rows'}, " if entry["n_rows"] else ""
    kind = {"rows": "rows of ", "store": "store "}.get(entry["kind"], f"{entry['kind']} ")
    return f"{kind}{entry['path']}: {counts}{size(entry['n_bytes'])}   {entry['reason']}"


def _files(n: int) -> str:
    return "1 file" if n == 1 else f"{n:,} files"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ") or "at an unknown time"
