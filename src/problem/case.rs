//! A problem at one case: extents, values, bytes, and the buffers with their contents.

use std::collections::BTreeMap;

use half::{bf16, f16};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::drawing::{Drawing, Exchange};
use super::expr::{ExprError, eval_f64, eval_int};
use super::{Arg, ArgKind, Case, Problem, Role};
use crate::verify::Dtype;

/// Attempts to draw a hold-out case that is new and can be staged, for each one wanted.
const ATTEMPTS: u32 = 64;

/// Why a problem has no buffers or values at a case.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CaseError {
    /// An expression has no value.
    #[error("`{expr}`: {error}")]
    Expr {
        /// The expression.
        expr: String,
        /// What is wrong with it.
        error: ExprError,
    },
    /// An extent is not positive.
    #[error("`{expr}` is {value}, and an extent must be at least 1")]
    Extent {
        /// The expression.
        expr: String,
        /// Its value.
        value: i64,
    },
    /// Operations or bytes are fewer than none.
    #[error("{0} is negative")]
    Negative(f64),
    /// A scalar is outside its type.
    #[error("`{expr}` is {value}, which {dtype} cannot hold")]
    Scalar {
        /// The expression.
        expr: String,
        /// Its value.
        value: f64,
        /// The type.
        dtype: Dtype,
    },
    /// More bytes than can be addressed.
    #[error("`{0}` is larger than an address space")]
    TooLarge(String),
}

/// The arguments of one launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    /// In the order of the signature.
    pub args: Vec<StagedArg>,
}

/// One argument with its content.
#[derive(Debug, Clone, PartialEq)]
pub enum StagedArg {
    /// A buffer.
    Buffer {
        /// Its name.
        name: String,
        /// Element type.
        dtype: Dtype,
        /// Who writes it.
        role: Role,
        /// Extents, row-major.
        shape: Vec<usize>,
        /// Its bytes; zeros for an output, which the backend poisons.
        data: Vec<u8>,
    },
    /// An input that is drawn where it is to lie, for it is large.
    Later {
        /// Its name.
        name: String,
        /// Element type.
        dtype: Dtype,
        /// Who writes it.
        role: Role,
        /// Extents, row-major.
        shape: Vec<usize>,
        /// What is drawn.
        drawing: Drawing,
    },
    /// A value.
    Scalar {
        /// Its name.
        name: String,
        /// Its type.
        dtype: Dtype,
        /// The value in the first [`Dtype::size_bytes`] bytes, zeros after.
        bytes: [u8; 8],
    },
}

/// Operations and bytes of one launch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CaseWork {
    /// Operations, when the problem says.
    pub flops: Option<f64>,
    /// Bytes moved, when the problem says.
    pub bytes: Option<f64>,
}

/// Makes the arguments of `problem` at `case`. The contents depend on `seed` alone; each argument
/// has its own stream, so that it keeps its content when others come or go after it.
///
/// # Errors
/// When an extent or value cannot be had at this case.
pub fn stage(problem: &Problem, case: &Case, seed: u64) -> Result<Staged, CaseError> {
    let mut staged = plan(problem, case, seed)?;
    for arg in &mut staged.args {
        if let StagedArg::Later { drawing, .. } = arg {
            let mut data = vec![0; drawing.bytes()];
            drawing.draw(&mut data);
            arg.drawn(data);
        }
    }
    Ok(staged)
}

/// [`stage`] without drawing anything yet.
///
/// # Errors
/// As there.
pub fn plan(problem: &Problem, case: &Case, seed: u64) -> Result<Staged, CaseError> {
    let args = problem.args.iter().enumerate();
    let args = args.map(|(index, arg)| plan_arg(arg, index, case, seed));
    let args = args.collect::<Result<_, _>>()?;
    Ok(Staged { args })
}

impl StagedArg {
    /// A copy; the zeros of an output are not copied, for fresh ones take no memory before they are
    /// written.
    fn like(&self) -> Self {
        match self {
            Self::Buffer { name, dtype, role: Role::Out, shape, data } => {
                let (name, shape, data) = (name.clone(), shape.clone(), vec![0; data.len()]);
                Self::Buffer { name, dtype: *dtype, role: Role::Out, shape, data }
            }
            other => other.clone(),
        }
    }

    /// Puts in what was drawn.
    fn drawn(&mut self, data: Vec<u8>) {
        if let Self::Later { name, dtype, role, shape, .. } = self {
            let (name, shape) = (std::mem::take(name), std::mem::take(shape));
            *self = Self::Buffer { name, dtype: *dtype, role: *role, shape, data };
        }
    }
}

