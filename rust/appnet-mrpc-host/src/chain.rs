//! An opened chain, its instances, and calls through them.

use std::ffi::c_void;
use std::fmt;
use std::mem;
use std::ptr;
use std::sync::{Arc, OnceLock};

use crate::container::{code_for, MACHINE};
use crate::elf::PAGE;
use crate::error::Error;
use crate::frame::{Frame, Given, Setup, Slot, Value, View};
use crate::image::Image;
use crate::tables::{self, Functions, Method, Tables};

type Event = unsafe extern "C" fn(*mut Frame);
type Take = unsafe extern "C" fn(*mut c_void, *mut usize) -> *mut u8;

/// An opened file: its tables, and the functions to call it by.
#[derive(Debug)]
pub(crate) struct Chain {
    tables: Tables,
    /// Functions lead into it, so it stays as long as they may be called.
    _image: Image,
}

/// Where all chains of the process have their memory and state, so that the next version of a chain goes on where this one
/// is. It is never given back.
fn shared_memory() -> Result<*mut c_void, Error> {
    static SHARED: OnceLock<usize> = OnceLock::new();
    let address = *SHARED.get_or_init(|| {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_ANONYMOUS | libc::MAP_PRIVATE);
        // SAFETY: a mapping anywhere, zero at first.
        let memory = unsafe { libc::mmap(ptr::null_mut(), PAGE as usize, protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            0
        } else {
            memory as usize
        }
    });
    if address == 0 {
        return Err(Error::new("no memory for chains"));
    }
    Ok(address as *mut c_void)
}

impl Chain {
    /// Opens a file after checking all of it.
    pub fn open(file: &[u8]) -> Result<Chain, Error> {
        let image = Image::open(file)?;
        let tables = tables::read(&image)?;
        let shared = shared_memory()?;
        // SAFETY: code of the image, by the type that its table has; before anything else of it runs.
        unsafe {
            let attach: unsafe extern "C" fn(*mut c_void) = mem::transmute(tables.functions.attach as usize);
            attach(shared);
        }
        Ok(Chain { tables, _image: image })
    }

    pub fn name(&self) -> &str {
        &self.tables.name
    }

    pub fn version(&self) -> &str {
        &self.tables.version
    }

    pub fn wants(&self) -> u32 {
        self.tables.wants
    }

    pub fn methods(&self) -> &[Method] {
        &self.tables.methods
    }

    fn functions(&self) -> &Functions {
        &self.tables.functions
    }

    fn event(&self, function: u64, frame: &mut Frame) {
        // SAFETY: code of the image, by the type that its table has; the frame is laid out as it knows it.
        unsafe {
            let function: Event = mem::transmute(function as usize);
            function(frame);
        }
    }
}

/// Finds out whether the code of a container, for this machine, could be run, without running any of it.
pub fn check_code(container: &[u8]) -> Result<(), Error> {
    let image = Image::open(code_for(container, MACHINE)?)?;
    tables::read(&image).map(|_| ())
}

/// What an instance is told.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    pub seed: u64,
    pub now: u64,
    pub wall: u64,
    pub resource: &'a [u8],
    /// State goes on from version to version by this name.
    pub scope: &'a str,
    pub max_message: u32,
}

/// The state of a chain. It ends when nobody has it any more.
#[derive(Debug)]
pub(crate) struct Instance {
    pub chain: Chain,
    handle: *mut c_void,
}

// SAFETY: chains may be called from any thread; they have locks of their own.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: code of the image; calls keep their instance, so that none of them goes on.
        unsafe {
            let free: unsafe extern "C" fn(*mut c_void) = mem::transmute(self.chain.functions().instance_free as usize);
            free(self.handle);
        }
    }
}

impl Instance {
    /// An instance, which runs the elements' init.
    pub fn new(chain: Chain, given: &Beginning<'_>) -> Result<Arc<Instance>, Error> {
        let setup = Setup {
            seed: given.seed,
            now: given.now,
            wall: given.wall,
            resource: View::of(given.resource),
            scope: View::of(given.scope.as_bytes()),
            max_message: given.max_message,
            backends: 0,
        };
        // SAFETY: code of the image, by the type that its table has.
        let handle = unsafe {
            let new: unsafe extern "C" fn(*const Setup) -> *mut c_void =
                mem::transmute(chain.functions().instance_new as usize);
            new(&setup)
        };
        if handle.is_null() {
            return Err(Error::new("no memory for its state"));
        }
        Ok(Arc::new(Instance { chain, handle }))
    }

    /// The records since the last time, as an encoded `ExportLogsServiceRequest`; empty where there are none.
    pub fn records(&self, now: u64, wall: u64) -> Vec<u8> {
        let (seed, max_message, backends) = (0, 0, 0);
        let setup = Setup { seed, now, wall, resource: View::EMPTY, scope: View::EMPTY, max_message, backends };
        // SAFETY: code of the image, by the types that its tables have.
        unsafe {
            let pending: unsafe extern "C" fn(*mut c_void) -> bool =
                mem::transmute(self.chain.functions().pending as usize);
            if !pending(self.handle) {
                return Vec::new();
            }
            let take: unsafe extern "C" fn(*mut c_void, *const Setup, *mut usize) -> *mut u8 =
                mem::transmute(self.chain.functions().telemetry as usize);
            let mut size = 0;
            let data = take(self.handle, &setup, &mut size);
            self.taken(data, size)
        }
    }

