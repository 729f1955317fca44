use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::elf::{self, Object};
use crate::error::Error;

/// A file in memory: its code can be run but not written, its data written but not run, and what relocation alone changes
/// is read-only.
#[derive(Debug)]
pub(crate) struct Image {
    base: *mut u8,
    size: usize,
    entry: u64,
    /// From, to, whether it has code.
    segments: Vec<(u64, u64, bool)>,
}

// SAFETY: an image is memory that nobody writes after `open`, except for code in it that synchronises itself.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and whoever runs code in it keeps the image.
        unsafe { libc::munmap(self.base.cast(), self.size) };
    }
}

fn last_error(what: &str) -> Error {
    Error::from(io::Error::last_os_error()).at(what)
}

impl Image {
    /// Maps a file after checking all of it.
    pub fn open(file: &[u8]) -> Result<Image, Error> {
        let object = elf::read(file)?;
        let code = code_file(&object).map_err(|it| it.at("no memory for its code"))?;
        let size = object.size as usize;
        // SAFETY: a mapping anywhere, of nothing.
        let base = unsafe {
            let flags = libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE;
            libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(last_error("no memory for it"));
        }
        let segments = object.segments.iter().map(|it| (it.from, it.to, it.executable())).collect();
        let image = Image { base: base.cast(), size, entry: object.entry, segments };
        image.fill(&object, &code)?;
        Ok(image)
    }

    fn fill(&self, object: &Object<'_>, code: &OwnedFd) -> Result<(), Error> {
        let own = page_size();
        let pages = |from: u64, to: u64| (from & !(own - 1), (to + own - 1) & !(own - 1));
        for it in &object.segments {
            let (from, to) = pages(it.from, it.to);
            let protection = libc::PROT_READ
                | if it.executable() {
                    libc::PROT_EXEC
                } else if it.writable() {
                    libc::PROT_WRITE
                } else {
                    0
                };
            let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
            // SAFETY: pages of the mapping that is this image, which the file covers.
            let at = unsafe {
                let place = self.base.add(from as usize).cast();
                libc::mmap(place, (to - from) as usize, protection, flags, code.as_raw_fd(), from as libc::off_t)
            };
            if at == libc::MAP_FAILED {
                return Err(last_error("its segments cannot be mapped"));
            }
        }
        for (at, value) in &object.relative {
            let address = self.base as u64 + value;
            // SAFETY: the place was checked to lie, aligned, in a segment that is writable.
            unsafe { self.base.add(*at as usize).cast::<u64>().write(address) };
        }
        for it in object.segments.iter().filter(|it| it.sealed) {
            let (from, to) = pages(it.from, it.to);
            // SAFETY: pages of this image.
            let result = unsafe {
                let place = self.base.add(from as usize).cast::<c_void>();
                libc::mprotect(place, (to - from) as usize, libc::PROT_READ)
            };
            if result != 0 {
                return Err(last_error("its tables cannot be sealed"));
            }
        }
        Ok(())
    }

    fn segment_of(&self, place: u64, size: u64) -> Option<(u64, u64, bool)> {
        let has = |it: &&(u64, u64, bool)| place >= it.0 && place <= it.1 && size <= it.1 - place;
        self.segments.iter().find(has).copied()
    }

    /// The address of the file's entry point.
    pub fn entry(&self) -> u64 {
        (self.base as u64).wrapping_add(self.entry)
    }

    /// The bytes at an address, all of which have to be the image's own.
    pub fn bytes(&self, address: u64, size: u64) -> Result<&[u8], Error> {
        let place = address.wrapping_sub(self.base as u64);
        if self.segment_of(place, size).is_none() {
            return Err(Error::new("a table leads out of the file"));
        }
        // SAFETY: within a mapped segment, all of which are readable; tables are not written once relocated.
        Ok(unsafe { std::slice::from_raw_parts(self.base.add(place as usize), size as usize) })
    }

    /// The address of a function, which has to be code of the image.
    pub fn function(&self, address: u64) -> Result<u64, Error> {
        match self.segment_of(address.wrapping_sub(self.base as u64), 1) {
            Some((_, _, true)) => Ok(address),
            _ => Err(Error::new("a function is no code")),
        }
    }

    /// The C string at an address.
    pub fn text(&self, address: u64) -> Result<String, Error> {
        let place = address.wrapping_sub(self.base as u64);
        let outside = || Error::new("a table leads out of the file");
        let (_, to, _) = self.segment_of(place, 1).ok_or_else(outside)?;
        let rest = self.bytes(address, to - place)?;
        let end = rest.iter().position(|it| *it == 0).ok_or_else(outside)?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

fn page_size() -> u64 {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(elf::PAGE)
}

/// A file in memory that has all segments at their places, and that nobody can change any more. Code is mapped from it:
/// some systems forbid to run what could once be written.
fn code_file(object: &Object<'_>) -> Result<OwnedFd, Error> {
    // SAFETY: a name that ends with a zero; the descriptor is nobody else's.
    let fd = unsafe {
        let fd = libc::memfd_create(c"appnet".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        if fd < 0 {
            return Err(last_error("memfd_create"));
        }
        OwnedFd::from_raw_fd(fd)
    };
    let file = std::fs::File::from(fd);
    for it in &object.segments {
        std::os::unix::fs::FileExt::write_all_at(&file, it.file, it.from)?;
    }
    file.set_len(object.size)?;
    let fd = OwnedFd::from(file);
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: seals the file; older kernels do without.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    Ok(fd)
}
