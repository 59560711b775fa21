"""The exceptions of featx. Each class also inherits from a built-in exception, such as ValueError.

::

    FeatxError
    +-- ArgumentError           (TypeError)          an unknown, missing or wrongly typed argument
    +-- OptionError             (ValueError)         an option with a value that is not allowed
    +-- DatasetError            (ValueError)         a data set that cannot be read
    |   +-- DatasetNotFoundError  (FileNotFoundError)  no such file or folder
    |   +-- AmbiguousLayoutError                       a layout with several interpretations
    +-- ImageError              (ValueError)         a file without usable pixels
    |   +-- NotDecodableHereError                               a file that could not be decoded in this run
    +-- ReaderError             (RuntimeError)       no process can be started to read images
    +-- SpecError               (ValueError)         an invalid feature spec
    +-- BackboneError           (ValueError)         an unknown or unusable backbone
    |   +-- WeightsError          (OSError)            missing, damaged or wrong weights
    +-- EngineError             (RuntimeError)       a backbone that cannot be executed as requested
    |   +-- ConversionError                            a backbone that cannot be converted to OpenVINO
    +-- ClusterError            (RuntimeError)       a Dask cluster that cannot be used
    +-- StoreError              (OSError)            a cache file cannot be read or written
    |   +-- DamagedStoreError                          a cache file whose content has changed
    |   +-- NewerFormatError                           a cache file of a later version of featx
    +-- HeadError               (ValueError)         an unknown head or parameter
    +-- EvaluationError         (ValueError)         too little data for the requested evaluation
    +-- TrainingError           (ValueError)         a network that cannot be trained as requested
    +-- ClassifierError         (ValueError)         a model file that cannot be used
    +-- OutputError             (OSError)            an output that cannot be written
    +-- CaptureError            (RuntimeError)       a camera or video without images
    +-- MissingExtraError       (ImportError)        an optional package that is not installed

A message states what was given and, where it helps, what is allowed and what to do next.
"""

from __future__ import annotations

from typing import TypeVar

_Error = TypeVar("_Error", bound="FeatxError")


class FeatxError(Exception):
    """Base class of all exceptions of featx.

    Attributes
    ----------
    is_usage : bool
        Whether an argument is invalid independently of the data and the machine.

    Examples
    --------
    >>> import featx
    >>> try:
    ...     featx.extract("no-such-folder")
    ... except featx.FeatxError as error:
    ...     print(error)
    no such file or folder: no-such-folder; give an existing folder of images or an existing file
    """

    is_usage = False


def as_usage(error: _Error) -> _Error:
    """Mark an error as a usage error, and return it."""
    error.is_usage = True
    return error


class ArgumentError(FeatxError, TypeError):
    """An argument of a function is unknown, missing, or of the wrong type."""

    is_usage = True


class OptionError(FeatxError, ValueError):
    """A number is out of the range of its option, or a text does not have the form of its option."""

    is_usage = True


class DatasetError(FeatxError, ValueError):
    """A data set cannot be read."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """A path does not exist."""


class AmbiguousLayoutError(DatasetError):
    """A folder layout has several interpretations."""


class ImageError(FeatxError, ValueError):
    """A file has no usable pixels. The message states the reason, which is reported for the file."""


class NotDecodableHereError(ImageError):
    """A file could not be decoded in this run, for example because a library is missing; the next run tries again."""


class ReaderError(FeatxError, RuntimeError):
    """Images cannot be read, because no process or memory is available for it."""


class SpecError(FeatxError, ValueError):
    """A feature spec has an invalid value."""

    is_usage = True


class BackboneError(FeatxError, ValueError):
    """A backbone is unknown or unusable."""


class WeightsError(BackboneError, OSError):
    """Weights are missing, damaged, or of another network."""


class EngineError(FeatxError, RuntimeError):
    """A backbone cannot be executed as requested on this machine."""


class ConversionError(EngineError):
    """A network cannot be converted to OpenVINO."""


class ClusterError(FeatxError, RuntimeError):
    """A Dask cluster cannot be reached, or has no worker that can compute the features."""


class StoreError(FeatxError, OSError):
    """A cache file cannot be read or written."""


class DamagedStoreError(StoreError):
    """The content of a cache file has changed."""


class NewerFormatError(StoreError):
    """A cache file was written by a later version of featx."""


class HeadError(FeatxError, ValueError):
    """A head or one of its parameters is unknown, or the head cannot be fitted."""

    is_usage = True


class EvaluationError(FeatxError, ValueError):
    """The data are insufficient or unsuitable for the requested evaluation."""


class TrainingError(FeatxError, ValueError):
    """A network cannot be trained as requested."""


class ClassifierError(FeatxError, ValueError):
    """A model file cannot be read, written or used."""


class OutputError(FeatxError, OSError):
    """An output cannot be written."""


class CaptureError(FeatxError, RuntimeError):
    """A camera or a video file gives no images, or no further images."""


class MissingExtraError(FeatxError, ImportError):
    """An optional package is required but not installed."""
