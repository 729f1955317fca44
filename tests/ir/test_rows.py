"""The match-action table: every arm is a row, and each row says what the program says."""

from appnet.ir.rows import match_action_rows
from tests.language.test_checker import compiled


def rows(req: str) -> list[str]:
    found = match_action_rows(compiled(req).req.body)
    return [f"{row.number} {'  ' * row.depth}{row.match} | {'; '.join(row.actions)}" for row in found]


def test_arms_are_numbered_and_nested() -> None:
    text = """
match get(names, s):
    Some(found) =>
        if found == 'a':
            send(err('no', NOT_FOUND), Up)
    None =>
        n = n + 1
"""
    assert rows(text) == [
        "1a get(names, s) is Some(found) | ",
        "1a.1a   (found == 'a') | refuse 'no' with code 5",
        "1a.1b   otherwise | ",
        "1b get(names, s) is None | n = (n + 1)",
        " always | forward",
    ]


def test_loops_have_rows_of_their_own() -> None:
    text = "flag = not flag\nforeach(items, lambda(x):\n    if x > 1:\n        n = x\n)\nset(rpc, 'key', s)"
    assert rows(text) == [
        " always | flag = not flag",
        "1 for each x of items | ",
        "1.1a   (x > 1) | n = x",
        "1.1b   otherwise | ",
        " always | rpc.key = s; forward",
    ]


def test_what_is_used_twice_keeps_its_name() -> None:
    assert rows("x = n * 2\nn = x + x") == [" always | x = (n * 2); n = (x + x); forward"]


def test_more_than_26_arms() -> None:
    arms = "".join(f"    {number} => u = {number}\n" for number in range(28))
    numbers = [line.split()[0] for line in rows(f"match n:\n{arms}")]
    assert numbers[24:29] == ["1y", "1z", "1aa", "1ab", "always"]
