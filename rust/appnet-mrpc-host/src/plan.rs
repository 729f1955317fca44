//! How the fields that a chain uses are read from messages and written into them.

use crate::chain::{text_of, Call};
use crate::error::Error;
use crate::frame::{Given, Value, ABSENT, ONE, SEVERAL};
use crate::layout::{is_text, width, Field, Label, Layouts};
use crate::message::{clear, is_present, list, make_present, offset, read, text, write, Place, Private};
use crate::tables::{self, kind, many};

/// One side of a method, bound to the layout of its messages.
#[derive(Debug)]
pub(crate) struct Plan {
    pub layout: usize,
    pub needs_message: bool,
    pub response: bool,
    fields: Vec<Bound>,
}

/// A field of such messages. Steps lead to the message that holds it, from the message itself or from the messages of the
/// field `within - 1`.
#[derive(Debug)]
struct Bound {
    steps: Vec<Field>,
    last: Field,
    kind: u8,
    many: u8,
    within: usize,
    names: Option<Vec<i32>>,
}

/// What a message has for a chain. Texts and lists stay as long as it and the message do.
#[derive(Debug)]
pub(crate) struct Reading {
    pub given: Vec<Given>,
    lists: Vec<Vec<Value>>,
}

const NOTHING: Given = Given { value: Value { word: 0, size: 0 }, kind: ABSENT };

impl Plan {
    pub fn bind(side: &tables::Side, layouts: &Layouts, layout: usize, response: bool) -> Result<Plan, Error> {
        let mut fields: Vec<Option<(Bound, Option<usize>)>> = side.fields.iter().map(|_| None).collect();
        for index in 0..side.fields.len() {
            bind_field(&mut fields, side, layouts, layout, index, 0)?;
        }
        let fields = fields.into_iter().flatten().map(|it| it.0).collect();
        Ok(Plan { layout, needs_message: side.needs_message, response, fields })
    }

    /// What a message has.
    pub fn read(&self, layouts: &Layouts, message: &Private) -> Result<Reading, Error> {
        let mut reading = Reading { given: Vec::with_capacity(self.fields.len()), lists: Vec::new() };
        for it in &self.fields {
            let given = if it.within > 0 {
                self.read_each(layouts, it, message, &mut reading)?
            } else {
                self.read_one(layouts, it, message, &mut reading)?
            };
            reading.given.push(given);
        }
        Ok(reading)
    }

    fn read_one(&self, layouts: &Layouts, it: &Bound, message: &Private, to: &mut Reading) -> Result<Given, Error> {
        let Some(holder) = follow(&it.steps, Some(message.root()))? else { return Ok(NOTHING) };
        let start = offset(holder.start, it.last.offset);
        if it.many == many::ITEMS {
            let values = items(layouts, it, start);
            // As Go has it: items that no enum has a name for still make a list.
            return Ok(if list(layouts, start).1 == 0 { NOTHING } else { to.several(values) });
        }
        if it.many != many::ONE {
            let count = list(layouts, start).1 as u64;
            return Ok(if count == 0 { NOTHING } else { one(Value::number(count)) });
        }
        if it.last.label == Label::Optional && !is_present(holder, &it.last.presence)? {
            return Ok(NOTHING);
        }
        if it.kind == kind::MESSAGE {
            return Ok(one(Value::number(1)));
        }
        let found = value(layouts, it.kind, start);
        let empty = if is_text(it.kind) { found.size == 0 } else { raw(it.kind, start) == 0 };
        if (it.last.label == Label::Implicit && empty) || !it.has_name(found) {
            return Ok(NOTHING);
        }
        Ok(one(found))
    }

