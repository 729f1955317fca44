//! The tables of a chain: what it says of its methods and their fields, checked before anything of it runs.

use std::mem::size_of;

use crate::elf::PAGE;
use crate::error::Error;
use crate::frame::Frame;
use crate::image::Image;

const FRAMES_ABI: u32 = 4;
const CHAIN_ABI: u32 = 3;
const FRAMES_SIZE: u64 = 20 * 8;
const CHAIN_SIZE: u64 = 216;
const SIDE_SIZE: u64 = 32;
const SIDES_AT: u64 = 16;
const METHOD_SIZE: u64 = SIDES_AT + 3 * SIDE_SIZE + 5 * 8;
const FIELD_SIZE: u64 = 48;
const SHARED_LAYOUT: u32 = 1;
const MOST_METHODS: u64 = 1 << 12;
const MOST_FIELDS: u64 = 1 << 12;
const MOST_DEPTH: u64 = 16;
const MOST_NAMES: u64 = 1 << 16;

/// What a chain asks of frames, `an_wants`, that mRPC does not have: metadata of any kind, who the caller is, deadlines.
const WANTS_WHAT_THERE_IS_NOT: u32 = 0b1_1111;
pub(crate) const WANTS_SIZE: u32 = 1 << 6;

/// Kinds of fields, `an_field_kind`.
pub(crate) mod kind {
    pub const BOOL: u8 = 0;
    pub const INT32: u8 = 1;
    pub const INT64: u8 = 2;
    pub const UINT32: u8 = 3;
    pub const UINT64: u8 = 4;
    pub const SINT32: u8 = 5;
    pub const SINT64: u8 = 6;
    pub const ENUM: u8 = 7;
    pub const FIXED32: u8 = 8;
    pub const FIXED64: u8 = 9;
    pub const SFIXED32: u8 = 10;
    pub const SFIXED64: u8 = 11;
    pub const FLOAT: u8 = 12;
    pub const DOUBLE: u8 = 13;
    pub const STRING: u8 = 14;
    pub const BYTES: u8 = 15;
    pub const MESSAGE: u8 = 16;
}

/// How many values a field has, `an_many`.
pub(crate) mod many {
    pub const ONE: u8 = 0;
    pub const ITEMS: u8 = 1;
    pub const MESSAGES: u8 = 3;
    pub const KEYED_MESSAGES: u8 = 4;
}

/// A field that a chain uses: its numbers from the message inwards, or from the messages of field `within - 1`.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub numbers: Vec<u32>,
    pub kind: u8,
    pub many: u8,
    pub within: usize,
    /// Of a closed enum, the numbers that have a name.
    pub names: Option<Vec<i32>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub fields: Vec<Field>,
    pub needs_message: bool,
    pub streams: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Method {
    pub path: String,
    pub request: Side,
    pub response: Side,
}

/// Functions of a chain by their places in its tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Functions {
    pub attach: u64,
    pub instance_new: u64,
    pub instance_free: u64,
    pub begin: u64,
    pub response: u64,
    pub end_response: u64,
    pub end: u64,
    pub values: u64,
    pub telemetry: u64,
    pub metrics: u64,
    pub pending: u64,
    pub dump: u64,
    pub release: u64,
}

#[derive(Debug)]
pub(crate) struct Tables {
    pub name: String,
    pub version: String,
    pub wants: u32,
    pub methods: Vec<Method>,
    pub functions: Functions,
}

fn u32_at(table: &[u8], at: u64) -> u32 {
    let at = at as usize;
    u32::from_le_bytes(table[at..at + 4].try_into().expect("four bytes"))
}

