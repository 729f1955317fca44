//! The control socket of the service: it reads requests as Phoenix reads them, and hands what is asked of engines to
//! engines of ours.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use appnet_mrpc_host::wire::{Reader, Writer};
use appnet_mrpc_host::{Engine, Error};

use crate::probes;

const SENDER: &str = "AppNetSenderEngine";
const RECEIVER: &str = "AppNetReceiverEngine";
const LONGEST: usize = 65_536;

/// Where an engine is: a process, and which of its subscriptions.
pub type Place = (u32, u64);

/// The engines of a service.
#[derive(Clone, Default)]
pub struct Engines(Arc<Mutex<HashMap<Place, Engine>>>);

impl Engines {
    /// Waits for whoever has them.
    pub fn get(&self) -> MutexGuard<'_, HashMap<Place, Engine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription: its engines by number and type, in the order in which requests of the program pass them.
struct Program {
    place: Place,
    service: String,
    stops: Vec<(u64, String)>,
}

/// What serves a socket.
pub struct Service {
    socket: UnixDatagram,
    programs: Vec<Program>,
    engines: Engines,
    /// Whether it knows our engines at all.
    has_addon: bool,
    next: u64,
    asked: Sender<(Place, Vec<u8>)>,
    /// How many requests there were that change something.
    changes: Arc<AtomicU64>,
}

impl Service {
    /// Serves in threads of its own. `programs`: `PID/SID/SERVICE/ENGINE,ENGINE…` each; `no-addon`: it has no engines of
    /// ours. Gives the number of requests that were no lists.
    pub fn start(path: &str, programs: &[String], engines: Engines) -> io::Result<Arc<AtomicU64>> {
        let socket = UnixDatagram::bind(path)?;
        let (asked, requests) = channel();
        let changes = Arc::<AtomicU64>::default();
        let has_addon = !programs.iter().any(|it| it == "no-addon");
        let mut service = Service {
            socket,
            programs: Vec::new(),
            engines: engines.clone(),
            has_addon,
            next: 0,
            asked,
            changes: Arc::clone(&changes),
        };
        for it in programs.iter().filter(|it| *it != "no-addon") {
            let parsed = service.parse(it).ok_or_else(|| io::Error::other(format!("no program: {it}")))?;
            service.programs.push(parsed);
        }
        thread::spawn(move || answer(&requests, &engines));
        thread::spawn(move || service.serve());
        Ok(changes)
    }

