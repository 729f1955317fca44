//! The encoding of bundles and requests: bincode's default one, which Phoenix uses for its own control messages.
//!
//! Integers are little-endian and of fixed width, texts and lists begin with their length in 64 bits, variants of enums
//! with their number in 32.

use crate::error::Error;

fn short() -> Error {
    Error::new("it ends early")
}

/// Reads values one after another. No length is believed before as many bytes are there.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads these bytes from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next bytes, of which there must be so many.
    pub fn raw(&mut self, size: usize) -> Result<&'a [u8], Error> {
        if size > self.rest.len() {
            return Err(short());
        }
        let (taken, rest) = self.rest.split_at(size);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    /// A truth value; anything but 0 and 1 is refused.
    pub fn bool(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::new(format!("{other} is no truth value"))),
        }
    }

    /// A number of 32 bits.
    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A number of 64 bits.
    pub fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A SHA-256, which is as long as it is.
    pub fn hash(&mut self) -> Result<[u8; 32], Error> {
        self.array()
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let size = usize::try_from(self.u64()?).map_err(|_| short())?;
        self.raw(size)
    }

    /// A text in UTF-8.
    pub fn text(&mut self) -> Result<String, Error> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::new("a text is not UTF-8"))
    }

    /// Items behind their number, which is at most `most`.
    pub fn list<T>(
        &mut self,
        most: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = usize::try_from(self.u64()?).map_err(|_| short())?;
        if count > most {
            return Err(Error::new(format!("a list of {count}, where {most} are the most")));
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::new(format!("{} bytes behind its end", self.rest.len())))
    }
}

/// Writes what [`Reader`] reads.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// These bytes, without their length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    /// A number of 32 bits.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A number of 64 bits.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u64(bytes.len() as u64).raw(bytes)
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }
}
