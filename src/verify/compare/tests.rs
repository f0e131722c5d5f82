use proptest::prelude::*;

use super::*;

const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false };

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

/// The first part of both buffers.
fn part<'a>(got: &'a [u8], want: &'a [u8]) -> Part<'a> {
    Part { got, want, start: 0 }
}

fn check_f32(got: f32, want: f32, tolerance: Tolerance, passes: bool) {
    let found = compare(&f32s(&[got]), &f32s(&[want]), Dtype::F32, &tolerance);
    assert_eq!(found.passed(), passes, "got {got}, want {want}, {tolerance:?}");
    assert_eq!(found.elements, 1);
}

#[test]
fn values_that_are_not_finite_equal_only_their_own_class() {
    let inf = f32::INFINITY;
    let wide = Tolerance { rtol: 1.0, atol: 1e30, equal_nan: false };
    for (got, want, passes) in [
        (inf, inf, true),
        (-inf, -inf, true),
        (inf, -inf, false),
        (1.0, inf, false),
        (inf, 1.0, false),
        (f32::NAN, 1.0, false),
        (f32::NAN, f32::NAN, false),
        (f32::NAN, inf, false),
        (inf, f32::NAN, false),
        (1.0, f32::NAN, false),
    ] {
        check_f32(got, want, wide, passes);
        check_f32(got, want, EXACT, passes);
    }
}

#[test]
fn the_tolerance_is_relative_to_the_wanted_value_and_its_bound_is_inside() {
    let half = Tolerance { rtol: 0.5, atol: 0.25, equal_nan: false };
    for (got, want, passes) in [
        (3.25, 2.0, true),
        (3.26, 2.0, false),
        (0.25, 0.0, true),
        (0.26, 0.0, false),
        (-0.0, 0.0, true),
        (-3.25, -2.0, true),
    ] {
        check_f32(got, want, half, passes);
    }
    check_f32(1.0, 1.0 + f32::EPSILON, EXACT, false);
}

#[test]
fn a_nan_in_the_reference_is_counted() {
    let want = f32s(&[1.0, f32::NAN, f32::NAN]);
    let found = compare(&want, &want, Dtype::F32, &EXACT);
    assert_eq!((found.want_nan, found.mismatches, found.passed()), (2, 2, false));
}

#[test]
fn nan_equals_nan_where_it_is_let_and_nothing_else() {
    let lenient = Tolerance { equal_nan: true, ..EXACT };
    for (got, want, passes) in [
        (f32::NAN, f32::NAN, true),
        (-f32::NAN, f32::NAN, true),
        (1.0, f32::NAN, false),
        (f32::NAN, 1.0, false),
        (f32::INFINITY, f32::NAN, false),
        (1.0, 1.0, true),
    ] {
        check_f32(got, want, lenient, passes);
    }
    let found = compare(&f32s(&[1.0]), &f32s(&[f32::NAN]), Dtype::F32, &lenient);
    assert_eq!((found.want_nan, found.not_finite, found.mismatches), (0, 1, 1));
}

#[test]
fn a_tolerance_of_integers_beyond_2_to_the_53_is_exact() {
    let (got, want) = (i64::MAX - 1, i64::MAX - 11);
    for (atol, passes) in [(9.0, false), (10.0, true), (10.9, true), (11.0, true)] {
        let tolerance = Tolerance { atol, ..EXACT };
        let found = compare(&got.to_ne_bytes(), &want.to_ne_bytes(), Dtype::I64, &tolerance);
        assert_eq!((found.passed(), found.max_int), (passes, Some(10)), "{atol}");
    }
}

#[test]
fn nothing_to_compare_is_no_pass() {
    assert!(!compare(&[], &[], Dtype::F32, &EXACT).passed());
}

