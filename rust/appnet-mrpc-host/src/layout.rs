//! Where the fields of messages lie, as the compiler says; checked, so that whoever follows it stays inside of a message.

use crate::error::Error;
use crate::tables::kind;
use crate::wire::{Reader, Writer};

const MOST_MESSAGES: usize = 1 << 12;
const MOST_FIELDS: usize = 1 << 12;
const MOST_SIZE: u32 = 1 << 20;
const MOST_DEPTH: usize = 32;
const MOST_OPTIONS: usize = 64;
const LARGEST_ALIGN: u32 = 8;
const NO_MESSAGE: u32 = u32::MAX;

/// How a text, or a list, lies in memory: two pointers to what it has, one for applications and one for engines, how many
/// items there is room for, and how many there are; each a word, at these offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VecShape {
    /// Of the whole, in bytes.
    pub size: u32,
    /// Of the whole, in bytes.
    pub align: u32,
    /// Of the application's pointer.
    pub app: u32,
    /// Of the engine's pointer.
    pub backend: u32,
    /// Of the room.
    pub capacity: u32,
    /// Of the number of items.
    pub length: u32,
}

/// How one can tell whether an `Option` has a value: a word at an offset is the one that stands for none, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Of the word, from where the option or the message begins that has it.
    pub offset: u32,
    /// Of the word: 1, 2, 4 or 8 bytes; 0: there is no word, and always a value.
    pub size: u8,
    /// The word where there is no value.
    pub absent: u64,
    /// The word where there is one, if it says nothing else.
    pub present: u64,
    /// Whether the word says nothing else; otherwise it is part of the value, which never is `absent`.
    pub tagged: bool,
}

/// How `Option` of a kind lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionShape {
    /// An `an_field_kind` of `chain.h`.
    pub kind: u8,
    /// Of the whole, in bytes.
    pub size: u32,
    /// Of the whole, in bytes.
    pub align: u32,
    /// Where the value lies.
    pub value: u32,
    /// How to tell that there is one.
    pub presence: Presence,
}

/// What the compiler took for granted about types that have no fixed layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conventions {
    /// Texts and lists.
    pub vec: VecShape,
    /// One for each kind of scalars that differ.
    pub options: Vec<OptionShape>,
}

/// Whether a message can tell that it has a field, and how many values there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// One value; the zero of its type counts as absent.
    Implicit,
    /// One value or none.
    Optional,
    /// Any number.
    Repeated,
    /// One value, always.
    Required,
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As in the .proto.
    pub number: u32,
    /// An `an_field_kind` of `chain.h`.
    pub kind: u8,
    /// How many.
    pub label: Label,
    /// Whether protobuf would write its numbers as one record.
    pub packed: bool,
    /// Where its value lies, or its list.
    pub offset: u32,
    /// The index of the layout of its messages.
    pub message: Option<usize>,
    /// Of an optional one; from where the message begins.
    pub presence: Presence,
    /// What it reads as where it is absent: 8 bytes of a number, or a text; empty: zero.
    pub default: Vec<u8>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its full name in the .proto.
    pub name: String,
    /// In bytes.
    pub size: u32,
    /// In bytes.
    pub align: u32,
    /// In the order of the .proto.
    pub fields: Vec<Field>,
}

/// All messages that methods need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layouts {
    /// What they rely on.
    pub conventions: Conventions,
    /// Known by their places here.
    pub messages: Vec<Layout>,
}

/// How many bytes a value of a kind takes; None: it is a text or a message.
pub(crate) fn width(kind: u8) -> Option<u32> {
    match kind {
        kind::BOOL => Some(1),
        kind::INT32 | kind::UINT32 | kind::SINT32 | kind::ENUM | kind::FIXED32 | kind::SFIXED32 | kind::FLOAT => {
            Some(4)
        }
        kind::INT64 | kind::UINT64 | kind::SINT64 | kind::FIXED64 | kind::SFIXED64 | kind::DOUBLE => Some(8),
        _ => None,
    }
}

pub(crate) fn is_text(kind: u8) -> bool {
    kind == kind::STRING || kind == kind::BYTES
}

fn read_presence(reader: &mut Reader<'_>) -> Result<Presence, Error> {
    Ok(Presence {
        offset: reader.u32()?,
        size: reader.u8()?,
        absent: reader.u64()?,
        present: reader.u64()?,
        tagged: reader.bool()?,
    })
}

