"""Measure the accuracy of smaller number formats: ``python -m benchmarks.precision DIR [--backbone NAME]``.

Compare features in bfloat16 and int8 with features of Keras in float32 on the same pixels: the mean and the minimum
cosine, and the nested 5-fold accuracy of logreg. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.processes import print_head, print_json, print_row
from featx.errors import FeatxError
from featx.extraction import extract
from featx.fitting import fit
from featx.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--weights", default="imagenet")
    arguments = parser.parse_args()
    print_head("engine", "precision", "mean cosine", "smallest cosine", "5-fold accuracy")
    results = []
    with tempfile.TemporaryDirectory() as cache:
        runtime, exact = Runtime(Path(cache), device="cpu"), None
        for engine, precision in (
            ("tensorflow", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"), ("openvino", "int8"),
        ):  # fmt: skip
            how = {"weights": arguments.weights, "engine": engine, "precision": precision}
            try:
                table = extract(arguments.folder, arguments.backbone, runtime=runtime, **how)
            except FeatxError as error:
                print(f"{engine} {precision}: {error}")
                continue
            exact = table.X.astype(np.float64) if exact is None else exact
            norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(table.X, axis=1)
            cosines = (exact * table.X).sum(axis=1) / norms
            accuracy = fit(table, "logreg", runtime=runtime).evaluation.to_dict()["cv"]["accuracy"]["mean"]
            row = {"engine": engine, "precision": precision}
            row |= {"mean": float(cosines.mean()), "smallest": float(cosines.min()), "accuracy": accuracy}
            print_row(engine, precision, f"{row['mean']:.6f}", f"{row['smallest']:.6f}", f"{accuracy:.4f}")
            results.append(row)
    print_json(results)


if __name__ == "__main__":
    main()
