"""Choose engine and precision for a backbone on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from featx.agreement import MIN_MEAN_COSINE, cosines
from featx.backbones import engine_of
from featx.engines import ENGINES, processor_kind, processor_name, resolve_engine
from featx.errors import ConversionError, EngineError
from featx.execution.network import Locate, graph_key, graph_of, start
from featx.execution.probes import probe_features
from featx.runtime import Runtime
from featx.spec import EngineName, FeatureSpec, Precision
from featx.store import FeatureStore, has_graph, read_agreements, remember_agreement

_CONVERSION = "conversion to openvino"
"""Name of the note, beside the agreements of precisions, that the conversion failed."""


def choose_engine(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> EngineName:
    """Return the engine for ``engine="auto"``, once the backbone is known.

    An engine that was chosen for a GPU stays if its library sees one; an engine that runs graphs stays if the backbone
    can be converted. Both are found out once: a store of the spec, a kept graph or a note answers the next run, which
    imports nothing.

    Parameters
    ----------
    spec : FeatureSpec
        With the engine of :func:`featx.engines.resolve_engine`.
    locate : callable
    runtime : Runtime
    """
    engine = engine_of(spec)
    if "gpu" in engine.devices:
        if runtime.device != "auto" or _has_store(spec, runtime) or engine.sees_gpu():
            return engine.name
        runtime.notice(f"there is a GPU, but the {engine.name} engine sees none; using the CPU")
        engine = resolve_engine("auto", "auto", "cpu")
        spec = replace(spec, engine=engine.name)
    key = graph_key(spec)
    if not engine.keeps_graph or has_graph(runtime.cache, key) or _has_store(spec, runtime):
        return engine.name
    why = f"the {engine.name} engine cannot run this network"
    if _CONVERSION not in read_agreements(runtime.cache, key):
        try:
            graph_of(spec, locate, runtime)
            return engine.name
        except ConversionError as error:
            why = str(error).rpartition(";")[0]
            remember_agreement(runtime.cache, key, _CONVERSION, None)
    other = next(one for one in ENGINES.values() if not one.keeps_graph)
    runtime.notice(f"{why}; the {other.name} engine runs it")
    return other.name


def _has_store(spec: FeatureSpec, runtime: Runtime) -> bool:
    specs = [replace(spec, precision=precision) for precision in engine_of(spec).precisions]
    return any(FeatureStore(runtime.cache, one).path.exists() for one in specs)


def choose_precision(
    spec: FeatureSpec, asked: Literal["auto", "float32", "bfloat16"], locate: Locate, runtime: Runtime
) -> Precision:
    """Choose the precision; for ``auto`` bfloat16 where the engine takes it by itself and accuracy is preserved.

    Parameters
    ----------
    spec : FeatureSpec
        In float32.
    asked : {"auto", "float32", "bfloat16"}
    locate : callable
    runtime : Runtime

    Raises
    ------
    EngineError
        bfloat16 was asked for, and this processor or this backbone does not support it.
    """
    wanted = engine_of(spec).auto_precision if asked == "auto" else asked
    if wanted == "float32":
        return wanted
    cosine = agreement(spec, wanted, locate, runtime)
    if cosine is not None and cosine >= MIN_MEAN_COSINE:
        return wanted
    if cosine is None:
        why = f"this processor ({processor_name()}) does not compute in {wanted}"
    else:
        why = f"in {wanted} this network agrees with float32 only to cosine {cosine:.4f}, needed {MIN_MEAN_COSINE}"
    if asked == wanted:
        raise EngineError(f"{why}; use `precision=float32` or auto")
    if cosine is not None:
        runtime.notice(f"{why}; using float32")
    return "float32"


def agreement(spec: FeatureSpec, precision: Precision, locate: Locate, runtime: Runtime) -> float | None:
    """Return the mean cosine between the probe images' features in a precision and in float32.

    Computed once for each backbone, engine, kind of processor and version of the libraries; None where the processor
    does not compute in that precision.
    """
    engine = engine_of(spec)
    key, name = graph_key(spec), engine.agreement_name(runtime.device, processor_kind(), precision)
    known = read_agreements(runtime.cache, key)
    if name in known:
        return known[name]
    cosine = None
    if engine.has_precision(precision):
        in_float32 = replace(spec, precision="float32")
        in_precision = replace(spec, precision=precision)
        with runtime.stage(f"comparing {precision} with float32"):
            exact = probe_features(start(in_float32, locate, runtime), spec)
            rough = probe_features(start(in_precision, locate, runtime), spec)
        cosine = 0.0 if exact is None or rough is None else float(cosines(exact, rough).mean())
    remember_agreement(runtime.cache, key, name, cosine)
    return cosine


def reproducible_spec(spec: FeatureSpec, runtime: Runtime) -> FeatureSpec:
    """Return a model's spec, or where this processor has not its precision the same spec in float32.

    Whether the features then agree is checked with the model's own probe images.
    """
    engine = engine_of(spec)
    if spec.precision != engine.auto_precision:  # float32 and int8 run everywhere
        return spec
    known = read_agreements(runtime.cache, graph_key(spec))
    name = engine.agreement_name(runtime.device, processor_kind(), spec.precision)
    if known[name] is not None if name in known else engine.has_precision(spec.precision):
        return spec
    runtime.notice(
        f"this processor ({processor_name()}) does not compute in {spec.precision}, as the model did; using float32"
    )
    return replace(spec, precision="float32")
