//! Drives engines from a pipe: a frame in for each event, and one out. Frames have their size in 32 bits in front.
//!
//! Alone it has one engine, which events open. With a socket and programs as arguments it is a service: its engines join
//! and leave by control requests, and events choose whose messages they are.

mod service;
#[allow(dead_code, non_snake_case, unused_mut, unused_variables)]
mod types;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::thread;

use appnet_mrpc_host::wire::{Reader, Writer};
use appnet_mrpc_host::{
    check_code, check_option, check_vec, Bundle, Clock, Conventions, Engine, Error, Guarded, Id, Incoming, Message,
    OptionShape, Outgoing, Presence,
};

use service::{Engines, Place, Service};
use types::{Held, Item, Known, Text};

const WALL_AHEAD: u64 = 1_700_000_000_000_000_000;

#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Clock for Told {
    fn now(&self) -> (u64, u64) {
        let now = self.0.load(Ordering::Relaxed);
        (now, now + WALL_AHEAD)
    }
}

fn probes(conventions: &Conventions) -> Result<(), Error> {
    check_vec(&conventions.vec, Text::made_of)?;
    let string = conventions.option(14).ok_or_else(|| wrong("nothing is said of optional texts"))?;
    check_option::<Text>(string, Text::samples())
}

/// What was written is all.
fn told(_: &mut Writer) -> Result<(), Error> {
    Ok(())
}

fn wrong(text: &str) -> Error {
    Error::new(text)
}

struct Driver {
    clock: Told,
    engines: Engines,
    /// Whose messages there are.
    place: Place,
    /// Control requests that were no lists.
    changes: Arc<AtomicU64>,
    /// As long as it is there, all engines are busy.
    busy: Option<Sender<()>>,
    known: Vec<Known>,
    /// What is on its way, and from where.
    flying: HashMap<(u64, u64), Box<dyn Held>>,
}

impl Driver {
    /// What is done with the engine, nobody else does anything with it meanwhile.
    fn with<T>(&self, what: impl FnOnce(&mut Engine) -> Result<T, Error>) -> Result<T, Error> {
        what(self.engines.get().get_mut(&self.place).ok_or_else(|| wrong("no engine"))?)
    }

    fn event(&mut self, event: &[u8]) -> Result<Vec<u8>, Error> {
        let mut from = Reader::new(event);
        let mut to = Writer::new();
        match from.u8()? {
            b'o' => {
                let (seed, bundle) = (from.u64()?, from.bytes()?);
                self.engines.get().remove(&self.place);
                let engine = Engine::with(bundle, probes, Box::new(self.clock.clone()), seed)?;
                self.engines.get().insert(self.place, engine);
            }
            b'e' => self.place = (from.u32()?, from.u64()?),
            b'n' => told(to.u64(self.changes.load(Ordering::Relaxed)))?,
            b'z' => self.be_busy(from.bool()?),
            b'l' => self.with(|it| it.load(from.bytes()?))?,
            b't' => self.clock.0.store(from.u64()?, Ordering::Relaxed),
            b'm' => self.message(&mut from, &mut to)?,
            b'w' => self.wild(&mut from, &mut to)?,
            b'd' => {
                let (id, delivered) = (id(&mut from)?, from.bool()?);
                self.flying.remove(&(id.connection, id.call));
                self.with(|it| {
                    it.sent(id, delivered);
                    Ok(())
                })?;
            }
            b'c' => {
                let connection = from.u64()?;
                self.with(|it| {
                    it.closed(connection);
                    Ok(())
                })?;
            }
            b's' => told(to.text(&self.with(|it| Ok(it.state()))?))?,
            b'r' => told(to.bytes(&self.with(|it| Ok(it.records()))?))?,
            b'h' => told(to.raw(&self.with(|it| it.handle(from.bytes()?))?.write()))?,
            b'k' => self.tell_known(&mut to),
            b'p' => self.probe(&mut from)?,
            b'x' => check_code(from.bytes()?)?,
            b'b' => told(to.bytes(&Bundle::read(from.bytes()?)?.write()))?,
            other => return Err(wrong(&format!("there is no event {other}"))),
        }
        from.end()?;
        Ok(to.finish())
    }

