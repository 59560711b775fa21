"""The feature table: the samples of a data set with their labels and features, and columns for millions of rows."""

from featx.table.columns import BLOCK, Categorical, Column, Texts, as_strings, encoded, find_rows, gathered
from featx.table.samples import ORIGINS, Sample, Samples, Split
from featx.table.signatures import SIGNATURE_SHAPE, coarse
from featx.table.states import FileState, FileStates, FileStatus, Memo, Stamp, stamps_fit
from featx.table.table import CHUNK, Extraction, FeatureTable, OwnFolder, Skipped, Views

__all__ = [
    "BLOCK",
    "CHUNK",
    "ORIGINS",
    "SIGNATURE_SHAPE",
    "Categorical",
    "Column",
    "Extraction",
    "FeatureTable",
    "FileState",
    "FileStates",
    "FileStatus",
    "Memo",
    "OwnFolder",
    "Sample",
    "Samples",
    "Skipped",
    "Split",
    "Stamp",
    "Texts",
    "Views",
    "as_strings",
    "coarse",
    "encoded",
    "find_rows",
    "gathered",
    "stamps_fit",
]
