//! Messages in memory of somebody else's, and copies of them that are nobody else's.

use std::alloc;
use std::ptr;

use crate::error::Error;
use crate::layout::{is_text, width, Field, Label, Layouts, Presence};
use crate::tables::kind;

/// Memory that messages lie in.
pub trait Memory {
    /// Copies what lies at an address, and fails where nothing does.
    fn copy(&self, address: usize, to: &mut [u8]) -> Result<(), Error>;
}

/// The memory of this process. An address that cannot be read is told as an error: nobody dies of what applications make
/// of their messages.
#[derive(Debug, Clone, Copy)]
pub struct Guarded(());

impl Guarded {
    /// Fails where the kernel does not let a process read itself so.
    pub fn new() -> Result<Guarded, Error> {
        let (guarded, known) = (Guarded(()), 0x5eed_u64.to_ne_bytes());
        let mut found = [0; 8];
        guarded.copy(known.as_ptr() as usize, &mut found)?;
        if found == known {
            return Ok(guarded);
        }
        Err(Error::new("this process cannot read its own memory"))
    }
}

impl Memory for Guarded {
    fn copy(&self, address: usize, to: &mut [u8]) -> Result<(), Error> {
        let size = to.len();
        let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: size };
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size };
        // SAFETY: the kernel writes to `to` alone, and checks the other address.
        let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
        if usize::try_from(read) == Ok(size) {
            return Ok(());
        }
        Err(Error::new("a message leads to where nothing can be read"))
    }
}

/// All memory is aligned to this, which is as much as anything in a message needs.
const ALIGN: usize = 8;

#[derive(Debug)]
struct Block {
    start: *mut u8,
    layout: alloc::Layout,
}

impl Block {
    /// Zeros.
    fn new(size: usize) -> Result<Block, Error> {
        let memory = || Error::new("out of memory");
        let layout = alloc::Layout::from_size_align(size.max(1), ALIGN).map_err(|_| memory())?;
        // SAFETY: of a size that is not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        if start.is_null() {
            return Err(memory());
        }
        Ok(Block { start, layout })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it was allocated so.
        unsafe { alloc::dealloc(self.start, self.layout) };
    }
}

/// A place in a private message where a message of some layout begins, or nothing does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: *mut u8,
    pub(crate) layout: usize,
}

/// A copy of a message with all that it leads to. Both pointers of its texts and lists lead into itself.
#[derive(Debug)]
pub struct Private {
    blocks: Vec<Block>,
    root: Place,
    /// How much memory it may yet take.
    left: usize,
}

// SAFETY: it owns all that it leads to.
unsafe impl Send for Private {}

fn too_large() -> Error {
    Error::new("a message takes more memory than it may")
}

impl Private {
    /// Copies a message that lies at an address. The original may change meanwhile: nothing is read twice. `most`: bytes
    /// that the copy may take.
    pub fn copy(
        layouts: &Layouts,
        layout: usize,
        memory: &dyn Memory,
        address: usize,
        most: usize,
    ) -> Result<Private, Error> {
        let size = layouts.messages[layout].size as usize;
        let root = Block::new(size)?;
        let place = Place { start: root.start, layout };
        let left = most.checked_sub(size).ok_or_else(too_large)?;
        let mut copy = Private { blocks: vec![root], root: place, left };
        copy.take(memory, address, place.start, size)?;
        copy.adopt_message(layouts, memory, place)?;
        Ok(copy)
    }

    /// An empty message.
    pub fn empty(layouts: &Layouts, layout: usize, most: usize) -> Result<Private, Error> {
        let root = Block::new(layouts.messages[layout].size as usize)?;
        let place = Place { start: root.start, layout };
        let copy = Private { blocks: vec![root], root: place, left: most };
        copy.make_empty(layouts, place);
        Ok(copy)
    }

    /// Where it lies, as long as it lives.
    pub fn address(&self) -> usize {
        self.root.start as usize
    }

    pub(crate) fn root(&self) -> Place {
        self.root
    }

