"""`appnetctl state`: what is in the store of strong state, for operators, while instances run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from appnet.application.model import StateStore
from appnet.cli.cluster import NamespaceOption
from appnet.cli.cluster_store import store_in_cluster
from appnet.cli.errors import FAILURE, WRONG_INPUT, open_screens, told_errors
from appnet.cli.output import Format, OutputOption, line_text, print_data
from appnet.cli.screen import tell
from appnet.cli.stored import read_stored, stored_data, stored_text
from appnet.diagnostics.near import either, suggestion
from appnet.diagnostics.source import FileSource
from appnet.interpret.values import Value
from appnet.language.types import MapType
from appnet.state.operating import Entry, OperatedStore, OperatingError, Variable, operated_store
from appnet.system.store_address import STORE_ADDRESS, NoPasswordError, password_of, read_address

EXAMPLES = (
    "appnetctl state dump --store redis://127.0.0.1:6379",
    "appnetctl state get quota.used ann",
    "appnetctl state set quota.used ann 0",
    "appnetctl state set frontend/server/limit.tokens -- -5.0",
    "appnetctl state delete quota.used ann",
    "appnetctl state dump quota.used -o json > used.jsonl",
    "appnetctl state clear shop/frontend/server/quota --yes",
    "appnetctl state dump --config quota -n shop --store redis://127.0.0.1:6379",
)
PAGE = "state.md"

_MOST_NAMED = 5
_LEVELS = 4  # APPLICATION/CLIENT/SERVER/ELEMENT


class Action(Enum):
    """What to do with the state."""

    GET = "get"
    SET = "set"
    DELETE = "delete"
    DUMP = "dump"
    CLEAR = "clear"


_WORDS = {Action.GET: "[KEY]", Action.SET: "[KEY] VALUE", Action.DELETE: "KEY", Action.DUMP: "", Action.CLEAR: ""}
"""What follows the place."""


def command(
    action: Annotated[
        Action,
        typer.Argument(
            help="get: print a value. set: write one. delete: delete an entry of a Map. dump: print all. clear: reset "
            "an element, or one variable, to what `init` sets."
        ),
    ],
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="PLACE",
            help="ELEMENT.VARIABLE; for dump and clear also ELEMENT. Where several edges or applications have such an "
            "element, put their names in front: APPLICATION/CLIENT/SERVER/ELEMENT.",
        ),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KEY VALUE", help="The key of a Map; for set, also the value.")
    ] = None,
    *,
    store: Annotated[
        str | None, typer.Option(metavar="URL", envvar="APPNET_STORE", help="The address of the store.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="The `prefix` in the configuration of the applications; default: appnet.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="A file with the password of the store.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="NAME",
            help="An AppNetConfig in the cluster: takes the store, the prefix and the password from it and its Secret. "
            "With --store it takes the others, for an address that reaches the store from here.",
        ),
    ] = None,
    namespace: NamespaceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="For clear: do not ask first.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Look into the store of strong state, and change it while proxies run.

    Running proxies see a change as if another proxy had made it. Values are written as in behaviour files.
    """
    given = _given(action, place, words or [], yes=yes)
    if namespace is not None and config is None:
        raise typer.BadParameter("it is about the cluster: name an AppNetConfig by --config", param_hint="--namespace")
    known, password = store_in_cluster(config, namespace) if config is not None else (StateStore(), "")
    with _opened(store or known.address, prefix or known.prefix, password, password_file) as opened:
        if action is Action.DUMP:
            _dump(opened, place, output)
            return
        assert place is not None
        state, name = _state(opened, place), _split(place)[1]
        if action is Action.CLEAR:
            _clear(opened, state, name, output, yes=yes)
            return
        variable = _variable(opened, state, name)
        key = _key(action, variable, given)
        if action is Action.GET:
            _get(opened, variable, key, output)
        elif action is Action.SET:
            _set(opened, variable, key, given[-1], output)
        else:
            _delete(opened, variable, key, output)


# --- the command line ---


def _given(action: Action, place: str | None, words: list[str], *, yes: bool) -> list[str]:
    """The words, if as many as the action takes."""
    wanted = _WORDS[action].split()
    if place is None and action is not Action.DUMP:
        what = "ELEMENT or ELEMENT.VARIABLE" if action is Action.CLEAR else "ELEMENT.VARIABLE"
        raise typer.BadParameter(f"{action.value} needs {what}", param_hint="PLACE")
    if len(words) > len(wanted):
        raise typer.BadParameter(f"{action.value} takes PLACE {_WORDS[action]}".rstrip() + f", not also {words[-1]!r}")
    if len(words) < sum(not it.startswith("[") for it in wanted):
        raise typer.BadParameter(f"{action.value} takes PLACE {_WORDS[action]}")
    if yes and action is not Action.CLEAR:
        raise typer.BadParameter("only clear asks", param_hint="--yes")
    return words


