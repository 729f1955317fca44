use appnet_mrpc_host::{check_option, check_vec, Conventions, Error};
use mrpc_marshal::shadow;

/// The number of strings among the kinds of fields.
const STRING: u8 = 14;

fn text(app: usize, backend: usize, length: usize, capacity: usize) -> shadow::String {
    // SAFETY: whoever asks neither uses nor drops it.
    unsafe { shadow::String::from_raw_parts(app as *mut u8, backend as *mut u8, length, capacity) }
}

/// Finds out whether the texts and lists of mRPC lie in memory as the compiler took for granted.
pub(crate) fn probe(conventions: &Conventions) -> Result<(), Error> {
    check_vec(&conventions.vec, text)?;
    check_vec(&conventions.vec, |app, backend, length, capacity| {
        // SAFETY: as above.
        unsafe { shadow::Vec::<u64>::from_raw_parts(app as *mut u64, backend as *mut u64, length, capacity) }
    })?;
    let shape = conventions.option(STRING).ok_or_else(|| Error::new("nothing is said of optional texts"))?;
    check_option(shape, [text(8, 8, 0, 0), text(0x1000, 0x2000, 3, 5)])
}

#[cfg(test)]
mod tests {
    use appnet_mrpc_host::{OptionShape, Presence, VecShape};

    use super::*;

    /// What AppNet's compiler takes for granted holds for mRPC's types, as this compiler lays them out.
    #[test]
    fn mrpc_lays_texts_out_as_the_compiler_thinks() {
        let vec = VecShape { size: 32, align: 8, app: 0, backend: 8, capacity: 16, length: 24 };
        let presence = Presence { offset: 0, size: 8, absent: 0, present: 0, tagged: false };
        let options = vec![OptionShape { kind: STRING, size: 32, align: 8, value: 0, presence }];
        assert_eq!(probe(&Conventions { vec, options: options.clone() }), Ok(()));
        let vec = VecShape { app: 8, backend: 0, ..vec };
        assert!(probe(&Conventions { vec, options }).is_err());
    }
}
