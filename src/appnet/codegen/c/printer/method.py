"""A method of a chain as C: the fields its elements use, and how requests and responses pass them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.codegen.c.printer.context import InHand, Slot, end_trailers, noted_trailer
from appnet.codegen.c.printer.element import ElementPrinter
from appnet.codegen.c.printer.text import comment, constant, indent, literal, view
from appnet.codegen.c.printer.types import MEMBERS
from appnet.diagnostics.diagnostic import InternalError
from appnet.ir.nodes import Const, HandlerEffects
from appnet.ir.stages import holds_headers, holds_response, judged_at_headers, reached_together
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import MapType, VecType

_RESOURCE_EXHAUSTED = 8


@dataclass(frozen=True)
class MethodSide:
    """One direction of a method: an ``an_side``. ``reads_late``: handlers that wait read metadata.

    ``quiet``: of a stream, no handler looks at messages.
    """

    slots: dict[str, Slot]
    needs_message: bool
    needs_status: bool
    reads_late: bool
    holds: bool
    empty: bool
    streams: bool
    quiet: bool = False

    @property
    def needs_body(self) -> bool:
        """Whether the proxy has to show the messages."""
        return self.needs_message or (self.streams and not self.empty and not self.quiet)


class MethodPrinter:
    """Prints the parts of a method. ``broken``: whether an instance's init can have run out of memory."""

    def __init__(
        self,
        method: MethodSignature,
        number: int,
        elements: Sequence[ElementPrinter],
        *,
        broken: bool,
        ahead: bool = False,
    ) -> None:
        self.method = method
        self._chain = [it.element for it in elements]
        self._early = judged_at_headers(self._chain, method, ahead=ahead)
        self.request = _side(method, elements, InHand.REQUEST, early=self._early, ahead=ahead)
        self.response = _side(method, elements, InHand.RESPONSE)
        self.reply = _reply(method, elements)
        self._name = f"method_{number}"
        self._elements = elements
        self._broken = broken

    @property
    def asks_for_deadlines(self) -> bool:
        """Whether handlers read the deadline, or shorten it."""
        return self.sets_deadlines or any(it.reads_deadline for it in self._effects())

    @property
    def sets_deadlines(self) -> bool:
        """Whether handlers shorten the deadline."""
        return any(it.sets_deadline for it in self._effects())

    def _effects(self) -> list[HandlerEffects]:
        """Of all handlers."""
        return [handler.effects for it in self._chain for handler in it.handlers.values()]

    @property
    def replies(self) -> bool:
        """Whether an element answers requests with messages of its own."""
        return any(it.req.effects.can_reply for it in self._chain)

    def handlers(self) -> list[str]:
        """The functions of the elements' handlers."""
        lines: list[str] = []
        slots = {InHand.REQUEST: self.request.slots, InHand.RESPONSE: self.response.slots}
        for element in self._elements:
            for direction in (InHand.OPEN, InHand.REQUEST, InHand.RESPONSE, InHand.END):
                function = element.handler_function(direction, slots.get(direction, {}), self.reply.slots)
                lines += [*function, ""] if function else []
        return lines

    def dispatch(self) -> list[str]:
        """``method_N_open``, ``_request``, ``_response`` and ``_end``, and what they share."""
        lines = [comment(self.method.full_name)]
        if not self.response.empty:
            lines += [*self._unwind(), ""]
        lines += [*self._on_open(), "", *self._on_request(), "", *self._on_response(), ""]
        lines += [*self._on_trailers(), ""] if self.asks_for_trailers else []
        return [*lines, *self._on_end(), ""] if self.ends else lines

    def fields(self) -> list[str]:
        """The tables of field numbers and fields."""
        lines: list[str] = []
        for name, side in (("request", self.request), ("response", self.response), ("reply", self.reply)):
            if not side.slots:
                continue
            oneofs = ["", *dict.fromkeys(it for slot in side.slots.values() for it in slot.field.oneofs if it)]
            names = [f"{self._name}_{name}_{slot.index}" for slot in side.slots.values()]
            entries = [
                f"{{{self._entry(it, slot, side, oneofs, lines)}}},"
                for it, slot in zip(names, side.slots.values(), strict=True)
            ]
            lines += [f"static const an_field {self._name}_{name}_fields[] = {{", *indent(entries), "};"]
            if any(slot.field.default is not None for slot in side.slots.values()):
                absent = [f"{_absent(slot.field)}," for slot in side.slots.values()]
                lines += [f"static const an_value {self._name}_{name}_absent[] = {{", *indent(absent), "};"]
        return lines

    def _entry(self, name: str, slot: Slot, side: MethodSide, oneofs: Sequence[str], lines: list[str]) -> str:
        """An ``an_field``, whose tables are added to the lines; ``name`` begins their names."""
        field = slot.field
        start = len(side.slots[field.within].field.numbers) if field.within else 0
        values = ", ".join(str(number) for number in field.numbers[start:])
        lines.append(f"static const uint32_t {name}[] = {{{values}}}; {comment(field.path)}")
        entry = f".numbers = {name}, .depth = {len(field.numbers) - start}, .kind = AN_FIELD_{field.kind.upper()}"
        entry += self._many(field)
        if field.within:
            entry += f", .within = {side.slots[field.within].index + 1}"
        if any(field.groups[start:]):
            entry += f", .groups = {sum(group << level for level, group in enumerate(field.groups[start:]))}"
        if any(field.oneofs[start:]):
            values = ", ".join(str(oneofs.index(it)) for it in field.oneofs[start:])
            lines.append(f"static const uint16_t {name}_oneofs[] = {{{values}}};")
            entry += f", .oneofs = {name}_oneofs"
        if field.names:
            lines.append(f"static const int32_t {name}_numbers[] = {{{', '.join(map(_int32, field.names))}}};")
            lines.append(f"static const an_names {name}_names = {{{name}_numbers, {len(field.names)}}};")
            entry += f", .names = &{name}_names"
        return entry

    def _many(self, field: Field) -> str:
        """The rest of an ``an_field`` that has many values, or stands within many messages."""
        key = f", .key_kind = AN_FIELD_{field.key_kind.upper()}" if field.key_kind else ""
        if field.is_message:
            many = "AN_MANY_KEYED_MESSAGES" if field.key_kind else "AN_MANY_MESSAGES"
            return f", .many = {many}{key}" if field.many else ""
        if not isinstance(field.type, VecType | MapType):
            return ""
        type_ = f", .type = {self._elements[0].context.types.descriptor(field.type)}"
        if not field.many:
            return type_
        if key:
            return f"{type_}, .many = AN_MANY_ENTRIES{key}"
        return f"{type_}, .many = AN_MANY_ITEMS, .packed = {str(field.packed).lower()}"

    def entry(self) -> list[str]:
        """The ``an_method`` of the table of methods."""
        return [
            "{",
            f"  .path = {{(const uint8_t *){_path(self.method)}, {len(self.method.full_name.encode())}}},",
            f"  .request = {self._side_text('request', self.request)},",
            f"  .response = {self._side_text('response', self.response)},",
            f"  .reply = {self._side_text('reply', self.reply)},",
            f"  .on_open = {self._name}_open,",
            f"  .on_request = {self._name}_request,",
            f"  .on_response = {self._name}_response,",
            f"  .on_end = {f'{self._name}_end' if self.ends else 'NULL'},",
            f"  .on_trailers = {f'{self._name}_trailers' if self.asks_for_trailers else 'NULL'},",
            "},",
        ]

    def _side_text(self, name: str, side: MethodSide) -> str:
        fields = f"{self._name}_{name}_fields" if side.slots else "NULL"
        if any(slot.field.default is not None for slot in side.slots.values()):
            fields += f", .absent = {self._name}_{name}_absent"
        flags = {
            "needs_message": side.needs_message, "needs_status": side.needs_status, "holds": side.holds,
            "empty": side.empty, "streams": side.streams, "quiet": side.quiet,
        }  # fmt: skip
        texts = [f".{flag} = {str(value).lower()}" for flag, value in flags.items()]
        return f"{{.fields = {fields}, .field_count = {len(side.slots)}, {', '.join(texts)}}}"

    @property
    def ends(self) -> bool:
        """Whether an element looks at how calls end."""
        return any(not element.is_trivial(InHand.END) for element in self._elements)

    @property
    def asks_for_trailers(self) -> bool:
        """Whether an element asks at the end of calls for trailers that no handler sees come."""
        return self.response.streams and any(end_trailers(it.element) for it in self._elements)

    def _unwind(self) -> list[str]:
        """Runs resp, in reverse order, of the elements before ``limit`` that forwarded; whether one of them refused."""
        lines = ["bool refused = false;"]
        for number, element in reversed(list(enumerate(self._elements))):
            if not element.is_trivial(InHand.RESPONSE):
                asked = f"limit > {number} && {self._let_pass(number)} && {self._asked(element, InHand.RESPONSE)}"
                lines += [
                    f"if ({asked} == AN_REFUSE) {{",
                    f"  {self._tally_refusal(number, InHand.RESPONSE)}",
                    "  an_call_refused(call);",
                    "  refused = true;",
                    "}",
                ]
            if element.tells_end:
                noted = [*self._left(number, "call->status"), *self._trailers_left(number)]
                lines += [f"if (limit > {number} && (call->last || refused)) {{", *indent(noted), "}"]
        head = f"static bool {self._name}_unwind(an_call *call, uint32_t limit) {{"
        return [head, *indent([*lines, "return refused;"]), "}"]

    def _asked(self, element: ElementPrinter, direction: InHand) -> str:
        """The verdict of the handler; of a message that cannot be read, of what stands for one that would read it."""
        runs = f"{element.function(direction)}(call)"
        effects = element.handler(direction).effects
        if not effects.reads_message:
            return runs
        only_looks = direction is InHand.RESPONSE and not holds_response(element.handler(direction))
        instead = "AN_FORWARD" if only_looks else "an_refuse_unread(call)"
        return f"(call->unread_code == 0 ? {runs} : {instead})"

    def _let_pass(self, number: int) -> str:
        """The condition that the element's req forwarded a message; one that only forwards lets all pass beforehand."""
        return f"call->{'opened' if self._elements[number].is_trivial(InHand.REQUEST) else 'begun'} > {number}"

    def _tally_refusal(self, number: int, handler: InHand) -> str:
        """Counts that the element has refused the call."""
        context = self._elements[number].context
        return context.tallies.refused(context, handler.value)

    def _left(self, number: int, status: str) -> list[str]:
        """Notes with which status the call left the element, where its ``end`` asks for it."""
        element = self._elements[number]
        left = f"((struct appnet_call_state *)call->state)->{element.context.name}.left"
        return [f"{left} = (uint8_t)({status} + 1);"] if element.tells_status else []

    def _trailers_left(self, number: int) -> list[str]:
        """Likewise with which trailers."""
        element = self._elements[number]
        keys = end_trailers(element.element)
        return [f"{noted_trailer(element.context, it, 'call')} = an_trailer_noted(call, {view(it)});" for it in keys]

    def _ended_by(self, *, opened: int | None, begun: int) -> list[str]:
        """What is noted of a call that the element ends; ``opened``: None where that is noted already."""
        lines = [f"call->opened = {opened};"] if opened is not None else []
        return [*lines, *([f"if (call->begun < {begun}) call->begun = {begun};"] if begun else [])]

    def _refused_by(self, number: int, *, opened: int | None, begun: int, judged: bool) -> list[str]:
        """The element has refused; ``judged``: by its ``req``, so that its ``end`` runs."""
        lines = [self._tally_refusal(number, InHand.REQUEST if judged else InHand.OPEN)]
        lines += self._ended_by(opened=opened, begun=begun)
        if judged:
            lines += self._left(number, "call->reply_code")
        if not self.response.empty:
            lines += [
                "an_call_refused(call);",
                *(self._trailers_left(number) if judged else []),
                f"{self._name}_unwind(call, {number});",
                "call->forwarded = 0;",
            ]
        return [*lines, "return AN_REFUSE;"]

    def _opens(self, start: int, stop: int, begun: int) -> list[str]:
        """The headers reach these elements."""
        lines = []
        for number in range(start, stop):
            element = self._elements[number]
            if not element.is_trivial(InHand.OPEN):
                refused = self._refused_by(number, opened=number, begun=begun, judged=False)
                lines += [f"if ({element.function(InHand.OPEN)}(call) == AN_REFUSE) {{", *indent(refused), "}"]
        return lines

    def _judges(self, number: int, opened: int | None) -> list[str]:
        """A message reaches the element."""
        element = self._elements[number]
        if element.is_trivial(InHand.REQUEST):
            return []
        lines = []
        asked = self._asked(element, InHand.REQUEST)
        if element.element.req.effects.can_reply:
            asked = f"verdict_{number}"
            answered = [*self._ended_by(opened=opened, begun=number), f"call->forwarded = {number};"]
            answered += [
                element.context.tallies.replied(element.context, InHand.REQUEST.value),
                *self._left(number, "0"),
            ]
            lines += [
                f"const an_verdict {asked} = {self._asked(element, InHand.REQUEST)};",
                f"if ({asked} == AN_ANSWER) {{",
                *indent([*answered, "return AN_ANSWER;"]),
                "}",
            ]
        refused = self._refused_by(number, opened=opened, begun=number, judged=True)
        return [*lines, f"if ({asked} == AN_REFUSE) {{", *indent(refused), "}"]

    def _on_open(self) -> list[str]:
        """The headers, as far as they come without a message; and those req that need none."""
        early, reached = self._early, reached_together(self._chain, self._early)
        lines: list[str] = []
        if self._broken:
            lines += [
                "if (((const struct appnet_state *)call->instance->state)->broken) {",
                "  an_scope scope = {.call = call};",
                f'  return an_refuse(&scope, {_RESOURCE_EXHAUSTED}, AN_TEXT("out of memory in init"));',
                "}",
            ]
        for number in range(early):
            lines += [*self._opens(number, number + 1, number), *self._judges(number, number + 1)]
        lines += [*self._opens(early, reached, early), f"call->opened = {reached};", f"call->begun = {early};"]
        return [f"static an_verdict {self._name}_open(an_call *call) {{", *indent([*lines, "return AN_FORWARD;"]), "}"]

    def _on_request(self) -> list[str]:
        """A message, and with the first one, the headers as far as they waited for it."""
        reached = reached_together(self._chain, self._early)
        streams = self.method.client_streaming
        lines: list[str] = []
        for number in range(self._early, len(self._chain)):
            if number == reached:
                reached = reached_together(self._chain, number)
                opens = [*self._opens(number, reached, number), f"call->opened = {reached};"]
                lines += [f"if (call->opened == {number}) {{", *indent(opens), "}"] if streams else opens
            lines += self._judges(number, None)
        lines += [f"call->begun = {len(self._chain)};", "return AN_FORWARD;"]
        return [f"static an_verdict {self._name}_request(an_call *call) {{", *indent(lines), "}"]

    def _on_trailers(self) -> list[str]:
        lines = [line for number in range(len(self._elements)) for line in self._trailers_left(number)]
        return [f"static void {self._name}_trailers(an_call *call) {{", *indent(lines), "}"]

    def _on_end(self) -> list[str]:
        lines: list[str] = []
        for number, element in enumerate(self._elements):
            if element.is_trivial(InHand.END):
                continue
            began = f"call->opened > {number}" if element.element.open is not None else self._let_pass(number)
            lines.append(f"if ({began}) {{")
            if element.tells_status:
                left = f"((const struct appnet_call_state *)call->state)->{element.context.name}.left"
                lines.append(f"  call->status = {left} != 0 ? {left} - 1 : call->end_status;")
            lines += [f"  {element.function(InHand.END)}(call);", "}"]
        return [f"static void {self._name}_end(an_call *call) {{", *indent(lines), "}"]

    def _on_response(self) -> list[str]:
        head = f"static an_verdict {self._name}_response(an_call *call) {{"
        if self.response.empty:
            return [head, "  (void)call;", "  return AN_FORWARD;", "}"]
        return [
            head,
            f"  if (!{self._name}_unwind(call, call->forwarded)) return AN_FORWARD;",
            "  call->forwarded = 0;",
            "  return AN_REFUSE;",
            "}",
        ]


