//! Elements of buffers as numbers.

use half::{bf16, f16};

use crate::verify::Dtype;

/// The elements of a buffer, as the nearest f64.
pub(super) fn values(bytes: &[u8], dtype: Dtype) -> impl Iterator<Item = f64> + '_ {
    bytes.chunks_exact(dtype.size_bytes()).map(move |element| value(element, dtype))
}

fn value(element: &[u8], dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F64 => f64::from_ne_bytes(array(element)),
        Dtype::F32 => f64::from(f32::from_ne_bytes(array(element))),
        Dtype::F16 => f16::from_ne_bytes(array(element)).to_f64(),
        Dtype::Bf16 => bf16::from_ne_bytes(array(element)).to_f64(),
        Dtype::I64 => i64::from_ne_bytes(array(element)) as f64,
        Dtype::I32 => f64::from(i32::from_ne_bytes(array(element))),
        Dtype::I16 => f64::from(i16::from_ne_bytes(array(element))),
        Dtype::I8 => f64::from(i8::from_ne_bytes(array(element))),
        Dtype::U8 | Dtype::Bool => f64::from(element[0]),
    }
}

/// An element of `chunks_exact` has the length of its type.
fn array<const N: usize>(element: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(element);
    bytes
}

/// The bytes of the element nearest to `value`.
pub(super) fn element(value: f64, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F64 => value.to_ne_bytes().to_vec(),
        Dtype::F32 => (value as f32).to_ne_bytes().to_vec(),
        Dtype::F16 => f16::from_f64(value).to_ne_bytes().to_vec(),
        Dtype::Bf16 => bf16::from_f64(value).to_ne_bytes().to_vec(),
        Dtype::I64 => (value.round() as i64).to_ne_bytes().to_vec(),
        Dtype::I32 => (value.round() as i32).to_ne_bytes().to_vec(),
        Dtype::I16 => (value.round() as i16).to_ne_bytes().to_vec(),
        Dtype::I8 => (value.round() as i8).to_ne_bytes().to_vec(),
        Dtype::U8 | Dtype::Bool => vec![value.round() as u8],
    }
}

/// The distance from 1 to the next number of a floating-point type; `None` for the others.
pub(super) fn epsilon(dtype: Dtype) -> Option<f64> {
    Some(match dtype {
        Dtype::F64 => f64::EPSILON,
        Dtype::F32 => f64::from(f32::EPSILON),
        Dtype::F16 => f16::EPSILON.to_f64(),
        Dtype::Bf16 => bf16::EPSILON.to_f64(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_gives_back_what_it_was_given() {
        for dtype in Dtype::ALL {
            let (low, high) = dtype.exact_integers();
            for value in [0.0, 1.0, high.min(1 << 40) as f64, low.max(-(1 << 40)) as f64] {
                let bytes = element(value, dtype);
                assert_eq!(bytes.len(), dtype.size_bytes());
                let read: Vec<f64> = values(&bytes.repeat(3), dtype).collect();
                assert_eq!(read, [value; 3], "{dtype}");
            }
            assert_eq!(epsilon(dtype).is_some(), dtype.is_float());
        }
    }
}
