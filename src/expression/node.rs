//! The tree of an expression. Its makers refuse types that do not fit.

use std::ops::Range;

use super::function::Function;
use super::token::Operator;
use super::{Fault, Mistake};

/// A part of an expression and its bytes.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) what: What,
    pub(super) span: Range<usize>,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum What {
    Int(i64),
    Float(f64),
    Truth(bool),
    Name(String),
    Negative(Box<Node>),
    Not(Box<Node>),
    Pair(Operator, Box<[Node; 2]>),
    Call(Function, Vec<Node>),
}

/// `-` or `!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Minus,
    Not,
}

impl What {
    pub(super) fn at(self, span: Range<usize>) -> Node {
        Node { what: self, span }
    }
}

impl Node {
    /// `-inner` or `!inner`, of which the sign begins at `start`.
    pub(super) fn signed(sign: Sign, inner: Self, start: usize) -> Result<Self, Mistake> {
        let span = start..inner.span.end;
        let what = match sign {
            Sign::Minus => What::Negative(Box::new(inner.number_for("-")?)),
            Sign::Not => What::Not(Box::new(inner.truth_for("!")?)),
        };
        Ok(what.at(span))
    }

    /// `left operator right`.
    pub(super) fn pair(operator: Operator, left: Self, right: Self) -> Result<Self, Mistake> {
        let span = left.span.start..right.span.end;
        let wants_truth = match operator {
            Operator::Or | Operator::And => true,
            Operator::Equal | Operator::Unequal => left.is_truth(),
            _ => false,
        };
        let symbol = operator.symbol();
        let sides = if wants_truth {
            [left.truth_for(symbol)?, right.truth_for(symbol)?]
        } else {
            [left.number_for(symbol)?, right.number_for(symbol)?]
        };
        Ok(What::Pair(operator, Box::new(sides)).at(span))
    }

    /// `name(arguments)`; `span` is all of it.
    pub(super) fn call(
        function: Function,
        arguments: Vec<Self>,
        span: Range<usize>,
    ) -> Result<Self, Mistake> {
        let name = function.name();
        if !function.takes(arguments.len()) {
            return Err(Fault::Arguments(name, function.expected()).at(span));
        }
        let fitting = arguments.into_iter().enumerate().map(|(at, argument)| {
            let is_condition = function == Function::If && at == 0;
            if is_condition { argument.truth_for(name) } else { argument.number_for(name) }
        });
        Ok(What::Call(function, fitting.collect::<Result<_, _>>()?).at(span))
    }

    /// True for what is true or false, false for numbers.
    pub(super) fn is_truth(&self) -> bool {
        match &self.what {
            What::Truth(_) | What::Not(_) => true,
            What::Pair(operator, _) => operator.gives_truth(),
            _ => false,
        }
    }

    fn truth_for(self, asker: &'static str) -> Result<Self, Mistake> {
        if self.is_truth() { Ok(self) } else { Err(Fault::NotTruth(asker).at(self.span)) }
    }

    fn number_for(self, asker: &'static str) -> Result<Self, Mistake> {
        if self.is_truth() { Err(Fault::NotNumber(asker).at(self.span)) } else { Ok(self) }
    }

    /// Shows every part, from left to right.
    pub(super) fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Self)) {
        see(self);
        match &self.what {
            What::Negative(inner) | What::Not(inner) => inner.visit(see),
            What::Pair(_, sides) => sides.iter().for_each(|side| side.visit(see)),
            What::Call(_, arguments) => arguments.iter().for_each(|part| part.visit(see)),
            What::Int(_) | What::Float(_) | What::Truth(_) | What::Name(_) => {}
        }
    }
}
