//! A bundle that was opened: its code, which runs, and plans of what it reads of messages.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bundle::Bundle;
use crate::chain::{Beginning, Chain, Instance};
use crate::container::{code_for, sha256, MACHINE};
use crate::error::Error;
use crate::events::Clock;
use crate::layout::Layouts;
use crate::message::{Memory, Private};
use crate::plan::{Plan, Reading};
use crate::probe::{self, Probes};
use crate::size;
use crate::tables::{Method, WANTS_SIZE};

const MOST_RECORDS: usize = 4 << 20;
const LARGEST_BUNDLE: u64 = 64 << 20;

/// Where records of bundles are that ended, until somebody takes them: encoded messages one after another are one.
pub(crate) type Left = Arc<Mutex<Vec<u8>>>;

/// What time it was when a call last ended, on both clocks.
pub(crate) type Ended = Arc<Mutex<(u64, u64)>>;

fn leave(left: &Left, records: &[u8]) {
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    if left.len() + records.len() <= MOST_RECORDS {
        left.extend_from_slice(records);
    }
}

/// A bundle that runs. It ends when the engine has another one and no call is under way on it.
pub(crate) struct Version {
    pub(crate) bundle: Bundle,
    pub(crate) sha256: [u8; 32],
    pub(crate) instance: Arc<Instance>,
    pub(crate) methods: HashMap<u32, Bound>,
    left: Left,
    ended: Ended,
}

pub(crate) struct Bound {
    pub(crate) index: usize,
    pub(crate) request: Plan,
    pub(crate) response: Plan,
}

impl Drop for Version {
    fn drop(&mut self) {
        let (now, wall) = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        leave(&self.left, &self.instance.records(now, wall));
    }
}

impl Version {
    /// Opens a bundle; nothing of it runs yet but what makes its state.
    pub(crate) fn open(
        file: &[u8],
        probes: Probes,
        (clock, seed): (&dyn Clock, u64),
        left: &Left,
        ended: &Ended,
    ) -> Result<Arc<Version>, Error> {
        let bundle = Bundle::read(file)?;
        probe::check_scalars(&bundle.layouts.conventions)?;
        probe::check_options_in_options(&bundle.layouts)?;
        probes(&bundle.layouts.conventions)?;
        let chain = Chain::open(code_for(&bundle.code, MACHINE)?)?;
        if chain.version() != bundle.version {
            let (name, version) = (chain.name(), chain.version());
            return Err(Error::new(format!("its code is {name}, version {version}, not {}", bundle.version)));
        }
        let mut methods = HashMap::new();
        for it in &bundle.methods {
            let index = chain.methods().iter().position(|method| method.path == it.path);
            let index = index.ok_or_else(|| Error::new(format!("its code does not judge {}", it.path)))?;
            let bound = bind(&chain.methods()[index], index, &bundle.layouts, (it.request, it.response));
            if methods.insert(it.function, bound.map_err(|error| error.at(&it.path))?).is_some() {
                return Err(Error::new(format!("{} has the number of another method", it.path)));
            }
        }
        if let Some(it) = chain.methods().iter().find(|method| !bundle.methods.iter().any(|it| it.path == method.path))
        {
            return Err(Error::new(format!("its code judges {}, of which it has no layouts", it.path)));
        }
        let (now, wall) = clock.now();
        let (resource, scope, max_message) = (&bundle.resource[..], bundle.name.as_str(), bundle.max_message);
        let instance = Instance::new(chain, &Beginning { seed, now, wall, resource, scope, max_message })?;
        let (left, ended) = (Arc::clone(left), Arc::clone(ended));
        Ok(Arc::new(Version { sha256: sha256(file), bundle, instance, methods, left, ended }))
    }

    pub(crate) fn layouts(&self) -> &Layouts {
        &self.bundle.layouts
    }

    pub(crate) fn copy(&self, plan: &Plan, memory: &dyn Memory, address: usize) -> Result<Private, Error> {
        Private::copy(self.layouts(), plan.layout, memory, address, self.bundle.max_message as usize)
    }

    pub(crate) fn reading(&self, plan: &Plan, message: Option<&Private>) -> Result<(Reading, u64), Error> {
        let Some(message) = message else { return Ok((Reading::nothing(), 0)) };
        let wants = self.instance.chain.wants() & WANTS_SIZE != 0;
        let size = if wants { size::encoded(self.layouts(), message.root())? } else { 0 };
        Ok((plan.read(self.layouts(), message)?, size))
    }
}

/// No more than a bundle may have, and of a file alone: whoever writes into a pipe could keep an engine waiting.
fn read_file(path: &str) -> io::Result<Vec<u8>> {
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_BUNDLE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of a bundle in a file, whose hash has to be this one.
pub(crate) fn read_bundle(path: &str, expected: &[u8; 32]) -> Result<Vec<u8>, Error> {
    let bundle = read_file(path).map_err(|error| Error::from(error).at(path))?;
    if bundle.len() as u64 > LARGEST_BUNDLE {
        return Err(Error::new(format!("{path}: larger than a bundle may be")));
    }
    if sha256(&bundle) != *expected {
        return Err(Error::new(format!("{path}: not what its hash says")));
    }
    Ok(bundle)
}

fn bind(method: &Method, index: usize, layouts: &Layouts, sides: (usize, usize)) -> Result<Bound, Error> {
    if method.request.streams || method.response.streams {
        return Err(Error::new("it streams, which calls of mRPC do not"));
    }
    let request = Plan::bind(&method.request, layouts, sides.0, false)?;
    let response = Plan::bind(&method.response, layouts, sides.1, true)?;
    Ok(Bound { index, request, response })
}
