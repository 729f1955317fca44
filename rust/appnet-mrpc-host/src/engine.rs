use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::chain::{Call, Judgement};
use crate::control::{Answer, Report, Request};
use crate::error::Error;
use crate::events::{Clock, Id, Incoming, Message, Outgoing, SystemClock};
use crate::message::{Memory, Private};
use crate::plan::Plan;
use crate::post::{Poster, LOGS, METRICS};
use crate::probe::Probes;
use crate::version::{read_bundle, Ended, Left, Version};

/// Status codes that elements see: what mRPC's own library makes of a denial, and of every other error.
const PERMISSION_DENIED: i32 = 7;
const DATA_LOSS: i32 = 15;

const POST_EVERY: Duration = Duration::from_secs(1);

/// A call that has begun, on the bundle that it began with.
struct Running {
    call: Call,
    version: Arc<Version>,
    function: u32,
}

/// Judges messages of one end of connections.
pub struct Engine {
    version: Arc<Version>,
    probes: Probes,
    clock: Box<dyn Clock>,
    seed: u64,
    calls: HashMap<Id, Running>,
    /// What was sent, until it is not needed any more.
    sent: HashMap<Id, Private>,
    left: Left,
    ended: Ended,
    poster: Option<Poster>,
    posted: Instant,
    begun: u64,
    refused: u64,
    failed: u64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("report", &self.report()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs a bundle.
    pub fn open(bundle: &[u8], probes: Probes) -> Result<Engine, Error> {
        let seed = RandomState::new().build_hasher().finish();
        Engine::with(bundle, probes, Box::<SystemClock>::default(), seed)
    }

    /// The same with a clock, and a seed of what elements draw.
    pub fn with(bundle: &[u8], probes: Probes, clock: Box<dyn Clock>, seed: u64) -> Result<Engine, Error> {
        let (left, ended) = (Left::default(), Arc::default());
        let version = Version::open(bundle, probes, (&*clock, seed), &left, &ended)?;
        let poster = poster_of(&version)?;
        Ok(Engine {
            version,
            probes,
            clock,
            seed,
            calls: HashMap::new(),
            sent: HashMap::new(),
            left,
            ended,
            poster,
            posted: Instant::now(),
            begun: 0,
            refused: 0,
            failed: 0,
        })
    }

    /// Whether it is for the side that calls come to.
    pub fn is_server(&self) -> bool {
        self.version.bundle.server
    }

    /// Judges a message that leaves the application: a request of a client, or a response of a server.
    pub fn outgoing(&mut self, message: &Message, memory: &dyn Memory) -> Outgoing {
        let judged = if self.is_server() { self.response(message, memory) } else { self.request(message, memory) };
        match judged {
            Judged::Refuse => Outgoing::Refuse,
            Judged::Forward { copy: None, wait_ms } => Outgoing::Forward { address: message.address, wait_ms },
            Judged::Forward { copy: Some(copy), wait_ms } => {
                let address = copy.address();
                self.sent.insert(message.id, copy);
                Outgoing::Forward { address, wait_ms }
            }
        }
    }

    /// Judges a message that comes to the application: a response to a client, or a request to a server.
    pub fn incoming(&mut self, message: &Message, memory: &dyn Memory) -> Incoming {
        let judged = if self.is_server() { self.request(message, memory) } else { self.response(message, memory) };
        match judged {
            Judged::Refuse => Incoming::Refuse,
            Judged::Forward { wait_ms, .. } => Incoming::Forward { wait_ms },
        }
    }

    /// A message has left, or will not: what was copied of it goes. `delivered`: false, and the call has ended if it was its
    /// request.
    pub fn sent(&mut self, id: Id, delivered: bool) {
        self.sent.remove(&id);
        if !delivered && !self.is_server() {
            self.fail(id, DATA_LOSS);
        }
    }

    /// A connection has gone, and all its calls.
    pub fn closed(&mut self, connection: u64) {
        self.sent.retain(|id, _| id.connection != connection);
        let gone: Vec<Id> = self.calls.keys().filter(|id| id.connection == connection).copied().collect();
        for id in gone {
            self.fail(id, DATA_LOSS);
        }
    }

    fn request(&mut self, message: &Message, memory: &dyn Memory) -> Judged {
        let version = Arc::clone(&self.version);
        let Some(method) = version.methods.get(&message.function) else { return Judged::as_it_is() };
        self.begun += 1;
        let mut call = Call::new(Arc::clone(&version.instance), method.index);
        let judged = self.judge(&version, &method.request, &mut call, message, memory);
        if call.goes_on() && !matches!(judged, Judged::Refuse) {
            let (function, version) = (message.function, Arc::clone(&version));
            self.calls.insert(message.id, Running { call, version, function });
        } else {
            self.end(call);
        }
        judged
    }

    fn response(&mut self, message: &Message, memory: &dyn Memory) -> Judged {
        if message.denied {
            self.fail(message.id, PERMISSION_DENIED);
            return Judged::as_it_is();
        }
        let Some(mut running) = self.calls.remove(&message.id) else { return Judged::as_it_is() };
        let version = Arc::clone(&running.version);
        let plan = &version.methods[&running.function].response;
        let judged = self.judge(&version, plan, &mut running.call, message, memory);
        self.end(running.call);
        judged
    }

    /// What cannot be read is refused, and changes no state.
    fn judge(
        &mut self,
        version: &Version,
        plan: &Plan,
        call: &mut Call,
        message: &Message,
        memory: &dyn Memory,
    ) -> Judged {
        let judged = self.try_to_judge(version, plan, call, message, memory);
        match &judged {
            Ok(Judged::Refuse) => self.refused += 1,
            Ok(Judged::Forward { .. }) => {}
            Err(_) => self.failed += 1,
        }
        judged.unwrap_or(Judged::Refuse)
    }

    fn try_to_judge(
        &mut self,
        version: &Version,
        plan: &Plan,
        call: &mut Call,
        message: &Message,
        memory: &dyn Memory,
    ) -> Result<Judged, Error> {
        let sends = plan.response == self.is_server();
        let mut copy = match plan.needs_message {
            true => Some(version.copy(plan, memory, message.address)?),
            false => None,
        };
        let (reading, size) = version.reading(plan, copy.as_ref())?;
        let (now, wall) = self.clock.now();
        call.at(now, wall);
        let judge = if plan.response { Call::response } else { Call::begin };
        let Judgement { forward, touched, wait_ms, lost } = judge(call, &reading.given, size);
        if !forward {
            return Ok(Judged::Refuse);
        }
        if lost {
            return Err(Error::new("elements wrote metadata, which mRPC does not have"));
        }
        if touched {
            let own = copy.as_mut().filter(|_| sends);
            let own = own.ok_or_else(|| Error::new("elements can write only where a message is sent"))?;
            plan.apply(version.layouts(), call, own)?;
        }
        Ok(Judged::Forward { copy: copy.filter(|_| sends), wait_ms })
    }

    fn fail(&mut self, id: Id, status: i32) {
        if let Some(mut running) = self.calls.remove(&id) {
            let (now, wall) = self.clock.now();
            running.call.at(now, wall);
            let _ = running.call.failed(status);
            self.end(running.call);
        }
    }

    fn end(&mut self, mut call: Call) {
        let (now, wall) = self.clock.now();
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = (now, wall);
        call.at(now, wall);
    }

    /// Runs another bundle from the next call on. If it cannot be, nothing changes.
    pub fn load(&mut self, bundle: &[u8]) -> Result<(), Error> {
        let version = Version::open(bundle, self.probes, (&*self.clock, self.seed), &self.left, &self.ended)?;
        if version.bundle.server != self.is_server() {
            return Err(Error::new("it is for the other side of connections"));
        }
        let poster = poster_of(&version)?;
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.now();
        self.version = version;
        self.poster = poster;
        Ok(())
    }

    /// What runs, and how many calls it had.
    pub fn report(&self) -> Report {
        Report {
            name: self.version.bundle.name.clone(),
            version: self.version.bundle.version.clone(),
            sha256: self.version.sha256,
            server: self.version.bundle.server,
            calls: self.begun,
            refused: self.refused,
            under_way: self.calls.len() as u64,
            failed: self.failed,
        }
    }

    /// All state as text.
    pub fn state(&self) -> String {
        self.version.instance.state()
    }

    /// The records since the last time, as an encoded `ExportLogsServiceRequest`; it may be empty.
    pub fn records(&mut self) -> Vec<u8> {
        let mut records = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        let (now, wall) = self.clock.now();
        for it in self.versions() {
            records.extend(it.instance.records(now, wall));
        }
        records
    }

    /// The one that runs, and those before it that have calls.
    fn versions(&self) -> Vec<Arc<Version>> {
        let mut seen = vec![Arc::clone(&self.version)];
        for running in self.calls.values() {
            if !seen.iter().any(|it| Arc::ptr_eq(it, &running.version)) {
                seen.push(Arc::clone(&running.version));
            }
        }
        seen
    }

    /// Sends records and counts to the bundle's collector, if it has one and a second has passed. To be called again and again.
    pub fn tick(&mut self) {
        if self.poster.is_none() || self.posted.elapsed() < POST_EVERY {
            return;
        }
        self.posted = Instant::now();
        self.post(false);
    }

    /// Sends records and counts; the last time, the counts even if that was just done.
    fn post(&mut self, last: bool) {
        let records = self.records();
        let (now, wall) = self.clock.now();
        if let Some(poster) = &self.poster {
            poster.send(LOGS, records);
            for it in self.versions() {
                poster.send(METRICS, it.instance.metrics(now, wall, last));
            }
        }
    }

    /// Does what is asked for, and leaves the answer where it is wanted. Fails where the request is none, or nobody can get
    /// the answer.
    pub fn handle(&mut self, request: &[u8]) -> Result<Answer, Error> {
        let request = Request::read(request)?;
        let answer = match &request {
            Request::Load { path, sha256, .. } => match self.load_file(path, sha256) {
                Ok(()) => Answer::Report(self.report()),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Request::Report { .. } => Answer::Report(self.report()),
            Request::Dump { .. } => Answer::State(self.state()),
            Request::Records { .. } => Answer::Records(self.records()),
        };
        if !request.answer().is_empty() {
            answer.leave(request.answer()).map_err(|error| error.at(request.answer()))?;
        }
        Ok(answer)
    }

    fn load_file(&mut self, path: &str, sha256: &[u8; 32]) -> Result<(), Error> {
        let bundle = read_bundle(path, sha256)?;
        self.load(&bundle).map_err(|error| error.at(path))
    }

    /// Runs a bundle that is in a file, if its hash is this one.
    pub fn open_file(path: &str, sha256: &[u8; 32], probes: Probes) -> Result<Engine, Error> {
        let bundle = read_bundle(path, sha256)?;
        Engine::open(&bundle, probes).map_err(|error| error.at(path))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.post(true);
    }
}

enum Judged {
    Forward { copy: Option<Private>, wait_ms: u64 },
    Refuse,
}

impl Judged {
    fn as_it_is() -> Judged {
        Judged::Forward { copy: None, wait_ms: 0 }
    }
}

fn poster_of(version: &Version) -> Result<Option<Poster>, Error> {
    let collector = &version.bundle.records;
    if collector.is_empty() {
        return Ok(None);
    }
    Poster::new(collector).map(Some)
}