    /// More memory of its own, which is zero.
    fn more(&mut self, size: usize) -> Result<*mut u8, Error> {
        self.left = self.left.checked_sub(size).ok_or_else(too_large)?;
        let block = Block::new(size)?;
        let start = block.start;
        self.blocks.push(block);
        Ok(start)
    }

    fn take(&self, memory: &dyn Memory, address: usize, to: *mut u8, size: usize) -> Result<(), Error> {
        if size == 0 {
            return Ok(());
        }
        // SAFETY: a block of its own of at least this size, which nothing else refers to now.
        memory.copy(address, unsafe { std::slice::from_raw_parts_mut(to, size) })
    }

    fn adopt_message(&mut self, layouts: &Layouts, memory: &dyn Memory, at: Place) -> Result<(), Error> {
        for field in &layouts.messages[at.layout].fields {
            if field.label == Label::Optional && !is_present(at, &field.presence)? {
                continue;
            }
            let start = offset(at.start, field.offset);
            match field.message {
                Some(layout) if field.label != Label::Repeated => {
                    self.adopt_message(layouts, memory, Place { start, layout })?;
                }
                _ if field.label == Label::Repeated || is_text(field.kind) => {
                    self.adopt_list(layouts, memory, field, start)?;
                }
                _ => make_sound(field.kind, start),
            }
        }
        Ok(())
    }

    /// Makes a text or a list its own that still leads to the original.
    fn adopt_list(&mut self, layouts: &Layouts, memory: &dyn Memory, field: &Field, at: *mut u8) -> Result<(), Error> {
        if field.label != Label::Repeated {
            return self.adopt(layouts, memory, at, 1).map(|_| ());
        }
        let item = layouts.item_size(field);
        let (start, count) = self.adopt(layouts, memory, at, item)?;
        let items = (0..if item > 0 { count } else { 0 }).map(|it| offset(start, (it * item) as u32));
        if let Some(layout) = field.message {
            return items
                .into_iter()
                .try_for_each(|start| self.adopt_message(layouts, memory, Place { start, layout }));
        }
        if is_text(field.kind) {
            return items.into_iter().try_for_each(|start| self.adopt(layouts, memory, start, 1).map(|_| ()));
        }
        if field.kind == kind::BOOL {
            items.into_iter().for_each(|start| make_sound(field.kind, start));
        }
        Ok(())
    }

    fn adopt(
        &mut self,
        layouts: &Layouts,
        memory: &dyn Memory,
        at: *mut u8,
        item: usize,
    ) -> Result<(*mut u8, usize), Error> {
        let shape = &layouts.conventions.vec;
        let (address, count) = (read(at, shape.backend, 8) as usize, read(at, shape.length, 8) as usize);
        if count > self.left {
            return Err(too_large()); // of items without a size there is a bound, too
        }
        let size = count.checked_mul(item).ok_or_else(too_large)?;
        let start = if size == 0 { ptr::null_mut() } else { self.more(size)? };
        self.take(memory, address, start, size)?;
        set_list(layouts, at, start, count);
        Ok((start, count))
    }

    /// Makes an empty message of what is zero.
    pub(crate) fn make_empty(&self, layouts: &Layouts, at: Place) {
        for field in &layouts.messages[at.layout].fields {
            clear(layouts, at, field);
        }
    }

