use crate::error::Error;

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const TYPE_SHARED: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_TLS: u32 = 7;
const PT_RELRO: u32 = 0x6474_e552;
const CAN_EXECUTE: u32 = 1;
const CAN_WRITE: u32 = 2;
const RELA_SIZE: u64 = 24;

/// Entries of the dynamic section that say something of relocations, and those that ask for a dynamic linker.
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_RELA: u64 = 7;
const DT_RELA_SIZE: u64 = 8;
const DT_RELA_ENTRY: u64 = 9;
const DT_ASKS_A_LINKER: [u64; 9] = [2, 12, 13, 17, 23, 25, 26, 32, 36];

/// The largest page that Linux has: segments that share no page of this size share none anywhere.
pub(crate) const PAGE: u64 = 1 << 16;

/// Bounds what a file may ask for: chains have tens of kilobytes.
const MOST_MEMORY: u64 = 64 << 20;

/// How the code of this machine is marked, and the one relocation that it may have.
pub(crate) const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
pub(crate) const RELATIVE: u64 = if cfg!(target_arch = "aarch64") { 1027 } else { 8 };

/// What goes into memory from `from` to `to`: bytes of the file, then zeros.
#[derive(Debug, Clone)]
pub(crate) struct Segment<'a> {
    pub from: u64,
    pub to: u64,
    pub file: &'a [u8],
    flags: u32,
    /// Read-only once it has been relocated.
    pub sealed: bool,
}

impl Segment<'_> {
    pub fn writable(&self) -> bool {
        self.flags & CAN_WRITE != 0
    }

    pub fn executable(&self) -> bool {
        self.flags & CAN_EXECUTE != 0
    }

    fn has(&self, at: u64, size: u64) -> bool {
        at >= self.from && at <= self.to && size <= self.to - at
    }
}

/// A file that has been read and checked: what goes where in memory.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    pub size: u64,
    pub entry: u64,
    pub segments: Vec<Segment<'a>>,
    /// Where an address stands that moves with the image, and which.
    pub relative: Vec<(u64, u64)>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn round_up(n: u64) -> u64 {
    (n + PAGE - 1) & !(PAGE - 1)
}

struct Headers<'a> {
    segments: Vec<Segment<'a>>,
    dynamic: &'a [u8],
    sealed: (u64, u64),
}

/// Checks a file for this machine: that all it names lies within it, that no page is both written and run, and that it
/// asks for nothing but to be moved.
pub(crate) fn read(file: &[u8]) -> Result<Object<'_>, Error> {
    let early = || Error::new("the file ends early");
    if file.len() < ELF_HEADER {
        return Err(early());
    }
    if &file[..7] != b"\x7fELF\x02\x01\x01" {
        return Err(Error::new("not an object file of 64 bits"));
    }
    if u16_at(file, 16) != TYPE_SHARED {
        return Err(Error::new("not a shared object"));
    }
    if u16_at(file, 18) != MACHINE {
        return Err(Error::new(format!("for another machine ({})", u16_at(file, 18))));
    }
    let at = usize::try_from(u64_at(file, 32)).map_err(|_| early())?;
    let count = usize::from(u16_at(file, 56));
    let room = file.len().checked_sub(at).ok_or_else(early)?;
    if usize::from(u16_at(file, 54)) != PROGRAM_HEADER || count * PROGRAM_HEADER > room {
        return Err(early());
    }
    let headers = read_headers(file, &file[at..at + count * PROGRAM_HEADER])?;
    let mut object = Object { size: 0, entry: u64_at(file, 24), segments: headers.segments, relative: Vec::new() };
    for it in &mut object.segments {
        it.sealed = it.writable() && it.from >= headers.sealed.0 && it.to <= headers.sealed.1;
    }
    object.size = arrange(&object.segments)?;
    object.relative = object.read_dynamic(headers.dynamic)?;
    Ok(object)
}