@contextmanager
def _opened(store: str, prefix: str, password: str, password_file: Path | None) -> Iterator[OperatedStore]:
    """The store; ends the command with what goes wrong, and the exit code for it. ``password``: where its address has
    none."""
    if not store:
        told = "no store is named: give its address, or set APPNET_STORE; `appnetctl run` prints the address of its own"
        raise typer.BadParameter(told, param_hint="--store")
    try:
        address = read_address(store)
    except ValueError as error:
        told = f"this is not the address of a store: {error}; write {STORE_ADDRESS}"
        raise typer.BadParameter(told, param_hint="--store") from None
    try:
        password = password_of(address) or password
    except NoPasswordError as error:
        told = f"it takes the password from the variable {error}, which is not set: set it, or give --password-file"
        raise typer.BadParameter(told, param_hint="--store") from None
    with told_errors():
        if password_file is not None:
            password = FileSource(password_file).text().rstrip("\r\n")
        try:
            with operated_store(address, prefix, password) as opened:
                yield opened
        except OperatingError as error:
            tell(open_screens().err, f"error: {error}")
            raise typer.Exit(WRONG_INPUT if error.wrong_input else FAILURE) from None


def _wrong(text: str) -> OperatingError:
    return OperatingError(text, wrong_input=True)


# --- what is meant ---


def _split(place: str) -> tuple[str, str]:
    """The state and the variable that a place names; the latter may be empty."""
    path, slash, last = place.rpartition("/")
    element, _, variable = last.partition(".")
    return f"{path}{slash}{element}", variable


def _states(opened: OperatedStore, place: str) -> list[str]:
    wanted = _split(place)[0]
    if wanted.count("/") >= _LEVELS - 1:
        return [wanted]
    known = sorted(opened.states())
    found = [it for it in known if f"/{it}".endswith(f"/{wanted}")]
    if found:
        return found
    if not known:
        told = f"the store at {opened.where} has no strong state under the prefix {opened.prefix}"
        raise _wrong(f"{told}: elements create it when they start; --prefix names another")
    names = dict.fromkeys(it.rpartition("/")[2] for it in known)
    raise _wrong(f"the store has no strong state of {wanted}; {suggestion(wanted, names, what='elements')}")


def _state(opened: OperatedStore, place: str) -> str:
    found = _states(opened, place)
    if len(found) > 1:
        more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        told = f"{_split(place)[0]} is on several edges: name the edge as well"
        raise _wrong(f"{told}, {either(found[:_MOST_NAMED])}{more}")
    return found[0]


def _variable(opened: OperatedStore, state: str, name: str) -> Variable:
    known = opened.variables(state)
    if name in known:
        return known[name]
    weak = opened.weak(state)
    if name in weak or (weak and not known):
        told = f"{state}.{name or weak[0]} is weak state, of which each proxy has a copy"
        raise _wrong(f"{told}: `appnetctl state` prints and writes strong state, and can `clear` weak state")
    if not known:
        raise _wrong(f"the store has no state of {state}: elements create it when they start")
    if not name:
        raise _wrong(f"name one of its variables: {either([str(it) for it in known.values()][:_MOST_NAMED])}")
    told = f"the store has no variable {name} of {state}; `appnetctl show ELEMENT --what states` says where each lives"
    raise _wrong(f"{told}; {suggestion(name, known, what='variables there')}")


def _key(action: Action, variable: Variable, words: list[str]) -> Value | None:
    """The key among the words, if the variable is a Map."""
    given = words[:-1] if action is Action.SET else words
    if not isinstance(variable.type, MapType):
        if action is Action.DELETE:
            told = f"{variable} is of type {variable.type}, and has no entries"
            raise _wrong(f"{told}: `appnetctl state clear {variable}` resets it")
        if given:
            raise _wrong(f"{variable} is of type {variable.type}, and has no keys: leave out {given[0]!r}")
        return None
    if not given:
        told = f"{variable} is of type {variable.type}: {action.value} takes {_WORDS[action].replace('[KEY]', 'KEY')}"
        raise _wrong(f"{told}; `appnetctl state dump {variable}` prints all")
    try:
        return read_stored(given[0], variable.type.key)
    except ValueError as error:
        raise _wrong(f"the key {error}") from None


