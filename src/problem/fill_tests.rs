use proptest::prelude::*;

use super::*;
use crate::problem::fits;

const FILLS: [Fill; 9] = [
    Fill::Normal { mean: 0.0, std: 1.0 },
    Fill::Uniform { low: -1.0, high: 1.0 },
    Fill::Integers { low: 0, high: 1 },
    Fill::Zeros,
    Fill::Ones,
    Fill::Constant(1.0),
    Fill::Iota,
    Fill::Permutation,
    Fill::Adversarial,
];

fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn f32s(what: &Fill, elements: usize, seed: u64) -> Vec<f32> {
    let bytes = fill(what, Dtype::F32, elements, &mut seeded(seed));
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect()
}

/// Every element as a number.
fn values(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks(dtype.size_bytes())
        .map(|b| match dtype {
            Dtype::F64 => f64::from_ne_bytes(b.try_into().expect("whole elements")),
            Dtype::F32 => f64::from(f32::from_ne_bytes(b.try_into().expect("whole elements"))),
            Dtype::F16 => f16::from_ne_bytes(b.try_into().expect("whole elements")).to_f64(),
            Dtype::Bf16 => bf16::from_ne_bytes(b.try_into().expect("whole elements")).to_f64(),
            Dtype::I64 => i64::from_ne_bytes(b.try_into().expect("whole elements")) as f64,
            Dtype::I32 => f64::from(i32::from_ne_bytes(b.try_into().expect("whole elements"))),
            Dtype::I16 => f64::from(i16::from_ne_bytes(b.try_into().expect("whole elements"))),
            Dtype::I8 => f64::from(b[0] as i8),
            Dtype::U8 | Dtype::Bool => f64::from(b[0]),
        })
        .collect()
}

#[test]
fn every_fill_that_fits_gives_finite_values_of_its_type_and_the_same_again() {
    for what in FILLS {
        for dtype in Dtype::ALL {
            let elements = 2;
            if fits(&what, dtype, elements).is_err() {
                assert!(!dtype.is_float(), "{what:?} must fit {dtype}");
                continue;
            }
            let elements = if matches!(what, Fill::Iota | Fill::Permutation) { 2 } else { 3000 };
            let bytes = fill(&what, dtype, elements, &mut seeded(1));
            assert_eq!(bytes, fill(&what, dtype, elements, &mut seeded(1)), "{what:?} {dtype}");
            let found = values(dtype, &bytes);
            assert_eq!(found.len(), elements);
            assert!(found.iter().all(|v| v.is_finite()), "{what:?} {dtype}");
            if dtype == Dtype::Bool {
                assert!(bytes.iter().all(|b| *b <= 1), "{what:?}");
            }
        }
    }
}

