//! Runs AppNet's compiled chains over messages that lie in memory as Rust structs, as mRPC has them.
//!
//! A [`Bundle`] is what the compiler writes for one end of an edge: the chain's code, and tables that say where the
//! fields of each message lie. An [`Engine`] opens it, judges messages and says what is to become of them, and takes
//! requests to load another bundle while calls run:
//!
//! ```no_run
//! # use appnet_mrpc_host::{Engine, Guarded, Id, Message, Outgoing, Probes};
//! # fn send(_address: usize) {}
//! # fn refuse(_id: Id) {}
//! # fn example(probes: Probes, message: Message) -> Result<(), appnet_mrpc_host::Error> {
//! let memory = Guarded::new()?;
//! let bytes = std::fs::read("echo.mrpc")?;
//! let mut engine = Engine::open(&bytes, probes)?;
//! match engine.outgoing(&message, &memory) {
//!     Outgoing::Forward { address, .. } => send(address),
//!     Outgoing::Refuse => refuse(message.id),
//! }
//! # Ok(()) }
//! ```
//!
//! Nothing here knows the service whose engines these are: an adapter hands over addresses and identifiers.
//!
//! **Trust.** Code runs as part of the process. A file is checked before any of it does: its hash, the version of its
//! tables, that everything in it leads inside, and that no page is both written and run. Messages belong to applications,
//! which may change them at any time: what is judged, and what goes on of a message that is sent, is a private copy.
#![deny(missing_docs)]

mod bundle;
mod chain;
mod container;
mod control;
mod elf;
mod engine;
mod error;
mod events;
mod frame;
mod image;
mod layout;
mod message;
mod plan;
mod post;
mod probe;
mod size;
mod tables;
mod version;
pub mod wire;

pub use bundle::{Bundle, Method};
pub use chain::check_code;
pub use control::{Answer, Report, Request};
pub use engine::Engine;
pub use error::Error;
pub use events::{Clock, Id, Incoming, Message, Outgoing, SystemClock};
pub use layout::{Conventions, Field, Label, Layout, Layouts, OptionShape, Presence, VecShape};
pub use message::{Guarded, Memory, Private};
pub use post::Poster;
pub use probe::{check_option, check_vec, Probes};