#[test]
fn every_type_is_read_as_itself() {
    type Case = (Dtype, Vec<u8>, Vec<u8>, &'static str, &'static str);
    let one_off: [Case; 10] = [
        (Dtype::F64, 1.5f64.to_ne_bytes().into(), 2f64.to_ne_bytes().into(), "1.5", "2"),
        (Dtype::F32, 1.5f32.to_ne_bytes().into(), 2f32.to_ne_bytes().into(), "1.5", "2"),
        (
            Dtype::F16,
            f16::from_f64(1.5).to_ne_bytes().into(),
            f16::from_f64(1e-7).to_ne_bytes().into(),
            "1.5",
            "1.1920928955078125e-7",
        ),
        (
            Dtype::Bf16,
            bf16::from_f64(1.5).to_ne_bytes().into(),
            bf16::from_f64(2.0).to_ne_bytes().into(),
            "1.5",
            "2",
        ),
        (
            Dtype::I64,
            i64::MAX.to_ne_bytes().into(),
            (i64::MAX - 1).to_ne_bytes().into(),
            "9223372036854775807",
            "9223372036854775806",
        ),
        (Dtype::I32, (-5i32).to_ne_bytes().into(), 5i32.to_ne_bytes().into(), "-5", "5"),
        (Dtype::I16, (-5i16).to_ne_bytes().into(), 5i16.to_ne_bytes().into(), "-5", "5"),
        (Dtype::I8, vec![0xff], vec![1], "-1", "1"),
        (Dtype::U8, vec![0xff], vec![1], "255", "1"),
        (Dtype::Bool, vec![0], vec![1], "0", "1"),
    ];
    for (dtype, got, want, got_text, want_text) in one_off {
        let found = compare(&got, &want, dtype, &EXACT);
        assert_eq!(found.mismatches, 1, "{dtype}");
        assert_eq!(found.first[0].got.to_string(), got_text, "{dtype}");
        assert_eq!(found.first[0].want.to_string(), want_text, "{dtype}");
        assert!(compare(&want, &want, dtype, &EXACT).passed(), "{dtype}");
    }
}

#[test]
fn integers_are_exact_unless_a_tolerance_is_given() {
    let (got, want) = (f64::MAX.to_bits() as i64, f64::MAX.to_bits() as i64 + 1);
    let (got, want) = (got.to_ne_bytes(), want.to_ne_bytes());
    assert!(!compare(&got, &want, Dtype::I64, &EXACT).passed(), "equal as f64, not as integers");
    let one = Tolerance { rtol: 0.0, atol: 1.0, equal_nan: false };
    assert!(compare(&got, &want, Dtype::I64, &one).passed());
    let far = compare(&i64::MIN.to_ne_bytes(), &i64::MAX.to_ne_bytes(), Dtype::I64, &one);
    assert_eq!((far.passed(), far.max_abs), (false, 2f64.powi(64)));
}

