use anyhow::{bail, Context, Result};
use serde::Deserialize;

/// What an engine is to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The path of a bundle.
    pub bundle: String,
    /// Of the file, in hexadecimal digits.
    sha256: String,
}

impl Config {
    /// Reads it; None: there is nothing in it, as when the addon is loaded.
    pub fn read(text: &str) -> Result<Option<Config>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let config: Config = toml::from_str(text)?;
        config.digest()?;
        Ok(Some(config))
    }

    pub fn digest(&self) -> Result<[u8; 32]> {
        let mut digest = [0; 32];
        if self.sha256.len() != 64 || !self.sha256.is_ascii() {
            bail!("sha256 has 64 hexadecimal digits, not {:?}", self.sha256);
        }
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&self.sha256[2 * index..2 * index + 2], 16)
                .with_context(|| format!("sha256 has 64 hexadecimal digits, not {:?}", self.sha256))?;
        }
        Ok(digest)
    }
}