def _absent(field: Field) -> str:
    """What the field reads as where it is absent, as an ``an_value`` that is static."""
    value = field.default
    if value is None:
        return "{0}"
    if isinstance(value, bytes):
        return f"{{.s = {{(const uint8_t *){literal(value)}, {len(value)}}}}}"
    type_ = field.type.item if isinstance(field.type, VecType) else field.type
    return f"{{.{MEMBERS[type_]} = {constant(Const(value, type_))}}}"


def _int32(number: int) -> str:
    return str(number) if number > -(2**31) else "INT32_MIN"


def _path(method: MethodSignature) -> str:
    return view(method.full_name.encode()).removeprefix("AN_TEXT(").removesuffix(")")


def _reply(method: MethodSignature, elements: Sequence[ElementPrinter]) -> MethodSide:
    """The fields of the response that replies set."""
    slots: dict[str, Slot] = {}
    for element in elements:
        for use in element.element.req.effects.reply_fields:
            slots.setdefault(use.path, Slot(len(slots), method.response.fields[use.path]))
    return MethodSide(
        slots, needs_message=False, needs_status=False, reads_late=False, holds=False, empty=not slots, streams=False
    )


def _add_others(slots: dict[str, Slot], schema: MessageSchema) -> None:
    """Adds what must be noticed on the wire: the many messages that fields stand in, and the other members of oneofs,
    which put an end to the one that was there."""
    waiting = [slot.field for slot in slots.values()]
    while waiting:
        used = waiting.pop(0)
        others = [schema.messages[used.within]] if used.within else []
        others += [member for name in used.oneofs if name for member in schema.oneofs[name]]
        for other in others:
            if other.path not in slots:
                slots[other.path] = Slot(len(slots), other)
                waiting.append(other)


