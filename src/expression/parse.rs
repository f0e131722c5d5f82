//! Words to a tree: operator precedence after V. R. Pratt, "Top down operator precedence",
//! Symposium on Principles of Programming Languages, 1973.

use std::ops::Range;

use super::function::Function;
use super::node::{Node, Sign, What};
use super::token::{Operator, SIGN, Token, Word, tokens};
use super::{Fault, Mistake, Numbers};

/// Brackets and signs within each other: each takes some of the stack.
const DEEPEST: usize = 64;

/// The tree of `text`, which is not blank.
pub(super) fn parse(text: &str, numbers: Numbers) -> Result<Node, Mistake> {
    let mut parser = Parser { text, tokens: tokens(text, numbers)?, at: 0, depth: 0 };
    let root = parser.expression(0)?;
    match parser.peek() {
        None => Ok(root),
        Some(Token { word: Word::Close, span }) => Err(Fault::NotOpened.at(span.clone())),
        Some(_) => Err(parser.out_of_place()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    /// The operator that comes next, when one does.
    fn operator(&self) -> Option<Operator> {
        match self.peek()?.word {
            Word::Operator(operator) => Some(operator),
            _ => None,
        }
    }

    fn skip(&mut self, word: Word<'_>) -> Option<Range<usize>> {
        let span = self.peek().filter(|token| token.word == word)?.span.clone();
        self.at += 1;
        Some(span)
    }

    /// Everything from here on that binds at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<Node, Mistake> {
        let mut left = self.operand()?;
        while let Some(operator) = self.operator().filter(|next| next.strength() >= least) {
            self.at += 1;
            let right = self.expression(operator.strength() + 1)?;
            left = Node::pair(operator, left, right)?;
            self.no_row_of(operator)?;
        }
        Ok(left)
    }

    fn no_row_of(&self, before: Operator) -> Result<(), Mistake> {
        match self.operator() {
            Some(next) if before.is_solitary() && next.strength() == before.strength() => {
                let is_power = before == Operator::Power;
                let fault = if is_power { Fault::ChainedPowers } else { Fault::ChainedComparisons };
                Err(fault.at(self.here()))
            }
            _ => Ok(()),
        }
    }

    fn operand(&mut self) -> Result<Node, Mistake> {
        let Some(Token { word, span }) = self.peek().cloned() else {
            return Err(self.nothing_here());
        };
        self.at += 1;
        match word {
            Word::Int(value) => integer(value, span),
            Word::Float(value) => Ok(What::Float(value).at(span)),
            Word::Truth(value) => Ok(What::Truth(value).at(span)),
            Word::Name(name) => match self.skip(Word::Open) {
                Some(open) => self.call(span, &open),
                None => Ok(What::Name(name.to_owned()).at(span)),
            },
            Word::Open => self.deeper(span, Self::brackets),
            Word::Operator(Operator::Subtract) => self.deeper(span, Self::minus),
            Word::Not => self.deeper(span, |parser, span| {
                Node::signed(Sign::Not, parser.expression(SIGN)?, span.start)
            }),
            Word::Operator(_) | Word::Close | Word::Comma => {
                self.at -= 1;
                Err(self.nothing_here())
            }
        }
    }

    /// Reads what `span` opens, unless that is too deep.
    fn deeper(
        &mut self,
        span: Range<usize>,
        read: impl FnOnce(&mut Self, Range<usize>) -> Result<Node, Mistake>,
    ) -> Result<Node, Mistake> {
        if self.depth == DEEPEST {
            return Err(Fault::TooDeep(DEEPEST).at(span));
        }
        self.depth += 1;
        let node = read(self, span)?;
        self.depth -= 1;
        Ok(node)
    }

    fn minus(&mut self, span: Range<usize>) -> Result<Node, Mistake> {
        /// The one integer that is there only with its sign.
        const LEAST: u64 = i64::MIN.unsigned_abs();
        if let Some(digits) = self.skip(Word::Int(LEAST)) {
            return Ok(What::Int(i64::MIN).at(span.start..digits.end));
        }
        Node::signed(Sign::Minus, self.expression(SIGN)?, span.start)
    }

    fn brackets(&mut self, open: Range<usize>) -> Result<Node, Mistake> {
        let inner = self.expression(0)?;
        let close = self.close(&open)?;
        Ok(Node { span: open.start..close.end, ..inner })
    }

    /// The arguments of a function, whose `(` was read.
    fn call(&mut self, name: Range<usize>, open: &Range<usize>) -> Result<Node, Mistake> {
        let text = self.quoted(&name);
        let Some(function) = Function::named(&text) else {
            return Err(Fault::UnknownFunction(text).at(name));
        };
        self.deeper(name, |parser, name| {
            let mut arguments = Vec::new();
            if parser.peek().is_none_or(|next| next.word != Word::Close) {
                arguments.push(parser.expression(0)?);
                while parser.skip(Word::Comma).is_some() {
                    arguments.push(parser.expression(0)?);
                }
            }
            let close = parser.close(open)?;
            Node::call(function, arguments, name.start..close.end)
        })
    }

    /// The `)` of the `(` at `open`.
    fn close(&mut self, open: &Range<usize>) -> Result<Range<usize>, Mistake> {
        match self.skip(Word::Close) {
            Some(span) => Ok(span),
            None if self.peek().is_none() => Err(Fault::NotClosed.at(open.clone())),
            None => Err(self.out_of_place()),
        }
    }

    /// The bytes of the next word.
    fn here(&self) -> Range<usize> {
        self.peek().map_or(self.text.len()..self.text.len(), |token| token.span.clone())
    }

    fn quoted(&self, span: &Range<usize>) -> String {
        self.text.get(span.clone()).unwrap_or_default().to_owned()
    }

    /// A word that cannot follow a whole expression.
    fn out_of_place(&self) -> Mistake {
        let span = self.here();
        if self.peek().is_some_and(|token| token.word == Word::Comma) {
            return Fault::StrayComma.at(span);
        }
        Fault::NoOperator(self.quoted(&span)).at(span)
    }

    /// A value was to follow.
    fn nothing_here(&self) -> Mistake {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        match (self.peek(), before) {
            (None, Some(before)) => {
                Fault::NothingAfter(self.quoted(&before.span)).at(before.span.clone())
            }
            _ => Fault::NothingBefore(self.quoted(&self.here())).at(self.here()),
        }
    }
}

fn integer(value: u64, span: Range<usize>) -> Result<Node, Mistake> {
    match i64::try_from(value) {
        Ok(value) => Ok(What::Int(value).at(span)),
        Err(_) => Err(Fault::Overflow(value.to_string()).at(span)),
    }
}
