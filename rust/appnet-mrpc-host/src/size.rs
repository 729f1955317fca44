//! How many bytes protobuf would write for a message.

use crate::error::Error;
use crate::layout::{is_text, width, Field, Label, Layouts};
use crate::message::{is_present, list, offset, read, Place};
use crate::tables::kind;

fn varint(value: u64) -> u64 {
    u64::from((70 - (value | 1).leading_zeros()) / 7)
}

fn tag(number: u32) -> u64 {
    varint(u64::from(number) << 3)
}

fn delimited(size: u64) -> u64 {
    varint(size) + size
}

fn scalar(kind: u8, raw: u64) -> u64 {
    let signed = i64::from(raw as u32 as i32);
    match kind {
        kind::BOOL => 1,
        kind::INT32 | kind::ENUM => varint(signed as u64),
        kind::INT64 | kind::UINT32 | kind::UINT64 => varint(raw),
        kind::SINT32 => varint(((signed << 1) ^ (signed >> 63)) as u64 & 0xffff_ffff),
        kind::SINT64 => varint(((raw as i64) << 1 ^ (raw as i64) >> 63) as u64),
        _ => u64::from(width(kind).unwrap_or(0)),
    }
}

/// Of a message that is private.
pub(crate) fn encoded(layouts: &Layouts, at: Place) -> Result<u64, Error> {
    let fields = layouts.messages[at.layout].fields.iter();
    fields.map(|it| field(layouts, at, it)).sum()
}

fn field(layouts: &Layouts, at: Place, it: &Field) -> Result<u64, Error> {
    let start = offset(at.start, it.offset);
    if it.label == Label::Repeated {
        return repeated(layouts, it, start);
    }
    if it.label == Label::Optional && !is_present(at, &it.presence)? {
        return Ok(0);
    }
    let implicit = it.label == Label::Implicit;
    if let Some(layout) = it.message {
        return Ok(tag(it.number) + delimited(encoded(layouts, Place { start, layout })?));
    }
    if is_text(it.kind) {
        let size = list(layouts, start).1 as u64;
        return Ok(if implicit && size == 0 { 0 } else { tag(it.number) + delimited(size) });
    }
    let raw = read(start, 0, width(it.kind).unwrap_or(0));
    Ok(if implicit && raw == 0 { 0 } else { tag(it.number) + scalar(it.kind, raw) })
}

fn repeated(layouts: &Layouts, it: &Field, at: *mut u8) -> Result<u64, Error> {
    let (start, count) = list(layouts, at);
    let size = layouts.item_size(it);
    let places = (0..count).map(|item| start.wrapping_add(item * size));
    if let Some(layout) = it.message {
        let one = |start| Ok(tag(it.number) + delimited(encoded(layouts, Place { start, layout })?));
        return places.map(one).sum();
    }
    if is_text(it.kind) {
        return Ok(places.map(|start| tag(it.number) + delimited(list(layouts, start).1 as u64)).sum());
    }
    let values: u64 = places.map(|start| scalar(it.kind, read(start, 0, size as u32))).sum();
    Ok(match (it.packed, count) {
        (_, 0) => 0,
        (true, _) => tag(it.number) + delimited(values),
        (false, _) => count as u64 * tag(it.number) + values,
    })
}
