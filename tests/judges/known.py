"""Where a case ends otherwise than without sidecars, each with the reason. The list is meant to shrink.

A case that differs and is not listed fails; so does a listed one that does not differ any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from appnet.processors.envoy.targets import TARGETS
from tests.judges.chains import CHAINS
from tests.judges.suite import Outcomes, same

_MESSAGES = ("reads", "writes")


@dataclass(frozen=True)
class Known:
    """Cases of ``suite`` by their names, as `fnmatch` has them, in which the judge's words have ``told``.

    ``always``: each of them ends otherwise, each time, with each of ``chains`` on each of ``targets``; else some do.
    ``race``: which of two ends comes first decides, so that a whole run may see none.
    """

    suite: str
    cases: str
    told: str
    why: str
    chains: tuple[str, ...] = CHAINS
    targets: tuple[str, ...] = tuple(TARGETS)
    always: bool = True
    race: bool = False

    def covers(self, suite: str, chain: str, target: str, case: str) -> bool:
        """Whether the case is listed here."""
        here = suite == self.suite and chain in self.chains and target in self.targets
        return here and fnmatchcase(case, self.cases)


KNOWN = (
    Known(
        "conformance",
        "*: Timeouts/*",
        "INTERNAL_ERROR",
        "Envoy ends a call at its deadline by a reset, too, and now and then is first: the caller reads INTERNAL.",
        always=False,
        race=True,
    ),
    Known(
        "conformance",
        "*: gRPC Unexpected Requests/*/unexpected-compression",
        "message is malformed",
        "A message in a compression that was not announced is refused as malformed: INTERNAL, not UNIMPLEMENTED.",
        _MESSAGES,
        always=False,
    ),
    Known(
        "conformance",
        "reference*: gRPC Unexpected Requests/*/multiple-requests",
        "has more than its one message",
        "A second message where the method has one is refused with INTERNAL, as grpc-go does; others say UNIMPLEMENTED.",
        _MESSAGES,
    ),
    Known(
        "conformance",
        "reference*: gRPC Unexpected Requests/*/no-request",
        "has no message",
        "A call without its message is refused with INTERNAL, as grpc-go does; others say UNIMPLEMENTED.",
        _MESSAGES,
    ),
    Known(
        "conformance",
        "reference*: gRPC Unexpected Responses/*/multiple-responses",
        "has more than its one message",
        "A second message where the method has one is refused with INTERNAL, as grpc-go does; others say UNIMPLEMENTED.",
        _MESSAGES,
    ),
    Known(
        "conformance",
        "reference*: gRPC Unexpected Responses/*/ok-but-no-response",
        "has no whole message",
        "An answer without its message is refused with INTERNAL, as grpc-go does; others say UNIMPLEMENTED.",
        _MESSAGES,
    ),
    Known(
        "conformance",
        "*: Unexpected Requests/*/unexpected-content-type",
        "HTTP status 400 Bad Request",
        "The same, as the server's reference client tells it: refused with 400 where the server would say 415.",
        _MESSAGES,
        always=False,
    ),
    Known(
        "conformance",
        "*: Unexpected Requests/*/unexpected-content-type",
        "wanted 415; got ",
        "A call of another content type is judged as gRPC and refused, with HTTP status 200 or 403, before the server answers 415.",
        _MESSAGES,
        always=False,
    ),
)


def complaints(suite: str, chain: str, target: str, alone: Outcomes, through: Outcomes) -> list[str]:
    """What is to be told of cases that end otherwise, or do so no longer."""
    found = []
    for case, outcome in alone.items():
        now, listed = through[case], [it for it in KNOWN if it.covers(suite, chain, target, case)]
        if not same(outcome, now):
            if not any(it.told in now for it in listed):
                found.append(f"{case}\n    alone:   {outcome}\n    through: {now}")
        elif any(it.always for it in listed):
            found.append(f"{case}\n    ends as without sidecars: take it out of known.py")
    return found


def seen(known: Known, runs: Mapping[tuple[str, str], Outcomes], alone: Outcomes) -> bool:
    """Whether a case of the entry ended otherwise in one of the runs, by chain and target."""
    return any(
        known.told in now and known.covers(known.suite, chain, target, case) and not same(alone[case], now)
        for (chain, target), outcomes in runs.items()
        for case, now in outcomes.items()
    )
