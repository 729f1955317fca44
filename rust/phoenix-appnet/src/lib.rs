//! AppNet's chains as engines of Phoenix: an addon with an engine for each side of connections.
//!
//! `appnet-mrpc-host` judges; what is here knows Phoenix's queues and messages. What an engine runs, the `config_string` of
//! its attachment says, and later engine requests do (`Request` of the host crate):
//!
//! ```toml
//! bundle = "/srv/appnet/echo.mrpc"
//! sha256 = "…"   # of the file
//! ```
#![deny(missing_docs)]
#![feature(peer_credentials_unix_socket)]
#![feature(ptr_internals)]

mod config;
mod engine;
mod module;
mod probe;

pub use module::AppNetAddon;
pub use phoenix_common::{InitFnResult, PhoenixAddon};

/// What Phoenix calls when it loads the addon.
#[no_mangle]
pub fn init_addon(config: Option<&str>) -> InitFnResult<Box<dyn PhoenixAddon>> {
    Ok(Box::new(AppNetAddon::new(config)?))
}
