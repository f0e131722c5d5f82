//! What expressions are worth, what is wrong with them and where, and the laws.

use proptest::prelude::*;

use super::node::{Node, What};
use super::parsed::LONGEST;
use super::token::Operator;
use super::*;

fn look_up(name: &str) -> Option<Value> {
    Some(match name {
        "rows" | "b" => Value::Int(64),
        "cols" | "a" => Value::Int(1024),
        "zero" => Value::Int(0),
        "huge" => Value::Int(i64::MAX),
        "block.x" => Value::Int(256),
        "2nd.score" | "half" => Value::Float(0.5),
        "nan" => Value::Float(f64::NAN),
        _ => return None,
    })
}

fn value(text: &str, numbers: Numbers) -> Result<Value, Mistake> {
    Expression::parse(text, numbers)?.evaluate(&look_up)
}

#[test]
fn integers_are_exact() {
    for (text, expected) in [
        ("rows", 64),
        ("rows*cols", 65536),
        ("5*rows*cols + 1", 327_681),
        ("(cols + block.x - 1) / block.x", 4),
        ("ceil_div(1025, block.x)", 5),
        ("ceil_div(1024, block.x)", 4),
        ("ceil_div(-7, 2)", -3),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 4", -3),
        ("2^10", 1024),
        ("2^62 + (2^62 - 1)", i64::MAX),
        ("-2^2", -4),
        ("(-1)^9223372036854775807", -1),
        ("-9223372036854775808", i64::MIN),
        ("2 * -3 + 1", -5),
        ("min(rows, cols)", 64),
        ("max(rows, cols, 5000)", 5000),
        ("abs(rows - cols)", 960),
        ("if(rows < cols, 1, 2)", 1),
        ("if(zero == 0, 7, rows / zero)", 7),
        ("huge - 1", i64::MAX - 1),
        ("0x10", 16),
        (" ( ( 1 ) ) ", 1),
    ] {
        assert_eq!(value(text, Numbers::Exact), Ok(Value::Int(expected)), "{text}");
    }
}

#[test]
fn other_numbers_are_floats() {
    for (text, numbers, expected) in [
        ("1.5", Numbers::Exact, 1.5),
        (".5", Numbers::Exact, 0.5),
        ("1e-3 + 1E+1", Numbers::Exact, 10.001),
        ("rows / 128.0", Numbers::Exact, 0.5),
        ("rows^-1", Numbers::Exact, 1.0 / 64.0),
        ("sqrt(rows)", Numbers::Exact, 8.0),
        ("ceil(rows / 10.0)", Numbers::Exact, 7.0),
        ("min(rows, 1.5)", Numbers::Exact, 1.5),
        ("ceil_div(1, half)", Numbers::Exact, 2.0),
        ("2nd.score", Numbers::Exact, 0.5),
        ("1 / 2", Numbers::Real, 0.5),
        ("0x10", Numbers::Real, 16.0),
        ("2^70", Numbers::Real, 1_180_591_620_717_411_303_424.0),
        ("99999999999999999999", Numbers::Real, 1e20),
    ] {
        assert_eq!(value(text, numbers), Ok(Value::Float(expected)), "{text}");
    }
}

#[test]
fn numbers_are_compared_by_value() {
    for (text, expected) in [
        ("1 == 1.0", true),
        ("0.0 == -0.0", true),
        ("half < 1", true),
        ("9007199254740993 > 9007199254740992.0", true),
        ("9007199254740993 == 9007199254740992.0", false),
        ("huge < 9223372036854775808.0", true),
        ("-9223372036854775808 == -9223372036854775808.0", true),
        ("nan == nan", false),
        ("nan != nan", true),
        ("nan < 1 || nan >= 1", false),
        ("1 < 2 && !(3 <= 2) || false", true),
        ("true != (1 > 2)", true),
        ("zero != 0 && 1 / zero > 1", false),
        ("zero == 0 || 1 / zero > 1", true),
    ] {
        assert_eq!(value(text, Numbers::Exact), Ok(Value::Truth(expected)), "{text}");
    }
}

