"""featx demo: run all steps on the sample data, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import FOLDER
from featx.options import RuntimeOptions


def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the outputs of the demo.")] = Path(
        "featx-demo"
    ),
    as_json: o.Json = False,
) -> None:
    """Run extract, fit, report and predict on 300 images of handwritten digits, offline."""
    console = Console(as_json)
    from featx.extraction import extract
    from featx.fitting import fit
    from featx.output import MODEL_SUFFIXES, OutputFile
    from featx.prediction import predict
    from featx.rendering import evaluation_lines, extraction_lines, prediction_lines
    from featx.reports import report
    from featx.sample import is_sample, make_new_images, make_sample

    data = Path("data") if is_sample("data") else make_sample(folder / "data")
    new = make_new_images(folder / "new")
    cache, model_file, scores = folder / "cache", folder / "digits.featx", folder / "scores.csv"
    page = folder / "report.html"
    runtime = console.runtime(RuntimeOptions(cache))
    saved = OutputFile(model_file, MODEL_SUFFIXES, overwrite=True)

    console.line(f"$ featx extract {data} --cache {cache}")
    table = extract(data, runtime=runtime)
    extracted = table.extraction.to_dict()
    console.lines(extraction_lines(extracted))

    console.lines(["", f"$ featx fit {data} --cache {cache} -o {model_file}"])
    model = fit(table, runtime=runtime)
    model.save(saved)
    evaluation = model.evaluation.to_dict()
    console.lines(evaluation_lines(evaluation))

    console.lines(["", f"$ featx report {model_file} --html {page} --data {data} --cache {cache}"])
    console.lines(str(report(model_file, html=page, data=data, overwrite=True, runtime=runtime)).split("\n"))

    console.lines(["", f"$ featx predict {model_file} {new} -o {scores} --cache {cache}"])
    predicted = predict(model_file, new, scores, overwrite=True, runtime=runtime).to_dict()
    console.lines(prediction_lines(predicted))

    outputs = {"data": data, "new": new, "cache": cache, "model": model_file, "page": page, "scores": scores}
    console.result(
        {
            **{name: str(path) for name, path in outputs.items()},
            "extract": extracted,
            "fit": evaluation,
            "predict": predicted,
        },
        [
            "",
            f"images     {data} and {new}",
            f"features   {extracted['store']}",
            f"model      {model_file}",
            f"page       {page}",
            f"table      {scores}",
            next_line("fit", FOLDER),
        ],
    )
