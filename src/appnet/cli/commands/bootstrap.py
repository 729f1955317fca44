"""`appnetctl bootstrap`: what a proxy of one's own is started with."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from appnet.application.model import USUAL_PROCESSOR
from appnet.cli.errors import open_screens, told_errors
from appnet.cli.options import CONTROL, RECORDS, ControlOption, RecordsOption, address_given
from appnet.cli.tls import AuthorityOption, CertificateOption, KeyOption, client_tls
from appnet.processors import registry
from appnet.processors.processor import ProcessorError

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
) -> None:
    """Print the bootstrap configuration of an Envoy that `appnetctl serve` controls."""
    screens = open_screens()
    with told_errors(ProcessorError):
        processor = registry.processor(USUAL_PROCESSOR)
        service = re.sub(f"(-(to|from)-.*)?-{USUAL_PROCESSOR}$", "", node)
        addresses = (address_given(control, "--control"), address_given(records, "--records"))
        own = address_given(admin, "--admin", any_port=True)
        made = processor.bootstrap(node, service, *addresses, own, client_tls(tls_ca, tls_cert, tls_key))
    typer.echo(made.text)
    variables = " ".join(f"{name}={value}" for name, value in made.environment.items())
    screens.err.print(f"start it with {variables} {made.command}", markup=False, soft_wrap=True)