    /// What was counted since it was made, as an encoded `ExportMetricsServiceRequest`; empty where nothing was, or where it
    /// is too early to tell it again and this is not the last time.
    pub fn metrics(&self, now: u64, wall: u64, last: bool) -> Vec<u8> {
        let (seed, max_message, backends) = (0, 0, 0);
        let setup = Setup { seed, now, wall, resource: View::EMPTY, scope: View::EMPTY, max_message, backends };
        // SAFETY: code of the image, by the types that its tables have.
        unsafe {
            let take: unsafe extern "C" fn(*mut c_void, *const Setup, u32, *mut usize) -> *mut u8 =
                mem::transmute(self.chain.functions().metrics as usize);
            let mut size = 0;
            let data = take(self.handle, &setup, u32::from(last), &mut size);
            self.taken(data, size)
        }
    }

    /// All state as text.
    pub fn state(&self) -> String {
        // SAFETY: code of the image, by the types that its tables have.
        let bytes = unsafe {
            let dump: Take = mem::transmute(self.chain.functions().dump as usize);
            let mut size = 0;
            let data = dump(self.handle, &mut size);
            self.taken(data, size)
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// # Safety
    /// The chain gave these bytes, and they were not given back yet.
    unsafe fn taken(&self, data: *mut u8, size: usize) -> Vec<u8> {
        if data.is_null() {
            return Vec::new();
        }
        // SAFETY: as above.
        unsafe {
            let bytes = std::slice::from_raw_parts(data, size).to_vec();
            let release: unsafe extern "C" fn(*mut u8) = mem::transmute(self.chain.functions().release as usize);
            release(data);
            bytes
        }
    }
}

/// A call through an instance; dropped, it ends.
pub(crate) struct Call {
    frame: Box<Frame>,
    instance: Arc<Instance>,
}

// SAFETY: a frame is used by one thread after another.
unsafe impl Send for Call {}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.frame.method).finish_non_exhaustive()
    }
}

/// What came of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement {
    pub forward: bool,
    /// A field of the message was written or cleared.
    pub touched: bool,
    pub wait_ms: u64,
    /// Metadata was written, which mRPC has no place for.
    pub lost: bool,
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.frame.call.is_null() {
            let end = self.instance.chain.functions().end;
            self.instance.chain.event(end, &mut self.frame);
        }
    }
}

impl Call {
    pub fn new(instance: Arc<Instance>, method: usize) -> Call {
        Call { frame: Box::new(Frame::new(instance.handle, method as u32)), instance }
    }

    /// The time of the next event.
    pub fn at(&mut self, now: u64, wall: u64) {
        self.frame.now = now;
        self.frame.wall = wall;
    }

    /// The index of its method.
    pub fn method(&self) -> usize {
        self.frame.method as usize
    }

    /// Whether the chain has anything of it.
    pub fn goes_on(&self) -> bool {
        !self.frame.call.is_null()
    }

    fn event(&mut self, function: u64, given: &[Given], size: u64) -> Judgement {
        self.frame.given = if given.is_empty() { ptr::null() } else { given.as_ptr() };
        self.frame.message_size = size;
        self.instance.chain.event(function, &mut self.frame);
        self.frame.given = ptr::null();
        Judgement {
            forward: self.frame.verdict == crate::frame::FORWARD,
            touched: self.frame.touched != 0,
            wait_ms: self.frame.wait_ms,
            lost: !self.frame.edits.is_null(),
        }
    }

    /// Judges the beginning and the request. What is given for each field of the side stays until the next event.
    pub fn begin(&mut self, given: &[Given], size: u64) -> Judgement {
        self.event(self.instance.chain.functions().begin, given, size)
    }

    /// Judges the response.
    pub fn response(&mut self, given: &[Given], size: u64) -> Judgement {
        self.event(self.instance.chain.functions().response, given, size)
    }

    /// The response is an error of this status.
    pub fn failed(&mut self, status: i32) -> Judgement {
        self.frame.status = status;
        self.event(self.instance.chain.functions().end_response, &[], 0)
    }

    /// A field as the last event left it, which judged a message of this side.
    pub fn slot(&self, response: bool, field: usize) -> Slot {
        let method = &self.instance.chain.methods()[self.method()];
        let side = if response { &method.response } else { &method.request };
        assert!(field < side.fields.len() && !self.frame.slots.is_null(), "the chain left no such slot");
        // SAFETY: the chain has a slot for each field of the side that was judged, until the next event.
        unsafe { *self.frame.slots.add(field) }
    }

    /// The values of a field of many that was written: of the request, or of the response. None: out of memory.
    pub fn values(&mut self, response: bool, field: usize) -> Option<Vec<Value>> {
        let mut count = 0;
        // SAFETY: code of the image, by the type that its table has; what it gives stays until the next event.
        unsafe {
            let values: unsafe extern "C" fn(*mut Frame, u32, usize, *mut usize) -> *const Value =
                mem::transmute(self.instance.chain.functions().values as usize);
            let found = values(&mut *self.frame, u32::from(response), field, &mut count);
            match count {
                usize::MAX => None,
                0 => Some(Vec::new()),
                _ => Some(std::slice::from_raw_parts(found, count).to_vec()),
            }
        }
    }
}

/// The bytes of a text that a chain gave.
///
/// # Safety
/// The value is a text, and the event that gave it is the call's last one.
pub(crate) unsafe fn text_of<'a>(value: Value) -> &'a [u8] {
    if value.size == 0 {
        return &[];
    }
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(value.word as *const u8, value.size as usize) }
}