fn write_presence(writer: &mut Writer, it: &Presence) {
    writer.u32(it.offset).u8(it.size).u64(it.absent).u64(it.present).bool(it.tagged);
}

impl Conventions {
    fn read(reader: &mut Reader<'_>) -> Result<Conventions, Error> {
        let vec = VecShape {
            size: reader.u32()?,
            align: reader.u32()?,
            app: reader.u32()?,
            backend: reader.u32()?,
            capacity: reader.u32()?,
            length: reader.u32()?,
        };
        let options = reader.list(MOST_OPTIONS, |it| {
            Ok(OptionShape {
                kind: it.u8()?,
                size: it.u32()?,
                align: it.u32()?,
                value: it.u32()?,
                presence: read_presence(it)?,
            })
        })?;
        Ok(Conventions { vec, options })
    }

    fn write(&self, writer: &mut Writer) {
        let it = &self.vec;
        writer.u32(it.size).u32(it.align).u32(it.app).u32(it.backend).u32(it.capacity).u32(it.length);
        writer.u64(self.options.len() as u64);
        for it in &self.options {
            writer.u8(it.kind).u32(it.size).u32(it.align).u32(it.value);
            write_presence(writer, &it.presence);
        }
    }

    /// The shape of an option of a kind.
    pub fn option(&self, kind: u8) -> Option<&OptionShape> {
        self.options.iter().find(|it| it.kind == kind)
    }
}

fn read_field(reader: &mut Reader<'_>) -> Result<Field, Error> {
    let (number, kind) = (reader.u32()?, reader.u8()?);
    let label = match reader.u8()? {
        0 => Label::Implicit,
        1 => Label::Optional,
        2 => Label::Repeated,
        3 => Label::Required,
        other => return Err(Error::new(format!("field {number} has the label {other}"))),
    };
    let (packed, offset, message) = (reader.bool()?, reader.u32()?, reader.u32()?);
    Ok(Field {
        number,
        kind,
        label,
        packed,
        offset,
        message: (message != NO_MESSAGE).then_some(message as usize),
        presence: read_presence(reader)?,
        default: reader.bytes()?.to_vec(),
    })
}

impl Layouts {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Layouts, Error> {
        let conventions = Conventions::read(reader)?;
        let messages = reader.list(MOST_MESSAGES, |it| {
            Ok(Layout {
                name: it.text()?,
                size: it.u32()?,
                align: it.u32()?,
                fields: it.list(MOST_FIELDS, read_field)?,
            })
        })?;
        let layouts = Layouts { conventions, messages };
        layouts.check()?;
        Ok(layouts)
    }

    /// Writes what `read` reads.
    pub(crate) fn write(&self, writer: &mut Writer) {
        self.conventions.write(writer);
        writer.u64(self.messages.len() as u64);
        for it in &self.messages {
            writer.text(&it.name).u32(it.size).u32(it.align).u64(it.fields.len() as u64);
            for field in &it.fields {
                let message = field.message.map_or(NO_MESSAGE, |it| it as u32);
                writer.u32(field.number).u8(field.kind).u8(field.label as u8).bool(field.packed);
                writer.u32(field.offset).u32(message);
                write_presence(writer, &field.presence);
                writer.bytes(&field.default);
            }
        }
    }

    /// Finds out whether all that they say lies within messages, and nothing lies where something else does.
    pub fn check(&self) -> Result<(), Error> {
        let vec = &self.conventions.vec;
        let mut words = [vec.app, vec.backend, vec.capacity, vec.length];
        words.sort_unstable();
        let apart = words.windows(2).all(|it| it[1] - it[0] >= 8) && words.iter().all(|it| it % 8 == 0);
        if !apart || vec.size > 64 || vec.size < 8 || words[3] > vec.size - 8 || vec.align != 8 || vec.size % 8 != 0 {
            return Err(Error::new("texts lie in memory in no way that there is"));
        }
        for it in &self.messages {
            self.check_message(it).map_err(|error| error.at(&format!("message {}", it.name)))?;
        }
        self.check_depth()
    }

