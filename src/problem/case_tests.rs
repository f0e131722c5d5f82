use rand::SeedableRng;

use super::*;
use crate::problem::{Fill, Holdout};
use crate::verify::Tolerance;

/// A softmax over two cases.
pub(in crate::problem) fn problem() -> Problem {
    let buffer =
        |role, fill| ArgKind::Buffer { shape: vec!["rows".into(), "cols".into()], role, fill };
    let arg = |name: &str, dtype, kind| Arg { name: name.into(), dtype, kind, is_const: true };
    Problem {
        name: "softmax".into(),
        entry: "softmax".into(),
        cases: vec![case(4, 8), case(2, 3)],
        holdout: Some(Holdout {
            ranges: [("rows".to_owned(), (1, 4)), ("cols".to_owned(), (1, 8))].into(),
            count: 3,
        }),
        args: vec![
            arg("x", Dtype::F32, buffer(Role::In, Fill::Normal { mean: 0.0, std: 1.0 })),
            arg("y", Dtype::F32, buffer(Role::Out, Fill::Zeros)),
            arg("rows", Dtype::I32, ArgKind::Scalar("rows".into())),
            arg("scale", Dtype::F16, ArgKind::Scalar("0.5".into())),
        ],
        reference: "/problems/reference.c".into(),
        tolerance: Tolerance { rtol: 1e-5, atol: 1e-6, equal_nan: false },
        growth: None,
        deterministic: false,
        flops: Some("5*rows*cols".into()),
        bytes: Some("8*rows*cols".into()),
        cuda: None,
    }
}

fn case(rows: i64, cols: i64) -> Case {
    Case {
        label: format!("rows={rows} cols={cols}"),
        sizes: [("rows".to_owned(), rows), ("cols".to_owned(), cols)].into(),
    }
}

fn data(arg: &StagedArg) -> &[u8] {
    match arg {
        StagedArg::Buffer { data, .. } => data,
        StagedArg::Scalar { bytes, .. } => bytes,
        StagedArg::Later { .. } => panic!("it is drawn"),
    }
}

#[test]
fn arguments_are_staged_in_order_with_their_shapes_and_values() {
    let staged = stage(&problem(), &case(4, 8), 1).unwrap();
    let [x, y, rows, scale] = staged.args.as_slice() else { panic!("{staged:?}") };
    let StagedArg::Buffer { name, role, shape, data: bytes, .. } = x else { panic!("{x:?}") };
    assert_eq!((name.as_str(), *role, shape.as_slice()), ("x", Role::In, &[4, 8][..]));
    assert!(bytes.len() == 4 * 8 * 4 && bytes.iter().any(|b| *b != 0));
    assert_eq!(data(y), vec![0; 4 * 8 * 4]);
    assert_eq!(data(rows), [4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(data(scale)[..2], f16::from_f64(0.5).to_ne_bytes());
}

#[test]
fn contents_depend_on_the_seed_and_not_on_later_arguments() {
    let (whole, mut short) = (problem(), problem());
    short.args.truncate(1);
    let first =
        |problem: &Problem, seed| stage(problem, &case(4, 8), seed).unwrap().args[0].clone();
    assert_eq!(first(&whole, 1), first(&short, 1));
    assert_ne!(first(&whole, 1), first(&whole, 2));
}

#[test]
fn two_arguments_with_one_fill_differ() {
    let mut twice = problem();
    twice.args[1] = Arg { name: "z".into(), ..twice.args[0].clone() };
    let staged = stage(&twice, &case(4, 8), 1).unwrap();
    assert_ne!(data(&staged.args[0]), data(&staged.args[1]));
}

#[test]
fn bytes_and_work_follow_the_sizes() {
    let problem = problem();
    assert_eq!(bytes_needed(&problem, &case(4, 8)), Ok(256));
    let work = work(&problem, &case(4, 8));
    assert_eq!((work.flops, work.bytes), (Some(160.0), Some(256.0)));
}

#[test]
fn what_cannot_be_staged_is_told() {
    let problem = problem();
    for (rows, cols, expected) in [
        (0, 8, "`rows` is 0, and an extent must be at least 1"),
        (4, -1, "`cols` is -1, and an extent must be at least 1"),
        (i64::MAX, 8, "`x` is larger than an address space"),
    ] {
        let error = stage(&problem, &case(rows, cols), 1).expect_err("it cannot be staged");
        assert_eq!(error.to_string(), expected);
    }
    for (expr, dtype, expected) in [
        ("3000000000", Dtype::I32, "`3000000000` is 3000000000, which i32 cannot hold"),
        ("2", Dtype::Bool, "`2` is 2, which bool cannot hold"),
        ("-1", Dtype::U8, "`-1` is -1, which u8 cannot hold"),
        (
            "1e39",
            Dtype::F32,
            "`1e39` is 1000000000000000000000000000000000000000, which f32 cannot hold",
        ),
        ("0.5", Dtype::I32, "`0.5`: the result is 0.5, not an integer"),
    ] {
        let error = scalar(expr, dtype, &BTreeMap::new()).expect_err("it cannot be staged");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn holdout_cases_are_new_distinct_in_range_and_follow_the_seed() {
    let problem = problem();
    let draw = |seed| draw_holdout(&problem, &mut ChaCha8Rng::seed_from_u64(seed));
    for seed in 0..50 {
        let drawn = draw(seed);
        assert_eq!(drawn.len(), 3);
        for (i, case) in drawn.iter().enumerate() {
            assert!((1..=4).contains(&case.sizes["rows"]) && (1..=8).contains(&case.sizes["cols"]));
            assert!(!problem.cases.contains(case) && !drawn[..i].contains(case));
            let (rows, cols) = (case.sizes["rows"], case.sizes["cols"]);
            assert_eq!(case.label, format!("rows={rows} cols={cols}"));
        }
        assert_eq!(drawn, draw(seed));
    }
    assert_ne!(draw(1), draw(2));
}

#[test]
fn ranges_that_hold_too_few_cases_give_fewer() {
    let mut tight = problem();
    tight.holdout = Some(Holdout {
        ranges: [("rows".to_owned(), (4, 4)), ("cols".to_owned(), (8, 9))].into(),
        count: 3,
    });
    let drawn = draw_holdout(&tight, &mut ChaCha8Rng::seed_from_u64(1));
    assert_eq!(drawn.iter().map(|c| c.label.as_str()).collect::<Vec<_>>(), ["rows=4 cols=9"]);
}

#[test]
fn a_twin_differs_from_its_model_in_few_elements_of_its_inputs() {
    let mut problem = problem();
    for (rows, cols, least, most) in [(1, 1, 1, 1), (4, 8, 1, 1), (100, 100, 5, 10)] {
        let case = case(rows, cols);
        let model = stage(&problem, &case, 1).unwrap();
        let twin = twin(&model, &problem, 2);
        let pairs = data(&model.args[0]).chunks(4).zip(data(&twin.args[0]).chunks(4));
        let changed = pairs.filter(|(a, b)| a != b).count();
        assert!((least..=most).contains(&changed), "{rows} x {cols}: {changed}");
        assert_eq!(model.args[1..], twin.args[1..]);
    }
    let ArgKind::Buffer { fill, .. } = &mut problem.args[0].kind else { panic!("a buffer") };
    *fill = Fill::Iota;
    let model = stage(&problem, &case(4, 8), 1).unwrap();
    assert_eq!(twin(&model, &problem, 2), model, "a count hangs together");
}

#[test]
fn the_size_of_a_case_is_what_its_inputs_hold() {
    assert_eq!(size(&problem(), &case(4, 8)), 32);
}