fn word(table: &[u8], at: u64) -> u64 {
    let at = at as usize;
    u64::from_le_bytes(table[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn read(image: &Image) -> Result<Tables, Error> {
    let frames = image.bytes(image.entry(), FRAMES_SIZE).map_err(|it| it.at("it has no table"))?;
    let sizes = (u64::from(u32_at(frames, 4)), u32_at(frames, 8) as usize);
    if u32_at(frames, 0) != FRAMES_ABI || sizes != (FRAMES_SIZE, size_of::<Frame>()) {
        let found = u32_at(frames, 0);
        let text =
            format!("it is for ABI {found} of frames, this is {FRAMES_ABI}: take host and compiler of one release");
        return Err(Error::new(text));
    }
    if u32_at(frames, 12) != SHARED_LAYOUT || u64::from(u32_at(frames, 16)) > PAGE {
        let found = u32_at(frames, 12);
        return Err(Error::new(format!("it lays memory out in way {found}, this process in way {SHARED_LAYOUT}")));
    }
    let chain = image.bytes(word(frames, 24), CHAIN_SIZE)?;
    if u32_at(chain, 0) != CHAIN_ABI || u64::from(u32_at(chain, 4)) != CHAIN_SIZE {
        return Err(Error::new(format!("it is for ABI {} of chains, this is {CHAIN_ABI}", u32_at(chain, 0))));
    }
    let wants = u32_at(frames, 20);
    if wants & WANTS_WHAT_THERE_IS_NOT != 0 {
        return Err(Error::new("it asks for metadata, peers or deadlines, which calls of mRPC do not have"));
    }
    let methods = list(image, word(chain, 24), word(chain, 32), MOST_METHODS, METHOD_SIZE)?;
    Ok(Tables {
        name: image.text(word(chain, 8))?,
        version: image.text(word(chain, 16))?,
        wants,
        methods: methods.chunks_exact(METHOD_SIZE as usize).map(|it| method(image, it)).collect::<Result<_, _>>()?,
        functions: functions(image, frames, chain)?,
    })
}

fn functions(image: &Image, frames: &[u8], chain: &[u8]) -> Result<Functions, Error> {
    let of_frames = |number: u64| image.function(word(frames, 32 + 8 * number));
    Ok(Functions {
        attach: of_frames(0)?,
        instance_new: of_frames(1)?,
        instance_free: of_frames(2)?,
        begin: of_frames(4)?,
        response: of_frames(6)?,
        end_response: of_frames(7)?,
        end: of_frames(8)?,
        values: of_frames(9)?,
        telemetry: of_frames(10)?,
        metrics: of_frames(12)?,
        pending: image.function(word(chain, 192))?,
        dump: image.function(word(chain, 200))?,
        release: image.function(word(chain, 208))?,
    })
}

fn list(image: &Image, address: u64, count: u64, most: u64, size: u64) -> Result<&[u8], Error> {
    if count > most {
        return Err(Error::new("a table is too long"));
    }
    if count == 0 {
        return Ok(&[]);
    }
    image.bytes(address, count * size)
}

fn method(image: &Image, table: &[u8]) -> Result<Method, Error> {
    let path = list(image, word(table, 0), word(table, 8), 1 << 12, 1)?;
    let side = |number: u64| side(image, &table[(SIDES_AT + number * SIDE_SIZE) as usize..]);
    Ok(Method { path: String::from_utf8_lossy(path).into_owned(), request: side(0)?, response: side(1)? })
}

fn side(image: &Image, table: &[u8]) -> Result<Side, Error> {
    let count = word(table, 16);
    let fields = list(image, word(table, 0), count, MOST_FIELDS, FIELD_SIZE)?;
    let fields = fields.chunks_exact(FIELD_SIZE as usize).enumerate();
    Ok(Side {
        fields: fields.map(|(index, it)| field(image, it, index, count as usize)).collect::<Result<_, _>>()?,
        needs_message: table[24] != 0,
        streams: table[28] != 0,
    })
}

fn field(image: &Image, table: &[u8], index: usize, count: usize) -> Result<Field, Error> {
    let depth = u64::from(table[8]);
    let numbers = list(image, word(table, 0), depth, MOST_DEPTH, 4)?;
    let within = usize::from(u16::from_le_bytes([table[16], table[17]]));
    let (kind, many) = (table[9], table[10]);
    let there_is = kind <= kind::MESSAGE && many <= many::KEYED_MESSAGES && table[11] <= kind::MESSAGE;
    if depth == 0 || !there_is || within > count || within == index + 1 {
        return Err(Error::new("a field is none that there is"));
    }
    let numbers = numbers.chunks_exact(4).map(|it| u32_at(it, 0)).collect();
    Ok(Field { numbers, kind, many, within, names: names(image, word(table, 40))? })
}

fn names(image: &Image, address: u64) -> Result<Option<Vec<i32>>, Error> {
    if address == 0 {
        return Ok(None);
    }
    let table = image.bytes(address, 16)?;
    let numbers = list(image, word(table, 0), word(table, 8), MOST_NAMES, 4)?;
    Ok(Some(numbers.chunks_exact(4).map(|it| u32_at(it, 0) as i32).collect()))
}
