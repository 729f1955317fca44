//! What host and chain share, as `frames.h` and `chain.h` lay it out.

use std::ffi::c_void;
use std::ptr;

/// A text of somebody else's, `an_view`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub data: *const u8,
    pub size: usize,
}

impl View {
    pub const EMPTY: View = View { data: ptr::null(), size: 0 };

    pub fn of(bytes: &[u8]) -> View {
        View { data: bytes.as_ptr(), size: bytes.len() }
    }
}

/// A number or a text, `an_value`: the largest member is a view.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub word: u64,
    pub size: u64,
}

impl Value {
    pub fn number(bits: u64) -> Value {
        Value { word: bits, size: 0 }
    }

    pub fn text(bytes: &[u8]) -> Value {
        Value { word: bytes.as_ptr() as u64, size: bytes.len() as u64 }
    }
}

pub(crate) const ABSENT: u64 = 0;
pub(crate) const ONE: u64 = 1;
pub(crate) const SEVERAL: u64 = 2;

/// What a field has, `an_given`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    pub value: Value,
    pub kind: u64,
}

/// A field as handlers left it, `an_slot`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub value: Value,
    pub present: bool,
    pub written: bool,
    pub cleared: bool,
}

pub(crate) const FORWARD: u32 = 0;

/// `an_call_frame`. C knows where it is, so it stays where it was made.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Frame {
    pub now: u64,
    pub wall: u64,
    pub instance: *mut c_void,
    pub call: *mut c_void,
    pub given: *const Given,
    pub metadata: [*const c_void; 3],
    pub metadata_count: [u64; 3],
    pub peer: View,
    pub message_size: u64,
    pub method: u32,
    pub status: i32,
    pub verdict: u32,
    pub code: i32,
    pub text: View,
    pub slots: *const Slot,
    pub reply: *const Slot,
    pub own: *const c_void,
    pub trailers: *const c_void,
    pub edits: *const c_void,
    pub last_edit: *const c_void,
    pub deadline: u64,
    pub destination: i64,
    pub wait_ms: u64,
    pub touched: u32,
    pub failed: u32,
    pub trace: u32, // nothing of a call says what trace it is part of
    pub waits: u32, // nothing does: the state of these instances is their own
    pub fiber: *mut c_void,
}

impl Frame {
    pub fn new(instance: *mut c_void, method: u32) -> Frame {
        Frame {
            now: 0,
            wall: 0,
            instance,
            call: ptr::null_mut(),
            given: ptr::null(),
            metadata: [ptr::null(); 3],
            metadata_count: [0; 3],
            peer: View::EMPTY,
            message_size: 0,
            method,
            status: 0,
            verdict: FORWARD,
            code: 0,
            text: View::EMPTY,
            slots: ptr::null(),
            reply: ptr::null(),
            own: ptr::null(),
            trailers: ptr::null(),
            edits: ptr::null(),
            last_edit: ptr::null(),
            deadline: u64::MAX,
            destination: -1,
            wait_ms: 0,
            touched: 0,
            failed: 0,
            trace: 0,
            waits: 0,
            fiber: ptr::null_mut(),
        }
    }
}

/// What an instance is told, `an_setup`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Setup {
    pub seed: u64,
    pub now: u64,
    pub wall: u64,
    pub resource: View,
    pub scope: View,
    pub max_message: u32,
    pub backends: u32,
}
