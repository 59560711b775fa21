"""Choose the engine and the precision for a backbone on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from featx.agreement import MIN_MEAN_COSINE, cosines
from featx.backbones import engine_of
from featx.cluster import call_in_all, connect
from featx.engines import ENGINES, processor_kind, processor_name, resolve_engine
from featx.errors import ConversionError, EngineError
from featx.execution.network import Locate, graph_key, graph_of, start
from featx.execution.probes import probe_features
from featx.runtime import Runtime
from featx.spec import EngineName, FeatureSpec, Precision
from featx.store import FeatureStore, has_graph, read_agreements, remember_agreement

_CONVERSION = "conversion to openvino"
"""Name of the entry among the agreements that records a failed conversion."""


def choose_engine(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> EngineName:
    """Return the engine for ``engine="auto"``, given the backbone.

    An engine chosen for a GPU is kept if its library finds a GPU. An engine that runs graphs is kept if the backbone
    can be converted. Both are checked only once. Later runs find a store of the feature spec, a cached graph or a
    recorded failure, so that no library is imported.

    Parameters
    ----------
    spec : FeatureSpec
        Feature spec with the engine from :func:`featx.engines.resolve_engine`.
    locate : callable
    runtime : Runtime
    """
    engine = engine_of(spec)
    if "gpu" in engine.devices:
        if runtime.device != "auto" or _has_store(spec, runtime) or engine.sees_gpu():
            return engine.name
        runtime.notice(f"this machine has a GPU, but the {engine.name} engine does not find it; using the CPU")
        engine = resolve_engine("auto", "auto", "cpu")
        spec = replace(spec, engine=engine.name)
    key = graph_key(spec)
    if not engine.keeps_graph or has_graph(runtime.cache, key) or _has_store(spec, runtime):
        return engine.name
    reason = f"the {engine.name} engine cannot run this backbone"
    if _CONVERSION not in read_agreements(runtime.cache, key):
        try:
            graph_of(spec, locate, runtime)
            return engine.name
        except ConversionError as error:
            reason = str(error).rpartition(";")[0]
            remember_agreement(runtime.cache, key, _CONVERSION, None)
    fallback = next(candidate for candidate in ENGINES.values() if not candidate.keeps_graph)
    runtime.notice(f"{reason}; using the {fallback.name} engine")
    return fallback.name


def _has_store(spec: FeatureSpec, runtime: Runtime) -> bool:
    specs = [replace(spec, precision=precision) for precision in engine_of(spec).precisions]
    return any(FeatureStore(runtime.cache, candidate).exists() for candidate in specs)


def choose_precision(
    spec: FeatureSpec, requested: Literal["auto", "float32", "bfloat16"], locate: Locate, runtime: Runtime
) -> Precision:
    """Choose the precision.

    ``auto`` gives bfloat16 if this is the default of the engine and the features agree with float32.

    Parameters
    ----------
    spec : FeatureSpec
        A feature spec in float32.
    requested : {"auto", "float32", "bfloat16"}
    locate : callable
    runtime : Runtime

    Raises
    ------
    EngineError
        If bfloat16 was requested, and this CPU or this backbone does not support it.
    """
    preferred = engine_of(spec).auto_precision if requested == "auto" else requested
    if preferred == "float32":
        return preferred
    cosine = agreement(spec, preferred, locate, runtime)
    if cosine is not None and cosine >= MIN_MEAN_COSINE:
        return preferred if requested == preferred or workers_support(spec, preferred, runtime) else "float32"
    if cosine is None:
        reason = f"this CPU ({processor_name()}) does not support {preferred}"
    else:
        reason = (
            f"{preferred} features of this backbone have a cosine of only {cosine:.4f} with float32 features "
            f"(at least {MIN_MEAN_COSINE} is required)"
        )
    if requested == preferred:
        raise EngineError(f"{reason}; use `precision=float32` or auto")
    if cosine is not None:
        runtime.notice(f"{reason}; using float32")
    return "float32"


def agreement(spec: FeatureSpec, precision: Precision, locate: Locate, runtime: Runtime) -> float | None:
    """Return the mean cosine between features of the probe images in a precision and in float32.

    The cosine is computed once for each backbone, engine, kind of CPU and version of the libraries. It is None if the
    CPU does not support the precision.
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
            approximate = probe_features(start(in_precision, locate, runtime), spec)
        cosine = 0.0 if exact is None or approximate is None else float(cosines(exact, approximate).mean())
    remember_agreement(runtime.cache, key, name, cosine)
    return cosine


def workers_support(spec: FeatureSpec, precision: Precision, runtime: Runtime) -> bool:
    """Return whether all present workers of the cluster support a precision; True without a cluster.

    The workers of ``dask://local`` have the CPU of this process, and are not asked.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or has no worker.
    """
    if runtime.cluster is None or runtime.cluster == "dask://local":
        return True
    with runtime.stage("waiting for the workers, which state their precision"):
        replies = call_in_all(connect(runtime), has_precision, spec.to_json(), precision)
    lacking = {name: processor for name, (has, processor) in replies.items() if not has}
    if not lacking:
        who = "the worker supports" if len(replies) == 1 else f"all {len(replies):,} workers support"
        runtime.notice(f"precision  {precision}, which {who}")
        return True
    for name, processor in lacking.items():
        runtime.notice(f"the CPU of the worker {name} ({processor}) does not support {precision}; using float32")
    return False


def has_precision(spec: str, precision: Precision) -> tuple[bool, str]:
    """Return whether this machine supports a precision, and the name of its CPU; called in workers.

    Parameters
    ----------
    spec : str
        Feature spec, as JSON.
    precision : str
    """
    return engine_of(FeatureSpec.from_json(spec)).has_precision(precision), processor_name()


def reproducible_spec(spec: FeatureSpec, runtime: Runtime) -> FeatureSpec:
    """Return the feature spec of a model, in float32 if this CPU does not support its precision.

    The agreement of the features with those of the model is checked later, with the probe images of the model.
    """
    engine = engine_of(spec)
    if spec.precision != engine.auto_precision:  # float32 and int8 run on every CPU
        return spec
    known = read_agreements(runtime.cache, graph_key(spec))
    name = engine.agreement_name(runtime.device, processor_kind(), spec.precision)
    if known[name] is not None if name in known else engine.has_precision(spec.precision):
        return spec if workers_support(spec, spec.precision, runtime) else replace(spec, precision="float32")
    runtime.notice(
        f"this CPU ({processor_name()}) does not support {spec.precision}, the precision of the model; using float32"
    )
    return replace(spec, precision="float32")