fn read_headers<'a>(file: &'a [u8], table: &[u8]) -> Result<Headers<'a>, Error> {
    let mut found = Headers { segments: Vec::new(), dynamic: &[], sealed: (0, 0) };
    for header in table.chunks_exact(PROGRAM_HEADER) {
        let kind = u32_at(header, 0);
        let (offset, from) = (u64_at(header, 8), u64_at(header, 16));
        let (in_file, in_memory) = (u64_at(header, 32), u64_at(header, 40));
        if kind == PT_INTERP || kind == PT_TLS {
            return Err(Error::new("needs a dynamic linker"));
        }
        if !matches!(kind, PT_LOAD | PT_DYNAMIC | PT_RELRO) {
            continue;
        }
        if from > MOST_MEMORY || in_memory > MOST_MEMORY || in_file > in_memory {
            return Err(Error::new("a segment is too large"));
        }
        if kind == PT_RELRO {
            found.sealed = (from, from + in_memory);
            continue;
        }
        if offset > file.len() as u64 || in_file > file.len() as u64 - offset {
            return Err(Error::new("the file ends early"));
        }
        let part = &file[offset as usize..(offset + in_file) as usize];
        if kind == PT_DYNAMIC {
            found.dynamic = part;
        } else {
            let (to, flags) = (from + in_memory, u32_at(header, 4));
            found.segments.push(Segment { from, to, file: part, flags, sealed: false });
        }
    }
    Ok(found)
}

/// Checks that segments stand apart, page by page; how much memory they take.
fn arrange(segments: &[Segment<'_>]) -> Result<u64, Error> {
    let mut end = 0;
    for it in segments {
        if it.writable() && it.executable() {
            return Err(Error::new("a segment is both written and run"));
        }
        if it.from < end {
            return Err(Error::new("segments overlap"));
        }
        end = round_up(it.to);
    }
    if end == 0 || end > MOST_MEMORY || !segments.iter().any(Segment::executable) {
        return Err(Error::new("no code in it"));
    }
    Ok(end)
}

impl<'a> Object<'a> {
    /// The segment that has all of these bytes.
    pub fn segment_of(&self, at: u64, size: u64) -> Option<&Segment<'a>> {
        self.segments.iter().find(|it| it.has(at, size))
    }

    fn read_dynamic(&self, entries: &[u8]) -> Result<Vec<(u64, u64)>, Error> {
        let (mut table, mut size, mut each) = (0, 0, RELA_SIZE);
        for entry in entries.chunks_exact(16) {
            let value = u64_at(entry, 8);
            match u64_at(entry, 0) {
                DT_NULL => return self.read_relocations(table, size, each),
                DT_RELA => table = value,
                DT_RELA_SIZE => size = value,
                DT_RELA_ENTRY => each = value,
                DT_NEEDED => return Err(Error::new("needs other libraries")),
                tag if DT_ASKS_A_LINKER.contains(&tag) => {
                    return Err(Error::new(format!("asks a dynamic linker for what a chain needs not ({tag})")));
                }
                _ => {}
            }
        }
        Err(Error::new("its list of what to move has no end"))
    }

    fn read_relocations(&self, table: u64, size: u64, each: u64) -> Result<Vec<(u64, u64)>, Error> {
        if each != RELA_SIZE || size % RELA_SIZE != 0 {
            return Err(Error::new("relocations of another size"));
        }
        if size == 0 {
            return Err(Error::new("nothing in it leads anywhere"));
        }
        let outside = || Error::new("relocations lie outside");
        let segment = self.segment_of(table, size).ok_or_else(outside)?;
        let start = (table - segment.from) as usize;
        let data = segment.file.get(start..start + size as usize).ok_or_else(outside)?;
        data.chunks_exact(RELA_SIZE as usize).map(|it| self.relocation(it)).collect()
    }

    fn relocation(&self, entry: &[u8]) -> Result<(u64, u64), Error> {
        let (at, info, value) = (u64_at(entry, 0), u64_at(entry, 8), u64_at(entry, 16));
        if info != RELATIVE {
            return Err(Error::new(format!("a relocation of another kind ({info:#x})")));
        }
        if at % 8 != 0 || !self.segment_of(at, 8).is_some_and(Segment::writable) {
            return Err(Error::new(format!("a relocation changes what is not data ({at:#x})")));
        }
        if self.segment_of(value, 0).is_none() {
            return Err(Error::new(format!("a relocation leads out of the file ({value:#x})")));
        }
        Ok((at, value))
    }
}