#[test]
fn a_mismatch_serialises_without_nan() {
    let found = compare(&f32s(&[f32::NAN]), &f32s(&[1.0]), Dtype::F32, &EXACT);
    let json = serde_json::to_string(&found.first).unwrap();
    assert_eq!(json, r#"[{"index":0,"got":"nan","want":"1"}]"#);
}

/// Mostly near-equal pairs, some wild ones.
fn pairs() -> impl Strategy<Value = Vec<(f32, f32)>> {
    let pair = prop_oneof![
        8 => (-100f32..100.0, -0.01f32..0.01).prop_map(|(w, d)| (w + d, w)),
        1 => (any::<f32>(), any::<f32>()),
        1 => any::<f32>().prop_map(|v| (v, v)),
    ];
    proptest::collection::vec(pair, 0..200)
}

fn split(pairs: &[(f32, f32)]) -> (Vec<u8>, Vec<u8>) {
    let (got, want): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    (f32s(&got), f32s(&want))
}

/// The definition, without chunks or lanes.
fn naive(pairs: &[(f32, f32)], tolerance: &Tolerance) -> u64 {
    let differs = |&(got, want): &(f32, f32)| {
        let (got, want) = (f64::from(got), f64::from(want));
        if got.is_nan() || want.is_nan() {
            return true;
        }
        if got.is_infinite() || want.is_infinite() {
            return got.partial_cmp(&want) != Some(Ordering::Equal);
        }
        (got - want).abs() > tolerance.atol + tolerance.rtol * want.abs()
    };
    pairs.iter().filter(|pair| differs(pair)).count() as u64
}

proptest! {
    #[test]
    fn the_count_is_that_of_the_definition(pairs in pairs(), rtol in 0f64..0.01, atol in 0f64..0.01) {
        let (got, want) = split(&pairs);
        let tolerance = Tolerance { rtol, atol, equal_nan: false };
        let found = compare(&got, &want, Dtype::F32, &tolerance);
        let expected = naive(&pairs, &tolerance);
        prop_assert_eq!(found.mismatches, expected);
        prop_assert_eq!(found.elements, pairs.len() as u64);
        prop_assert_eq!(found.first.len() as u64, expected.min(KEPT as u64));
    }

    #[test]
    fn chunking_does_not_matter(pairs in pairs(), chunk in 1usize..64) {
        let (got, want) = split(&pairs);
        let tolerance = Tolerance { rtol: 1e-4, atol: 1e-3, equal_nan: false };
        let whole = compare_in_chunks(&got, &want, Dtype::F32, &tolerance, 1 << 20);
        let parts = compare_in_chunks(&got, &want, Dtype::F32, &tolerance, chunk);
        // Text, since a kept NaN is not equal to itself.
        prop_assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
    }

    #[test]
    fn parts_put_together_are_the_whole(pairs in pairs(), part in 1usize..64) {
        let (got, want) = split(&pairs);
        let tolerance = Tolerance { rtol: 1e-4, atol: 1e-3, equal_nan: false };
        let whole = compare(&got, &want, Dtype::F32, &tolerance);
        let parts = got.chunks(4 * part).zip(want.chunks(4 * part)).enumerate();
        let together = parts.fold(Comparison::empty(tolerance), |all, (i, (got, want))| {
            let part = Part { got, want, start: (i * part) as u64 };
            all.append(compare_part(part, Dtype::F32, &tolerance))
        });
        prop_assert_eq!(format!("{whole:?}"), format!("{together:?}"));
    }

    #[test]
    fn an_absolute_tolerance_is_symmetric(pairs in pairs(), atol in 0f64..0.02) {
        let (got, want) = split(&pairs);
        let tolerance = Tolerance { rtol: 0.0, atol, equal_nan: false };
        let there = compare(&got, &want, Dtype::F32, &tolerance);
        let back = compare(&want, &got, Dtype::F32, &tolerance);
        prop_assert_eq!(there.mismatches, back.mismatches);
        prop_assert_eq!(there.max_abs.to_bits(), back.max_abs.to_bits());
    }

    #[test]
    fn a_wider_tolerance_never_finds_more(
        pairs in pairs(), rtol in 0f64..0.01, atol in 0f64..0.01, more in 0f64..0.1,
    ) {
        let (got, want) = split(&pairs);
        let count = |rtol, atol| {
            compare(&got, &want, Dtype::F32, &Tolerance { rtol, atol, equal_nan: false }).mismatches
        };
        let narrow = count(rtol, atol);
        prop_assert!(count(rtol + more, atol) <= narrow);
        prop_assert!(count(rtol, atol + more) <= narrow);
    }

    #[test]
    fn integers_agree_with_their_definition(
        pairs in proptest::collection::vec((-50i16..50, -50i16..50), 1..100), atol in 0u8..20,
    ) {
        let got: Vec<u8> = pairs.iter().flat_map(|p| p.0.to_ne_bytes()).collect();
        let want: Vec<u8> = pairs.iter().flat_map(|p| p.1.to_ne_bytes()).collect();
        let tolerance = Tolerance { rtol: 0.0, atol: f64::from(atol), equal_nan: false };
        let expected = pairs.iter().filter(|p| p.0.abs_diff(p.1) > u16::from(atol)).count();
        let found = compare(&got, &want, Dtype::I16, &tolerance);
        prop_assert_eq!(found.mismatches, expected as u64);
    }
}

/// The definition for a whole buffer, element by element, without the fast path.
fn slow(got: &[u8], want: &[u8], dtype: Dtype, tolerance: Tolerance) -> Comparison {
    let chunk = Chunk { part: part(got, want), tolerance };
    match dtype {
        Dtype::F64 => chunk.floats(f64::from_ne_bytes),
        Dtype::F32 => chunk.floats(|b| f64::from(f32::from_ne_bytes(b))),
        Dtype::F16 => chunk.floats(|b| f16::from_ne_bytes(b).to_f64()),
        _ => chunk.floats(|b| bf16::from_ne_bytes(b).to_f64()),
    }
}

/// The first bytes of an element whose bits, at the top, are those of a wider float.
fn top(bits: u64, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F64 => bits.to_ne_bytes().into(),
        Dtype::F32 => ((bits >> 32) as u32).to_ne_bytes().into(),
        _ => ((bits >> 48) as u16).to_ne_bytes().into(),
    }
}

