"""featx: turn a folder of images into an image classifier.

A pretrained backbone extracts features of the images once, and the features are cached. scikit-learn heads are fitted
on them in seconds, with cross-validated reports. The fitted model predicts whole folders.

>>> import featx                                                   # doctest: +SKIP
>>> features = featx.extract("data/", backbone="resnet50")         # doctest: +SKIP
>>> model = featx.fit(features, head="svm")                        # doctest: +SKIP
>>> print(model.evaluation)                                        # doctest: +SKIP
>>> model.predict("new/"); model.save("model.featx")               # doctest: +SKIP
"""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m featx`: the working folder is first on the import path
    # This comes before any other import, even that of __future__, which could be found in the working folder.
    from featx.importing import forget_working_folder

    forget_working_folder()

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.backbones import Backbone, list_backbones
    from featx.caching import (
        CacheListing,
        Cleaning,
        Export,
        Merge,
        Verification,
        clean_cache,
        export_features,
        list_cache,
        merge_caches,
        verify_cache,
    )
    from featx.capturing import Capture, capture
    from featx.classifier import Predictions
    from featx.comparison import Comparison, compare
    from featx.errors import FeatxError
    from featx.evaluation import Evaluation, FinetuneEvaluation
    from featx.extraction import extract
    from featx.finetuning import Finetuning, finetune
    from featx.fitting import fit
    from featx.inspection import Inspection, inspect
    from featx.lookup import latest
    from featx.model import Classifier
    from featx.prediction import PredictionSummary, load, predict
    from featx.reports import Report, report
    from featx.runtime import Runtime
    from featx.sample import make_sample
    from featx.spec import FeatureSpec
    from featx.table import Extraction, FeatureTable

__version__ = "0.1.0"

# Modules of the public names, imported at first use, so that `import featx` and `featx --help` are fast.
_HOMES = {
    "Backbone": "featx.backbones",
    "CacheListing": "featx.caching",
    "Capture": "featx.capturing",
    "Classifier": "featx.model",
    "Cleaning": "featx.caching",
    "Comparison": "featx.comparison",
    "Evaluation": "featx.evaluation",
    "FinetuneEvaluation": "featx.evaluation",
    "Export": "featx.caching",
    "Extraction": "featx.table",
    "FeatureSpec": "featx.spec",
    "FeatureTable": "featx.table",
    "FeatxError": "featx.errors",
    "Finetuning": "featx.finetuning",
    "Inspection": "featx.inspection",
    "Merge": "featx.caching",
    "PredictionSummary": "featx.prediction",
    "Predictions": "featx.classifier",
    "Report": "featx.reports",
    "Runtime": "featx.runtime",
    "Verification": "featx.caching",
    "capture": "featx.capturing",
    "clean_cache": "featx.caching",
    "compare": "featx.comparison",
    "export_features": "featx.caching",
    "extract": "featx.extraction",
    "finetune": "featx.finetuning",
    "fit": "featx.fitting",
    "inspect": "featx.inspection",
    "latest": "featx.lookup",
    "list_backbones": "featx.backbones",
    "list_cache": "featx.caching",
    "load": "featx.prediction",
    "make_sample": "featx.sample",
    "merge_caches": "featx.caching",
    "predict": "featx.prediction",
    "report": "featx.reports",
    "verify_cache": "featx.caching",
}

__all__ = [
    "Backbone",
    "CacheListing",
    "Capture",
    "Classifier",
    "Cleaning",
    "Comparison",
    "Evaluation",
    "Export",
    "Extraction",
    "FeatureSpec",
    "FeatureTable",
    "FeatxError",
    "FinetuneEvaluation",
    "Finetuning",
    "Inspection",
    "Merge",
    "PredictionSummary",
    "Predictions",
    "Report",
    "Runtime",
    "Verification",
    "capture",
    "clean_cache",
    "compare",
    "export_features",
    "extract",
    "finetune",
    "fit",
    "inspect",
    "latest",
    "list_backbones",
    "list_cache",
    "load",
    "make_sample",
    "merge_caches",
    "predict",
    "report",
    "verify_cache",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'featx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
