//! `[[args]]`.

use std::ops::Range;

use super::{Checker, not_a_c_name};
use crate::diagnostic::Spanned;
use crate::problem::case::{buffer_bytes, extent, scalar};
use crate::problem::file::{ArgFile, Value};
use crate::problem::{Arg, ArgKind, Fill, Role, fits};
use crate::verify::Dtype;

impl Checker<'_> {
    pub(super) fn args(
        &mut self,
        files: &[Spanned<ArgFile>],
        entry: Option<&Spanned<String>>,
    ) -> Vec<(Arg, Range<usize>)> {
        self.arg_names(files);
        let args: Vec<_> = files
            .iter()
            .filter_map(|file| {
                let kind = self.kind(file)?;
                let is_const = file.is_const.as_ref().is_none_or(|is_const| is_const.value);
                let (name, dtype) = (file.name.value.clone(), file.dtype.value);
                let arg = Arg { name, dtype, kind, is_const };
                Some((arg, file.span.clone()))
            })
            .collect();
        self.some_output(files, entry);
        args
    }

    fn arg_names(&mut self, files: &[Spanned<ArgFile>]) {
        for (i, file) in files.iter().enumerate() {
            let name = &file.name;
            if let Some(why) = not_a_c_name(name) {
                let message = format!("`{}` cannot name an argument", name.value);
                self.tell("bad-name", message, name.span.clone(), why);
            }
            let twin = files[..i].iter().find(|other| other.name.value == name.value);
            if let Some(twin) = twin {
                let message = format!("two arguments are called `{}`", name.value);
                self.tell("duplicate-arg", message, name.span.clone(), "again here");
                self.also(twin.name.span.clone(), "first here");
            }
        }
    }

    /// A kernel that writes nothing cannot be wrong.
    fn some_output(&mut self, files: &[Spanned<ArgFile>], entry: Option<&Spanned<String>>) {
        let writes =
            |file: &Spanned<ArgFile>| file.role.as_ref().is_some_and(|role| role.value != Role::In);
        let torn = files.iter().any(|file| self.is_torn(&file.span));
        if !torn && self.written_args() == files.len() && !files.iter().any(writes) {
            let span = entry.map_or(0..0, |entry| entry.span.clone());
            let label = "no argument has the role `out` or `inout`";
            self.tell("no-output", "the kernel writes nothing", span, label);
            self.advise("give the buffers that it writes `role = \"out\"`");
        }
    }

    /// How many arguments the file has, those among them that a mistake of form has left out.
    fn written_args(&self) -> usize {
        let (table, _told) = toml::de::DeTable::parse_recoverable(&self.source.text);
        let args = table.get_ref().get("args").and_then(|args| args.get_ref().as_array());
        args.map_or(0, |args| args.len())
    }

    fn kind(&mut self, file: &Spanned<ArgFile>) -> Option<ArgKind> {
        match (&file.shape, &file.value.value) {
            (Some(_), Some(value)) => {
                let message = format!("`{}` has both a shape and a value", file.name.value);
                self.tell("shape-and-value", message, value.span.clone(), "a buffer has no value");
                self.advise("a buffer has a `shape`, a scalar a `value`");
                None
            }
            (None, None) if self.is_torn(&file.span) => None,
            (None, None) => {
                let message = format!("`{}` has neither a shape nor a value", file.name.value);
                let label = "buffer or scalar?";
                self.tell("no-shape", message, file.name.span.clone(), label);
                self.advise("a buffer has a `shape`, a scalar a `value`");
                None
            }
            (None, Some(value)) => self.scalar(file, value),
            (Some(_), None) => self.buffer(file),
        }
    }

    fn scalar(&mut self, file: &ArgFile, value: &Spanned<Value>) -> Option<ArgKind> {
        let name = &file.name.value;
        let stray = [
            ("role", file.role.as_ref().map(|role| role.span.clone())),
            ("fill", file.fill.as_ref().map(|fill| fill.span.clone())),
            ("const", file.is_const.as_ref().map(|is_const| is_const.span.clone())),
        ];
        for (key, span) in stray {
            if let Some(span) = span {
                let message = format!("the scalar `{name}` has a {key}");
                let label = "only buffers have one";
                self.tell("scalar-with-role", message, span, label);
            }
        }
        let text = value.clone().map(|value| value.text());
        let dtype = file.dtype.value;
        if !self.expr(&text, &[]) {
            return None;
        }
        let message = format!("`{name}` has no value of type {dtype}");
        match self.at_points(|sizes| scalar(&text, dtype, sizes)) {
            Ok(_) => Some(ArgKind::Scalar(text.value)),
            Err(failure) => {
                self.no_value("bad-value", &message, &text, &failure);
                None
            }
        }
    }

    fn buffer(&mut self, arg: &ArgFile) -> Option<ArgKind> {
        let name = &arg.name.value;
        let mut extents: Vec<Vec<usize>> = vec![Vec::new(); self.points.len()];
        let mut shape = Vec::new();
        let mut whole = true;
        for size in arg.shape.iter().flatten() {
            let text = size.clone().map(|size| size.text());
            match self.extents(name, &text) {
                Some(values) => extents.iter_mut().zip(values).for_each(|(e, value)| e.push(value)),
                None => whole = false,
            }
            shape.push(text.value);
        }
        let role = arg.role.as_ref().map_or(Role::In, |role| role.value);
        if let Some(given) = arg.is_const.as_ref().filter(|given| role != Role::In && given.value) {
            let message = format!("`{name}` is written and cannot be const");
            self.tell("const-output", message, given.span.clone(), "not for outputs");
            self.advise("`const` is for inputs, and true without being said");
        }
        let fill = self.fill(arg, role, whole.then_some(extents.as_slice()));
        whole.then_some(ArgKind::Buffer { shape, role, fill: fill? })
    }

    /// One extent of a buffer, at every point.
    fn extents(&mut self, name: &str, text: &Spanned<String>) -> Option<Vec<usize>> {
        if !self.expr(text, &[]) {
            return None;
        }
        let values = self.at_points(|sizes| extent(text, sizes));
        let no_extent = |failure| {
            self.no_value("bad-extent", &format!("`{name}` has no extent here"), text, &failure);
        };
        values.map_err(no_extent).ok()
    }

    /// The fill of a buffer, checked for its type and the largest of `extents`.
    fn fill(&mut self, arg: &ArgFile, role: Role, extents: Option<&[Vec<usize>]>) -> Option<Fill> {
        let dtype = arg.dtype.value;
        let Some(written) = &arg.fill else {
            return Some(if role == Role::Out { Fill::Zeros } else { usual(dtype) });
        };
        if role == Role::Out {
            let message = format!("the output `{}` has a fill", arg.name.value);
            let label = "outputs start with random bytes, so that none is right by chance";
            self.tell("output-with-fill", message, written.span.clone(), label);
            self.advise("remove `fill`, or make it `role = \"inout\"` when the kernel reads it");
            return None;
        }
        let fill = Fill::from(written.value);
        let bytes = |shape: &Vec<usize>| buffer_bytes(&arg.name, shape, dtype).ok();
        let most = extents.into_iter().flatten().filter_map(bytes).max().unwrap_or(0);
        if let Err(why) = fits(&fill, dtype, (most / dtype.size_bytes()) as u64) {
            let message = format!("the fill of `{}` does not fit {dtype}", arg.name.value);
            self.tell("bad-fill", message, written.span.clone(), why.to_string());
            return None;
        }
        Some(fill)
    }
}

/// What an input without `fill` starts with.
fn usual(dtype: Dtype) -> Fill {
    if dtype.is_float() {
        return Fill::Normal { mean: 0.0, std: 1.0 };
    }
    Fill::Integers { low: 0, high: dtype.exact_integers().1.min(100) }
}