    /// Sets a text, or a list of numbers as they lie in memory.
    pub(crate) fn set_bytes(&mut self, layouts: &Layouts, at: *mut u8, bytes: &[u8], item: usize) -> Result<(), Error> {
        let start = if bytes.is_empty() { ptr::null_mut() } else { self.more(bytes.len())? };
        if !bytes.is_empty() {
            // SAFETY: a new block of this size.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        }
        set_list(layouts, at, start, bytes.len() / item);
        Ok(())
    }

    /// Sets a list of texts.
    pub(crate) fn set_texts(&mut self, layouts: &Layouts, at: *mut u8, texts: &[&[u8]]) -> Result<(), Error> {
        let size = layouts.conventions.vec.size as usize;
        let start = if texts.is_empty() { ptr::null_mut() } else { self.more(texts.len() * size)? };
        for (index, text) in texts.iter().enumerate() {
            self.set_bytes(layouts, offset(start, (index * size) as u32), text, 1)?;
        }
        set_list(layouts, at, start, texts.len());
        Ok(())
    }
}

/// Moves a pointer within a block.
pub(crate) fn offset(start: *mut u8, by: u32) -> *mut u8 {
    start.wrapping_add(by as usize)
}

/// Reads a word of a private message: of `size` bytes, which its layout says lie there.
pub(crate) fn read(at: *mut u8, by: u32, size: u32) -> u64 {
    let mut word = [0_u8; 8];
    debug_assert!(size <= 8);
    // SAFETY: layouts were checked to lie within messages, and private messages have blocks for all of them.
    unsafe { ptr::copy_nonoverlapping(offset(at, by), word.as_mut_ptr(), size as usize) };
    u64::from_le_bytes(word)
}

/// Writes a word of a private message, likewise.
pub(crate) fn write(at: *mut u8, by: u32, size: u32, word: u64) {
    debug_assert!(size <= 8);
    let word = word.to_le_bytes();
    // SAFETY: as for `read`; whoever writes owns the message.
    unsafe { ptr::copy_nonoverlapping(word.as_ptr(), offset(at, by), size as usize) };
}

/// The items of a text or list that is private: where they begin, and how many there are.
pub(crate) fn list(layouts: &Layouts, at: *mut u8) -> (*mut u8, usize) {
    let shape = &layouts.conventions.vec;
    (read(at, shape.backend, 8) as *mut u8, read(at, shape.length, 8) as usize)
}

/// The bytes of a text that is private.
///
/// # Safety
/// It stays as it is, and so does the message, as long as the bytes are used.
pub(crate) unsafe fn text<'a>(layouts: &Layouts, at: *mut u8) -> &'a [u8] {
    let (start, size) = list(layouts, at);
    // SAFETY: private texts lead into blocks of this size, and never to null.
    unsafe { std::slice::from_raw_parts(start, size) }
}

fn set_list(layouts: &Layouts, at: *mut u8, start: *mut u8, count: usize) {
    let shape = &layouts.conventions.vec;
    let address = if start.is_null() { ALIGN } else { start as usize } as u64;
    write(at, shape.app, 8, address);
    write(at, shape.backend, 8, address);
    write(at, shape.capacity, 8, count as u64);
    write(at, shape.length, 8, count as u64);
}

pub(crate) fn is_present(at: Place, word: &Presence) -> Result<bool, Error> {
    let found = read(at.start, word.offset, u32::from(word.size));
    if found != word.absent && word.tagged && found != word.present {
        return Err(Error::new("a message says of a field neither that it is there nor that it is not"));
    }
    Ok(found != word.absent)
}

/// Says of an optional field that it is there; what its value is has to be written before, or after.
pub(crate) fn make_present(at: Place, word: &Presence) {
    if word.tagged {
        write(at.start, word.offset, u32::from(word.size), word.present);
    }
}

/// Takes a field from a message.
pub(crate) fn clear(layouts: &Layouts, at: Place, field: &Field) {
    let start = offset(at.start, field.offset);
    match field.label {
        Label::Optional => {
            write(at.start, field.presence.offset, u32::from(field.presence.size), field.presence.absent)
        }
        Label::Repeated => set_list(layouts, start, ptr::null_mut(), 0),
        Label::Implicit | Label::Required => match (field.message, width(field.kind)) {
            (Some(layout), _) => {
                for inner in &layouts.messages[layout].fields {
                    clear(layouts, Place { start, layout }, inner);
                }
            }
            (None, Some(size)) => write(start, 0, size, 0),
            (None, None) => set_list(layouts, start, ptr::null_mut(), 0),
        },
    }
}

/// Whatever bytes an application left, a bool is 0 or 1.
fn make_sound(kind: u8, at: *mut u8) {
    if kind == kind::BOOL {
        write(at, 0, 1, u64::from(read(at, 0, 1) != 0));
    }
}
