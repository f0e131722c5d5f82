//! The words of an expression.

use std::ops::Range;

use super::{Fault, Mistake};

/// How whole numbers in the text are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As integers of 64 bits: `7 / 2` is 3, as in C.
    Exact,
    /// As any other number: `7 / 2` is 3.5.
    Real,
}

/// A word and its bytes.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) word: Word<'a>,
    pub(super) span: Range<usize>,
}

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Word<'a> {
    /// An integer without its sign: up to 2^63, which only a minus makes fit.
    Int(u64),
    Float(f64),
    Truth(bool),
    Name(&'a str),
    Operator(Operator),
    Not,
    Open,
    Close,
    Comma,
}

/// An operator with a value on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// What stands for what, and what other languages have instead. Longer spellings come first: the
/// first that fits is meant.
const SYMBOLS: [(&str, Symbol); 25] = [
    ("||", Symbol::Word(Word::Operator(Operator::Or))),
    ("&&", Symbol::Word(Word::Operator(Operator::And))),
    ("==", Symbol::Word(Word::Operator(Operator::Equal))),
    ("!=", Symbol::Word(Word::Operator(Operator::Unequal))),
    ("<=", Symbol::Word(Word::Operator(Operator::AtMost))),
    (">=", Symbol::Word(Word::Operator(Operator::AtLeast))),
    ("//", Symbol::Foreign("`//` and `/*` have no meaning here; one `/` divides")),
    ("/*", Symbol::Foreign("`//` and `/*` have no meaning here; one `/` divides")),
    ("**", Symbol::Foreign("`**` has no meaning here; a power is written `^`")),
    ("<", Symbol::Word(Word::Operator(Operator::Less))),
    (">", Symbol::Word(Word::Operator(Operator::Greater))),
    ("+", Symbol::Word(Word::Operator(Operator::Add))),
    ("-", Symbol::Word(Word::Operator(Operator::Subtract))),
    ("*", Symbol::Word(Word::Operator(Operator::Multiply))),
    ("/", Symbol::Word(Word::Operator(Operator::Divide))),
    ("%", Symbol::Word(Word::Operator(Operator::Remainder))),
    ("^", Symbol::Word(Word::Operator(Operator::Power))),
    ("!", Symbol::Word(Word::Not)),
    ("(", Symbol::Word(Word::Open)),
    (")", Symbol::Word(Word::Close)),
    (",", Symbol::Word(Word::Comma)),
    ("=", Symbol::Foreign("`=` assigns: compare with `==`")),
    ("&", Symbol::Foreign("a single `&`: double it")),
    ("|", Symbol::Foreign("a single `|`: double it")),
    ("\"", Symbol::Foreign("a text has no meaning here: everything is a number")),
];

#[derive(Clone, Copy, PartialEq)]
enum Symbol {
    Word(Word<'static>),
    /// Nothing here; what to write instead.
    Foreign(&'static str),
}

impl Operator {
    /// How strongly it binds; equals bind from left to right.
    pub(super) const fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal
            | Self::Unequal
            | Self::Less
            | Self::AtMost
            | Self::Greater
            | Self::AtLeast => COMPARISON,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
            Self::Power => POWER,
        }
    }

    /// True where the answer is true or false.
    pub(super) const fn gives_truth(self) -> bool {
        self.strength() <= COMPARISON
    }

    /// Languages differ on what a row of these means, so there is none.
    pub(super) const fn is_solitary(self) -> bool {
        matches!(self.strength(), COMPARISON | POWER)
    }

    /// As it is written.
    pub(super) fn symbol(self) -> &'static str {
        let own = |(_, symbol): &&(&str, Symbol)| *symbol == Symbol::Word(Word::Operator(self));
        SYMBOLS.iter().find(own).map_or("", |(text, _)| text)
    }
}

const COMPARISON: u8 = 3;
const POWER: u8 = 7;

/// How strongly the signs `-` and `!` bind: weaker than `^`, so that `-2^2` is -4.
pub(super) const SIGN: u8 = 6;

/// The words of `text`.
pub(super) fn tokens(text: &str, numbers: Numbers) -> Result<Vec<Token<'_>>, Mistake> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if first.is_ascii_whitespace() {
            1
        } else if is_part(first) {
            let word = &rest[..word_length(rest)];
            let span = at..at + word.len();
            tokens.push(Token { word: read_word(word, numbers, &span)?, span });
            word.len()
        } else {
            let token = symbol(rest, first, at)?;
            let length = token.span.len();
            tokens.push(token);
            length
        };
        at += length;
    }
    Ok(tokens)
}

fn symbol(rest: &str, first: char, at: usize) -> Result<Token<'static>, Mistake> {
    match SYMBOLS.iter().find(|(text, _)| rest.starts_with(text)) {
        Some((text, Symbol::Word(word))) => Ok(Token { word: *word, span: at..at + text.len() }),
        Some((text, Symbol::Foreign(advice))) => {
            Err(Fault::Foreign(advice).at(at..at + text.len()))
        }
        None => Err(Fault::Stray(first).at(at..at + first.len_utf8())),
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// The length of the number or name that `rest` begins with.
fn word_length(rest: &str) -> usize {
    let end =
        |from: usize| rest[from..].find(|c: char| !is_part(c)).map_or(rest.len(), |at| from + at);
    let first = end(0);
    // `1e-3`: the sign of an exponent is part of the number.
    let is_open = rest[..first].ends_with(['e', 'E']) && rest.starts_with(starts_a_number);
    if is_open && rest[first..].starts_with(['+', '-']) {
        let whole = end(first + 1);
        if rest[..whole].parse::<f64>().is_ok() {
            return whole;
        }
    }
    first
}

fn starts_a_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// A word that is no number is a name, for stages may be called `2nd`.
fn read_word<'a>(
    word: &'a str,
    numbers: Numbers,
    span: &Range<usize>,
) -> Result<Word<'a>, Mistake> {
    let (digits, base) = word.strip_prefix("0x").map_or((word, 10), |digits| (digits, 16));
    let is_integer = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    if is_integer && (base == 16 || numbers == Numbers::Exact) {
        let value = u64::from_str_radix(digits, base).ok().filter(|value| *value <= 1 << 63);
        let value = value.ok_or_else(|| Fault::Overflow(word.to_owned()).at(span.clone()))?;
        return Ok(match numbers {
            Numbers::Exact => Word::Int(value),
            Numbers::Real => Word::Float(value as f64),
        });
    }
    match word.parse::<f64>() {
        Ok(number) if word.starts_with(starts_a_number) => Ok(Word::Float(number)),
        _ if word.starts_with('.') => Err(Fault::Stray('.').at(span.start..span.start + 1)),
        _ => Ok(match word {
            "true" => Word::Truth(true),
            "false" => Word::Truth(false),
            name => Word::Name(name),
        }),
    }
}
