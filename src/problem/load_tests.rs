use proptest::prelude::*;

use super::*;
use crate::host::MemoryHost;
use crate::problem::{ArgKind, Fill, Role};
use crate::verify::Dtype;

/// On a machine of 1 GiB.
fn loaded(text: &str) -> Loaded {
    let files = [("/p/problem.toml", text), ("/p/reference.c", "void f(void) {}\n")];
    let host = MemoryHost { memory_bytes: 1 << 30, ..MemoryHost::with_files(files) };
    load(Path::new("/p/problem.toml"), &host)
}

fn codes(text: &str) -> Vec<&'static str> {
    let diagnostics = loaded(text).diagnostics;
    diagnostics.iter().map(|found| found.code).collect()
}

const WHOLE: &str = r#"
name = "scan"
entry = "scan_sum"
cases = [ { rows = 64, cols = 1024 }, { cols = 257, rows = 4096 } ]
holdout = { rows = "1..=512", cols = 8, count = 3 }

[[args]]
name = "x"
dtype = "f32"
shape = ["rows", "2*cols", 3]
fill = { uniform = { low = -1, high = 1.5 } }
[[args]]
name = "keep"
dtype = "bool"
shape = ["rows"]
[[args]]
name = "acc"
dtype = "f64"
shape = [1]
role = "inout"
fill = { constant = 2 }
[[args]]
name = "y"
dtype = "bf16"
shape = ["rows"]
role = "out"
[[args]]
name = "alpha"
dtype = "f32"
value = 1e-7
[[args]]
name = "last"
dtype = "i64"
value = "rows - 1"

[reference]
source = "reference.c"
[work]
flops = "2.5*rows*cols"
[launch.cuda]
grid = ["ceil_div(rows, block.x)"]
block = [256]
shared = "4*block.x"
"#;

#[test]
fn a_whole_file_becomes_the_problem_it_says() {
    let loaded = loaded(WHOLE);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert_eq!(loaded.reference_text.as_deref(), Some("void f(void) {}\n"));
    let problem = loaded.problem.expect("a good file");
    assert_eq!((problem.name.as_str(), problem.entry.as_str()), ("scan", "scan_sum"));
    assert_eq!(problem.reference, Path::new("/p/reference.c"));
    let labels: Vec<&str> = problem.cases.iter().map(|case| case.label.as_str()).collect();
    assert_eq!(labels, ["rows=64 cols=1024", "cols=257 rows=4096"], "file order");
    let holdout = problem.holdout.unwrap();
    assert_eq!(
        (holdout.ranges["rows"], holdout.ranges["cols"], holdout.count),
        ((1, 512), (8, 8), 3)
    );
    assert!(problem.tolerance.is_exact());
    assert_eq!((problem.flops.as_deref(), problem.bytes), (Some("2.5*rows*cols"), None));
    let cuda = problem.cuda.unwrap();
    assert_eq!((cuda.block, cuda.shared), (vec!["256".to_owned()], "4*block.x".to_owned()));
}

#[test]
fn what_an_argument_does_not_say_is_filled_in() {
    let problem = loaded(WHOLE).problem.expect("a good file");
    let kinds: Vec<_> = problem.args.iter().map(|arg| (arg.dtype, &arg.kind)).collect();
    let shape = |extents: &[&str]| extents.iter().map(|&e| e.to_owned()).collect::<Vec<_>>();
    let rows = shape(&["rows"]);
    let fill = Fill::Uniform { low: -1.0, high: 1.5 };
    let x = ArgKind::Buffer { shape: shape(&["rows", "2*cols", "3"]), role: Role::In, fill };
    let fill = Fill::Integers { low: 0, high: 1 };
    let keep = ArgKind::Buffer { shape: rows.clone(), role: Role::In, fill };
    let fill = Fill::Constant(2.0);
    let acc = ArgKind::Buffer { shape: shape(&["1"]), role: Role::Inout, fill };
    let y = ArgKind::Buffer { shape: rows, role: Role::Out, fill: Fill::Zeros };
    let (alpha, last) = (ArgKind::Scalar("1e-7".into()), ArgKind::Scalar("rows - 1".into()));
    assert_eq!(
        kinds,
        [
            (Dtype::F32, &x),
            (Dtype::Bool, &keep),
            (Dtype::F64, &acc),
            (Dtype::Bf16, &y),
            (Dtype::F32, &alpha),
            (Dtype::I64, &last),
        ]
    );
}

