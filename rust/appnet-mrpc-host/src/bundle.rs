use crate::error::Error;
use crate::layout::Layouts;
use crate::wire::{Reader, Writer};

const MAGIC: &[u8] = b"appnetm\x01";
const MOST_METHODS: usize = 1 << 12;

/// A method that a chain judges, by the numbers that mRPC has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: String,
    /// The CRC-32 of `package.Service`.
    pub service: u32,
    /// The CRC-32 of the path.
    pub function: u32,
    /// The index of its request's layout.
    pub request: usize,
    /// The index of its response's layout.
    pub response: usize,
}

/// What one end of an edge is to run, as the compiler writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The chain's; its state goes on from bundle to bundle by this name.
    pub name: String,
    /// The version that the code was compiled as.
    pub version: String,
    /// Whether it is for the side that calls come to.
    pub server: bool,
    /// In bytes: a message that takes more memory is refused.
    pub max_message: u32,
    /// An encoded `Resource` of OpenTelemetry, which records carry.
    pub resource: Vec<u8>,
    /// Where records go, as OTLP over HTTP, `HOST:PORT`; empty: to whoever asks the engine for them.
    pub records: String,
    /// Where fields lie.
    pub layouts: Layouts,
    /// What it judges.
    pub methods: Vec<Method>,
    /// A container of code for several machines.
    pub code: Vec<u8>,
}

impl Bundle {
    /// Reads a file and checks its tables. The code in it is not looked at.
    pub fn read(file: &[u8]) -> Result<Bundle, Error> {
        let mut reader = Reader::new(file);
        if reader.raw(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(Error::new("not a bundle for mRPC"));
        }
        let bundle = Bundle {
            name: reader.text()?,
            version: reader.text()?,
            server: reader.bool()?,
            max_message: reader.u32()?,
            resource: reader.bytes()?.to_vec(),
            records: reader.text()?,
            layouts: Layouts::read(&mut reader)?,
            methods: reader.list(MOST_METHODS, read_method)?,
            code: reader.bytes()?.to_vec(),
        };
        reader.end()?;
        for it in &bundle.methods {
            if it.request.max(it.response) >= bundle.layouts.messages.len() {
                return Err(Error::new(format!("method {} has no layouts", it.path)));
            }
        }
        Ok(bundle)
    }

    /// Writes what `read` reads.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(MAGIC).text(&self.name).text(&self.version).bool(self.server).u32(self.max_message);
        writer.bytes(&self.resource).text(&self.records);
        self.layouts.write(&mut writer);
        writer.u64(self.methods.len() as u64);
        for it in &self.methods {
            writer.text(&it.path).u32(it.service).u32(it.function).u32(it.request as u32).u32(it.response as u32);
        }
        writer.bytes(&self.code);
        writer.finish()
    }
}

fn read_method(reader: &mut Reader<'_>) -> Result<Method, Error> {
    Ok(Method {
        path: reader.text()?,
        service: reader.u32()?,
        function: reader.u32()?,
        request: reader.u32()? as usize,
        response: reader.u32()? as usize,
    })
}
