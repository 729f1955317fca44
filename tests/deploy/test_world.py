"""What is remembered of objects, in whatever order their watchers tell of them."""

from __future__ import annotations

from typing import Any

from appnet.deploy.kubernetes.names import CONTROLLER, MANAGED_BY
from appnet.deploy.kubernetes.operator.world import CONFIGURATIONS, FILTERS, World

KEY = ("shop", "echo")


def made(uid: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"namespace": KEY[0], "name": KEY[1], "uid": uid, "labels": labels}}


def test_what_was_made_in_the_place_of_another_stays_when_that_is_told_to_be_gone() -> None:
    world = World()
    world.saw(CONFIGURATIONS, made("first"))
    world.saw(CONFIGURATIONS, made("second"))
    world.lost(CONFIGURATIONS, made("first"))
    assert world.configuration(KEY) == made("second")
    assert list(world.inside(CONFIGURATIONS, "shop")) == [("echo", made("second"))]
    world.lost(CONFIGURATIONS, made("second"))
    assert world.one(CONFIGURATIONS, KEY) is None
    assert not list(world.inside(CONFIGURATIONS, "shop"))


def test_a_late_word_of_what_is_gone_hides_nothing() -> None:
    world = World()
    for it in (made("first"), made("second"), made("first", late="yes")):
        world.saw(CONFIGURATIONS, it)
    assert world.one(CONFIGURATIONS, KEY) == made("second")


def test_what_is_not_ours_any_more_is_forgotten_alone() -> None:
    world = World()
    ours = {MANAGED_BY: CONTROLLER}
    world.saw(FILTERS, made("first", **ours))
    world.saw(FILTERS, made("second", **ours))
    world.saw(FILTERS, made("first"))
    assert world.one(FILTERS, KEY) == made("second", **ours)
