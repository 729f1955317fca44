use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::error::Error;
use crate::wire::{Reader, Writer};

/// What an engine is asked for. `answer`: the file that gets the answer, in a folder of whoever asks; empty: nobody wants
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Runs another bundle in the place of what runs. State of the same names and types goes on, and calls under way end
    /// on what they began with.
    Load {
        /// The file.
        path: String,
        /// Of the whole file: another one is refused.
        sha256: [u8; 32],
        /// See above.
        answer: String,
    },
    /// What runs, and how many calls it had.
    Report {
        /// See above.
        answer: String,
    },
    /// All state as text.
    Dump {
        /// See above.
        answer: String,
    },
    /// The records since the last time.
    Records {
        /// See above.
        answer: String,
    },
}

impl Request {
    /// Reads a request.
    pub fn read(bytes: &[u8]) -> Result<Request, Error> {
        let mut reader = Reader::new(bytes);
        let request = match reader.u32()? {
            0 => Request::Load { path: reader.text()?, sha256: reader.hash()?, answer: reader.text()? },
            1 => Request::Report { answer: reader.text()? },
            2 => Request::Dump { answer: reader.text()? },
            3 => Request::Records { answer: reader.text()? },
            other => return Err(Error::new(format!("there is no request {other}"))),
        };
        reader.end()?;
        Ok(request)
    }

    /// Writes what `read` reads.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Request::Load { path, sha256, answer } => writer.u32(0).text(path).raw(sha256).text(answer),
            Request::Report { answer } => writer.u32(1).text(answer),
            Request::Dump { answer } => writer.u32(2).text(answer),
            Request::Records { answer } => writer.u32(3).text(answer),
        };
        writer.finish()
    }

    /// Where its answer goes.
    pub fn answer(&self) -> &str {
        match self {
            Request::Load { answer, .. }
            | Request::Report { answer }
            | Request::Dump { answer }
            | Request::Records { answer } => answer,
        }
    }
}

/// What an engine runs, and how many calls it had since it was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The chain's.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of the bundle's file.
    pub sha256: [u8; 32],
    /// Whether it is for the side that calls come to.
    pub server: bool,
    /// Calls that began.
    pub calls: u64,
    /// Requests and responses that elements refused.
    pub refused: u64,
    /// Calls that have not ended.
    pub under_way: u64,
    /// Messages that could not be judged, and were refused.
    pub failed: u64,
}

/// What an engine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Why it did not do so; nothing has changed.
    Failed(String),
    /// To [`Request::Report`] and [`Request::Load`].
    Report(Report),
    /// To [`Request::Dump`].
    State(String),
    /// To [`Request::Records`]: an encoded `ExportLogsServiceRequest`, which may be empty.
    Records(Vec<u8>),
}

impl Answer {
    /// Writes it as a file has it.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Answer::Failed(why) => writer.u32(0).text(why),
            Answer::Report(it) => {
                writer.u32(1).text(&it.name).text(&it.version).raw(&it.sha256).bool(it.server);
                writer.u64(it.calls).u64(it.refused).u64(it.under_way).u64(it.failed)
            }
            Answer::State(text) => writer.u32(2).text(text),
            Answer::Records(bytes) => writer.u32(3).bytes(bytes),
        };
        writer.finish()
    }

    /// Reads what `write` writes.
    pub fn read(bytes: &[u8]) -> Result<Answer, Error> {
        let mut reader = Reader::new(bytes);
        let answer = match reader.u32()? {
            0 => Answer::Failed(reader.text()?),
            1 => Answer::Report(Report {
                name: reader.text()?,
                version: reader.text()?,
                sha256: reader.hash()?,
                server: reader.bool()?,
                calls: reader.u64()?,
                refused: reader.u64()?,
                under_way: reader.u64()?,
                failed: reader.u64()?,
            }),
            2 => Answer::State(reader.text()?),
            3 => Answer::Records(reader.bytes()?.to_vec()),
            other => return Err(Error::new(format!("there is no answer {other}"))),
        };
        reader.end()?;
        Ok(answer)
    }

    /// Puts it into a file, which is there as a whole or not at all. The folder belongs to whoever asked; nothing that is
    /// there already is written to.
    pub fn leave(&self, path: &str) -> Result<(), Error> {
        let part = PathBuf::from(format!("{path}.part"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o644).open(&part)?;
        std::io::Write::write_all(&mut file, &self.write())?;
        fs::rename(&part, path)?;
        Ok(())
    }
}
