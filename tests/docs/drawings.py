"""The pictures of the docs that show how AppNet works, in the language of those that `appnetctl explain` draws."""

from __future__ import annotations

from appnet.optimize.picture.canvas import BOX, MARGIN, PAD, Canvas, box_width, rows_width

STEP = 32.0


def echo() -> str:
    """The sample while `appnetctl run` runs it."""
    canvas = Canvas()
    chains = {"Envoy beside frontend": ["fault", "logging", "metrics"], "Envoy beside server": ["firewall"]}
    middle, x = 168.0, MARGIN
    top, bottom = middle - 42, middle + 28
    x = service(canvas, "curl", x, middle)
    x = request(canvas, x, middle)
    x = service(canvas, "frontend", x, middle)
    doors = []
    for label, names in chains.items():
        x = request(canvas, x, middle)
        width = max(rows_width([names]) + 2 * PAD, 168)
        canvas.place(x, top, width, bottom - top, label)
        canvas.module(x + (width - rows_width([names])) / 2, middle, [names], frozenset())
        doors.append(x + width / 2)
        x += width
    x = request(canvas, x, middle)
    service(canvas, "server", x, middle)
    plane, low = (doors[0] - 60, doors[-1] + 60), MARGIN + 50
    lines = ["appnetctl run", "compiles .appnet, .yaml and .proto files"]
    canvas.box("part", plane[0], MARGIN, plane[1] - plane[0], low - MARGIN, *lines)
    for door in doors:
        canvas.arrow("push", (door - 16, low), (door - 16, top))
        canvas.arrow("back", (door + 16, top), (door + 16, low))
    return canvas.svg(
        "The echo application with its chain on two Envoys",
        "curl calls frontend, and frontend calls server, through an Envoy beside each. The first Envoy runs fault, logging "
        "and metrics as one module, the second one firewall. appnetctl run compiles the files, gives both Envoys code and "
        "configuration, and receives their records.",
    )


def chains() -> str:
    """Two chains of standard elements."""
    canvas = Canvas()
    canvas.text(MARGIN, 24, "A service that stands on its own feet, whoever calls it", "bold")
    middle, x = 86.0, MARGIN
    x = service(canvas, "client", x, middle)
    sides = {
        "client's side": (["retry_budget", "circuit_breaker", "encrypt"], "what is refused here never leaves"),
        "server's side": (["auth", "rate_limit", "decrypt", "metrics"], "answers pass it the other way round"),
    }
    for label, (names, note) in sides.items():
        x = request(canvas, x, middle)
        x = processor(canvas, names, label, x, middle)
        canvas.text(x, middle + 38, note, "small quiet", "end")
    x = request(canvas, x, middle)
    service(canvas, "server", x, middle)

    canvas.text(MARGIN, 170, "Prequal: the client's half chooses by what the servers' halves say", "bold")
    middle, x = 278.0, MARGIN
    x = service(canvas, "client", x, middle)
    x = request(canvas, x, middle)
    x = processor(canvas, ["prequal_client"], "client's side", x, middle)
    there = x + 232
    for number, at in enumerate((234.0, 322.0)):
        leaves = middle - 15 + 20 * number
        canvas.arrow("request", (x, leaves), (x + 56, at - 6), (there, at - 6))
        canvas.arrow("back", (there, at + 8), (x + 66, at + 8), (x, leaves + 10))
        canvas.text(x + 84, at - 16, f"dst: {number}", "small")
        canvas.text(x + 84, at + 20, "x-rif, x-latency", "small")
        end = request(canvas, processor(canvas, ["prequal_server"], "server's side", there, at), at)
        service(canvas, f"host {number}", end, at)
    return canvas.svg(
        "Two chains of standard elements",
        "First chain: retry_budget, circuit_breaker and encrypt on the client's side; auth, rate_limit, decrypt and "
        "metrics on the server's side. Second chain: prequal_client sends each request to one of several hosts, by the "
        "load and latency that prequal_server on each host puts into its answers.",
    )


