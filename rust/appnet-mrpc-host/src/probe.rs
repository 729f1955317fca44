//! Finding out whether types lie in memory as the compiler took for granted.

use std::mem::{align_of, size_of, MaybeUninit};

use crate::error::Error;
use crate::layout::{Conventions, Layouts, OptionShape, Presence, VecShape};
use crate::tables::kind;

/// Asks what this process's texts and lists are. Whoever links the types calls [`check_vec`] and [`check_option`] in it.
pub type Probes = fn(&Conventions) -> Result<(), Error>;

fn differs(what: &str) -> Error {
    Error::new(format!(
        "{what} lies in memory in another way here than the compiler took for granted: take AppNet and mRPC of releases \
         that fit, and build the adapter with mRPC's own toolchain"
    ))
}

/// Finds out whether a type of texts or lists has the shape. `make`: one of these pointers for the application and the
/// engine, this length and this capacity, which nobody drops.
pub fn check_vec<T>(shape: &VecShape, make: impl Fn(usize, usize, usize, usize) -> T) -> Result<(), Error> {
    const WORDS: [usize; 4] = [0x1_0008, 0x2_0010, 3, 5];
    if size_of::<T>() != shape.size as usize || align_of::<T>() != shape.align as usize || size_of::<T>() != 32 {
        return Err(differs("a text"));
    }
    let made = MaybeUninit::new(make(WORDS[0], WORDS[1], WORDS[2], WORDS[3]));
    let word = |offset: u32| -> usize {
        // SAFETY: the four words that the type was made of fill its 32 bytes, so that all of them are written.
        unsafe { made.as_ptr().cast::<u8>().add(offset as usize).cast::<usize>().read_unaligned() }
    };
    if [shape.app, shape.backend, shape.length, shape.capacity].iter().any(|it| *it > 24) {
        return Err(differs("a text"));
    }
    if [word(shape.app), word(shape.backend), word(shape.length), word(shape.capacity)] != WORDS {
        return Err(differs("a text"));
    }
    Ok(())
}

/// Finds out whether `Option<T>` has the shape. `samples`: values of the type, which nobody drops.
pub fn check_option<T>(shape: &OptionShape, samples: impl IntoIterator<Item = T>) -> Result<(), Error> {
    let name = std::any::type_name::<Option<T>>();
    let (size, word) = (size_of::<Option<T>>(), &shape.presence);
    if size != shape.size as usize || align_of::<Option<T>>() != shape.align as usize {
        return Err(differs(name));
    }
    let value_end = (shape.value as usize).checked_add(size_of::<T>());
    let word_end = (word.offset as usize).checked_add(usize::from(word.size));
    let inside = |end: Option<usize>| end.is_some_and(|it| it <= size);
    if !inside(value_end) || !inside(word_end) || ![1, 2, 4, 8].contains(&word.size) {
        return Err(differs(name));
    }
    for sample in samples {
        let value = MaybeUninit::new(sample);
        let mut made = MaybeUninit::<Option<T>>::zeroed();
        let bytes = made.as_mut_ptr().cast::<u8>();
        // SAFETY: both places were found to lie inside. What is made of a sample and the word for a value is one if the
        // shape holds; a shape that does not hold has been told by sizes, or is told here.
        let (there, same) = unsafe {
            std::ptr::copy_nonoverlapping(value.as_ptr(), bytes.add(shape.value as usize).cast::<T>(), 1);
            if word.tagged {
                put(bytes, word.offset, word.size, word.present);
            }
            let found = (*made.as_ptr()).as_ref();
            (found.is_some(), found.is_some_and(|it| std::ptr::eq(it, bytes.add(shape.value as usize).cast())))
        };
        // SAFETY: as above, with the word for none.
        let gone = unsafe {
            put(bytes, word.offset, word.size, word.absent);
            (*made.as_ptr()).is_none()
        };
        if !there || !same || !gone {
            return Err(differs(name));
        }
    }
    Ok(())
}

/// # Safety
/// The word lies in memory that may be written.
unsafe fn put(bytes: *mut u8, offset: u32, size: u8, word: u64) {
    let raw = word.to_ne_bytes();
    // SAFETY: as above; machines are little-endian.
    unsafe { std::ptr::copy_nonoverlapping(raw.as_ptr(), bytes.add(offset as usize), usize::from(size)) };
}

fn scalar<T>(conventions: &Conventions, kind: u8, samples: [T; 2]) -> Result<(), Error> {
    let shape =
        conventions.option(kind).ok_or_else(|| Error::new(format!("nothing is said of options of kind {kind}")))?;
    check_option(shape, samples)
}

/// Options of numbers are this compiler's own.
pub(crate) fn check_scalars(conventions: &Conventions) -> Result<(), Error> {
    scalar(conventions, kind::BOOL, [false, true])?;
    scalar(conventions, kind::INT32, [0_i32, -1])?;
    scalar(conventions, kind::INT64, [0_i64, -1])?;
    scalar(conventions, kind::UINT32, [0_u32, u32::MAX])?;
    scalar(conventions, kind::UINT64, [0_u64, u64::MAX])?;
    scalar(conventions, kind::FLOAT, [0_f32, f32::NAN])?;
    scalar(conventions, kind::DOUBLE, [0_f64, f64::NAN])
}

/// A message as an optional one may be, whose own options have words to spare.
#[repr(C)]
struct Sample {
    flag: bool,
    small: Option<i32>,
    large: Option<u64>,
}

/// Whether there are options that take a value which the word of another option never has.
fn has_options_in_options(layouts: &Layouts) -> bool {
    let words = layouts.messages.iter().flat_map(|it| &it.fields).map(|it| &it.presence).filter(|it| !it.tagged);
    words.into_iter().any(|it| it.absent > 2 || (it.absent == 2 && it.size > 1))
}

/// Which values those are differs between releases of this compiler.
pub(crate) fn check_options_in_options(layouts: &Layouts) -> Result<(), Error> {
    if !has_options_in_options(layouts) {
        return Ok(());
    }
    let shape = |size, align, offset, word, absent| {
        let presence = Presence { offset, size: word, absent, present: 0, tagged: false };
        OptionShape { kind: kind::MESSAGE, size, align, value: 0, presence }
    };
    check_option(&shape(1, 1, 0, 1, 3), [None, Some(true)])?;
    check_option(&shape(8, 4, 0, 4, 2), [None, Some(-1_i32)])?;
    check_option(&shape(8, 4, 0, 4, 3), [None, Some(None), Some(Some(-1_i32))])?;
    check_option(&shape(16, 8, 0, 8, 2), [None, Some(u64::MAX)])?;
    let (small, large) = (Some(-1), Some(u64::MAX));
    check_option(&shape(32, 8, 16, 8, 2), [(true, None, None), (false, small, large)].map(sample))
}

fn sample((flag, small, large): (bool, Option<i32>, Option<u64>)) -> Sample {
    Sample { flag, small, large }
}