fn plan_arg(arg: &Arg, index: usize, case: &Case, seed: u64) -> Result<StagedArg, CaseError> {
    let (name, dtype) = (arg.name.clone(), arg.dtype);
    match &arg.kind {
        ArgKind::Scalar(expr) => {
            Ok(StagedArg::Scalar { name, dtype, bytes: scalar(expr, dtype, &case.sizes)? })
        }
        ArgKind::Buffer { shape, role, fill: what } => {
            let shape = extents(shape, &case.sizes)?;
            let bytes = buffer_bytes(&arg.name, &shape, dtype)?;
            let role = *role;
            if role == Role::Out {
                return Ok(StagedArg::Buffer { name, dtype, role, shape, data: vec![0; bytes] });
            }
            let stream = index as u64;
            let drawing = Drawing { fill: *what, dtype, bytes, seed, stream, twin: None };
            Ok(StagedArg::Later { name, dtype, role, shape, drawing })
        }
    }
}

/// A copy of `of` in which one element in a thousand of each input, and at least one, is drawn anew
/// at a random place: what a kernel that remembers inputs by a few of their elements takes for the
/// same. Inputs whose elements hang together (constants, counts, permutations) stay as they are.
pub fn twin(of: &Staged, problem: &Problem, seed: u64) -> Staged {
    let args = of.args.iter().map(StagedArg::like).collect();
    let mut twin = Staged { args };
    for (index, (arg, of)) in problem.args.iter().zip(&mut twin.args).enumerate() {
        let ArgKind::Buffer { fill, .. } = arg.kind.clone() else { continue };
        let exchange = Exchange { fill, dtype: arg.dtype, seed, stream: index as u64 };
        match of {
            StagedArg::Buffer { role: Role::In | Role::Inout, data, .. } => exchange.apply(data),
            StagedArg::Later { drawing, .. } => drawing.twin = Some(seed),
            _ => {}
        }
    }
    twin
}

/// Bytes of all buffers of `problem` at `case`, once.
///
/// # Errors
/// When an extent cannot be had, or the sum cannot be addressed.
pub fn bytes_needed(problem: &Problem, case: &Case) -> Result<u64, CaseError> {
    let mut total = 0u64;
    for arg in &problem.args {
        if let ArgKind::Buffer { shape, .. } = &arg.kind {
            let shape = extents(shape, &case.sizes)?;
            let bytes = buffer_bytes(&arg.name, &shape, arg.dtype)? as u64;
            let sum = total.checked_add(bytes);
            total = sum.ok_or_else(|| CaseError::TooLarge(arg.name.clone()))?;
        }
    }
    Ok(total)
}

/// Elements of all input buffers at `case`: how large an instance is; `None` when an extent cannot
/// be had.
pub(super) fn input_elements<'a>(args: impl Iterator<Item = &'a Arg>, case: &Case) -> Option<u64> {
    let mut total = 0u64;
    for arg in args {
        if let ArgKind::Buffer { shape, role: Role::In | Role::Inout, .. } = &arg.kind {
            let shape = extents(shape, &case.sizes).ok()?;
            let bytes = buffer_bytes(&arg.name, &shape, arg.dtype).ok()?;
            total = total.checked_add((bytes / arg.dtype.size_bytes()) as u64)?;
        }
    }
    Some(total)
}

/// Elements of all input buffers of `problem` at `case`; 0 when an extent cannot be had.
pub fn size(problem: &Problem, case: &Case) -> u64 {
    input_elements(problem.args.iter(), case).unwrap_or(0)
}

/// Operations and bytes of one launch of `problem` at `case`; `None` where the problem does not
/// say, or says nothing finite at this case.
pub fn work(problem: &Problem, case: &Case) -> CaseWork {
    let number = |expr: &Option<String>| eval_f64(expr.as_deref()?, &case.sizes).ok();
    CaseWork { flops: number(&problem.flops), bytes: number(&problem.bytes) }
}

/// An amount of work: at least 0.
pub(super) fn amount(expr: &str, sizes: &BTreeMap<String, i64>) -> Result<f64, CaseError> {
    let value = eval_f64(expr, sizes).map_err(|error| at(expr, error))?;
    if value < 0.0 { Err(CaseError::Negative(value)) } else { Ok(value) }
}