    fn parse(&mut self, text: &str) -> Option<Program> {
        let parts: Vec<&str> = text.split('/').collect();
        let [pid, sid, service, engines] = parts[..] else { return None };
        let place = (pid.parse().ok()?, sid.parse().ok()?);
        let stops = engines.split(',').map(|it| (self.number(), it.to_owned())).collect();
        Some(Program { place, service: service.to_owned(), stops })
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn serve(mut self) {
        let mut bytes = vec![0; LONGEST];
        while let Ok((size, sender)) = self.socket.recv_from(&mut bytes) {
            match self.dispatch(&bytes[..size]) {
                Ok(Some(answer)) => {
                    let path = sender.as_pathname().map(ToOwned::to_owned).unwrap_or_default();
                    let _ = self.socket.send_to(&answer, path); // who asked may have gone
                }
                Ok(None) => {}
                Err(error) => eprintln!("control: {error}"),
            }
        }
    }

    fn dispatch(&mut self, request: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut from = Reader::new(request);
        let kind = from.u32()?;
        if kind == 2 {
            from.end()?;
            return Ok(Some(self.listed()));
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        match kind {
            1 => {
                let (number, payload) = (from.u64()?, from.bytes()?.to_vec());
                from.end()?;
                let found = self.programs.iter().find(|it| it.stops.iter().any(|stop| stop.0 == number));
                let place = found.ok_or_else(|| Error::new("no such engine"))?.place;
                let _ = self.asked.send((place, payload));
            }
            3 => {
                from.u32()?; // how its thread is shared
                self.attach(&Addon::read(from)?);
            }
            4 => self.detach(&Addon::read(from)?),
            other => return Err(Error::new(format!("there is no request {other}"))),
        }
        Ok(None)
    }

    fn listed(&self) -> Vec<u8> {
        let mut to = Writer::new();
        to.u32(0).u32(1).u64(self.programs.len() as u64);
        for it in &self.programs {
            to.u32(it.place.0).u64(it.place.1).text(&it.service).u64(it.stops.len() as u64);
            for (number, name) in &it.stops {
                to.u64(*number).text(name);
            }
            let added: Vec<_> = it.stops.iter().filter(|it| is_added(&it.1)).collect();
            to.u64(added.len() as u64);
            for (_, name) in added {
                to.text(name);
            }
        }
        to.finish()
    }

    /// A subscription that cannot be changed as asked ends, as Phoenix ends it.
    fn take(&mut self, place: Place) -> Option<Program> {
        let at = self.programs.iter().position(|it| it.place == place)?;
        Some(self.programs.remove(at))
    }

    fn attach(&mut self, addon: &Addon) {
        if !self.has_addon {
            return;
        }
        let Some(mut there) = self.take(addon.place) else { return };
        let mut stops: Vec<String> = there.stops.iter().map(|it| it.1.clone()).collect();
        let fits =
            addon.group == stops && !stops.contains(&addon.engine) && [SENDER, RECEIVER].contains(&&*addon.engine);
        stops.insert(1, addon.engine.clone());
        if !fits || !addon.has_channels(&stops) {
            return eprintln!("attach: the subscription's channels are others");
        }
        match addon.open() {
            Ok(engine) => {
                self.engines.get().insert(addon.place, engine);
                there.stops = stops.into_iter().map(|it| (self.number(), it)).collect(); // all begin anew
                self.programs.push(there);
            }
            Err(error) => eprintln!("attach: {error}"),
        }
    }

    fn detach(&mut self, addon: &Addon) {
        let Some(mut there) = self.take(addon.place) else { return };
        let before = there.stops.len();
        there.stops.retain(|it| it.1 != addon.engine);
        let stops: Vec<String> = there.stops.iter().map(|it| it.1.clone()).collect();
        self.engines.get().remove(&addon.place);
        if before == stops.len() || !addon.group.is_empty() || !addon.has_channels(&stops) {
            return eprintln!("detach: the subscription's channels are others");
        }
        self.programs.push(there);
    }
}

fn is_added(engine: &str) -> bool {
    !["MrpcEngine", "TcpRpcAdapterEngine", "SallocEngine"].contains(&engine)
}

/// What engines are asked for, they do between messages, as Phoenix has it: nobody who lists waits for it.
fn answer(requests: &Receiver<(Place, Vec<u8>)>, engines: &Engines) {
    for (place, payload) in requests {
        if let Some(Err(error)) = engines.get().get_mut(&place).map(|it| it.handle(&payload)) {
            eprintln!("engine: {error}");
        }
    }
}

/// An engine that joins a subscription or leaves it.
struct Addon {
    place: Place,
    engine: String,
    sent: Vec<(String, String)>,
    received: Vec<(String, String)>,
    group: Vec<String>,
    config: String,
}

impl Addon {
    fn read(mut from: Reader<'_>) -> Result<Addon, Error> {
        let channel = |it: &mut Reader<'_>| {
            let ends = (it.text()?, it.text()?);
            let places = (it.u64()?, it.u64()?);
            if places != (0, 0) {
                return Err(Error::new("each engine has one place for a channel"));
            }
            Ok(ends)
        };
        let addon = Addon {
            place: (from.u32()?, from.u64()?),
            engine: from.text()?,
            sent: from.list(8, channel)?,
            received: from.list(8, channel)?,
            group: from.list(8, |it| it.text())?,
            config: {
                if from.bool()? {
                    return Err(Error::new("a file of configuration, which nobody sends"));
                }
                if from.bool()? {
                    from.text()?
                } else {
                    String::new()
                }
            },
        };
        from.end()?;
        Ok(addon)
    }

    fn has_channels(&self, stops: &[String]) -> bool {
        let pairs = |it: &[String]| it.windows(2).map(|it| (it[0].clone(), it[1].clone())).collect::<Vec<_>>();
        let back: Vec<String> = stops.iter().rev().cloned().collect();
        self.sent == pairs(stops) && self.received == pairs(&back)
    }

    /// The engine, as the adapter makes it of its configuration.
    fn open(&self) -> Result<Engine, Error> {
        let digits = self.value("sha256")?;
        let digit = |at: usize| digits.get(at..at + 2).and_then(|it| u8::from_str_radix(it, 16).ok());
        let mut sha256 = [0; 32];
        for (at, byte) in sha256.iter_mut().enumerate() {
            *byte = digit(2 * at).ok_or_else(|| Error::new("sha256 has 64 hexadecimal digits"))?;
        }
        let engine = Engine::open_file(&self.value("bundle")?, &sha256, probes)?;
        if engine.is_server() != (self.engine == RECEIVER) {
            return Err(Error::new("it is for the other side"));
        }
        Ok(engine)
    }

    /// A text of the configuration, which is TOML.
    fn value(&self, name: &str) -> Result<String, Error> {
        let missing = || Error::new(format!("its configuration has no {name}"));
        let line = self.config.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(" = \""));
        let quoted = line.and_then(|it| it.strip_suffix('"')).ok_or_else(missing)?;
        Ok(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
    }
}