def _side(
    method: MethodSignature,
    elements: Sequence[ElementPrinter],
    direction: InHand,
    *,
    early: int = 0,
    ahead: bool = False,
) -> MethodSide:
    """``early``: how many elements judge requests at their headers."""
    request = direction is InHand.REQUEST
    schema = method.request if request else method.response
    handlers = [element.handler(direction) for element in elements if not element.is_trivial(direction)]
    effects = [handler.effects for handler in handlers]
    slots: dict[str, Slot] = {}
    for use in (use for one in effects for use in one.fields):
        if use.path not in schema.fields and use.path not in schema.messages:
            raise InternalError("a handler uses fields of its message", use)
        slots.setdefault(use.path, Slot(len(slots), schema.field(use.path)))
    _add_others(slots, schema)
    waits = request and ahead and not method.client_streaming and bool(handlers)
    needs_message = bool(slots) or waits or any(one.reads_size for one in effects)
    told = not request and any(element.tells_end for element in elements)
    uses_end = any(one.reads_status or one.trailers_read or one.trailers_written for one in effects)
    needs_status = not request and (told or uses_end)
    # Metadata is read after the headers came where the handlers wait for the message: they must not have passed.
    reads_late = (needs_message or needs_status) and any(one.metadata_read for one in effects)
    if request:
        holds = any(holds_headers(it.element) for it in elements[early:])
    else:
        holds = any(holds_response(it) for it in handlers) or reads_late
    streams = method.client_streaming if request else method.server_streaming
    empty = not handlers and not told
    return MethodSide(
        slots, needs_message, needs_status, reads_late, holds, empty, streams, quiet=streams and not handlers
    )