/// Bits of a wanted value, and how many steps of the type the candidate's is away.
fn steps() -> impl Strategy<Value = (u64, i64)> {
    let exponent = |low: u64, high: u64| {
        (any::<u64>(), low..high).prop_map(|(bits, e)| bits & 0x800f_ffff_ffff_ffff | e << 52)
    };
    let want = prop_oneof![
        // About 1, where errors of one step are alike; tiny and subnormal in each type; any.
        6 => exponent(1020, 1026),
        1 => Just(0),
        1 => Just(1 << 63),
        1 => any::<u64>().prop_map(|bits| bits >> 12 | bits << 63),
        1 => any::<u64>().prop_map(|bits| bits >> 9 & 0x007f_ffff_ffff_ffff | bits << 63),
        1 => any::<u64>(),
    ];
    (want, prop_oneof![6 => Just(0), 6 => -3..=3_i64, 1 => -2000..2000_i64])
}

/// Buffers of several blocks: mostly alike, in some wild, in a few not finite.
fn buffers() -> impl Strategy<Value = (Dtype, Vec<u8>, Vec<u8>)> {
    let floats = vec![Dtype::F64, Dtype::F32, Dtype::F16, Dtype::Bf16];
    let odd = prop_oneof![
        8 => Just(None),
        1 => (any::<prop::sample::Index>(), any::<u64>(), any::<u64>()).prop_map(Some),
        1 => (any::<prop::sample::Index>(), Just(0x7ff0 << 48), Just(0x7ff0 << 48)).prop_map(Some),
        1 => (any::<prop::sample::Index>(), Just(0x7fff << 48), Just(0x3ff0 << 48)).prop_map(Some),
    ];
    let elements = proptest::collection::vec(steps(), 1..400);
    (prop::sample::select(floats), elements, odd).prop_map(|(dtype, elements, odd)| {
        let one = 1_i64 << (64 - 8 * dtype.size_bytes());
        let mut pairs: Vec<(u64, u64)> = elements
            .into_iter()
            .map(|(want, steps)| (want.wrapping_add_signed(steps.wrapping_mul(one)), want))
            .collect();
        if let Some((at, got, want)) = odd {
            let at = at.index(pairs.len());
            pairs[at] = (got, want);
        }
        let bytes = |of: fn(&(u64, u64)) -> u64| {
            pairs.iter().flat_map(|pair| top(of(pair), dtype)).collect::<Vec<u8>>()
        };
        (dtype, bytes(|pair| pair.0), bytes(|pair| pair.1))
    })
}

