"""Distribute work over the workers of a Dask cluster; the only package that imports Dask."""

from featx.cluster.connection import Cluster, WorkerAddress, close_all, connect
from featx.cluster.distribution import Call, Done, Failed, Joined, Work, call_in_all, distribute
from featx.cluster.place import WorkerPlace, this_worker

__all__ = [
    "Call",
    "Cluster",
    "Done",
    "Failed",
    "Joined",
    "Work",
    "WorkerAddress",
    "WorkerPlace",
    "call_in_all",
    "close_all",
    "connect",
    "distribute",
    "this_worker",
]
