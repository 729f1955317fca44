"""The hosts of the upstream cluster, as the processor instance sees them."""

from __future__ import annotations

from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Effect, Operation
from appnet.language.typed import Operate, Value
from appnet.language.types import INT, VecType


def _get_backends(call: Call) -> Value:
    if call.count(0, 1) == 1:
        call.any(0)  # the public AppNet names a shard; one cluster is one shard
    return Operate("get_backends", (), VecType(INT))


CHAPTERS = (
    Chapter(
        "Hosts",
        (
            function(
                Operation(
                    "get_backends",
                    "() -> Vec<int>",
                    "get_backends()",
                    "The numbers of the hosts of the upstream cluster, from 0.",
                    "hosts = get_backends()\nget(hosts, 2, -1) == 2",
                    Effect.READS_BACKENDS,
                ),
                _get_backends,
            ),
            function(
                Operation(
                    "get_load",
                    "(int) -> <int, Instant>",
                    "get_load(host)",
                    "The number of RPCs in flight from here to the host, and the current time.",
                    "(load, at) = get_load(0)\nload == 0",
                    Effect.READS_BACKENDS | Effect.COUNTS_CALLS | Effect.TIME,
                ),
            ),
            function(
                Operation(
                    "estimate_rif",
                    "(Vec<int>) -> Vec<float>",
                    "estimate_RIF_distribution(hosts)",
                    "The number of RPCs in flight from here to each of the hosts.",
                    "hosts = get_backends()\nrif = estimate_RIF_distribution(hosts)\nquantile(rif, 0.5) == 0.0",
                    Effect.READS_BACKENDS | Effect.COUNTS_CALLS | Effect.READS_CONTAINER,
                ),
            ),
        ),
    ),
)
