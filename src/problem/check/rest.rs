//! Names, reference, tolerance, work and launch geometry.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{AtPoint, Checker, not_a_c_name};
use crate::diagnostic::Spanned;
use crate::problem::case::{CaseError, amount, input_elements};
use crate::problem::file::{CudaFile, ReferenceFile, Size, ToleranceFile, Value};
use crate::problem::files::{absolute, beside};
use crate::problem::launch::{LaunchError, geometry};
use crate::problem::{Arg, ArgKind, Case, CudaLaunch, Role};
use crate::verify::Tolerance;

const BLOCK: [&str; 3] = ["block.x", "block.y", "block.z"];
const GRID: [&str; 3] = ["grid.x", "grid.y", "grid.z"];

impl Checker<'_> {
    pub(super) fn name(&mut self, name: &Spanned<String>) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !name.chars().all(plain) || name.starts_with('.') {
            let label = "letters, digits, `-`, `_` and `.` are possible";
            let message = format!("a problem cannot be called `{}`", name.value);
            self.tell("bad-name", message, name.span.clone(), label);
        }
        name.value.clone()
    }

    pub(super) fn entry(&mut self, entry: &Spanned<String>) -> String {
        if let Some(why) = not_a_c_name(entry) {
            let message = format!("`{}` cannot name a function", entry.value);
            self.tell("bad-name", message, entry.span.clone(), why);
        }
        entry.value.clone()
    }

    pub(super) fn reference(&mut self, file: &Spanned<ReferenceFile>) -> PathBuf {
        let source = &file.source;
        let (path, span) = (beside(self.path, source), source.span.clone());
        let extension = Path::new(&source.value).extension().and_then(|e| e.to_str());
        if !extension.is_some_and(|e| ["c", "cc", "cpp", "cxx"].contains(&e)) {
            let message = format!("`{}` cannot be a reference", source.value);
            self.tell("bad-reference", message, span, "neither C nor C++");
            self.advise("the reference is a .c, .cc or .cpp file with the same entry");
        } else if !self.host.exists(&path) {
            let message = format!("the reference {} does not exist", path.display());
            self.tell("missing-file", message, span, "no such file");
            self.advise("paths are relative to the folder of the problem file");
        } else {
            match self.host.read(&path) {
                Ok(text) => self.reference_text = Some(text),
                Err(error) => {
                    let message = format!("cannot read the reference {}", path.display());
                    self.tell("unreadable-file", message, span, error.to_string());
                }
            }
        }
        absolute(self.path, source)
    }

    pub(super) fn tolerance(&mut self, file: &ToleranceFile) -> Tolerance {
        let mut part = |key: &str, value: &Option<Spanned<f64>>| {
            let Some(value) = value else {
                return 0.0;
            };
            if value.value < 0.0 {
                let message = format!("`{key}` is negative");
                let label = "nothing could pass: must be at least 0";
                self.tell("negative-tolerance", message, value.span.clone(), label);
            }
            value.value
        };
        Tolerance {
            rtol: part("rtol", &file.rtol),
            atol: part("atol", &file.atol),
            equal_nan: file.equal_nan.as_ref().is_some_and(|given| given.value),
        }
    }

    /// `equal_nan` where no output can be NaN is a misunderstanding.
    pub(super) fn equal_nan(&mut self, given: &Spanned<bool>, args: &[(Arg, Range<usize>)]) {
        let is_output =
            |arg: &Arg| matches!(arg.kind, ArgKind::Buffer { role: Role::Out | Role::Inout, .. });
        let mut outputs = args.iter().map(|(arg, _)| arg).filter(|arg| is_output(arg)).peekable();
        if outputs.peek().is_some() && !outputs.any(|arg| arg.dtype.is_float()) {
            let message = "`equal_nan` without an output that could be NaN";
            let label = "no output is of a floating-point type";
            self.tell("equal-nan-of-integers", message, given.span.clone(), label);
            self.advise("leave it out: integers are compared as integers");
        }
    }

    /// The exponent of [`crate::problem::Problem::growth`]: a line through fewer than three sizes
    /// says nothing.
    pub(super) fn growth(
        &mut self,
        growth: &Spanned<f64>,
        cases: &[Case],
        args: &[(Arg, Range<usize>)],
    ) -> f64 {
        if !(growth.value >= 0.0 && growth.value.is_finite()) {
            let message = format!("`growth` is {}", growth.value);
            self.tell("bad-growth", message, growth.span.clone(), "must be at least 0");
            self.advise("0.5 lets errors grow like the square root of the size, 1 like the size");
            return growth.value;
        }
        let args = || args.iter().map(|(arg, _)| arg);
        let sizes: Option<BTreeSet<u64>> =
            cases.iter().map(|case| input_elements(args(), case)).collect();
        // Without sizes there was another mistake, which is reported already.
        if let Some(count) = sizes.map(|sizes| sizes.len()).filter(|n| (1..3).contains(n)) {
            let message = "`growth` needs three cases of different sizes";
            let label = match count {
                1 => "the inputs of all cases have the same number of elements".to_owned(),
                _ => format!("the inputs of the cases have only {count} different sizes"),
            };
            self.tell("growth-needs-cases", message, growth.span.clone(), label);
            self.advise("add cases whose inputs differ in size, best by a factor of 4 or more");
        }
        growth.value
    }

    pub(super) fn work(&mut self, file: Option<&Spanned<Value>>) -> Option<String> {
        let text = file?.clone().map(|value| value.text());
        if self.expr(&text, &[])
            && let Err(failure) = self.at_points(|sizes| amount(&text, sizes))
        {
            self.no_value("bad-work", "no amount of work", &text, &failure);
        }
        Some(text.value)
    }

    pub(super) fn cuda(&mut self, file: &Spanned<CudaFile>) -> CudaLaunch {
        let texts = |sizes: &[Spanned<Size>]| -> Vec<Spanned<String>> {
            sizes.iter().map(|size| size.clone().map(|size| size.text())).collect()
        };
        let (grid, block) = (texts(&file.grid), texts(&file.block));
        let shared = file.shared.clone().map(|size| size.map(|size| size.text()));
        let mut sound = block.iter().map(|text| self.expr(text, &[])).fold(true, |a, b| a & b);
        sound &= grid.iter().map(|text| self.expr(text, &BLOCK)).fold(true, |a, b| a & b);
        let all = [BLOCK, GRID].concat();
        sound &= shared.as_ref().is_none_or(|text| self.expr(text, &all));
        let plain =
            |texts: &[Spanned<String>]| texts.iter().map(|text| text.value.clone()).collect();
        let launch = CudaLaunch {
            grid: plain(&grid),
            block: plain(&block),
            shared: shared.as_ref().map_or_else(|| "0".to_owned(), |text| text.value.clone()),
        };
        if sound {
            let texts: Vec<&Spanned<String>> =
                grid.iter().chain(&block).chain(shared.as_ref()).collect();
            self.geometry(&launch, &texts, &file.span);
        }
        launch
    }

    /// Tries the geometry at every point. What `texts` it was made of are asked for their places.
    fn geometry(&mut self, launch: &CudaLaunch, texts: &[&Spanned<String>], all: &Range<usize>) {
        let tried = self.at_points(|sizes| {
            let case = Case { label: String::new(), sizes: sizes.clone() };
            geometry(launch, &case, None)
        });
        let Err(AtPoint { label, error }) = tried else { return };
        let (code, message) = ("bad-launch", "no launch geometry");
        if let LaunchError::Expr(error @ CaseError::Expr { expr, .. }) = &error
            && let Some(text) = texts.iter().find(|text| text.value == *expr)
        {
            self.no_value(code, message, text, &AtPoint { label, error: error.clone() });
        } else {
            self.tell(code, message, all.clone(), format!("at {label}: {error}"));
        }
    }
}