/// None, wide, narrow, below the normal range, and odd ones.
fn tolerances() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => Just(0.0),
        4 => (-30..1_i32, 0..8_i32).prop_map(|(e, k)| f64::from(k) * f64::from(e).exp2()),
        2 => 0.0..0.01_f64,
        1 => (0..200_u64).prop_map(f64::from_bits),
        1 => (0..1000_u32).prop_map(|bits| f64::from(f32::from_bits(bits))),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NAN),
        1 => Just(-1.0),
        1 => Just(f64::MAX),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_fast_path_finds_what_the_definition_finds(
        (dtype, got, want) in buffers(), rtol in tolerances(), atol in tolerances(),
        chunk in prop_oneof![Just(CHUNK), 1usize..300], exact in 0..3_usize,
        nth in any::<prop::sample::Index>(),
    ) {
        let mut tolerance = Tolerance { rtol, atol, equal_nan: false };
        // Half of the time the bound is exactly the error of one element.
        let size = dtype.size_bytes();
        let at = nth.index(got.len() / size) * size;
        let one = slow(&got[at..at + size], &want[at..at + size], dtype, tolerance);
        match exact {
            1 => tolerance = Tolerance { rtol: 0.0, atol: one.max_abs, equal_nan: false },
            2 => tolerance = Tolerance { rtol: one.max_rel, atol: 0.0, equal_nan: false },
            _ => {}
        }
        let expected = slow(&got, &want, dtype, tolerance);
        let found = compare_in_chunks(&got, &want, dtype, &tolerance, chunk);
        // Text, since a kept NaN is not equal to itself; it tells every bit of a float.
        prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{}", dtype);
    }

    #[test]
    fn unaligned_buffers_are_compared_alike(pairs in pairs(), by in 1usize..8) {
        let (got, want) = split(&pairs);
        let shifted = |bytes: &[u8]| [&vec![0; by], bytes].concat();
        let tolerance = Tolerance { rtol: 1e-3, atol: 1e-3, equal_nan: false };
        let expected = compare(&got, &want, Dtype::F32, &tolerance);
        let found = compare(&shifted(&got)[by..], &shifted(&want)[by..], Dtype::F32, &tolerance);
        prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}

#[test]
fn every_f16_is_widened_to_its_value() {
    for bits in 0..=u16::MAX {
        let (value, wide) = (f16::from_bits(bits), widen(bits.to_ne_bytes()));
        if value.is_finite() {
            assert_eq!(wide.to_bits(), value.to_f32().to_bits(), "{bits:#06x}");
        } else {
            assert!(wide.is_nan(), "{bits:#06x}");
        }
    }
}

#[test]
fn a_chunk_that_agrees_takes_the_fast_path_and_others_do_not() {
    let want: Vec<f32> = (0..1000).map(|i| 1.0 + i as f32).collect();
    let near: Vec<f32> = want.iter().map(|x| x * (1.0 + 2.0 * f32::EPSILON)).collect();
    let tolerance = Tolerance { rtol: 1e-6, atol: 0.0, equal_nan: false };
    let way = |got: &[f32]| {
        let (got, want) = (f32s(got), f32s(&want));
        maxima_after(part(&got, &want), &tolerance, Maxima::default(), f32::from_ne_bytes)
    };
    let maxima = way(&near).expect("all are near");
    let expected = slow(&f32s(&near), &f32s(&want), Dtype::F32, tolerance);
    assert_eq!((maxima.abs, maxima.rel), (expected.max_abs, expected.max_rel));
    for odd in [f32::NAN, f32::INFINITY, 7.5] {
        let mut got = near.clone();
        got[500] = odd;
        assert_eq!(way(&got), None, "{odd}");
    }
}

/// What [`maxima_after`] must find for a block of one pair.
fn one_pair(got: f64, want: f64, tolerance: &Tolerance, seen: Maxima) -> Option<Maxima> {
    let difference = (got - want).abs();
    let near = difference.is_finite() && difference <= tolerance.allowed(want);
    let rel = if want == 0.0 { 0.0 } else { difference / want.abs() };
    near.then_some(Maxima { abs: seen.abs.max(difference), rel: seen.rel.max(rel) })
}

