"""Messages that somebody has tampered with, through programs that use all of a message, under sanitizers.

    python -m tests.differential.hostile [--messages N] [--seed S]

A module may refuse what protobuf refuses. What both read is changed as the interpreter changes it, byte by byte of what
no handler wrote; and whatever comes, the sanitizers find nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from google.protobuf.message import DecodeError

from appnet.interpret import ChainInstance, Environment, Forwarded, Rpc
from appnet.processors.envoy.harness.calls import DeliveredBody
from appnet.processors.processor import Denied
from tests.codegen.judged import STRICTER
from tests.differential import sanitized
from tests.differential.compare import BACKENDS, SEED, Chain, Comparison, check_forwarded, make_chain
from tests.support.programs import program
from tests.support.raw_grpc import frame
from tests.support.sample import SAMPLE
from tests.support.traffic import make_fields
from tests.support.wire import encode, fields_of

_MALFORMED = 13

PROGRAMS = (
    """
    set(rpc, 'items.sku', get(rpc, 'items.note'))
    set(rpc, 'items.price.amount', get(rpc, 'items.price.amount'))
    set(rpc, 'items.labels', get(rpc, 'items.labels'))
    set(rpc, 'items.by_rule.word', get(rpc, 'items.sku'))
    set(rpc, 'items.parts.name', get(rpc, 'items.parts.name'))
    """,
    """
    set(rpc, 'stock.values.by_hand', get(rpc, 'stock.values.sku'))
    set(rpc, 'stock.values.rank', get(rpc, 'stock.values.rank'))
    set(rpc, 'prices.values.unit', get(rpc, 'prices.values.unit'))
    set(rpc, 'parts.id', get(rpc, 'parts.id'))
    """,
    """
    if has(rpc, 'inner') and has(rpc, 'total'):
        clear(rpc, 'inner.deep')
    elif has(rpc, 'card') or has(rpc, 'paid'):
        clear(rpc, 'card')
        set(rpc, 'paid.unit', 'x')
    else:
        clear(rpc, 'grade')
        set(rpc, 'total.amount', 7)
    set(rpc, 'inners.deep.word', get(rpc, 'inners.name'))
    """,
    """
    set(rpc, 'big', size(rpc, 'items') + 100 * size(rpc, 'stock') + 10000 * size(rpc, 'items.parts'))
    set(rpc, 'ranks', get(rpc, 'ranks'))
    set(rpc, 'rank', get(rpc, 'rank'))
    set(rpc, 'grade', get(rpc, 'grade'))
    if byte_size(rpc) > 100:
        clear(rpc, 'items')
        clear(rpc, 'title')
        clear(rpc, 'counts')
    """,
)


def tampered(source: random.Random) -> bytes:
    """A message with a few bytes changed, cut out, put in or said twice."""
    body = bytearray(encode(source, make_fields(source)))
    for _ in range(source.choice((0, 1, 1, 2, 4))):
        at, size = source.randint(0, len(body)), source.choice((0, 1, 1, 2, 9))
        match source.randrange(4):
            case 0:
                body[at : at + size] = source.randbytes(source.randint(0, 3))
            case 1:
                del body[at : at + size]
            case 2:
                body[at:at] = body[source.randint(0, len(body)) :][: source.randint(0, 40)]
            case _ if at < len(body):
                body[at] ^= 1 << source.randrange(8)
    return bytes(body)


def judge(chain: Chain, module: object, body: bytes) -> str:
    """What became of the message; raises AssertionError where that is wrong."""
    call = module.call()  # type: ignore[attr-defined]
    try:
        got = call.run_request(chain.signature.full_name, {}, [frame(body)])
    finally:
        call.end()
    try:
        fields = fields_of(body, SAMPLE.request.full_name)
    except DecodeError:
        return "refused" if isinstance(got, Denied) else "read, where nobody looked"
    if isinstance(got, Denied):
        assert got.code == _MALFORMED, got
        assert any(reason in got.text.decode() for reason in STRICTER), f"{got}: {body.hex()}"
        return "refused"
    assert isinstance(got, DeliveredBody)
    rpc = Rpc(chain.signature, fields, size=len(body))
    outcome = ChainInstance(chain.elements, Environment(lambda: 0, SEED, BACKENDS)).request(rpc)
    assert isinstance(outcome, Forwarded)
    check_forwarded(outcome, got.body, frame(body), SAMPLE.request.full_name, body.hex())
    return "judged"


def run(messages: int, seed: int) -> Counter[str]:
    """So many messages for each program; how many became what."""
    chains = [make_chain(f"hostile{number}", [program(text)]) for number, text in enumerate(PROGRAMS)]
    comparison = Comparison(chains, sanitized.TARGETS[:1])
    module = comparison.modules[sanitized.TARGETS[0].name]
    source = random.Random(seed)
    return Counter(judge(chain, module, tampered(source)) for _ in range(messages) for chain in chains)


def main() -> int:
    arguments = argparse.ArgumentParser(description="messages that were tampered with")
    arguments.add_argument("--messages", type=int, default=100_000, help="for each program")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    sanitized.enter(sys.argv)
    for what, count in run(given.messages, given.seed).most_common():
        sys.stdout.write(f"{count:12,}  {what}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
