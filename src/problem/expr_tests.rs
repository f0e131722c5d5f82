use proptest::prelude::*;

use super::*;

fn sizes() -> BTreeMap<String, i64> {
    [("rows", 64), ("cols", 1024), ("zero", 0), ("huge", i64::MAX), ("block.x", 256)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

#[test]
fn integers_stay_integers() {
    for (expr, expected) in [
        ("rows", 64),
        ("256", 256),
        ("rows*cols", 65536),
        ("5*rows*cols + 1", 327_681),
        ("(cols + block.x - 1) / block.x", 4),
        ("ceil_div(1025, block.x)", 5),
        ("ceil_div(1024, block.x)", 4),
        ("ceil_div(-7, 2)", -3),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 % 4", 3),
        ("2^10", 1024),
        ("min(rows, cols)", 64),
        ("max(rows, cols, 5000)", 5000),
        ("abs(rows - cols)", 960),
        ("if(rows < cols, 1, 2)", 1),
        ("ceil(rows / 10.0)", 7),
        ("huge - 1", i64::MAX - 1),
        ("2 * -3 + 1", -5),
        ("0x10", 16),
    ] {
        assert_eq!(eval_int(expr, &sizes()), Ok(expected), "{expr}");
    }
}

#[test]
fn numbers_may_be_fractions() {
    for (expr, expected) in
        [("1.5", 1.5), ("rows / 128.0", 0.5), ("sqrt(rows)", 8.0), ("1e-3", 0.001), ("rows", 64.0)]
    {
        assert_eq!(eval_f64(expr, &sizes()), Ok(expected), "{expr}");
    }
}

#[test]
fn every_refusal_says_why() {
    for (expr, expected) in [
        ("row", "there is no size called `row`"),
        ("len(rows)", "there is no function called `len`"),
        ("huge + 1", "`9223372036854775807 + 1` overflows a 64-bit integer"),
        ("huge * 2", "`9223372036854775807 * 2` overflows a 64-bit integer"),
        ("rows / zero", "`64 / 0` divides by zero"),
        ("rows % zero", "`64 % 0` divides by zero"),
        ("ceil_div(rows, zero)", "`64 / 0` divides by zero"),
        ("rows / 3.0", "the result is 21.333333333333332, not an integer"),
        ("rows / 0.0", "the result is not a finite number"),
        ("inf", "the result is not a finite number"),
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        ("rows // 2", "`//` and `/*` have no meaning here; `/` divides integers as C does"),
        ("rows ** 2", "`**` has no meaning here; a power is written `^`"),
        ("rows; cols", "`;` has no meaning in an expression"),
        ("\"rows\"", "`\\\"` has no meaning in an expression"),
        ("rows = 3", "`=` has no meaning here; equality is written `==`"),
        ("rows cols", "there is no function called `rows`"),
        ("2 rows", "an operator is missing between two values"),
        ("(rows", "a `(` is never closed"),
        ("rows)", "a `)` was never opened"),
        ("rows +", "an operand is missing"),
        ("* rows", "an operand is missing"),
        ("()", "an operand is missing"),
        ("rows, cols", "the result is not a number but a list"),
        (
            "rows < cols",
            "the result is not a number but a comparison; `if(condition, a, b)` makes a number of it",
        ),
        ("min(rows)", "`min` takes two or more numbers"),
        ("if(1, 2, 3)", "`if` takes a comparison and two numbers"),
        ("rows && cols", "`&&`, `||` and `!` need comparisons around them"),
    ] {
        let error = eval_int(expr, &sizes()).map_err(|e| e.to_string());
        assert_eq!(error, Err(expected.to_owned()), "{expr}");
    }
}

#[test]
fn a_result_that_floating_point_cannot_hold_exactly_is_refused() {
    assert_eq!(eval_int("2^53", &sizes()), Ok(1 << 53));
    assert!(matches!(eval_int("2^60", &sizes()), Err(ExprError::NotInteger(_))));
}

#[test]
fn names_are_listed_once_in_order() {
    assert_eq!(names("b*a + b + block.x"), Ok(vec!["b".into(), "a".into(), "block.x".into()]));
    assert_eq!(names("3 + 4"), Ok(vec![]));
    assert_eq!(names("max(m, n)"), Ok(vec!["m".into(), "n".into()]));
}

/// An arithmetic tree, to be printed without needless parentheses.
#[derive(Debug, Clone)]
enum Tree {
    Number(i64),
    Negative(Box<Self>),
    Pair(Box<Self>, char, Box<Self>),
}

impl Tree {
    fn value(&self) -> Option<i64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Negative(inner) => inner.value()?.checked_neg(),
            Self::Pair(left, operator, right) => {
                let (left, right) = (left.value()?, right.value()?);
                match operator {
                    '+' => left.checked_add(right),
                    '-' => left.checked_sub(right),
                    '*' => left.checked_mul(right),
                    '/' => left.checked_div(right),
                    _ => left.checked_rem(right),
                }
            }
        }
    }

    fn strength(&self) -> u8 {
        match self {
            Self::Number(_) => 3,
            Self::Negative(_) => 2,
            Self::Pair(_, '+' | '-', _) => 0,
            Self::Pair(..) => 1,
        }
    }

    fn text(&self) -> String {
        let wrapped = |inner: &Self, least: u8| {
            let text = inner.text();
            if inner.strength() < least { format!("({text})") } else { text }
        };
        match self {
            Self::Number(value) => value.to_string(),
            Self::Negative(inner) => format!("-{}", wrapped(inner, 3)),
            Self::Pair(left, operator, right) => {
                let own = self.strength();
                format!("{} {operator} {}", wrapped(left, own), wrapped(right, own + 1))
            }
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    (0i64..50).prop_map(Tree::Number).prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|t| Tree::Negative(Box::new(t))),
            4 => (inner.clone(), prop::sample::select(vec!['+', '-', '*', '/', '%']), inner)
                .prop_map(|(l, op, r)| Tree::Pair(Box::new(l), op, Box::new(r))),
        ]
    })
}

proptest! {
    #[test]
    fn arithmetic_has_the_precedence_of_c(tree in trees()) {
        let text = tree.text();
        prop_assume!(text.len() <= MAX_CHARS);
        prop_assert_eq!(eval_int(&text, &BTreeMap::new()).ok(), tree.value(), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9_.+*/%^(),<>=!&| -]{0,60}") {
        drop(eval_f64(&text, &sizes()));
        drop(names(&text));
    }

    #[test]
    fn ceil_div_is_the_least_multiple_that_covers(n in 1i64..1_000_000, block in 1i64..2048) {
        let names = [("n".to_owned(), n), ("b".to_owned(), block)].into();
        let blocks = eval_int("ceil_div(n, b)", &names).unwrap();
        prop_assert!(blocks * block >= n && (blocks - 1) * block < n);
    }
}
