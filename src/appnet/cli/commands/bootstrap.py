"""`appnetctl bootstrap`: what a proxy of one's own is started with."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from appnet.application.model import USUAL_PROCESSOR
from appnet.cli.errors import open_screens, told_errors
from appnet.cli.options import CONTROL, RECORDS, ControlOption, RecordsOption, address_given
from appnet.cli.tls import AuthorityOption, CertificateOption, KeyOption, TokenOption, client_tls, token
from appnet.processors import registry
from appnet.processors.processor import Contact, ProcessorError

EXAMPLES = (
    "appnetctl bootstrap frontend-sidecar > envoy.json",
    "appnetctl bootstrap server-sidecar --control 10.0.0.5:18000",
)
PAGE = "local.md"


def command(
    node: Annotated[str, typer.Argument(help="The node, as `appnetctl serve` prints it: frontend-sidecar.")],
    *,
    control: ControlOption = CONTROL,
    records: RecordsOption = RECORDS,
    admin: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address of Envoy's admin interface; port 0: a free port.")
    ] = "127.0.0.1:0",
    tls_ca: AuthorityOption = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    token_file: TokenOption = None,
) -> None:
    """Print the bootstrap configuration of an Envoy that `appnetctl serve` controls."""
    screens = open_screens()
    with told_errors(ProcessorError):
        name = next((it for it in registry.ENTRIES if node.endswith(f"-{it}")), USUAL_PROCESSOR)
        processor = registry.processor(name)
        service = re.sub(f"(-(to|from)-.*)?-{name}$", "", node)
        tls = client_tls(tls_ca, tls_cert, tls_key)
        contact = Contact(address_given(control, "--control"), tls, token(token_file))
        own = address_given(admin, "--admin", any_port=True)
        made = processor.bootstrap(node, service, contact, address_given(records, "--records"), own)
    if made.text:
        typer.echo(made.text)
    variables = " ".join(f"{name}={value}" for name, value in made.environment.items())
    told = f"start it with {variables} {made.command}" if made.text else f"start {made.command} with {variables}"
    screens.err.print(told, markup=False, soft_wrap=True)
