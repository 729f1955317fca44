"""The store of strong state as operators look into it and change it, while instances run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import valkey

from appnet.interpret.values import Value
from appnet.language.types import MapType, Type, type_named
from appnet.state.client import Client, store_client
from appnet.state.layout import (
    FORMAT,
    PARTS,
    Change,
    ChangeKind,
    decode,
    decode_key,
    encode,
    encode_changes,
    encode_key,
    script,
    state_keys,
)
from appnet.system.store_address import StoreAddress

_SECONDS = 10.0  # longer than any script takes
_PAGE = 256  # entries that are asked for at once


class OperatingError(Exception):
    """The store does not do what an operator asks; the text says why, and what to do.

    ``wrong_input``: the question is to blame, not the store.
    """

    def __init__(self, text: str, *, wrong_input: bool = False) -> None:
        super().__init__(text)
        self.wrong_input = wrong_input


@dataclass(frozen=True)
class Variable:
    """A variable in the store. ``state``: APPLICATION/CLIENT/SERVER/ELEMENT."""

    state: str
    name: str
    type: Type

    def __str__(self) -> str:
        return f"{self.state}.{self.name}"


@dataclass(frozen=True)
class Entry:
    """A value in the store; ``key``: where it is in a Map, else None."""

    variable: Variable
    key: Value | None
    value: Value


class OperatedStore:
    """A store, and the states in it whose keys begin with a prefix. All methods raise `OperatingError`."""

    def __init__(self, client: Client, where: str, prefix: str) -> None:
        self.where, self.prefix = where, prefix
        self._client = client

    def states(self) -> Iterator[str]:
        """The names of all states, each once."""
        begin, seen = f"{{{self.prefix}:", set[str]()
        with self._told():
            for it in self._client.scan_iter(match=f"{_literal(begin)}*}}:*meta", count=1000):
                name, _, part = it.decode("utf-8", "replace")[len(begin) :].rpartition("}:")
                if name not in seen and (part == "meta" or part.endswith(":meta")):
                    seen.add(name)
                    yield name

    def variables(self, state: str) -> Mapping[str, Variable]:
        """The variables of a strong state by name; none where there is no such state."""
        with self._told(state):
            meta = cast("dict[bytes, bytes]", self._client.hgetall(self._keys(state)["meta"]))
        if not meta:
            return {}
        if (found := meta.get(b"format", b"none").decode("utf-8", "replace")) != FORMAT:
            told = f"{state} is in format {found}, and this version knows {FORMAT}"
            raise OperatingError(f"{told}: use the appnetctl of the version that runs, or `clear` it")
        kinds = {
            it.decode().removeprefix("kind:"): text.decode() for it, text in meta.items() if it.startswith(b"kind:")
        }
        types = {name: type_named(text) for name, text in sorted(kinds.items())}
        for name, type_ in types.items():
            if type_ is None:
                told = f"{state}.{name} is of a type that this version does not know, {kinds[name]}"
                raise OperatingError(f"{told}: use the appnetctl of the version that runs")
        return {name: Variable(state, name, it) for name, it in types.items() if it is not None}

    def weak(self, state: str) -> list[str]:
        """The names of the variables of weak state that the store has anything of."""
        begin = f"{{{self.prefix}:{state}}}:"
        with self._told(state):
            found = self._client.scan_iter(match=f"{_literal(begin)}*:*", count=1000)
            return sorted({it.decode("utf-8", "replace")[len(begin) :].rpartition(":")[0] for it in found})

    def value(self, variable: Variable, key: Value | None = None) -> Value | None:
        """What the variable holds; of a Map at ``key``. None where there is no such entry."""
        keys = self._keys(variable.state)
        name = variable.name.encode()
        place, field = (keys["values"], name) if key is None else (keys["entries"], _member(variable, key))
        with self._told(variable.state):
            found = cast("bytes | None", self._client.hget(place, cast("str", field)))
        return None if found is None else _decoded(variable, key, found)

    def entries(self, variable: Variable) -> Iterator[Entry]:
        """All that the variable holds, in no order, a page at a time.

        What changes meanwhile comes as it was or as it is, and an entry may come twice: then the later one counts.
        """
        if not isinstance(variable.type, MapType):
            if (value := self.value(variable)) is not None:
                yield Entry(variable, None, value)
            return
        begin, place = f"{variable.name}.", self._keys(variable.state)["entries"]
        with self._told(variable.state):
            for member, found in self._client.hscan_iter(place, match=f"{begin}*", count=_PAGE):
                try:
                    key = decode_key(member[len(begin) :], variable.type.key)
                except ValueError:
                    raise _unreadable(f"a key of {variable}", variable.state) from None
                yield Entry(variable, key, _decoded(variable, key, found))

    def set(self, variable: Variable, key: Value | None, value: Value) -> None:
        """Writes it, as another instance would."""
        if isinstance(variable.type, MapType):
            encoded = encode(value, variable.type.value)
            self._edit(variable, Change(ChangeKind.SET, variable.name, _key(variable, key), encoded))
        else:
            self._edit(variable, Change(ChangeKind.VALUE, variable.name, b"", encode(value, variable.type)))

    def delete(self, variable: Variable, key: Value) -> bool:
        """Deletes an entry of a Map. False: there is none."""
        if self.value(variable, key) is None:
            return False
        self._edit(variable, Change(ChangeKind.DELETE, variable.name, _key(variable, key)))
        return True

    def reset(self, variable: Variable) -> None:
        """Resets the variable: instances give it what `init` sets."""
        self._run(variable, "reset")

    def remove(self, state: str) -> None:
        """Removes all of a strong state, whatever its keys hold; instances begin it anew."""
        with self._told(state):
            self._client.unlink(*self._keys(state).values())

    def remove_weak(self, state: str, variable: str) -> None:
        """Likewise a variable of weak state, with what an instance that runs had of it at its last merge."""
        with self._told(state):
            self._client.unlink(*self._names(state, variable))

    def _edit(self, variable: Variable, change: Change) -> None:
        self._run(variable, "edit", encode_changes([change]))

    def _run(self, variable: Variable, command: str, *more: bytes) -> None:
        keys = [*self._keys(variable.state).values()]
        with self._told(variable.state):
            arguments: Any = (command, variable.name, str(variable.type), *more)
            answer: Any = self._client.eval(cast("str", script()), len(keys), *keys, *arguments)
        if answer != b"\0":
            raise OperatingError(f"{variable} is gone, or its type has changed meanwhile: look at it again")

    def _keys(self, state: str) -> dict[str, str]:
        """Those of strong state, by what they hold."""
        return dict(zip(PARTS, self._names(state), strict=True))

    def _names(self, state: str, weak: str = "") -> list[str]:
        scope, _, element = state.rpartition("/")
        return state_keys(f"{self.prefix}:{scope}", element, weak)

    @contextmanager
    def _told(self, state: str = "") -> Iterator[None]:
        """Raises what the client raises, in words."""
        try:
            yield
        except (valkey.ResponseError, valkey.AuthenticationError) as error:
            raise OperatingError(self._refused(str(error), state)) from None
        except (valkey.ValkeyError, OSError) as error:
            raise _unreached(self.where, error) from None

    def _refused(self, text: str, state: str) -> str:
        if text.startswith("WRONGTYPE"):
            return f"the keys of {state} hold something other than state: {_clears(state)}"
        if any(it in text.upper() for it in ("NOAUTH", "WRONGPASS", "AUTHENTICATION", "INVALID USERNAME")):
            return f"the store at {self.where} needs the right password: give it with --password-file"
        if text.startswith("READONLY") or "read only replica" in text:
            return f"the store at {self.where} is a read-only replica: give the address of its primary"
        return f"the store at {self.where} says: {text}"


@contextmanager
def operated_store(address: StoreAddress, prefix: str, password: str) -> Iterator[OperatedStore]:
    """The store at an address. ``password``: in place of the address's, if any. Raises `OperatingError`."""
    try:
        with store_client(address, password, _SECONDS) as client:
            yield OperatedStore(client, address.place, prefix)
    except (valkey.ValkeyError, OSError) as error:
        raise _unreached(address.place, error) from None


def _literal(text: str) -> str:
    """A pattern of the store's that matches the text alone."""
    return re.sub(r"([][*?\\])", r"\\\1", text)


def _key(variable: Variable, key: Value) -> bytes:
    assert isinstance(variable.type, MapType)
    return encode_key(key, variable.type.key)


def _member(variable: Variable, key: Value) -> bytes:
    return variable.name.encode() + b"." + _key(variable, key)


def _decoded(variable: Variable, key: Value | None, found: bytes) -> Value:
    type_ = variable.type
    if key is not None:
        assert isinstance(type_, MapType)
        type_ = type_.value
    try:
        return decode(found, type_)
    except ValueError:
        raise _unreadable(f"the value of {variable}{'' if key is None else f' at {key!r}'}", variable.state) from None


def _unreadable(what: str, state: str) -> OperatingError:
    return OperatingError(f"{what} in the store is not of its type: {_clears(state)}")


def _unreached(where: str, error: Exception) -> OperatingError:
    told = f"no store answers at {where}: {_short(error)}"
    return OperatingError(f"{told}; --store or APPNET_STORE says where it is")


def _clears(state: str) -> str:
    return f"`appnetctl state clear {state}` resets it"


def _short(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
