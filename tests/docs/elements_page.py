"""docs/elements.md, made from the standard elements themselves."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ELEMENTS = ROOT / "config" / "samples" / "elements"
COOKBOOK = ROOT / "config" / "samples" / "cookbook"

CHAPTERS = {
    "Protect the server": (
        "rate_limit", "bandwidth_limit", "concurrency_limit", "admission_control", "circuit_breaker", "retry_budget",
        "timeout", "cache",
    ),
    "Control access": ("acl", "firewall", "auth"),
    "Observe": ("logging", "metrics", "mirror", "fault", "delay"),
    "Rewrite messages": ("headers", "mutation", "redact", "encrypt", "decrypt", "compress", "decompress"),
    "Pick the host": (
        "sticky", "canary", "prequal_client", "prequal_server", "servicerouter_client", "servicerouter_server",
    ),
}  # fmt: skip

RECIPES = dict(zip(CHAPTERS, ("protect", "admit", "observe", "rewrite", "route"), strict=True))
"""Of each chapter, the configuration in config/samples/cookbook with a chain of such elements."""

_HEAD = """\
# The standard elements

Copy these elements from `config/samples/elements`, or use them in a chain. Without a clone, `appnetctl init config/samples --sample cookbook`
creates the folder. Each element has a [behaviour file](behaviour.md) next to it, which `appnetctl test config/samples/elements` runs on the
interpreter and on the modules that Envoy loads. Elements that read a message read its field `body`: replace it with your own field's name. Set
parameters in the [configuration](configuration.md). Each chapter begins with a chain of its elements, a file in `config/samples/cookbook` that runs as
it is, in front of the echo sample:

    $ appnetctl run config/samples/cookbook/protect.yaml

![Two chains of standard elements](images/chains.svg)

The table counts lines of `init` and the handlers, without their heads, comments, `pass` and statements that only forward. It compares them with the
closest public Envoy filters and EnvoyFilters, if any, counted without empty lines, comments and tests. The authors of AppNet report 7 to 28 lines for
common elements (NSDI 2025, "High-level Programming for Application Networks").

| element | lines | closest public alternative |
|---|---:|---|
"""
_MODULES = "`envoyproxy/dynamic-modules-examples`, `rust/src/"
_OTHERWISE = {
    "fault": f"28 lines of Rust: {_MODULES}http_random_auth.rs`, which refuses half of all requests",
    "firewall": f"86 lines of Rust: {_MODULES}http_zero_copy_regex_waf.rs`, which does not parse messages",
    "headers": f"80 lines of Rust: {_MODULES}http_header_mutation.rs`, which also removes headers",
    "logging": f"121 lines of Rust: {_MODULES}http_access_logger.rs`, which writes headers to its own files",
    "metrics": f"103 lines of Rust: {_MODULES}http_metrics.rs`, which keeps a histogram for each route",
    "redact": "37 lines of Rust: `examples/http_body` of `proxy-wasm/proxy-wasm-rust-sdk`, which does not parse messages",
    "rate_limit": "82 lines of YAML: Istio's `samples/ratelimit/local-rate-limit-service.yaml`, which also limits a single path",
}
_TAIL = """\

## What is not included

* **Waiting.** A handler cannot wait: every program ends at once, so no RPC can block a proxy. `delay` uses Envoy's own fault filter, after the
  whole chain: every listener that `appnetctl run` generates has that filter, and routes enable it if an element delays.
* **Failover.** If a picked host cannot be reached, the call ends with `UNAVAILABLE`; the next call may pick another. If `dst` is not the number of a
  host, Envoy picks one. `appnetctl run` starts as many servers as the manifest has `replicas`.
* **Retries and mirroring themselves** are done by routes; elements only decide which calls they apply to (`retry_budget`, `mirror`).
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
