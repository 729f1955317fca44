use std::fmt;

/// Why something could not be done, in a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// For whoever probes types, or brings memory of another kind.
    pub fn new(text: impl Into<String>) -> Self {
        Error(text.into())
    }

    /// The same, with the place where it happened in front.
    pub(crate) fn at(self, place: &str) -> Self {
        Error(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error(error.to_string())
    }
}