/// Draws the hold-out cases: each new, and each one that can be staged. Fewer than asked for when
/// the ranges do not hold as many.
pub fn draw_holdout(problem: &Problem, rng: &mut ChaCha8Rng) -> Vec<Case> {
    let Some(holdout) = &problem.holdout else {
        return Vec::new();
    };
    let mut drawn: Vec<Case> = Vec::new();
    for _ in 0..u64::from(holdout.count) * u64::from(ATTEMPTS) {
        if drawn.len() == holdout.count as usize {
            break;
        }
        let sizes: BTreeMap<String, i64> = holdout
            .ranges
            .iter()
            .map(|(name, (low, high))| (name.clone(), rng.random_range(*low..=*high.max(low))))
            .collect();
        let known = |cases: &[Case]| cases.iter().any(|case| case.sizes == sizes);
        if known(&problem.cases) || known(&drawn) {
            continue;
        }
        let case = Case { label: label(problem, &sizes), sizes };
        if bytes_needed(problem, &case).is_ok() {
            drawn.push(case);
        }
    }
    drawn
}

/// `rows=64 cols=1024`, in the order of the problem's own cases.
fn label(problem: &Problem, sizes: &BTreeMap<String, i64>) -> String {
    let model = problem.cases.first().map_or("", |case| case.label.as_str());
    let place = |name: &str| model.split(' ').position(|part| part.split('=').next() == Some(name));
    let mut named: Vec<_> = sizes.iter().collect();
    named.sort_by_key(|(name, _)| place(name));
    let parts: Vec<String> = named.iter().map(|(name, value)| format!("{name}={value}")).collect();
    parts.join(" ")
}

/// The extents of a buffer.
pub(super) fn extents(
    shape: &[String],
    sizes: &BTreeMap<String, i64>,
) -> Result<Vec<usize>, CaseError> {
    shape.iter().map(|expr| extent(expr, sizes)).collect()
}

/// One extent: at least 1.
pub(super) fn extent(expr: &str, sizes: &BTreeMap<String, i64>) -> Result<usize, CaseError> {
    let value = integer(expr, sizes)?;
    if value < 1 {
        return Err(CaseError::Extent { expr: expr.to_owned(), value });
    }
    usize::try_from(value).map_err(|_| CaseError::TooLarge(expr.to_owned()))
}

/// Bytes of one buffer.
pub(super) fn buffer_bytes(name: &str, shape: &[usize], dtype: Dtype) -> Result<usize, CaseError> {
    shape
        .iter()
        .try_fold(dtype.size_bytes(), |bytes, extent| bytes.checked_mul(*extent))
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or_else(|| CaseError::TooLarge(name.to_owned()))
}

/// A scalar argument's bytes.
pub(super) fn scalar(
    expr: &str,
    dtype: Dtype,
    sizes: &BTreeMap<String, i64>,
) -> Result<[u8; 8], CaseError> {
    let outside = |value: f64| CaseError::Scalar { expr: expr.to_owned(), value, dtype };
    if dtype.is_float() {
        let value = eval_f64(expr, sizes).map_err(|error| at(expr, error))?;
        if value.abs() > dtype.max_finite() {
            return Err(outside(value));
        }
        return Ok(match dtype {
            Dtype::F32 => padded((value as f32).to_ne_bytes()),
            Dtype::F16 => padded(f16::from_f64(value).to_ne_bytes()),
            Dtype::Bf16 => padded(bf16::from_f64(value).to_ne_bytes()),
            _ => value.to_ne_bytes(),
        });
    }
    let value = integer(expr, sizes)?;
    let (least, most) = dtype.exact_integers();
    if value < least || value > most {
        return Err(outside(value as f64));
    }
    Ok(match dtype {
        Dtype::I32 => padded((value as i32).to_ne_bytes()),
        Dtype::I16 => padded((value as i16).to_ne_bytes()),
        Dtype::I8 | Dtype::U8 | Dtype::Bool => padded([value as u8]),
        _ => value.to_ne_bytes(),
    })
}

fn padded<const N: usize>(value: [u8; N]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..N].copy_from_slice(&value);
    bytes
}

fn integer(expr: &str, sizes: &BTreeMap<String, i64>) -> Result<i64, CaseError> {
    eval_int(expr, sizes).map_err(|error| at(expr, error))
}

fn at(expr: &str, error: ExprError) -> CaseError {
    CaseError::Expr { expr: expr.to_owned(), error }
}

#[cfg(test)]
#[path = "case_tests.rs"]
pub(super) mod tests;