# --- actions ---


def _get(opened: OperatedStore, variable: Variable, key: Value | None, output: Format) -> None:
    value = opened.value(variable, key)
    if value is None:
        raise OperatingError(_no_entry(variable, key))
    entry = Entry(variable, key, value)
    if output is Format.TEXT:
        typer.echo(_value_text(entry))
    else:
        print_data(_data(entry), output)


def _set(opened: OperatedStore, variable: Variable, key: Value | None, text: str, output: Format) -> None:
    type_ = variable.type.value if isinstance(variable.type, MapType) else variable.type
    try:
        value = read_stored(text, type_)
    except ValueError as error:
        raise _wrong(f"the value {error}") from None
    opened.set(variable, key, value)
    entry = Entry(variable, key, value)
    if output is Format.TEXT:
        typer.echo(_entry_text(entry))
    else:
        print_data(_data(entry), output)


def _delete(opened: OperatedStore, variable: Variable, key: Value | None, output: Format) -> None:
    if not opened.delete(variable, key):
        raise OperatingError(_no_entry(variable, key))
    if output is Format.TEXT:
        typer.echo(f"{_named(variable, key)} deleted")
    else:
        print_data({"state": variable.state, "variable": variable.name, "key": _key_data(variable, key)}, output)


def _dump(opened: OperatedStore, place: str | None, output: Format) -> None:
    if place is not None:
        for state in _states(opened, place):
            name, known = _split(place)[1], opened.variables(state)
            _dump_all(opened, [_variable(opened, state, name)] if name or not known else known.values(), output)
        return
    wrong = []
    for state in opened.states():
        try:
            _dump_all(opened, opened.variables(state).values(), output)
        except OperatingError as error:  # one that cannot be read hides no other
            wrong.append(str(error))
    if wrong:
        raise OperatingError("\nerror: ".join(wrong))


def _dump_all(opened: OperatedStore, variables: Iterable[Variable], output: Format) -> None:
    for entry in (it for variable in variables for it in opened.entries(variable)):
        if output is Format.TEXT:
            typer.echo(_entry_text(entry))
        else:
            typer.echo(line_text(_data(entry), output), nl=False)


def _clear(opened: OperatedStore, state: str, name: str, output: Format, *, yes: bool) -> None:
    weak = [it for it in opened.weak(state) if name in {"", it}]
    variable = opened.variables(state).get(name) if weak else _variable(opened, state, name) if name else None
    what = f"{state}.{name}" if name else state
    if not yes:
        _ask(what)
    if variable is not None:
        opened.reset(variable)
    if not name:
        opened.remove(state)
    for it in weak:
        opened.remove_weak(state, it)
    if output is Format.TEXT:
        typer.echo(f"{what} is reset" + (", weak state to what running proxies have of it" if weak else ""))
    else:
        print_data({"state": state} | ({"variable": name} if name else {}), output)


def _ask(what: str) -> None:
    """Ends the command unless a person agrees."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on: agree with --yes", param_hint="--yes")
    if not typer.confirm(f"This resets {what}, and what it holds is lost. Go on?", err=True):
        tell(open_screens().err, "nothing was cleared")
        raise typer.Exit(FAILURE)


# --- what is printed ---


def _no_entry(variable: Variable, key: Value | None) -> str:
    told = f"there is no {_named(variable, key)} in the store"
    return f"{told}: `appnetctl state dump {variable}` prints what there is"


def _named(variable: Variable, key: Value | None) -> str:
    if not isinstance(variable.type, MapType):
        return str(variable)
    return f"{variable}[{stored_text(key, variable.type.key)}]"


def _value_text(entry: Entry) -> str:
    type_ = entry.variable.type
    return stored_text(entry.value, type_.value if isinstance(type_, MapType) else type_)


def _entry_text(entry: Entry) -> str:
    return f"{_named(entry.variable, entry.key)} = {_value_text(entry)}"


def _key_data(variable: Variable, key: Value | None) -> Any:
    assert isinstance(variable.type, MapType)
    return stored_data(key, variable.type.key)


def _data(entry: Entry) -> dict[str, Any]:
    variable, type_ = entry.variable, entry.variable.type
    found: dict[str, Any] = {"state": variable.state, "variable": variable.name}
    if isinstance(type_, MapType):
        return found | {"key": _key_data(variable, entry.key), "value": stored_data(entry.value, type_.value)}
    return found | {"value": stored_data(entry.value, type_)}
