//! Texts, lists and messages as mRPC has them, laid out by this compiler: what layouts are held to.

use std::mem::{align_of, offset_of, size_of, ManuallyDrop};
use std::ptr::NonNull;

use appnet_mrpc_host::wire::{Reader, Writer};
use appnet_mrpc_host::{check_option, Error, OptionShape};

/// As mRPC's pointers, without a fixed layout.
pub struct Pointers<T> {
    app: NonNull<T>,
    backend: NonNull<T>,
}

#[repr(C)]
struct Room<T> {
    pointers: Pointers<T>,
    capacity: usize,
}

/// As mRPC's vectors. What it has is the application's: nothing of the host may free it.
#[repr(C)]
pub struct Vector<T> {
    room: Room<T>,
    length: usize,
}

pub type Text = Vector<u8>;

impl<T> Vector<T> {
    pub fn made_of(app: usize, backend: usize, length: usize, capacity: usize) -> Self {
        let pointer = |address: usize| NonNull::new(address as *mut T).expect("no null");
        Vector { room: Room { pointers: Pointers { app: pointer(app), backend: pointer(backend) }, capacity }, length }
    }

    fn of(items: Vec<T>) -> Self {
        let mut items = ManuallyDrop::new(items);
        // The application's pointer is one that engines cannot use.
        let app = align_of::<T>() * 0x1000;
        Vector::made_of(app, items.as_mut_ptr() as usize, items.len(), items.capacity())
    }

    fn items(&self) -> &[T] {
        // SAFETY: whoever made it has so many items there.
        unsafe { std::slice::from_raw_parts(self.room.pointers.backend.as_ptr(), self.length) }
    }

    fn pointers(&self) -> (usize, usize) {
        (self.room.pointers.app.as_ptr() as usize, self.room.pointers.backend.as_ptr() as usize)
    }
}

/// What can be in a message.
pub trait Item: Sized {
    fn build(from: &mut Reader<'_>) -> Result<Self, Error>;
    fn tell(&self, to: &mut Writer);
    /// Overwrites what the application has of it, as it may at any time, without changing where anything lies.
    fn spoil(&mut self);
    /// Whether all pointers of a copy lead into it, for application and engine alike.
    fn is_private(&self) -> bool {
        true
    }
    fn samples() -> [Self; 2];
    /// Of an option.
    fn check(_shape: &OptionShape) -> Result<(), Error> {
        Err(Error::from(std::io::Error::other("no option")))
    }
}

macro_rules! numbers {
    ($($kind:ty, $bytes:expr;)*) => {$(
        impl Item for $kind {
            fn build(from: &mut Reader<'_>) -> Result<Self, Error> {
                Ok(<$kind>::from_le_bytes(from.raw($bytes)?.try_into().expect("so many bytes")))
            }
            fn tell(&self, to: &mut Writer) {
                to.raw(&self.to_le_bytes());
            }
            fn spoil(&mut self) {
                *self = 77 as $kind;
            }
            fn samples() -> [Self; 2] {
                [0 as $kind, 1 as $kind]
            }
        }
    )*};
}
numbers! { u8, 1; i32, 4; u32, 4; i64, 8; u64, 8; f32, 4; f64, 8; }

impl Item for bool {
    fn build(from: &mut Reader<'_>) -> Result<Self, Error> {
        from.bool()
    }
    fn tell(&self, to: &mut Writer) {
        to.bool(*self);
    }
    fn spoil(&mut self) {
        *self = !*self;
    }
    fn samples() -> [Self; 2] {
        [false, true]
    }
}

impl<T: Item> Item for Vector<T> {
    fn build(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Vector::of(from.list(1 << 24, T::build)?))
    }
    fn tell(&self, to: &mut Writer) {
        to.u64(self.length as u64);
        self.items().iter().for_each(|it| it.tell(to));
    }
    fn spoil(&mut self) {
        let (length, backend) = (self.length, self.room.pointers.backend);
        // SAFETY: the items are the application's.
        let items = unsafe { std::slice::from_raw_parts_mut(backend.as_ptr(), length) };
        items.iter_mut().for_each(Item::spoil);
    }
    fn is_private(&self) -> bool {
        let (app, backend) = self.pointers();
        app == backend && backend % align_of::<T>() == 0 && self.items().iter().all(Item::is_private)
    }
    fn samples() -> [Self; 2] {
        [Vector::of(Vec::new()), Vector::of(T::samples().into())]
    }
}

