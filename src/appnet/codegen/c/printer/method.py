"""A method of a chain as C: the fields its elements use, and how requests and responses pass them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appnet.codegen.c.printer.context import InHand, Slot
from appnet.codegen.c.printer.element import ElementPrinter
from appnet.codegen.c.printer.text import comment, constant, indent, literal, view
from appnet.codegen.c.printer.types import MEMBERS
from appnet.diagnostics.diagnostic import InternalError
from appnet.ir.nodes import Const
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.types import MapType, VecType

_RESOURCE_EXHAUSTED = 8


@dataclass(frozen=True)
class MethodSide:
    """One direction of a method: an ``an_side``. ``reads_late``: handlers that wait read metadata."""

    slots: dict[str, Slot]
    needs_message: bool
    needs_status: bool
    reads_late: bool
    holds: bool
    empty: bool
    streams: bool

    @property
    def needs_body(self) -> bool:
        """Whether the proxy has to show the messages."""
        return self.needs_message or (self.streams and not self.empty)


class MethodPrinter:
    """Prints the parts of a method. ``broken``: whether an instance's init can have run out of memory."""

    def __init__(
        self, method: MethodSignature, number: int, elements: Sequence[ElementPrinter], *, broken: bool
    ) -> None:
        self.method = method
        self.request = _side(method, elements, InHand.REQUEST, refuses=broken)
        self.response = _side(method, elements, InHand.RESPONSE, refuses=False)
        self.reply = _reply(method, elements)
        self._name = f"method_{number}"
        self._elements = elements
        self._broken = broken

    def handlers(self) -> list[str]:
        """The functions of the elements' handlers."""
        lines: list[str] = []
        for element in self._elements:
            for direction, side in ((InHand.REQUEST, self.request), (InHand.RESPONSE, self.response)):
                function = element.handler_function(direction, side.slots, self.reply.slots)
                lines += [*function, ""] if function else []
        return lines

    def dispatch(self) -> list[str]:
        """``method_N_request`` and ``method_N_response``, and what they share."""
        lines = [comment(self.method.full_name)]
        if not self.response.empty:
            lines += [*self._unwind(), ""]
        return [*lines, *self._on_request(), "", *self._on_response(), ""]

    def fields(self) -> list[str]:
        """The tables of field numbers and fields."""
        lines: list[str] = []
        for name, side in (("request", self.request), ("response", self.response), ("reply", self.reply)):
            if not side.slots:
                continue
            entries = []
            oneofs = ["", *dict.fromkeys(it for slot in side.slots.values() for it in slot.field.oneofs if it)]
            for slot in side.slots.values():
                numbers = f"{self._name}_{name}_{slot.index}"
                values = ", ".join(str(number) for number in slot.field.numbers)
                lines.append(f"static const uint32_t {numbers}[] = {{{values}}}; {comment(slot.field.path)}")
                depth, kind = len(slot.field.numbers), f"AN_FIELD_{slot.field.kind.upper()}"
                entry = f".numbers = {numbers}, .depth = {depth}, .kind = {kind}{self._many(slot.field)}"
                if slot.field.oneofs:
                    values = ", ".join(str(oneofs.index(it)) for it in slot.field.oneofs)
                    lines.append(f"static const uint16_t {numbers}_oneofs[] = {{{values}}};")
                    entry += f", .oneofs = {numbers}_oneofs"
                entries.append(f"{{{entry}}},")
            lines += [f"static const an_field {self._name}_{name}_fields[] = {{", *indent(entries), "};"]
            if any(slot.field.default is not None for slot in side.slots.values()):
                absent = [f"{_absent(slot.field)}," for slot in side.slots.values()]
                lines += [f"static const an_value {self._name}_{name}_absent[] = {{", *indent(absent), "};"]
        return lines

    def _many(self, field: Field) -> str:
        """The rest of an ``an_field`` of many values."""
        if not isinstance(field.type, VecType | MapType):
            return ""
        many = f", .type = {self._elements[0].context.types.descriptor(field.type)}"
        if isinstance(field.type, MapType):
            return f"{many}, .many = AN_MANY_ENTRIES, .key_kind = AN_FIELD_{field.key_kind.upper()}"
        return f"{many}, .many = AN_MANY_ITEMS, .packed = {str(field.packed).lower()}"

    def entry(self) -> list[str]:
        """The ``an_method`` of the table of methods."""
        return [
            "{",
            f"  .path = {{(const uint8_t *){_path(self.method)}, {len(self.method.full_name.encode())}}},",
            f"  .request = {self._side_text('request', self.request)},",
            f"  .response = {self._side_text('response', self.response)},",
            f"  .reply = {self._side_text('reply', self.reply)},",
            f"  .on_request = {self._name}_request,",
            f"  .on_response = {self._name}_response,",
            "},",
        ]

    def _side_text(self, name: str, side: MethodSide) -> str:
        fields = f"{self._name}_{name}_fields" if side.slots else "NULL"
        if any(slot.field.default is not None for slot in side.slots.values()):
            fields += f", .absent = {self._name}_{name}_absent"
        flags = {
            "needs_message": side.needs_message, "needs_status": side.needs_status, "holds": side.holds,
            "empty": side.empty, "streams": side.streams,
        }  # fmt: skip
        texts = [f".{flag} = {str(value).lower()}" for flag, value in flags.items()]
        return f"{{.fields = {fields}, .field_count = {len(side.slots)}, {', '.join(texts)}}}"

    def _unwind(self) -> list[str]:
        """Runs resp, in reverse order, of the elements that forwarded; whether one of them refused."""
        lines = ["bool refused = false;"]
        for number, element in reversed(list(enumerate(self._elements))):
            if element.is_trivial(InHand.RESPONSE):
                continue
            lines += [
                f"if (passed > {number} && {element.function(InHand.RESPONSE)}(call) == AN_REFUSE) {{",
                "  an_call_fail(call, call->reply_code);",
                "  refused = true;",
                "}",
            ]
        head = f"static bool {self._name}_unwind(an_call *call, uint32_t passed) {{"
        return [head, *indent([*lines, "return refused;"]), "}"]

    def _on_request(self) -> list[str]:
        lines = ["call->forwarded = 0;"]
        if self._broken:
            lines += [
                "if (((const struct appnet_state *)call->instance->state)->broken) {",
                "  an_scope scope = {.call = call};",
                f'  return an_refuse(&scope, {_RESOURCE_EXHAUSTED}, AN_TEXT("out of memory in init"));',
                "}",
            ]
        for number, element in enumerate(self._elements):
            if element.is_trivial(InHand.REQUEST):
                continue
            asked = f"{element.function(InHand.REQUEST)}(call)"
            if element.element.req.effects.can_reply:
                asked = f"verdict_{number}"
                lines += [
                    f"const an_verdict {asked} = {element.function(InHand.REQUEST)}(call);",
                    f"if ({asked} == AN_ANSWER) {{",
                    f"  call->forwarded = {number};",
                    "  return AN_ANSWER;",
                    "}",
                ]
            refused = f"if ({asked} == AN_REFUSE) "
            if any(not before.is_trivial(InHand.RESPONSE) for before in self._elements[:number]):
                lines += [
                    refused + "{",
                    "  an_call_fail(call, call->reply_code);",
                    f"  {self._name}_unwind(call, {number});",
                    "  return AN_REFUSE;",
                    "}",
                ]
            else:
                lines.append(refused + "return AN_REFUSE;")
        lines += [f"call->forwarded = {len(self._elements)};", "return AN_FORWARD;"]
        return [f"static an_verdict {self._name}_request(an_call *call) {{", *indent(lines), "}"]

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
    return f"{{.{MEMBERS[field.type]} = {constant(Const(value, field.type))}}}"


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