/// Each text with its mistake marked by `«…»`.
#[test]
fn every_mistake_says_what_and_where() {
    for (marked, expected) in [
        ("«  »", "an empty expression"),
        ("rows«;» cols", "`;` has no meaning in an expression"),
        ("«é» + 1", "`é` has no meaning in an expression"),
        ("«.»x", "`.` has no meaning in an expression"),
        ("8 «//» 2", "`//` and `/*` have no meaning here; one `/` divides"),
        ("8 «**» 2", "`**` has no meaning here; a power is written `^`"),
        ("rows «=» 3", "`=` assigns: compare with `==`"),
        ("a > 1 «&» b", "a single `&`: double it"),
        ("«\"»rows\"", "a text has no meaning here: everything is a number"),
        ("1 + «(»rows", "a `(` is not closed"),
        ("min«(»rows, 2", "a `(` is not closed"),
        ("rows«)» + 1", "a `)` without its `(`"),
        ("rows «+»", "a value is missing after `+`"),
        ("«*» rows", "a value is missing before `*`"),
        ("1 + «*» rows", "a value is missing before `*`"),
        ("(«)»", "a value is missing before `)`"),
        ("min(1, «)»", "a value is missing before `)`"),
        ("rows «cols»", "an operator is missing before `cols`"),
        ("2 «(»rows)", "an operator is missing before `(`"),
        ("rows«,» cols", "`,` stands only between the arguments of a function"),
        ("1 < 2 «<» 3", "comparisons cannot be chained: write `a < b && b < c`"),
        ("2^3«^»2", "chained `^` is ambiguous: add parentheses"),
        ("1 + «len»(rows)", "there is no function called `len`"),
        ("2 * «min(rows)»", "`min` takes two or more numbers"),
        ("«min()»", "`min` takes two or more numbers"),
        ("«sqrt(1, 2)»", "`sqrt` takes one number"),
        ("if(«1», 2, 3)", "a number, where `if` takes comparisons such as `a == 1`"),
        ("a == 1 && «rows»", "a number, where `&&` takes comparisons such as `a == 1`"),
        ("!«rows»", "a number, where `!` takes comparisons such as `a == 1`"),
        (
            "1 + «(a < b)»",
            "a comparison, where `+` takes numbers; `if(condition, 1, 0)` makes one of it",
        ),
        ("1 + «row»", "there is no value for `row`"),
        ("2 * «(huge + 1)»", "`9223372036854775807 + 1` overflows a 64-bit integer"),
        ("«2^63»", "`2 ^ 63` overflows a 64-bit integer"),
        ("1 + «9223372036854775808»", "`9223372036854775808` overflows a 64-bit integer"),
        ("«0xfffffffffffffffff»", "`0xfffffffffffffffff` overflows a 64-bit integer"),
        ("«abs(-9223372036854775808)»", "`abs(-9223372036854775808)` overflows a 64-bit integer"),
        ("1 + «rows / zero» + 1", "`64 / 0` divides by zero"),
        ("«rows % zero»", "`64 % 0` divides by zero"),
        ("«ceil_div(rows, zero)»", "`64 / 0` divides by zero"),
    ] {
        let text = marked.replace(['«', '»'], "");
        let start = marked.find('«').expect("marked");
        let end = marked.find('»').expect("marked") - '«'.len_utf8();
        let mistake = value(&text, Numbers::Exact).expect_err(marked);
        assert_eq!(mistake.to_string(), expected, "{marked}");
        assert_eq!(mistake.span, start..end, "{marked}");
    }
}

#[test]
fn names_stand_where_they_are_used() {
    let expression = Expression::parse("b*a + b + block.x", Numbers::Exact).expect("well-formed");
    let names: Vec<_> = expression.names().into_iter().map(|name| (name.text, name.span)).collect();
    assert_eq!(names, [("b", 0..1), ("a", 2..3), ("b", 6..7), ("block.x", 10..17)]);
}

