"""What ``<`` and ``==`` say of floats and of texts, by numbers that are in the same order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import z3

from appnet.analysis.symbols import BITS, Term, World, apply, both, either, negated
from appnet.interpret.values import float_bits


def is_nan(number: Term) -> Term:
    """Whether the float is none."""
    return apply("is NaN", [number], z3.BoolSort())


def smaller_number(a: Term, b: Term) -> Term:
    """``a < b`` of floats."""
    return both(_both_numbers(a, b), _rank(a) < _rank(b))


def same_number(a: Term, b: Term) -> Term:
    """``a == b`` of floats."""
    return both(_both_numbers(a, b), _rank(a) == _rank(b))


def of_literals(world: World) -> Iterator[Term]:
    """Where the literals stand."""
    yield from (_number(term, value) for term, value in world.literals("float"))
    if world.orders_texts:
        texts = sorted(world.literals("text"), key=lambda it: bytes(it[1]))
        yield from (_place(one) < _place(other) for (one, _), (other, _) in pairwise(texts))


def _number(term: Term, value: float) -> Term:
    if math.isnan(value):
        return is_nan(term)
    bits = float_bits(value)
    rank = bits if bits < 2**63 else 2**63 - bits  # of both zeros it is 0
    return both(negated(is_nan(term)), _rank(term) == z3.BitVecVal(rank, BITS))


def _both_numbers(a: Term, b: Term) -> Term:
    return negated(either(is_nan(a), is_nan(b)))


def _rank(number: Term) -> Term:
    return apply("rank", [number], z3.BitVecSort(BITS))


def earlier_text(world: World, a: Term, b: Term) -> Term:
    """``a < b`` of texts."""
    world.orders_texts = True
    world.facts.append((_place(a) == _place(b)) == (a == b))
    return _place(a) < _place(b)


def _place(text: Term) -> Term:
    return apply("place among texts", [text], z3.RealSort())