    fn read_each(&self, layouts: &Layouts, it: &Bound, message: &Private, to: &mut Reading) -> Result<Given, Error> {
        if it.kind == kind::MESSAGE && it.many == many::ONE {
            return Ok(NOTHING);
        }
        let mut values = Vec::new();
        let mut count = 0;
        for holder in self.holders(layouts, it, message)? {
            let start = holder.map(|at| offset(at.start, it.last.offset));
            match (start, holder) {
                (Some(start), _) if it.kind == kind::MESSAGE => count += list(layouts, start).1 as u64,
                (None, _) if it.kind == kind::MESSAGE || it.many != many::ONE => {}
                (Some(start), _) if it.many != many::ONE => values.extend(items(layouts, it, start)),
                (Some(start), Some(at)) => values.push(value_or_default(layouts, it, at, start)?),
                _ => values.push(default_of(it)),
            }
        }
        Ok(if it.kind == kind::MESSAGE { one(Value::number(count)) } else { to.several(values) })
    }

    /// The places of the messages that have the field: the many that it stands within, and what leads on from each. None:
    /// nothing is there.
    fn holders(&self, layouts: &Layouts, it: &Bound, message: &Private) -> Result<Vec<Option<Place>>, Error> {
        let mut found = vec![Some(message.root())];
        if it.within > 0 {
            let around = &self.fields[it.within - 1];
            found = self
                .holders(layouts, around, message)?
                .into_iter()
                .flatten()
                .flat_map(|at| messages(layouts, &around.last, at))
                .map(Some)
                .collect();
        }
        found.into_iter().map(|at| follow(&it.steps, at)).collect()
    }

    /// Does to a message what handlers made of it: what is cleared goes first, then what is written stands there.
    pub fn apply(&self, layouts: &Layouts, call: &mut Call, message: &mut Private) -> Result<(), Error> {
        for (index, it) in self.fields.iter().enumerate() {
            if call.slot(self.response, index).cleared {
                for at in self.holders(layouts, it, message)?.into_iter().flatten() {
                    clear(layouts, at, &it.last);
                }
            }
        }
        for (index, it) in self.fields.iter().enumerate() {
            let slot = call.slot(self.response, index);
            if !slot.written {
                continue;
            }
            if it.within == 0 && it.many == many::ONE {
                let at = make(layouts, &it.steps, message.root(), message)?;
                set(layouts, it, at, slot.value, message)?;
                continue;
            }
            let values = call.values(self.response, index).ok_or_else(|| Error::new("out of memory"))?;
            if it.within > 0 {
                self.write_each(layouts, it, &values, message)?;
                continue;
            }
            let nowhere = follow(&it.steps, Some(message.root()))?.is_none();
            if !(values.is_empty() && nowhere) {
                let at = make(layouts, &it.steps, message.root(), message)?;
                set_items(layouts, it, at, &values, message)?;
            }
        }
        Ok(())
    }

    /// Sets the field in each of the many messages that it stands within: one value each, or as many as it has.
    fn write_each(&self, layouts: &Layouts, it: &Bound, values: &[Value], message: &mut Private) -> Result<(), Error> {
        let around = &self.fields[it.within - 1];
        let places: Vec<Place> = self
            .holders(layouts, around, message)?
            .into_iter()
            .flatten()
            .flat_map(|at| messages(layouts, &around.last, at))
            .collect();
        let mut rest = values;
        for at in places {
            let there = follow(&it.steps, Some(at))?;
            let count = match there {
                _ if it.many == many::ONE => 1,
                Some(at) => list(layouts, offset(at.start, it.last.offset)).1,
                None => 0,
            };
            if count > rest.len() {
                return Err(Error::new(format!(
                    "a chain wrote fewer values of field {} than there are",
                    it.last.number
                )));
            }
            let (mine, others) = rest.split_at(count);
            rest = others;
            if it.many == many::ONE {
                let at = make(layouts, &it.steps, at, message)?;
                set(layouts, it, at, mine[0], message)?;
            } else if let (Some(at), true) = (there, count > 0) {
                set_items(layouts, it, at, mine, message)?;
            }
        }
        Ok(())
    }
}

