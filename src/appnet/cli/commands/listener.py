"""`appnetctl listener`: what an Envoy needs that has a configuration of its own."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from appnet.application.model import USUAL_PROCESSOR
from appnet.cli.errors import open_screens, told_errors
from appnet.cli.options import CONTROL, RECORDS, STATUS, ControlOption, RecordsOption, StatusOption, address_given
from appnet.cli.served import asked
from appnet.cli.tls import AuthorityOption, CertificateOption, KeyOption, TokenOption, client_tls, token
from appnet.ir.needs import Need
from appnet.processors import registry
from appnet.processors.processor import Contact, Pieces, ProcessorError

EXAMPLES = ("appnetctl listener frontend-sidecar > pieces.yaml",)
PAGE = "local.md"

_CANNOT = {Need.ROUTE: "choose hosts", Need.DELAY: "delay calls"}


def command(
    node: Annotated[str, typer.Argument(help="The node, as `appnetctl serve` prints it: frontend-sidecar.")],
    *,
    control: ControlOption = CONTROL,
    records: RecordsOption = RECORDS,
    status: StatusOption = STATUS,
    tls_ca: AuthorityOption = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    token_file: TokenOption = None,
) -> None:
    """Print the YAML that an Envoy with its own configuration needs to run the chains of a node of `serve`."""
    screens = open_screens()
    with told_errors(ProcessorError):
        tls = client_tls(tls_ca, tls_cert, tls_key)
        contact = Contact(address_given(control, "--control"), tls, token(token_file))
        receiver = address_given(records, "--records")
        found = asked(address_given(status, "--status"), "GET", f"/nodes/{quote(node, safe='')}")
        for need, what in _CANNOT.items():
            if need.value in found["asked"]:
                where = found["asked"][need.value]
                raise ProcessorError(f"elements in {where} {what}, which only a proxy from `bootstrap` can do")
        if found["foreign"]:
            raise ProcessorError("--opt-level no gives each element a filter of its own: start `serve` with another")
        pieces = Pieces(node, found["service"], tuple(found["chains"]), found["max_message"])
        made = registry.processor(USUAL_PROCESSOR).pieces(pieces, contact, receiver)
    typer.echo(made.text)
    variables = " ".join(f"{name}={value}" for name, value in made.environment.items())
    screens.err.print(f"start it with {variables} {made.command}", markup=False, soft_wrap=True)
