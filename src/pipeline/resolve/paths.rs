//! Files and folders that a pipeline names: whether they are there, and who writes what.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path};

use super::checked::Form;
use super::claims::{Claim, Claims, normal};
use super::draft::Draft;
use super::resolver::Resolver;
use crate::diagnostic::Spanned;
use crate::pipeline::DeviceRequest;
use crate::pipeline::device::Language;
use crate::pipeline::findings::{did_you_mean, join};
use crate::pipeline::upstream::Upstream;

/// A file that one stage writes and another reads, each by its index among the drafts.
struct Handover<'a> {
    input: &'a Claim,
    output: &'a Claim,
    reader: usize,
    writer: usize,
}

impl Resolver<'_> {
    pub(super) fn must_exist(&mut self, what: &str, path: &str, span: &Range<usize>) {
        if path.is_empty() {
            self.findings.at("empty", format!("the {what} is empty"), span, "name a path");
        } else if !self.host.exists(&join(&self.dir, path)) {
            self.missing(what, path, span);
        }
    }

    fn missing(&mut self, what: &str, path: &str, span: &Range<usize>) {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(dir, name)| (dir, name));
        let folder = if path.starts_with('/') && folder.is_empty() { "/" } else { folder };
        let names = self.host.list(&join(&self.dir, folder));
        let label = did_you_mean(name, names.iter().map(String::as_str), "no such file or folder");
        let shown = join(&self.dir, path);
        self.findings
            .at("missing-file", format!("the {what} `{path}` is not there"), span, label)
            .help(format!("looked for {}", shown.display()));
    }

    /// The kernel's sources: all there; and where there is a problem, so that they are built here,
    /// languages that this program builds, all for one device.
    pub(super) fn check_kernel(
        &mut self,
        sources: &[Spanned<String>],
        device: &DeviceRequest,
        problem: Option<&Spanned<String>>,
    ) {
        let mut first: Option<(Language, &Spanned<String>)> = None;
        for source in sources {
            self.must_exist("kernel source", source, &source.span);
            self.claims.fixed("kernel", source, &source.span);
            let Some(language) = Language::of(source) else {
                if problem.is_some() {
                    self.unknown_language(source);
                }
                continue;
            };
            match first {
                Some((other, there)) if other != language => {
                    let message = "CUDA and host sources cannot be one kernel";
                    self.findings
                        .at("bad-kernel", message, &source.span, "this one")
                        .and(&there.span, "and this one");
                }
                Some(_) => {}
                None => {
                    self.device_fits(source, language, device);
                    first = Some((language, source));
                }
            }
        }
    }

    fn unknown_language(&mut self, source: &Spanned<String>) {
        let message = match Path::new(source.as_str()).extension().and_then(|e| e.to_str()) {
            Some(extension) => format!("unknown kernel language `.{extension}`"),
            None => "a kernel source without an extension".to_owned(),
        };
        self.findings
            .at("bad-kernel", message, &source.span, "not a kernel source")
            .help("kernels are .c, .cc, .cpp, .cu, .ptx or .cubin files");
    }

    fn device_fits(
        &mut self,
        source: &Spanned<String>,
        language: Language,
        device: &DeviceRequest,
    ) {
        let kernel = match (device, language) {
            (DeviceRequest::Cpu(_), Language::Cuda) => "a CUDA kernel",
            (DeviceRequest::Cuda(_), Language::Host) => "a kernel in C or C++",
            _ => return,
        };
        let message = format!("{kernel} cannot run on device `{device}`");
        self.findings
            .at("device-mismatch", message, &source.span, "this source")
            .help("leave `device` out, or write device = \"auto\"");
    }

    /// Inputs must be there or be made, outputs must be made once.
    pub(super) fn check_paths(&mut self, drafts: &[Draft], graph: &Upstream<'_>) {
        if let Some(name) = self.source_name() {
            self.claims.fixed("pipeline file", &name, &(0..0));
        }
        let claims = std::mem::take(&mut self.claims);
        // Stages whose kind is not known made no claims.
        let built: Vec<usize> =
            (0..drafts.len()).filter(|index| drafts[*index].stage.is_some()).collect();
        let mut makers: HashMap<Cow<'_, str>, &Claim> = HashMap::new();
        for output in &claims.outputs {
            if self.check_output(output, &claims)
                && let Some(first) = makers.get(normal(&output.path).as_ref())
            {
                self.claimed_twice(output, first, &claims, |claim| {
                    drafts[built[claim.stage]].name.value.as_str()
                });
                continue;
            }
            makers.insert(normal(&output.path), output);
        }
        for input in &claims.inputs {
            if self.is_pattern(&input.path) {
                self.check_pattern(input);
            } else if let Some(output) = makers.get(normal(&input.path).as_ref()) {
                let [reader, writer] = [input, output].map(|claim| built[claim.stage]);
                self.check_order(&Handover { input, output, reader, writer }, drafts, graph);
            } else {
                self.must_exist("input", &input.path, &input.span);
            }
        }
    }

    fn check_order(&mut self, file: &Handover<'_>, drafts: &[Draft], graph: &Upstream<'_>) {
        let &Handover { input, output, reader, writer } = file;
        let [to, from] = [reader, writer].map(|index| drafts[index].name.value.as_str());
        if reader == writer {
            if input.variant == output.variant {
                let message = format!("`{}` is both input and output of `{to}`", input.path);
                self.findings
                    .at("output-is-input", message, &output.span, "written here")
                    .and(&input.span, "read here")
                    .help("a stage that changes its own input would never be up to date");
            }
        } else if !graph.reaches(reader, writer) {
            let message = format!("`{to}` reads what `{from}` writes, and does not need it");
            self.findings
                .at("missing-need", message, &input.span, "read here")
                .and(&output.span, "written here")
                .help(format!("add \"{from}\" to the `needs` of `{to}`"));
        }
    }

    /// True when the output is worth comparing with others.
    fn check_output(&mut self, output: &Claim, claims: &Claims) -> bool {
        let path = output.path.as_str();
        let span = &output.span;
        let is_file = !path.is_empty()
            && !path.ends_with('/')
            && !matches!(
                Path::new(path).components().next_back(),
                Some(Component::ParentDir | Component::CurDir) | None
            );
        if !is_file {
            let message = format!("the output `{path}` is not a file");
            self.findings.at("bad-output", message, span, "name a file");
            return false;
        }
        if has_wildcard(path) {
            let message = format!("the output `{path}` is a pattern");
            self.findings
                .at("bad-output", message, span, "name each file")
                .help("outputs are kept one by one; only inputs may be patterns");
            return false;
        }
        if Path::new(path).is_absolute() && !self.is_inside(path) {
            let message = format!("the output `{path}` is outside the pipeline's folder");
            self.findings
                .at("output-outside", message, span, "an absolute path elsewhere")
                .help("write a path relative to the pipeline's folder");
            return false;
        }
        let local = self.local(path);
        if let Some((what, place)) = claims.fixed.get(Path::new(local.as_ref())) {
            let message = format!("the output `{path}` would overwrite the {what}");
            let found = self.findings.at("output-overwrites", message, span, "written here");
            if place.end > 0 {
                found.and(place, format!("the {what}"));
            }
            return false;
        }
        true
    }

    fn is_inside(&self, path: &str) -> bool {
        let path = normal(path);
        self.dir.is_absolute() && Path::new(path.as_ref()).starts_with(&self.dir)
    }

    /// The path as the pipeline would write it: relative when it is inside the folder.
    fn local<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let path = normal(path);
        let inside = Path::new(path.as_ref()).strip_prefix(&self.dir).ok();
        match inside.and_then(Path::to_str) {
            Some(inside) if self.dir.is_absolute() => Cow::Owned(inside.to_owned()),
            _ => path,
        }
    }

    fn source_name(&self) -> Option<String> {
        let (first, _) = self.findings.map.locate(0..0);
        Some(first.path.file_name()?.to_string_lossy().into_owned())
    }

    fn claimed_twice<'d>(
        &mut self,
        again: &Claim,
        first: &Claim,
        claims: &Claims,
        name: impl Fn(&Claim) -> &'d str,
    ) {
        let path = &again.path;
        if again.variant == first.variant {
            let message = format!("the output `{path}` is listed twice");
            self.findings
                .at("duplicate-output", message, &again.span, "again here")
                .and(&first.span, "first here");
        } else if again.stage == first.stage {
            let [one, two] = [first, again].map(|claim| claims.variants[claim.variant].as_str());
            let message = format!("`{one}` and `{two}` both write `{path}`");
            let key = one.split('=').next().unwrap_or_default();
            self.findings
                .at("duplicate-output", message, &again.span, "the same for every combination")
                .help(format!("put ${{matrix.{key}}} into the name"));
        } else {
            let [one, two] = [first, again].map(name);
            let message = format!("stages `{one}` and `{two}` both write `{path}`");
            self.findings
                .at("duplicate-output", message, &again.span, format!("written by `{two}`"))
                .and(&first.span, format!("written by `{one}`"))
                .help("rename one of the two");
        }
    }

    /// What is there under this very name is meant, unless a star stands in it.
    fn is_pattern(&self, path: &str) -> bool {
        has_wildcard(path) && (path.contains('*') || !self.host.exists(&join(&self.dir, path)))
    }

    fn check_pattern(&mut self, input: &Claim) {
        if let Err(label) = self.checked.check(Form::Glob, &input.path) {
            let message = format!("bad pattern `{}`", input.path);
            self.findings.at("bad-pattern", message, &input.span, label).help(
                "`*` and `?` match within a name, `**` any folders, {a,b} either, [a-z] one of",
            );
        }
    }
}

/// True when a path is a pattern.
pub(super) fn has_wildcard(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}