/// Finds a field, after the one that it stands within. Beside it: the layout of its messages, if it has any.
fn bind_field(
    found: &mut Vec<Option<(Bound, Option<usize>)>>,
    side: &tables::Side,
    layouts: &Layouts,
    layout: usize,
    index: usize,
    depth: usize,
) -> Result<Option<usize>, Error> {
    if let Some(it) = &found[index] {
        return Ok(it.1);
    }
    if depth > side.fields.len() {
        return Err(Error::new("fields stand within one another"));
    }
    let it = &side.fields[index];
    let mut at = layout;
    if it.within > 0 {
        let inner = bind_field(found, side, layouts, layout, it.within - 1, depth + 1)?;
        let repeated = found[it.within - 1].as_ref().is_some_and(|it| it.0.last.label == Label::Repeated);
        at = inner.filter(|_| repeated).ok_or_else(|| Error::new("nothing stands within a field of no messages"))?;
    }
    let mut steps = Vec::new();
    let (last, before) = it.numbers.split_last().ok_or_else(|| Error::new("a field without a number"))?;
    for number in before {
        let step = field_of(layouts, at, *number)?;
        at = match step.message {
            Some(inner) if step.label != Label::Repeated => inner,
            _ => return Err(Error::new(format!("field {number} of {} is no message", layouts.messages[at].name))),
        };
        steps.push(step.clone());
    }
    let last = field_of(layouts, at, *last)?.clone();
    check(it, &last).map_err(|error| error.at(&format!("field {} of {}", last.number, layouts.messages[at].name)))?;
    let inner = last.message;
    let (kind, many, within, names) = (it.kind, it.many, it.within, it.names.clone());
    found[index] = Some((Bound { steps, last, kind, many, within, names }, inner));
    Ok(inner)
}

fn field_of(layouts: &Layouts, layout: usize, number: u32) -> Result<&Field, Error> {
    let message = &layouts.messages[layout];
    let field = message.fields.iter().find(|it| it.number == number);
    field.ok_or_else(|| Error::new(format!("{} has no field {number}", message.name)))
}

/// Finds out whether the field is what the chain was compiled for.
fn check(it: &tables::Field, found: &Field) -> Result<(), Error> {
    let several = matches!(it.many, many::ITEMS | many::MESSAGES);
    if !several && it.many != many::ONE {
        return Err(Error::new("it is a map, which mRPC does not have"));
    }
    if several != (found.label == Label::Repeated) {
        return Err(Error::new("it is repeated, or is not, in another .proto"));
    }
    let same = if is_text(it.kind) { is_text(found.kind) } else { it.kind == found.kind };
    if !same || (it.many == many::MESSAGES) != (it.kind == kind::MESSAGE && several) {
        return Err(Error::new("it has another type in another .proto"));
    }
    Ok(())
}

impl Bound {
    fn has_name(&self, value: Value) -> bool {
        self.names.as_ref().map_or(true, |names| names.contains(&(value.word as i32)))
    }
}

impl Reading {
    /// Of a message that nobody looks at.
    pub fn nothing() -> Reading {
        Reading { given: Vec::new(), lists: Vec::new() }
    }

    fn several(&mut self, values: Vec<Value>) -> Given {
        let value = Value { word: values.as_ptr() as u64, size: values.len() as u64 };
        self.lists.push(values);
        Given { value, kind: SEVERAL }
    }
}

fn one(value: Value) -> Given {
    Given { value, kind: ONE }
}

/// The message that steps lead to. None: one of them is not there.
fn follow(steps: &[Field], from: Option<Place>) -> Result<Option<Place>, Error> {
    let mut at = from;
    for step in steps {
        let Some(here) = at else { return Ok(None) };
        let there = step.label != Label::Optional || is_present(here, &step.presence)?;
        at = match step.message {
            Some(layout) if there => Some(Place { start: offset(here.start, step.offset), layout }),
            _ => None,
        };
    }
    Ok(at)
}

/// The message that steps lead to; those that are not there are made, and empty.
fn make(layouts: &Layouts, steps: &[Field], from: Place, message: &Private) -> Result<Place, Error> {
    let mut at = from;
    for step in steps {
        let layout = step.message.expect("steps are messages");
        let inner = Place { start: offset(at.start, step.offset), layout };
        if step.label == Label::Optional && !is_present(at, &step.presence)? {
            message.make_empty(layouts, inner);
            make_present(at, &step.presence);
        }
        at = inner;
    }
    Ok(at)
}