#[test]
fn a_loaded_problem_can_be_staged_at_every_case_and_holdout() {
    use rand::SeedableRng;
    let problem = loaded(WHOLE).problem.expect("a good file");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut cases = crate::problem::draw_holdout(&problem, &mut rng);
    assert_eq!(cases.len(), 3);
    cases.extend(problem.cases.clone());
    for case in &cases {
        let staged = crate::problem::stage(&problem, case, 1).unwrap();
        assert_eq!(staged.args.len(), 6, "{}", case.label);
    }
}

#[test]
fn fills_of_every_form_are_read() {
    for (text, expected) in [
        ("\"zeros\"", Fill::Zeros),
        ("\"ones\"", Fill::Ones),
        ("\"iota\"", Fill::Iota),
        ("\"permutation\"", Fill::Permutation),
        ("\"adversarial\"", Fill::Adversarial),
        ("{ normal = { mean = 0, std = 3.0 } }", Fill::Normal { mean: 0.0, std: 3.0 }),
        ("{ integers = { low = -3, high = 9 } }", Fill::Integers { low: -3, high: 9 }),
        ("{ constant = 0.5 }", Fill::Constant(0.5)),
    ] {
        let whole = WHOLE.replace("{ uniform = { low = -1, high = 1.5 } }", text);
        let problem = loaded(&whole).problem.expect(text);
        let ArgKind::Buffer { fill, .. } = &problem.args[0].kind else { panic!("{text}") };
        assert_eq!(*fill, expected);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_error() {
    let loaded = load(Path::new("/nowhere.toml"), &MemoryHost::default());
    assert_eq!(loaded.diagnostics[0].code, "unreadable-file");
    assert!(loaded.problem.is_none() && loaded.diagnostics.len() == 1);
}

#[test]
fn half_of_memory_is_enough_and_a_byte_more_is_not() {
    let text = |elements: u64| {
        format!(
            "name = 'a'\nentry = 'a'\ncases = [{{ n = {elements} }}]\nreference.source = 'reference.c'\n\
             [[args]]\nname = 'y'\ndtype = 'u8'\nshape = ['n']\nrole = 'out'\n"
        )
    };
    assert_eq!(codes(&text(1 << 29)), Vec::<&str>::new());
    assert_eq!(codes(&text((1 << 29) + 1)), ["too-large"]);
}

#[test]
fn the_schema_tells_editors_the_keys_and_what_they_mean() {
    let schema = schemars::schema_for!(ProblemFile).to_value();
    for key in NEEDED.into_iter().chain(["holdout", "tolerance", "work", "launch"]) {
        assert!(schema["properties"][key]["description"].is_string(), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Loses or repeats a piece of a good file: it is refused or understood, never a panic, and
    /// what is understood can be staged.
    #[test]
    fn a_damaged_file_never_panics(from in 0usize..1100, length in 0usize..40, put in "[-0-9a-z{}\\[\\]\"'=.,\n ]{0,6}") {
        let start = WHOLE.floor_char_boundary(from);
        let end = WHOLE.ceil_char_boundary((start + length).min(WHOLE.len()));
        let text = format!("{}{put}{}", &WHOLE[..start], &WHOLE[end..]);
        let loaded = loaded(&text);
        prop_assert_eq!(loaded.problem.is_some(), loaded.diagnostics.is_empty());
        drop(crate::diagnostic::render(&loaded.diagnostics));
        for (problem, case) in loaded.problem.iter().flat_map(|p| p.cases.iter().map(move |c| (p, c))) {
            prop_assert!(crate::problem::bytes_needed(problem, case).is_ok());
        }
    }
}
