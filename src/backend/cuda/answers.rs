//! How the judge hands over the answers that outputs are compared with on a device.

use super::driver;
use crate::verify::Dtype;

/// How the judge heads an output's answer: type, nothing, tolerance. Little-endian words.
pub(super) const ANSWER_HEAD: u64 = 24;

/// Head and answer of one output, up to where the next begins.
pub(super) fn answer_bytes(bytes: u64) -> u64 {
    ANSWER_HEAD + bytes.next_multiple_of(8)
}

/// Element types as messages number them.
const DTYPES: [Dtype; 10] = [
    Dtype::F64,
    Dtype::F32,
    Dtype::F16,
    Dtype::Bf16,
    Dtype::I64,
    Dtype::I32,
    Dtype::I16,
    Dtype::I8,
    Dtype::U8,
    Dtype::Bool,
];

/// The number of a type in a message.
pub(super) fn dtype_number(dtype: Dtype) -> u64 {
    DTYPES.iter().position(|&known| known == dtype).unwrap_or(0) as u64
}

/// The type of this number.
pub(super) fn dtype_of(number: u64) -> driver::Result<Dtype> {
    let known = usize::try_from(number).ok().and_then(|number| DTYPES.get(number).copied());
    known.ok_or(driver::Error { call: "a comparison of an unknown type", code: 1 })
}