/// The messages of a field of many.
fn messages(layouts: &Layouts, field: &Field, at: Place) -> Vec<Place> {
    let (start, count) = list(layouts, offset(at.start, field.offset));
    let size = layouts.item_size(field);
    let layout = field.message.expect("it has messages");
    (0..count).map(|it| Place { start: start.wrapping_add(it * size), layout }).collect()
}

fn raw(kind: u8, at: *mut u8) -> u64 {
    width(kind).map_or(0, |size| read(at, 0, size))
}

/// A number of a kind as chains have it: 64 bits.
fn widened(kind: u8, raw: u64) -> u64 {
    match kind {
        kind::INT32 | kind::SINT32 | kind::SFIXED32 | kind::ENUM => i64::from(raw as u32 as i32) as u64,
        kind::FLOAT => f64::from(f32::from_bits(raw as u32)).to_bits(),
        _ => raw,
    }
}

/// The same as it lies in memory.
fn narrowed(kind: u8, word: u64) -> u64 {
    match kind {
        kind::BOOL => u64::from(word & 0xff != 0),
        kind::FLOAT => u64::from((f64::from_bits(word) as f32).to_bits()),
        _ => word,
    }
}

fn value(layouts: &Layouts, kind: u8, at: *mut u8) -> Value {
    if is_text(kind) {
        // SAFETY: it is used while the message is judged, which is not changed before.
        return Value::text(unsafe { text(layouts, at) });
    }
    Value::number(widened(kind, raw(kind, at)))
}

fn default_of(it: &Bound) -> Value {
    let default = &it.last.default;
    if is_text(it.kind) {
        return Value::text(default);
    }
    Value::number(<[u8; 8]>::try_from(default.as_slice()).map_or(0, u64::from_le_bytes))
}

fn value_or_default(layouts: &Layouts, it: &Bound, holder: Place, at: *mut u8) -> Result<Value, Error> {
    if it.last.label == Label::Optional && !is_present(holder, &it.last.presence)? {
        return Ok(default_of(it));
    }
    let found = value(layouts, it.kind, at);
    Ok(if it.has_name(found) { found } else { default_of(it) })
}

/// The items of a list, without numbers that their enum has no name for.
fn items(layouts: &Layouts, it: &Bound, at: *mut u8) -> Vec<Value> {
    let (start, count) = list(layouts, at);
    let size = layouts.item_size(&it.last);
    let all = (0..count).map(|item| value(layouts, it.kind, start.wrapping_add(item * size)));
    all.filter(|value| it.has_name(*value)).collect()
}

fn checked<'a>(kind: u8, value: Value) -> Result<&'a [u8], Error> {
    // SAFETY: a text that the last event gave; it is copied before the next one.
    let bytes = unsafe { text_of(value) };
    if kind == kind::STRING && std::str::from_utf8(bytes).is_err() {
        return Err(Error::new("an element wrote a text that is not UTF-8 into a string"));
    }
    Ok(bytes)
}

fn set(layouts: &Layouts, it: &Bound, at: Place, value: Value, message: &mut Private) -> Result<(), Error> {
    let start = offset(at.start, it.last.offset);
    match width(it.kind) {
        Some(size) => write(start, 0, size, narrowed(it.kind, value.word)),
        None => message.set_bytes(layouts, start, checked(it.last.kind, value)?, 1)?,
    }
    if it.last.label == Label::Optional {
        make_present(at, &it.last.presence);
    }
    Ok(())
}

fn set_items(layouts: &Layouts, it: &Bound, at: Place, values: &[Value], message: &mut Private) -> Result<(), Error> {
    let start = offset(at.start, it.last.offset);
    let Some(size) = width(it.kind) else {
        let texts = values.iter().map(|value| checked(it.last.kind, *value)).collect::<Result<Vec<_>, _>>()?;
        return message.set_texts(layouts, start, &texts);
    };
    let size = size as usize;
    let mut bytes = Vec::with_capacity(values.len() * size);
    for value in values {
        bytes.extend_from_slice(&narrowed(it.kind, value.word).to_le_bytes()[..size]);
    }
    message.set_bytes(layouts, start, &bytes, size)
}