ROAD = {
    "application/": ("files, texts", "to one model"),
    "language/, ir/": ("text to", "match-action form"),
    "analysis/, optimize/": ("what may swap;", "where it costs least"),
    "codegen/": ("one C program", "of a fused chain"),
    "processors/": ("bytes that", "a processor loads"),
    "compile/": ("a Version:", "plans, artifacts"),
}
TRAFFIC = {
    "observe/": ("logs, metrics",),
    "calls": ("judged by elements",),
    "processors/ ": ("xDS and proxies;", "objects for a cluster"),
    "deploy/": ("this machine;", "Kubernetes"),
    "control/": ("offer, answer,", "take back"),
}
SERVICES, PROCESSORS = {"calls"}, {"processors/", "processors/ "}


def road() -> str:
    """From text to traffic, by the rooms of the source."""
    canvas = Canvas()
    canvas.text(MARGIN, 24, "an application becomes a version", "bold")
    x, height = MARGIN, 66.0
    for number, (name, lines) in enumerate(ROAD.items()):
        x = request(canvas, x, 78, "push") if number else x
        x = room(canvas, name, lines, x, 45, height)
    right, last = x, room_width("compile/", ROAD["compile/"])
    canvas.text(MARGIN, 162, "a version becomes traffic, and records come back", "bold")
    widths = [room_width(name, lines) for name, lines in TRAFFIC.items()]
    gap = (right - MARGIN - sum(widths)) / (len(widths) - 1)
    x = MARGIN
    for number, ((name, lines), width) in enumerate(zip(TRAFFIC.items(), widths, strict=True)):
        room(canvas, name, lines, x, 183, height)
        x += width
        if number < len(widths) - 1:
            canvas.arrow("push" if number > 1 else "request" if number else "back", (x + gap, 216), (x, 216))
            x += gap
    canvas.arrow("push", (right - last / 2, 45 + height), (right - last / 2, 183))
    words = "behaviour/ and the differential tests", "hold what processors run to it"
    canvas.box("part", MARGIN, 281, right - MARGIN, height, "interpret/ judges every target", *words)
    return canvas.svg(
        "An application becomes a version, and a version becomes traffic",
        "application reads files to one model; language and ir turn text to match-action form; analysis and optimize "
        "decide what may swap and where it costs least; codegen prints one C program of a fused chain; processors build "
        "bytes from it; compile makes a Version. control offers the version to nodes, deploy runs them, processors judge "
        "calls, and observe receives logs and metrics. interpret judges every target.",
    )


def room_width(name: str, lines: tuple[str, ...]) -> float:
    """As wide as the longest of them."""
    return max(box_width(name.strip()), *(box_width(it) * 0.88 for it in lines))


def room(canvas: Canvas, name: str, lines: tuple[str, ...], x: float, y: float, height: float) -> float:
    """A room of the source, or what it brings about; where it ends."""
    width = room_width(name, lines)
    kind = "service" if name in SERVICES else "place" if name in PROCESSORS else "part"
    canvas.box(kind, x, y, width, height, name.strip(), *lines)
    return x + width


def service(canvas: Canvas, name: str, x: float, middle: float) -> float:
    """A service; where it ends."""
    canvas.box("service", x, middle - BOX / 2, box_width(name), BOX, name)
    return x + box_width(name)


def request(canvas: Canvas, x: float, middle: float, kind: str = "request") -> float:
    """An arrow to what comes next; where it ends."""
    canvas.arrow(kind, (x, middle), (x + STEP, middle))
    return x + STEP


def processor(canvas: Canvas, names: list[str], label: str, x: float, middle: float) -> float:
    """A processor with its elements; where it ends."""
    width = rows_width([names]) + 2 * PAD
    canvas.place(x, middle - 36, width, 60, label)
    canvas.module(x + PAD, middle, [names], frozenset())
    return x + width


DRAWINGS = {"echo": echo, "chains": chains, "road": road}