def _add_rivals(slots: dict[str, Slot], schema: MessageSchema) -> None:
    """The other members of oneofs must be noticed on the wire: they put an end to the one that was there."""
    for name in dict.fromkeys(it for slot in slots.values() for it in slot.field.oneofs if it):
        for member in schema.oneofs[name]:
            level = len(member.numbers)
            if all(slot.field.numbers[:level] != member.numbers for slot in slots.values()):
                slots[member.path] = Slot(len(slots), member)


def _side(
    method: MethodSignature, elements: Sequence[ElementPrinter], direction: InHand, *, refuses: bool
) -> MethodSide:
    schema = method.request if direction is InHand.REQUEST else method.response
    handlers = [element.handler(direction) for element in elements if not element.is_trivial(direction)]
    effects = [handler.effects for handler in handlers]
    slots: dict[str, Slot] = {}
    for use in (use for one in effects for use in one.fields):
        if use.path not in schema.fields:
            raise InternalError("a handler uses fields of its message", use)
        slots.setdefault(use.path, Slot(len(slots), schema.fields[use.path]))
    _add_rivals(slots, schema)
    needs_message = bool(slots)
    needs_status = direction is InHand.RESPONSE and any(one.reads_status for one in effects)
    ends = any(one.can_refuse or one.can_drop or one.can_reply for one in effects)
    changes = ends or any(one.metadata_written or one.chooses_host or one.delays for one in effects)
    writes = any(use.written for one in effects for use in one.fields)
    # Metadata is read after the headers came where the handlers wait for the message: they must not have passed.
    reads_late = (needs_message or needs_status) and any(one.metadata_read for one in effects)
    holds = refuses or changes or writes or reads_late
    streams = method.client_streaming if direction is InHand.REQUEST else method.server_streaming
    return MethodSide(slots, needs_message, needs_status, reads_late, holds, not handlers and not refuses, streams)