impl<T: Item> Item for Option<T> {
    fn build(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(if from.bool()? { Some(T::build(from)?) } else { None })
    }
    fn tell(&self, to: &mut Writer) {
        to.bool(self.is_some());
        if let Some(it) = self {
            it.tell(to);
        }
    }
    fn spoil(&mut self) {
        if let Some(it) = self {
            it.spoil();
        }
    }
    fn is_private(&self) -> bool {
        match self {
            Some(it) => it.is_private(),
            None => true,
        }
    }
    fn samples() -> [Self; 2] {
        let [_, other] = T::samples();
        [None, Some(other)]
    }
    fn check(shape: &OptionShape) -> Result<(), Error> {
        check_option::<T>(shape, T::samples())
    }
}

/// Where a field lies: its offset, size and alignment.
pub type Placed = (usize, usize, usize);

pub fn placed<T>(offset: usize) -> Placed {
    (offset, size_of::<T>(), align_of::<T>())
}

/// Whether an option has a shape.
pub type Check = fn(&OptionShape) -> Result<(), Error>;

/// A message with what tests ask of it.
pub struct Known {
    pub name: &'static str,
    pub size: usize,
    pub align: usize,
    pub fields: Vec<Placed>,
    pub checks: Vec<Check>,
    pub build: fn(&mut Reader<'_>) -> Result<Box<dyn Held>, Error>,
    /// Of a message at an address, its fields, and whether it is private.
    pub tell: unsafe fn(usize, &mut Writer) -> bool,
}

/// A message in memory.
pub trait Held {
    fn address(&self) -> usize;
    fn told(&self) -> Vec<u8>;
    fn spoilt(&mut self);
}

impl<T: Item> Held for T {
    fn address(&self) -> usize {
        self as *const T as usize
    }
    fn told(&self) -> Vec<u8> {
        let mut to = Writer::new();
        self.tell(&mut to);
        to.finish()
    }
    fn spoilt(&mut self) {
        self.spoil();
    }
}

/// # Safety
/// A message of the type lies there.
pub unsafe fn tell_at<T: Item>(address: usize, to: &mut Writer) -> bool {
    // SAFETY: as above.
    let message = unsafe { &*(address as *const T) };
    message.tell(to);
    message.is_private()
}

macro_rules! messages {
    ($($name:literal $kind:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            #[repr(C)]
            pub struct $kind { $(pub $field: $type,)* }

            impl Item for $kind {
                fn build(from: &mut Reader<'_>) -> Result<Self, Error> {
                    let _ = &from;
                    Ok($kind { $($field: <$type>::build(from)?,)* })
                }
                fn tell(&self, to: &mut Writer) {
                    let _ = &to;
                    $(self.$field.tell(to);)*
                }
                fn spoil(&mut self) {
                    $(self.$field.spoil();)*
                }
                fn is_private(&self) -> bool {
                    true $(&& self.$field.is_private())*
                }
                fn samples() -> [Self; 2] {
                    $(let $field = <$type>::samples();)*
                    $(let $field = $field.into_iter();)*
                    let mut fields = ($($field,)*);
                    let mut one = || {
                        let ($($field,)*) = &mut fields;
                        $kind { $($field: $field.next().expect("two"),)* }
                    };
                    [one(), one()]
                }
            }
        )*

        pub fn known() -> Vec<Known> {
            vec![$(Known {
                name: $name,
                size: size_of::<$kind>(),
                align: align_of::<$kind>(),
                fields: vec![$(placed::<$type>(offset_of!($kind, $field)),)*],
                checks: vec![$(<$type as Item>::check,)*],
                build: |from| Ok(Box::new($kind::build(from)?)),
                tell: tell_at::<$kind>,
            },)*]
        }
    };
}

include!(env!("APPNET_MESSAGES"));
