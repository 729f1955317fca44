"""docs/elements.md, made from the standard elements themselves."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ELEMENTS = ROOT / "config" / "samples" / "elements"
COOKBOOK = ROOT / "config" / "samples" / "cookbook"

CHAPTERS = {
    "Keep the server well": (
        "rate_limit", "bandwidth_limit", "concurrency_limit", "admission_control", "circuit_breaker", "retry_budget",
        "timeout", "cache",
    ),
    "Say who may pass": ("acl", "firewall", "auth"),
    "See what happens": ("logging", "metrics", "mirror", "fault", "delay"),
    "Change messages": ("headers", "mutation", "redact", "encrypt", "decrypt", "compress", "decompress"),
    "Choose the host": (
        "sticky", "canary", "prequal_client", "prequal_server", "servicerouter_client", "servicerouter_server",
    ),
}  # fmt: skip

RECIPES = dict(zip(CHAPTERS, ("protect", "admit", "observe", "rewrite", "route"), strict=True))
"""Of each chapter, the configuration in config/samples/cookbook with a chain of such elements."""

_HEAD = """\
# The standard elements

Programs to copy from `config/samples/elements` (`appnetctl init config/samples --sample cookbook` brings them where there is no clone), or to
name in a chain. Each has a [behaviour file](behaviour.md) beside it, which
`appnetctl test config/samples/elements` tries on the interpreter and on the modules that Envoy runs. Those that read a message read
its field `body`: write your own field's name there. Parameters are given in the [configuration](configuration.md). Each chapter begins with a chain
of such elements, a file of `config/samples/cookbook` that runs as it is, in front of the echo sample:

    $ appnetctl run config/samples/cookbook/protect.yaml

![Two chains of standard elements](images/chains.svg)

The lines counted are those of `init` and the handlers, without their heads, comments, `pass` and what only forwards. Beside them stand public
Envoy filters and EnvoyFilters that come closest to the same function, where there are any, counted without empty lines, comments and tests. The
authors of AppNet report 7 to 28 lines for common elements (NSDI 2025, "High-level Programming for Application Networks").

| element | lines | the same otherwise |
|---|---:|---|
"""
_MODULES = "`envoyproxy/dynamic-modules-examples`, `rust/src/"
_OTHERWISE = {
    "fault": f"28 lines of Rust: {_MODULES}http_random_auth.rs`, which refuses half of all requests",
    "firewall": f"86 lines of Rust: {_MODULES}http_zero_copy_regex_waf.rs`, which takes no messages apart",
    "headers": f"80 lines of Rust: {_MODULES}http_header_mutation.rs`, which removes headers, too",
    "logging": f"121 lines of Rust: {_MODULES}http_access_logger.rs`, which writes headers to files of its own",
    "metrics": f"103 lines of Rust: {_MODULES}http_metrics.rs`, which keeps a histogram for each route",
    "redact": "37 lines of Rust: `examples/http_body` of `proxy-wasm/proxy-wasm-rust-sdk`, which takes no messages apart",
    "rate_limit": "82 lines of YAML: Istio's `samples/ratelimit/local-rate-limit-service.yaml`, which limits one path, too",
}
_TAIL = """\

## What is not here

* **Waiting.** A handler cannot wait: every program ends at once, so that no RPC can hold a proxy up. `delay` has Envoy's own fault filter do
  it, after the whole chain: every listener that `appnetctl run` makes has that filter, and routes turn it on where an element delays.
* **A host that is gone.** A call to a chosen host that cannot be reached ends with `UNAVAILABLE`; the next call may choose another. `dst`
  that is no host's number leaves the choice to Envoy. `appnetctl run` starts as many servers as the manifest has `replicas`.
* **Retries and mirroring themselves** are the proxy's: elements decide which (`retry_budget`, `mirror`), routes do it.
"""


def logic_lines(source: str) -> int:
    """How many lines of the program say what it does."""
    body = source[source.index("\ninit(") :].splitlines()[2:]
    lines = [it.strip() for it in body if not it.lstrip().startswith(("#", "//"))]
    idle = {
        "",
        "pass",
        ")",
        "open(rpc):",
        "req(rpc):",
        "resp(rpc):",
        "end(rpc):",
        "send(rpc, Up)",
        "send(rpc, Down)",
        "None => pass",
        "_ => pass",
    }
    return sum(it not in idle for it in lines)


def parameters(source: str) -> list[str]:
    """``NAME = DEFAULT`` of each parameter."""
    found = re.search(r"^init\((.*)\):$", source, re.MULTILINE)
    assert found
    return re.findall(r"(\w+ = (?:'[^']*'|[^,]+))", found[1])


def source_of(name: str) -> str:
    """The program."""
    return (ELEMENTS / f"{name}.appnet").read_text(encoding="utf-8")


def page() -> str:
    """The text of docs/elements.md."""
    names = [name for chapter in CHAPTERS.values() for name in chapter]
    rows = [f"| [`{name}`](#{name}) | {logic_lines(source_of(name))} | {_OTHERWISE.get(name, '')} |" for name in names]
    text = _HEAD + "\n".join(rows) + "\n"
    for chapter, members in CHAPTERS.items():
        text += f"\n## {chapter}\n\n{_recipe(RECIPES[chapter])}" + "".join(map(_section, members))
    return text + _TAIL


def _recipe(name: str) -> str:
    comment, _, _ = (COOKBOOK / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")
    file = f"[`{name}.yaml`](../config/samples/cookbook/{name}.yaml)"
    drawn = f"![{name}.yaml as written and as planned under `weak`](images/{name}.svg)"
    return f"{file}: {comment.removeprefix('# ')}\n\n{drawn}\n"


def _section(name: str) -> str:
    comment, _, program = source_of(name).partition("\n")
    code = f"```appnet\n{program.rstrip()}\n```\n"
    given = parameters(program)
    told = "Parameters: " + ", ".join(f"`{it}`" for it in given) + ".\n" if given else "No parameters.\n"
    return f"\n### {name}\n\n{comment.removeprefix('# ')}\n{told}\n{code}"
