//! What needs no code of a chain: encodings, layouts, probes, and private copies of messages. Miri can run these.

use std::collections::BTreeMap;

use appnet_mrpc_host::wire::{Reader, Writer};
use appnet_mrpc_host::{
    check_option, check_vec, Answer, Bundle, Conventions, Error, Field, Label, Layout, Layouts, Memory, Method,
    OptionShape, Presence, Private, Report, Request, VecShape,
};

const VEC: VecShape = VecShape { size: 32, align: 8, app: 0, backend: 8, capacity: 16, length: 24 };
const ALWAYS: Presence = Presence { offset: 0, size: 0, absent: 0, present: 0, tagged: false };
const STRING: u8 = 14;
const INT32: u8 = 1;
const MESSAGE: u8 = 16;

/// Numbers that look random, and are the same each time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

fn field(number: u32, kind: u8, label: Label, offset: u32) -> Field {
    let default = Vec::new();
    Field { number, kind, label, packed: false, offset, message: None, presence: ALWAYS, default }
}

/// A message of a text, an optional number, and any number of messages of a text.
fn layouts() -> Layouts {
    let tag = Presence { offset: 32, size: 4, absent: 0, present: 1, tagged: true };
    let outer = vec![
        field(1, STRING, Label::Implicit, 0),
        Field { presence: tag, ..field(2, INT32, Label::Optional, 36) },
        Field { message: Some(1), ..field(3, MESSAGE, Label::Repeated, 40) },
    ];
    let inner = vec![field(1, STRING, Label::Implicit, 0)];
    Layouts {
        conventions: Conventions { vec: VEC, options: Vec::new() },
        messages: vec![
            Layout { name: "p.Outer".into(), size: 72, align: 8, fields: outer },
            Layout { name: "p.Inner".into(), size: 32, align: 8, fields: inner },
        ],
    }
}

/// Memory of tests: bytes at addresses of their choice.
#[derive(Default)]
struct Regions(BTreeMap<usize, Vec<u8>>);

impl Memory for Regions {
    fn copy(&self, address: usize, to: &mut [u8]) -> Result<(), Error> {
        let found = self
            .0
            .range(..=address)
            .next_back()
            .and_then(|(start, bytes)| bytes.get(address - start..)?.get(..to.len()));
        to.copy_from_slice(found.ok_or_else(|| Error::new("nothing lies there"))?);
        Ok(())
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|it| it.to_le_bytes()).collect()
}

fn message() -> Regions {
    let tagged = 1 | (77 << 32);
    let outer = words(&[0x9000, 0x2000, 5, 5, tagged, 0x9000, 0x3000, 2, 2]);
    let inner = words(&[0x9000, 0x4000, 3, 3, 0x9000, 8, 0, 0]);
    let regions = [(0x1000, outer), (0x2000, b"hello".to_vec()), (0x3000, inner), (0x4000, b"abc".to_vec())];
    Regions(regions.into())
}

fn word(address: usize) -> u64 {
    // SAFETY: asked only for words of private messages.
    unsafe { *(address as *const u64) }
}

fn text(address: usize) -> Vec<u8> {
    // SAFETY: asked only for texts of private messages.
    unsafe { std::slice::from_raw_parts(word(address + 8) as *const u8, word(address + 24) as usize).to_vec() }
}

#[test]
fn a_copy_has_all_that_the_original_leads_to() {
    let memory = message();
    let copy = Private::copy(&layouts(), 0, &memory, 0x1000, 1 << 20).unwrap();
    drop(memory);
    let at = copy.address();
    assert_eq!(text(at), b"hello");
    assert_eq!(word(at), word(at + 8), "both pointers are its own");
    assert_eq!(word(at + 32) >> 32, 77);
    assert_eq!(word(at + 64), 2);
    let inner = word(at + 48) as usize;
    assert_eq!((text(inner), text(inner + 32)), (b"abc".to_vec(), Vec::new()));
}

#[test]
fn what_cannot_be_read_or_takes_too_much_is_told() {
    for (place, wild) in
        [(8, 0), (8, 0x2001), (24, 6), (24, u64::MAX), (48, 0x8000), (64, 3), (64, u64::MAX / 32), (32, 2)]
    {
        let mut memory = message();
        memory.0.get_mut(&0x1000).unwrap()[place..place + 8].copy_from_slice(&wild.to_le_bytes());
        assert!(Private::copy(&layouts(), 0, &memory, 0x1000, 1 << 20).is_err(), "{wild} at {place}");
    }
    assert!(Private::copy(&layouts(), 0, &message(), 0x1000, 100).is_err());
    assert!(Private::copy(&layouts(), 0, &message(), 0x5000, 1 << 20).is_err());
}