/// A value, one a step of f64 below it, one a little below.
fn on_the_edge(value: f64, which: u8) -> f64 {
    match which {
        0 => value,
        1 => value.next_down().max(0.0),
        2 => value.next_up(),
        3 => value * (1.0 - 2f64.powi(-30)),
        4 => value * 0.99,
        _ => value * 2.0,
    }
}

/// Two values of f32 whose exponents are up to 30 apart, in any part of the range.
fn of_like_size() -> impl Strategy<Value = (f32, f32)> {
    let part = |mask: u32| any::<u32>().prop_map(move |bits| bits & mask);
    let exponent = prop_oneof![3 => 100..160_u32, 2 => 0..3_u32, 1 => 0..255_u32];
    let apart = prop_oneof![2 => Just(0), 1 => 0..31_u32];
    let fractions = prop_oneof![
        1 => (part(0x7f_ffff), part(0x7f_ffff)),
        1 => (part(0x7f_ffff), 0..9_u32).prop_map(|(a, step)| (a.saturating_sub(step), a)),
        1 => (part(3), part(3)),
    ];
    (exponent, apart, fractions, any::<bool>()).prop_map(|(exponent, apart, (a, b), swap)| {
        let (a, b) = (exponent << 23 | a, exponent.saturating_sub(apart) << 23 | b);
        let (a, b) = (f32::from_bits(a), f32::from_bits(b));
        if swap { (b, a) } else { (a, b) }
    })
}

#[test]
fn a_difference_that_f32_rounds_down_to_half_is_seen_for_what_it_is() {
    let (got, want) = (0.5 - 2f32.powi(-25), 1.0_f32);
    let (wide, seen) =
        (Tolerance { rtol: 1.0, atol: 1.0, equal_nan: false }, Maxima { abs: 0.5, rel: 0.5 });
    let (got, want) = (f32s(&[got; 64]), f32s(&[want; 64]));
    let found = maxima_after(part(&got, &want), &wide, seen, f32::from_ne_bytes);
    let error = 0.5 + 2f64.powi(-25);
    assert_eq!(found, Some(Maxima { abs: error, rel: error }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// The filter is right to the last bit: limits lie at the errors themselves and next to them.
    #[test]
    fn the_filter_lets_nothing_through_that_has_something_to_tell(
        (got, want) in of_like_size(), edges in prop::array::uniform4(0..6_u8),
        atol_counts in any::<bool>(), rtol_counts in any::<bool>(), wide in any::<bool>(),
    ) {
        let (g, w) = (f64::from(got), f64::from(want));
        let difference = (g - w).abs();
        let rel = if w == 0.0 { 0.0 } else { difference / w.abs() };
        let edge = |value: f64, which: usize| on_the_edge(value, edges[which]);
        let tolerance = Tolerance {
            atol: if wide { 1e300 } else { f64::from(u8::from(atol_counts)) * edge(difference, 0) },
            rtol: f64::from(u8::from(rtol_counts)) * edge(rel, 1),
            equal_nan: false,
        };
        let seen = Maxima { abs: edge(difference, 2), rel: edge(rel, 3) };
        let expected = one_pair(g, w, &tolerance, seen);
        let singles = (f32s(&[got; 64]), f32s(&[want; 64]));
        let found = maxima_after(part(&singles.0, &singles.1), &tolerance, seen, f32::from_ne_bytes);
        prop_assert_eq!(found, expected, "f32 {} {}", got, want);
        let doubles = |x: f64| [x; 64].iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<u8>>();
        let found = maxima_after(part(&doubles(g), &doubles(w)), &tolerance, seen, f64::from_ne_bytes);
        prop_assert_eq!(found, expected, "f64 {} {}", g, w);
    }
}
