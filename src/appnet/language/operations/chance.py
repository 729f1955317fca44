"""Chance: draws come from the element's own splitmix64 generator."""

from __future__ import annotations

from appnet.language.operations.built_in import Chapter, function
from appnet.language.operations.declaration import Effect, Operation

CHAPTERS = (
    Chapter(
        "Chance",
        (
            function(
                Operation(
                    "random_float",
                    "(float, float) -> float",
                    "randomf(low, high)",
                    "Uniform in [low, high): low + (((high - low) * (draw >> 11)) / 2**53).",
                    "x = randomf(1, 2)\nx >= 1.0 and x < 2.0",
                    Effect.RANDOM,
                ),
                elsewhere=("random", "rand"),
            ),
            function(
                Operation(
                    "random_int",
                    "(int, int) -> int",
                    "randomi(low, high)",
                    "Uniform in [low, high): low + draw % (high - low); low if high <= low, after a draw.",
                    "n = randomi(1, 7)\nn >= 1 and n < 7",
                    Effect.RANDOM,
                ),
                elsewhere=("random", "rand", "randint"),
            ),
            function(
                Operation(
                    "random_choices",
                    "(Vec<T>, int) -> Vec<T>",
                    "random_choices(vec, n)",
                    "n items without replacement: for i in 0..n, swap item i with item i + draw % (size - i); "
                    "if n >= size, all items in their order, without a draw.",
                    "hosts = random_choices(get_backends(), 2)\nsize(hosts) == 2",
                    Effect.RANDOM | Effect.READS_CONTAINER,
                ),
            ),
        ),
    ),
)