#[test]
fn wild_messages_are_copied_or_refused() {
    let (mut draws, mut copied, mut refused) = (Draws(1), 0, 0);
    for _ in 0..if cfg!(miri) { 50 } else { 5_000 } {
        let mut memory = message();
        let regions: Vec<usize> = memory.0.keys().copied().collect();
        for _ in 0..=draws.below(2) {
            let bytes = memory.0.get_mut(&regions[draws.below(4) as usize]).unwrap();
            let at = draws.below(bytes.len() as u64) as usize;
            bytes[at] = draws.below(256) as u8;
        }
        match Private::copy(&layouts(), 0, &memory, 0x1000, 1 << 16) {
            Ok(_) => copied += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(copied > 0 && refused > 0, "{copied} {refused}");
}

#[test]
fn an_empty_message_is_one() {
    let empty = Private::empty(&layouts(), 0, 1 << 10).unwrap();
    let at = empty.address();
    assert_eq!((text(at), word(at + 32) & 0xffff_ffff, word(at + 64)), (Vec::new(), 0, 0));
    assert_ne!(word(at), 0, "pointers of Rust are never null");
}

#[test]
fn tables_that_lead_out_of_messages_are_told() {
    assert_eq!(layouts().check(), Ok(()));
    type Change = fn(&mut Layouts);
    let changes: [Change; 12] = [
        |it| it.messages[0].fields[0].offset = 48,
        |it| it.messages[0].fields[0].offset = u32::MAX,
        |it| it.messages[0].fields[1].offset = 38,
        |it| it.messages[0].fields[1].offset = 8,
        |it| it.messages[0].fields[1].presence.offset = 70,
        |it| it.messages[0].fields[1].presence.size = 3,
        |it| it.messages[0].fields[1].presence.present = 0,
        |it| it.messages[0].fields[1].kind = 17,
        |it| it.messages[0].fields[2].message = Some(0),
        |it| it.messages[0].fields[2].message = Some(2),
        |it| it.messages[0].align = 3,
        |it| it.conventions.vec.length = 28,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = layouts();
        change(&mut changed);
        assert!(changed.check().is_err(), "change {number}");
    }
}

fn bundle() -> Bundle {
    let method = Method { path: "/p.S/Call".into(), service: 1, function: 2, request: 0, response: 1 };
    Bundle {
        name: "chain".into(),
        version: "1".into(),
        server: true,
        max_message: 4096,
        resource: vec![1, 2],
        records: "localhost:4318".into(),
        layouts: layouts(),
        methods: vec![method],
        code: vec![3; 40],
    }
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Bundle::read(&bundle().write()), Ok(bundle()));
    let answer = String::from("/a");
    let (path, sha256) = (String::from("/b"), [7; 32]);
    for it in [
        Request::Load { path, sha256, answer: answer.clone() },
        Request::Report { answer: answer.clone() },
        Request::Dump { answer: answer.clone() },
        Request::Records { answer },
    ] {
        assert_eq!(Request::read(&it.write()), Ok(it));
    }
    let (name, version) = (String::from("n"), String::from("v"));
    let report = Report { name, version, sha256, server: true, calls: 1, refused: 2, under_way: 3, failed: 4 };
    let (why, state) = (String::from("no"), String::from("x = 1\n"));
    for it in [Answer::Failed(why), Answer::Report(report), Answer::State(state), Answer::Records(vec![9])] {
        assert_eq!(Answer::read(&it.write()), Ok(it));
    }
}

#[test]
fn no_bytes_end_a_reader() {
    let (good, mut draws, mut read) = (bundle().write(), Draws(2), 0);
    for _ in 0..if cfg!(miri) { 50 } else { 20_000 } {
        let mut bytes = good.clone();
        for _ in 0..=draws.below(3) {
            let at = draws.below(bytes.len() as u64) as usize;
            bytes[at] = draws.below(256) as u8;
        }
        bytes.truncate(draws.below(2 * bytes.len() as u64) as usize);
        read += u32::from(Bundle::read(&bytes).is_ok());
        let _ = Request::read(&bytes[8.min(bytes.len())..]);
    }
    assert!(read > 0 || cfg!(miri));
    let mut writer = Writer::new();
    writer.u64(u64::MAX);
    let long = writer.finish();
    assert!(Reader::new(&long).bytes().is_err());
    assert!(Reader::new(&long).list(usize::MAX, Reader::u8).is_err());
}

#[test]
fn probes_tell_types_apart() {
    let made = |app: usize, backend: usize, length: usize, capacity: usize| [app, backend, capacity, length];
    assert_eq!(check_vec(&VEC, made), Ok(()));
    assert!(check_vec(&VEC, |app, backend, length, capacity| [backend, app, capacity, length]).is_err());
    assert!(check_vec(&VEC, |app, backend, length, _| [app, backend, length]).is_err());
    let presence = Presence { offset: 0, size: 8, absent: 0, present: 1, tagged: true };
    let shape = OptionShape { kind: 2, size: 16, align: 8, value: 8, presence };
    assert_eq!(check_option(&shape, [0_i64, -1]), Ok(()));
    assert!(check_option(&OptionShape { align: 4, ..shape }, [0_i64]).is_err());
    assert!(check_option(&OptionShape { value: 12, ..shape }, [0_i64]).is_err());
    assert!(check_option(&shape, [0_i32]).is_err());
}