#[test]
fn deep_and_long_texts_are_refused() {
    for text in ["(".repeat(900), "!".repeat(900), "-".repeat(900), "abs(".repeat(200)] {
        let mistake = Expression::parse(&text, Numbers::Exact).expect_err("too deep");
        assert!(matches!(mistake.fault, Fault::TooDeep(_)), "{mistake}");
    }
    let long = "1".to_owned() + &"+1".repeat(LONGEST / 2 - 1);
    assert_eq!(value(&long, Numbers::Exact), Ok(Value::Int(LONGEST as i64 / 2)));
    let mistake = value(&(long + "+1"), Numbers::Exact).expect_err("too long");
    assert!(matches!(mistake.fault, Fault::TooLong(_)));
}

/// The text of a tree, with no more parentheses than it needs.
fn printed(node: &Node) -> String {
    match &node.what {
        What::Int(value) => value.to_string(),
        What::Float(value) => format!("{value:?}"),
        What::Truth(value) => value.to_string(),
        What::Name(name) => name.clone(),
        What::Negative(inner) => format!("-{}", enclosed(inner, 7)),
        What::Not(inner) => format!("!{}", enclosed(inner, 7)),
        What::Pair(operator, sides) => {
            let (left, right) = (operator.strength(), operator.strength() + 1);
            let left = left + u8::from(operator.is_solitary());
            let [a, b] = [enclosed(&sides[0], left), enclosed(&sides[1], right)];
            format!("{a} {} {b}", operator.symbol())
        }
        What::Call(function, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(printed).collect();
            format!("{}({})", function.name(), arguments.join(", "))
        }
    }
}

fn enclosed(node: &Node, least: u8) -> String {
    let strength = match &node.what {
        What::Int(i64::MIN) | What::Negative(_) | What::Not(_) => 6,
        What::Pair(operator, _) => operator.strength(),
        _ => u8::MAX,
    };
    if strength < least { format!("({})", printed(node)) } else { printed(node) }
}

/// The structure alone, without places.
fn structure(node: &Node) -> String {
    match &node.what {
        What::Negative(inner) => format!("[- {}]", structure(inner)),
        What::Not(inner) => format!("[! {}]", structure(inner)),
        What::Pair(operator, sides) => {
            format!("[{operator:?} {} {}]", structure(&sides[0]), structure(&sides[1]))
        }
        What::Call(function, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(structure).collect();
            format!("[{function:?} {}]", arguments.join(" "))
        }
        leaf => format!("{leaf:?}"),
    }
}

const ARITHMETIC: [Operator; 6] = [
    Operator::Add,
    Operator::Subtract,
    Operator::Multiply,
    Operator::Divide,
    Operator::Remainder,
    Operator::Power,
];
const COMPARISONS: [Operator; 6] = [
    Operator::Equal,
    Operator::Unequal,
    Operator::Less,
    Operator::AtMost,
    Operator::Greater,
    Operator::AtLeast,
];

fn pairs(
    operators: &'static [Operator],
    sides: impl Strategy<Value = Node> + Clone,
) -> impl Strategy<Value = Node> {
    (sides.clone(), prop::sample::select(operators), sides)
        .prop_map(|(left, operator, right)| Node::pair(operator, left, right).expect("fits"))
}

fn number() -> BoxedStrategy<Node> {
    let leaf = prop_oneof![
        (0..60_i64).prop_map(What::Int),
        Just(What::Int(i64::MIN)),
        (0.0..1e300_f64).prop_map(What::Float),
        "[a-d][a-z0-9_]{0,3}(\\.[a-z]{1,3})?".prop_map(What::Name),
    ];
    let whole = leaf.prop_map(|what| what.at(0..0)).prop_recursive(6, 40, 3, |inner| {
        prop_oneof![
            4 => pairs(&ARITHMETIC, inner.clone()),
            1 => inner.clone().prop_map(|node| What::Negative(Box::new(node)).at(0..0)),
            1 => prop::collection::vec(inner, 2..4).prop_map(|parts| {
                let max = function::Function::named("max").expect("there");
                Node::call(max, parts, 0..0).expect("fits")
            }),
        ]
    });
    whole.boxed()
}

