"""The RPCs that come of an application file's calls."""

from __future__ import annotations

from appnet.application.load import LoadedApplication, LoadedChain
from appnet.deploy.local.foreseen import fields_of
from appnet.deploy.local.services import LocalApplication, TrialCall, Written
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.remedy import Remedy, near
from appnet.diagnostics.yaml_reader import Located
from appnet.language.messages import MessageSchema, MethodSignature


def check_calls(local: LocalApplication, application: LoadedApplication) -> None:
    """Raises `DiagnosticError` for calls whose RPCs the application does not have."""
    wrong: list[Diagnostic] = []
    for call in local.calls:
        try:
            found = rpc_of(call, application)
        except DiagnosticError as error:
            wrong += error.diagnostics
            continue
        if found is not None:
            _, method = found
            wrong += [*_wrong(call.sends, method.request), *_wrong(call.answers, method.response)]
            if call.prints is not None and call.prints.value not in method.response.fields:
                wrong.append(_no_field(call.prints.value, call.prints, method.response))
    if wrong:
        raise DiagnosticError(wrong)


def rpc_of(call: TrialCall, application: LoadedApplication) -> tuple[LoadedChain, MethodSignature] | None:
    """The method that is called, with its chain; None where the file does not say. Raises `DiagnosticError`."""
    if call.method is None:
        return None
    here = [it for it in application.chains if it.chain.edge.client == call.service.value]
    known = {method.signature.full_name: (it, method.signature) for it in here for method in it.methods}
    named = [found for name, found in known.items() if call.method.value in (name, name.rpartition("/")[2])]
    if len(named) == 1:
        return named[0]
    help_ = suggestion(call.method.value, known, what=f"methods that `{call.service}` calls")
    title = f"`{call.service}` does not call the method `{call.method}`"
    remedies = near(call.method.span, call.method.value, [*known, *(it.rpartition("/")[2] for it in known)])
    raise DiagnosticError([_error("C050", title, call.method, "not on its edges", help_, remedies)])


def _wrong(written: Written, schema: MessageSchema) -> list[Diagnostic]:
    found = []
    for path, text in written.items():
        if path not in schema.fields:
            found.append(_no_field(path, text, schema))
            continue
        try:
            fields_of({path: text.value}, schema)
        except ValueError:
            title = f"`{text}` is not of type {schema.fields[path].type}"
            found.append(_error("C074", title, text, "wrong type", "write a value of the field's type"))
    return found


def _no_field(path: str, place: Located, schema: MessageSchema) -> Diagnostic:
    help_ = suggestion(path, schema.fields, what="fields")
    return _error("C074", f"{schema.full_name} has no field `{path}`", place, "not in the .proto", help_)


def _error(
    code: str, title: str, place: Located, label: str, help_: str, remedies: tuple[Remedy, ...] = ()
) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, title, place.span, label, help_, remedies=remedies)