    /// Messages come before those that they hold: so none holds itself, and none is too deep to be followed.
    fn check_depth(&self) -> Result<(), Error> {
        let mut depths = vec![0_usize; self.messages.len()];
        for (index, it) in self.messages.iter().enumerate().rev() {
            for inner in it.fields.iter().filter_map(|field| field.message) {
                if inner <= index {
                    return Err(Error::new(format!("message {} stands behind one that it holds", it.name)));
                }
                depths[index] = depths[index].max(depths[inner] + 1);
            }
            if depths[index] > MOST_DEPTH {
                return Err(Error::new(format!("message {} is too deep", it.name)));
            }
        }
        Ok(())
    }

    fn check_message(&self, it: &Layout) -> Result<(), Error> {
        let align = it.align;
        let sound = align.is_power_of_two() && align <= LARGEST_ALIGN && it.size <= MOST_SIZE && it.size % align == 0;
        if !sound {
            return Err(Error::new("its size or alignment is none that there is"));
        }
        let mut taken = Vec::with_capacity(it.fields.len());
        for field in &it.fields {
            self.check_field(it, field, &mut taken).map_err(|error| error.at(&format!("field {}", field.number)))?;
        }
        taken.sort_unstable();
        if taken.windows(2).any(|it| it[0].1 > it[1].0) {
            return Err(Error::new("two fields lie in the same place"));
        }
        Ok(())
    }

    fn check_field(&self, around: &Layout, it: &Field, taken: &mut Vec<(u32, u32)>) -> Result<(), Error> {
        let (size, align) = self.storage(it)?;
        let end = it.offset.checked_add(size).filter(|end| *end <= around.size);
        let end = end.ok_or_else(|| Error::new("it lies outside of its message"))?;
        if it.offset % align != 0 || align > around.align {
            return Err(Error::new("it is not aligned"));
        }
        if size > 0 {
            taken.push((it.offset, end));
        }
        self.check_default(it)?;
        let optional = it.label == Label::Optional;
        let word = &it.presence;
        if optional != (word.size > 0) {
            return Err(Error::new(
                "it is optional, or has a word that says whether it is there: one without the other",
            ));
        }
        if !optional {
            return Ok(());
        }
        let (size, from) = (u32::from(word.size), word.offset);
        let inside = from.checked_add(size).is_some_and(|to| to <= around.size);
        if !size.is_power_of_two() || size > 8 || !inside || from % size != 0 {
            return Err(Error::new("its word lies outside of its message"));
        }
        let fits = size == 8 || (word.absent >> (8 * size) == 0 && word.present >> (8 * size) == 0);
        if !fits || (word.tagged && word.absent == word.present) {
            return Err(Error::new("its word cannot say whether it is there"));
        }
        if word.tagged {
            taken.push((from, from + size));
        } else if from < it.offset || from + size > end {
            return Err(Error::new("its word is no part of it"));
        }
        Ok(())
    }

    fn check_default(&self, it: &Field) -> Result<(), Error> {
        let may = it.default.is_empty() || is_text(it.kind) || (it.default.len() == 8 && it.kind != kind::MESSAGE);
        if may {
            return Ok(());
        }
        Err(Error::new("its default is none"))
    }

    /// How many bytes a field takes, and their alignment.
    fn storage(&self, it: &Field) -> Result<(u32, u32), Error> {
        let vec = &self.conventions.vec;
        if (it.kind == kind::MESSAGE) != it.message.is_some() {
            return Err(Error::new("it has a message, or is one: one without the other"));
        }
        let message = match it.message {
            Some(index) => Some(self.messages.get(index).ok_or_else(|| Error::new("its message is none"))?),
            None => None,
        };
        if it.label == Label::Repeated || is_text(it.kind) {
            return Ok((vec.size, vec.align));
        }
        if let Some(message) = message {
            if it.label == Label::Implicit {
                return Err(Error::new("a message is there or not, or always"));
            }
            return Ok((message.size, message.align.max(1)));
        }
        let size = width(it.kind).ok_or_else(|| Error::new(format!("there is no kind {}", it.kind)))?;
        Ok((size, size))
    }

    /// How many bytes an item of a list takes.
    pub(crate) fn item_size(&self, field: &Field) -> usize {
        let size = match field.message {
            Some(index) => self.messages[index].size,
            None => width(field.kind).unwrap_or(self.conventions.vec.size),
        };
        size as usize
    }
}