fn truth() -> BoxedStrategy<Node> {
    let leaf = prop_oneof![
        4 => pairs(&COMPARISONS, number()),
        1 => any::<bool>().prop_map(|value| What::Truth(value).at(0..0)),
    ];
    let whole = leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            3 => pairs(&[Operator::And, Operator::Or, Operator::Equal], inner.clone()),
            1 => inner.prop_map(|node| What::Not(Box::new(node)).at(0..0)),
        ]
    });
    whole.boxed()
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_it_was(tree in prop_oneof![number(), truth()]) {
        let text = printed(&tree);
        prop_assume!(text.len() <= LONGEST);
        let again = Expression::parse(&text, Numbers::Exact);
        prop_assert!(again.is_ok(), "{} {:?}", text, again);
        prop_assert_eq!(structure(&again.expect("parsed").root), structure(&tree), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-c0-9e.+*/%^(),<>=!&| x-]{0,60}") {
        for numbers in [Numbers::Exact, Numbers::Real] {
            if let Err(mistake) = value(&text, numbers) {
                prop_assert!(text.get(mistake.span).is_some(), "{}", text);
            }
        }
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in "\\PC{0,40}") {
        if let Err(mistake) = value(&text, Numbers::Exact) {
            prop_assert!(text.get(mistake.span).is_some(), "{}", text);
        }
    }

    #[test]
    fn operators_that_bind_alike_go_from_left_to_right(
        a in -40..40_i64, b in -40..40_i64, c in 1..40_i64,
        first in prop::sample::select(vec!["+", "-"]),
        second in prop::sample::select(vec!["+", "-"]),
    ) {
        let bare = format!("{a} {first} {b} {second} {c}");
        let grouped = format!("({a} {first} {b}) {second} {c}");
        prop_assert_eq!(value(&bare, Numbers::Exact), value(&grouped, Numbers::Exact));
        let (bare, grouped) = (format!("{a} * {b} / {c}"), format!("({a} * {b}) / {c}"));
        prop_assert_eq!(value(&bare, Numbers::Exact), value(&grouped, Numbers::Exact));
    }

    #[test]
    fn precedence_is_that_of_c_with_a_power_above_all(a in 0..9_i64, b in 0..9_i64, c in 0..5_i64) {
        for (bare, grouped) in [
            (format!("{a} + {b} * {c}"), format!("{a} + ({b} * {c})")),
            (format!("{a} * {b} ^ {c}"), format!("{a} * ({b} ^ {c})")),
            (format!("-{a} ^ {c}"), format!("-({a} ^ {c})")),
            (format!("-{a} * {b} - {c}"), format!("((-{a}) * {b}) - {c}")),
            (format!("{a} + {b} < {b} + {c}"), format!("({a} + {b}) < ({b} + {c})")),
            (format!("{a} < {b} && {b} < {c}"), format!("({a} < {b}) && ({b} < {c})")),
            (
                format!("{a} < {b} || {b} < {c} && {c} < {a}"),
                format!("({a} < {b}) || (({b} < {c}) && ({c} < {a}))"),
            ),
        ] {
            prop_assert_eq!(value(&bare, Numbers::Exact), value(&grouped, Numbers::Exact), "{}", bare);
        }
    }

    #[test]
    fn integers_and_floats_are_ordered_as_their_values(whole in any::<i64>(), by in -2.0..2.0_f64) {
        let real = whole as f64 + by;
        prop_assume!((real * 2.0).fract() == 0.0);
        let (left, right) = (i128::from(whole) * 2, (real * 2.0) as i128);
        let text = format!("{whole} < {real:?}");
        prop_assert_eq!(value(&text, Numbers::Exact), Ok(Value::Truth(left < right)), "{}", text);
    }
}