#[test]
fn another_seed_gives_other_values() {
    for what in [FILLS[0], FILLS[1], Fill::Permutation, Fill::Adversarial] {
        assert_ne!(f32s(&what, 1000, 1), f32s(&what, 1000, 2), "{what:?}");
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let elements = 3 * CHUNK + 17;
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| f32s(&FILLS[0], elements, 7))
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn chunks_are_not_copies_of_each_other() {
    let found = f32s(&FILLS[0], 2 * CHUNK, 7);
    assert_ne!(found[..CHUNK], found[CHUNK..]);
}

#[test]
fn a_second_buffer_from_the_same_generator_differs_from_the_first() {
    let mut rng = seeded(3);
    let first = fill(&FILLS[0], Dtype::F32, 100, &mut rng);
    assert_ne!(first, fill(&FILLS[0], Dtype::F32, 100, &mut rng));
}

#[test]
fn normal_has_its_mean_and_deviation() {
    let found = f32s(&Fill::Normal { mean: 2.0, std: 3.0 }, 40_000, 5);
    let n = found.len() as f64;
    let mean = found.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = found.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    assert!((mean - 2.0).abs() < 0.1, "{mean}");
    assert!((variance.sqrt() - 3.0).abs() < 0.1, "{variance}");
}

#[test]
fn uniform_never_reaches_its_upper_bound() {
    // The next f16 below 1.0 is 0.9995: rounding reaches 1.0 in one of 4,000 draws.
    let what = Fill::Uniform { low: 0.0, high: 1.0 };
    let found = values(Dtype::F16, &fill(&what, Dtype::F16, 40_000, &mut seeded(5)));
    assert!(found.iter().all(|v| (0.0..1.0).contains(v)));
    assert!(found.iter().any(|v| *v > 0.99) && found.iter().any(|v| *v < 0.01));
}

#[test]
fn plain_fills_are_what_they_say() {
    assert_eq!(f32s(&Fill::Iota, 4, 0), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(f32s(&Fill::Ones, 3, 0), [1.0; 3]);
    assert_eq!(f32s(&Fill::Zeros, 3, 0), [0.0; 3]);
    assert_eq!(f32s(&Fill::Constant(-2.5), 2, 0), [-2.5; 2]);
    let last = f32s(&Fill::Iota, CHUNK + 2, 0);
    assert_eq!(last[CHUNK..], [CHUNK as f32, CHUNK as f32 + 1.0]);
}

#[test]
fn adversarial_holds_what_breaks_kernels() {
    let found = f32s(&Fill::Adversarial, 4000, 9);
    let holds = |what: fn(&f32) -> bool| found.iter().any(what);
    assert!(holds(|v| v.is_subnormal()));
    assert!(holds(|v| *v == 0.0 && v.is_sign_negative()));
    assert!(holds(|v| v.abs() > 1e6));
    assert!(holds(|v| *v != 0.0 && v.abs() < 1e-6 && v.is_normal()));
    assert!(found.windows(2).filter(|w| w[0].to_bits() == w[1].to_bits()).count() > 400);
    // Products of two stay finite.
    assert!(found.iter().all(|v| (v * v).is_finite()));
    let ints = values(Dtype::I32, &fill(&Fill::Adversarial, Dtype::I32, 4000, &mut seeded(9)));
    assert!(ints.contains(&f64::from(i32::MIN)) && ints.contains(&f64::from(i32::MAX)));
}

#[test]
fn what_does_not_fit_is_told() {
    for (what, dtype, elements, expected) in [
        (FILLS[0], Dtype::Bool, 4, "`normal` gives fractions, which bool cannot hold"),
        (FILLS[1], Dtype::I32, 4, "`uniform` gives fractions, which i32 cannot hold"),
        (
            Fill::Permutation,
            Dtype::U8,
            257,
            "`permutation` of 257 elements needs values up to 256, and u8 holds integers exactly \
             only up to 255",
        ),
        (
            Fill::Iota,
            Dtype::F16,
            3000,
            "`iota` of 3000 elements needs values up to 2999, and f16 holds integers exactly only \
             up to 2048",
        ),
        (
            Fill::Integers { low: -1, high: 3 },
            Dtype::U8,
            4,
            "`integers` from -1 to 3 leaves the integers that u8 holds exactly, 0 to 255",
        ),
        (
            Fill::Integers { low: 3, high: 1 },
            Dtype::U8,
            4,
            "`integers` needs low <= high, got low 3 and high 1",
        ),
        (Fill::Constant(0.5), Dtype::I32, 4, "i32 cannot hold the constant 0.5"),
        (Fill::Constant(1e5), Dtype::F16, 4, "f16 cannot hold the constant 100000"),
        (Fill::Constant(f64::NAN), Dtype::F64, 4, "f64 cannot hold the constant NaN"),
        (
            Fill::Normal { mean: 0.0, std: -1.0 },
            Dtype::F32,
            4,
            "a standard deviation of -1 is negative",
        ),
        (
            Fill::Normal { mean: 0.0, std: 1e5 },
            Dtype::F16,
            4,
            "`normal` with mean 0 and std 100000 leaves the range of f16",
        ),
        (
            Fill::Uniform { low: 1.0, high: 1.0 },
            Dtype::F32,
            4,
            "`uniform` needs low < high, got low 1 and high 1",
        ),
    ] {
        let found = fits(&what, dtype, elements).expect_err("does not fit");
        assert_eq!(found.to_string(), expected);
    }
    assert_eq!(fits(&Fill::Permutation, Dtype::U8, 256), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_permutation_holds_each_index_once(elements in 0usize..2000, seed: u64) {
        let bytes = fill(&Fill::Permutation, Dtype::I32, elements, &mut seeded(seed));
        let mut found = values(Dtype::I32, &bytes);
        found.sort_by(f64::total_cmp);
        prop_assert!(found.iter().enumerate().all(|(i, v)| *v as usize == i));
        prop_assert_eq!(found.len(), elements);
    }

    #[test]
    fn integers_stay_in_their_range(low in -128i64..127, width in 0i64..255, seed: u64) {
        let high = (low + width).min(127);
        let bytes = fill(&Fill::Integers { low, high }, Dtype::I8, 300, &mut seeded(seed));
        let found = values(Dtype::I8, &bytes);
        prop_assert!(found.iter().all(|v| (low as f64..=high as f64).contains(v)));
    }
}
