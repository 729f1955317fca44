use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::wire::Reader;

/// Containers have code for several machines, each part with its hash:
///
/// ```text
/// "appnet\0\1" | u32 count | count times: u8 length, machine, SHA-256, u32 size | the code of each
/// ```
const MAGIC: &[u8] = b"appnet\0\x01";
const MOST_MACHINES: u32 = 64;

/// The name that containers have for this machine.
pub(crate) const MACHINE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn wrong(_: Error) -> Error {
    Error::new("not the code of a chain")
}

/// The code for a machine, which is what its hash says.
pub(crate) fn code_for<'a>(container: &'a [u8], machine: &str) -> Result<&'a [u8], Error> {
    let mut reader = Reader::new(container);
    if reader.raw(MAGIC.len()).map_err(wrong)? != MAGIC {
        return Err(wrong(Error::new("")));
    }
    let mut parts = Vec::new();
    for _ in 0..reader.u32().map_err(wrong)?.min(MOST_MACHINES) {
        let length = reader.u8().map_err(wrong)?;
        let name = reader.raw(usize::from(length)).map_err(wrong)?;
        let hash = reader.hash().map_err(wrong)?;
        parts.push((String::from_utf8_lossy(name).into_owned(), hash, reader.u32().map_err(wrong)?));
    }
    let mut found = None;
    for (name, hash, size) in &parts {
        let code = reader.raw(*size as usize).map_err(wrong)?;
        if name != machine {
            continue;
        }
        if sha256(code) != *hash {
            return Err(Error::new(format!("its code for {machine} is not what its hash says")));
        }
        found = Some(code);
    }
    reader.end().map_err(wrong)?;
    found.ok_or_else(|| {
        let there: Vec<&str> = parts.iter().map(|it| it.0.as_str()).collect();
        Error::new(format!("it has no code for {machine}, only for {}", there.join(", ")))
    })
}