    /// A message that goes out or comes in: 0 where it is refused; 1, for how long it waits, and what goes on.
    fn message(&mut self, from: &mut Reader<'_>, to: &mut Writer) -> Result<(), Error> {
        let (goes_out, blind, id) = (from.bool()?, from.bool()?, id(from)?);
        let (function, denied) = (from.u32()?, from.bool()?);
        let kind = from.u32()? as usize;
        let known = self.known.get(kind).ok_or_else(|| wrong("no such message"))?;
        let (build, tell) = (known.build, known.tell);
        let mut held = build(from)?;
        let before = held.told();
        let message = Message { id, function, denied, address: held.address() };
        let memory = &Guarded::new()?;
        let forwarded = self.with(|engine| {
            Ok(match goes_out {
                true => match engine.outgoing(&message, memory) {
                    Outgoing::Forward { address, wait_ms } => Some((address, wait_ms)),
                    Outgoing::Refuse => None,
                },
                false => match engine.incoming(&message, memory) {
                    Incoming::Forward { wait_ms } => Some((message.address, wait_ms)),
                    Incoming::Refuse => None,
                },
            })
        })?;
        let Some((address, wait_ms)) = forwarded else { return told(to.u8(0)) };
        let copied = address != message.address;
        if held.told() != before {
            return Err(wrong("the original has changed"));
        }
        if blind {
            return told(to.u8(1)); // the layout is wrong: nobody can say what goes on
        }
        if copied {
            held.spoilt(); // as applications may, once they have handed it over
        }
        to.u8(1).u64(wait_ms).bool(copied);
        // SAFETY: a message of this type lies there, the application's or a copy of it.
        let private = unsafe { tell(address, to) };
        if copied && !private {
            return Err(wrong("a copy leads out of itself"));
        }
        self.flying.insert((id.connection, id.call), held);
        Ok(())
    }

    /// A message that goes out with some of its words changed; whether it goes on.
    fn wild(&mut self, from: &mut Reader<'_>, to: &mut Writer) -> Result<(), Error> {
        const WILD: [u64; 8] = [0, 1, 8, 0x1000, 1 << 40, u64::MAX, u64::MAX - 7, 1 << 63];
        let (mut seed, id, function) = (from.u64()?, id(from)?, from.u32()?);
        let known = self.known.get(from.u32()? as usize).ok_or_else(|| wrong("no such message"))?;
        let (size, build) = (known.size, known.build);
        let held = build(from)?;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        // A copy of the message alone, as words: nothing of it is used as a message any more.
        let mut words = vec![0_u64; size / 8];
        // SAFETY: a message of this size lies there; its padding is made of whatever bytes.
        unsafe { std::ptr::copy_nonoverlapping(held.address() as *const u64, words.as_mut_ptr(), size / 8) };
        for _ in 0..=next(4) {
            let at = next(words.len() as u64) as usize;
            words[at] = WILD[next(8) as usize];
        }
        let message = Message { id, function, denied: false, address: words.as_ptr() as usize };
        let memory = &Guarded::new()?;
        let outgoing = self.with(|it| Ok(it.outgoing(&message, memory)))?;
        to.bool(outgoing != Outgoing::Refuse);
        self.with(|it| {
            it.sent(id, true);
            Ok(())
        })?;
        Ok(())
    }

    /// Keeps all engines from answering, until it is told otherwise.
    fn be_busy(&mut self, busy: bool) {
        self.busy = None;
        if busy {
            let (engines, (told, begun), (kept, end)) = (self.engines.clone(), channel::<()>(), channel());
            thread::spawn(move || {
                let _held = engines.get();
                let _ = told.send(());
                let _ = end.recv();
            });
            let _ = begun.recv();
            self.busy = Some(kept);
        }
    }

    fn tell_known(&self, to: &mut Writer) {
        to.u64(self.known.len() as u64);
        for it in &self.known {
            to.text(it.name).u64(it.size as u64).u64(it.align as u64).u64(it.fields.len() as u64);
            for (offset, size, align) in &it.fields {
                to.u64(*offset as u64).u64(*size as u64).u64(*align as u64);
            }
        }
    }

    fn probe(&self, from: &mut Reader<'_>) -> Result<(), Error> {
        let (message, field) = (from.u32()? as usize, from.u32()? as usize);
        let shape = OptionShape {
            kind: from.u8()?,
            size: from.u32()?,
            align: from.u32()?,
            value: from.u32()?,
            presence: Presence {
                offset: from.u32()?,
                size: from.u8()?,
                absent: from.u64()?,
                present: from.u64()?,
                tagged: from.bool()?,
            },
        };
        (self.known[message].checks[field])(&shape)
    }
}

fn id(from: &mut Reader<'_>) -> Result<Id, Error> {
    Ok(Id { connection: from.u64()?, call: from.u64()? })
}

fn main() -> std::io::Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let engines = Engines::default();
    let changes = match arguments.split_first() {
        Some((socket, programs)) => Service::start(socket, programs, engines.clone())?,
        None => Arc::default(),
    };
    let (clock, flying) = (Told::default(), HashMap::new());
    let mut driver = Driver { clock, engines, place: (0, 0), changes, busy: None, known: types::known(), flying };
    let mut size = [0; 4];
    while input.read_exact(&mut size).is_ok() {
        let mut event = vec![0; u32::from_le_bytes(size) as usize];
        input.read_exact(&mut event)?;
        let (ok, answer) = match driver.event(&event) {
            Ok(answer) => (1, answer),
            Err(error) => (0, error.to_string().into_bytes()),
        };
        output.write_all(&(answer.len() as u32 + 1).to_le_bytes())?;
        output.write_all(&[ok])?;
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}
