"""The exceptions featx raises, one tree, each also the builtin that a caller would catch.

::

    FeatxError
    +-- ArgumentError           (TypeError)          an argument that does not exist, or of another type
    +-- OptionError             (ValueError)         an option outside its range
    +-- DatasetError            (ValueError)         a data set that cannot be understood
    |   +-- DatasetNotFoundError  (FileNotFoundError)  no such file or folder
    |   +-- AmbiguousLayoutError                       several readings: say which one
    +-- ImageError              (ValueError)         a file without usable pixels
    |   +-- NotDecodableHereError                               not on this machine as it is now
    +-- SpecError               (ValueError)         a feature recipe that makes no sense
    +-- BackboneError           (ValueError)         an unknown or unusable network
    |   +-- WeightsError          (OSError)            weights missing, damaged or not fitting
    +-- EngineError             (RuntimeError)       a network cannot be executed as asked
    |   +-- ConversionError                            OpenVINO cannot convert it; TensorFlow may run it
    +-- StoreError              (OSError)            a cache file cannot be read or written
    |   +-- DamagedStoreError                          its content is not what was written
    |   +-- NewerFormatError                           written by a later featx
    +-- HeadError               (ValueError)         an unknown head or parameter
    +-- EvaluationError         (ValueError)         too little data for what was asked
    +-- TrainingError           (ValueError)         a network cannot be trained as asked
    +-- ClassifierError         (ValueError)         a model file that cannot be used
    +-- OutputError             (OSError)            an output that cannot be written
    +-- CaptureError            (RuntimeError)       a camera or video that gives no images
    +-- MissingExtraError       (ImportError)        an optional package is not installed

A message says what was given, what is allowed and what to do next.
"""

from __future__ import annotations

from typing import TypeVar

_Error = TypeVar("_Error", bound="FeatxError")


class FeatxError(Exception):
    """Base class of everything that featx raises on purpose.

    Attributes
    ----------
    is_usage : bool
        Whether an argument has a value that is never allowed, whatever the data and the machine.
    """

    is_usage = False


def as_usage(error: _Error) -> _Error:
    """Return an error, marked as one of usage."""
    error.is_usage = True
    return error


class ArgumentError(FeatxError, TypeError):
    """An argument of a function that does not exist, is missing, or is of another type."""

    is_usage = True


class OptionError(FeatxError, ValueError):
    """A number outside the range of its option."""

    is_usage = True


class DatasetError(FeatxError, ValueError):
    """A data set that cannot be understood."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """A path that does not exist."""


class AmbiguousLayoutError(DatasetError):
    """A folder layout with several readings."""


class ImageError(FeatxError, ValueError):
    """A file without usable pixels; the message is the reason shown to the user."""


class NotDecodableHereError(ImageError):
    """A file that cannot be decoded as this machine is now: it is looked at again by the next run."""


class SpecError(FeatxError, ValueError):
    """A feature recipe with an impossible value."""

    is_usage = True


class BackboneError(FeatxError, ValueError):
    """An unknown or unusable network."""


class WeightsError(BackboneError, OSError):
    """Weights that are missing, damaged or made for another network."""


class EngineError(FeatxError, RuntimeError):
    """A network that cannot be executed as asked on this machine."""


class ConversionError(EngineError):
    """A network that OpenVINO cannot convert."""


class StoreError(FeatxError, OSError):
    """A cache file that cannot be read or written."""


class DamagedStoreError(StoreError):
    """A cache file whose content is not what was written."""


class NewerFormatError(StoreError):
    """A cache file written by a later version of featx."""


class HeadError(FeatxError, ValueError):
    """An unknown head, or a parameter it does not have."""

    is_usage = True


class EvaluationError(FeatxError, ValueError):
    """Too little data, or the wrong data, for the evaluation asked for."""


class TrainingError(FeatxError, ValueError):
    """A network that cannot be trained as asked."""


class ClassifierError(FeatxError, ValueError):
    """A model file that cannot be read, written or used here."""


class OutputError(FeatxError, OSError):
    """An output that cannot be written."""


class CaptureError(FeatxError, RuntimeError):
    """A camera or a video file that gives no images, or no more of them."""


class MissingExtraError(FeatxError, ImportError):
    """An optional package that the request needs is not installed."""
