//! Files and folders that a pipeline names: whether they are there, and who writes what.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::DeviceRequest;
use super::draft::Draft;
use super::findings::{did_you_mean, join};
use super::resolve::Resolver;
use super::upstream::Upstream;
use super::validate::Form;
use crate::diagnostic::Spanned;

const CPU_SOURCES: [&str; 3] = ["c", "cc", "cpp"];
const CUDA_SOURCES: [&str; 3] = ["cu", "ptx", "cubin"];

/// Whether a source is for CUDA, by its extension.
pub(super) fn is_cuda_source(source: &str) -> bool {
    let extension = Path::new(source).extension().and_then(|e| e.to_str());
    CUDA_SOURCES.iter().any(|known| Some(*known) == extension)
}

/// What stages read and write, gathered while they are made.
#[derive(Default)]
pub(super) struct Claims {
    stages: usize,
    variants: Vec<String>,
    inputs: Vec<Claim>,
    outputs: Vec<Claim>,
    /// Files that no stage may write: what they are, and where they are named.
    fixed: HashMap<PathBuf, (&'static str, Range<usize>)>,
}

struct Claim {
    stage: usize,
    /// Index into the labels of variants.
    variant: usize,
    path: String,
    span: Range<usize>,
}

impl Claims {
    /// Another stage begins.
    pub(super) fn stage(&mut self) {
        self.stages += 1;
    }

    /// Another variant of it begins.
    pub(super) fn variant(&mut self, label: &str) {
        self.variants.push(label.to_owned());
    }

    pub(super) fn input(&mut self, path: &Spanned<String>) {
        let claim = self.claim(path);
        self.inputs.push(claim);
    }

    pub(super) fn output(&mut self, path: &Spanned<String>) {
        let claim = self.claim(path);
        self.outputs.push(claim);
    }

    pub(super) fn fixed(&mut self, what: &'static str, path: &str, span: &Range<usize>) {
        self.fixed.insert(normal(path).into_owned().into(), (what, span.clone()));
    }

    fn claim(&self, path: &Spanned<String>) -> Claim {
        let stage = self.stages.saturating_sub(1);
        let variant = self.variants.len().saturating_sub(1);
        Claim { stage, variant, path: path.value.clone(), span: path.span.clone() }
    }
}

impl Resolver<'_> {
    pub(super) fn must_exist(&mut self, what: &str, path: &str, span: &Range<usize>) {
        if path.is_empty() {
            self.findings.at("empty", format!("the {what} is empty"), span, "name a path");
        } else if !self.loader.exists(&join(&self.dir, path)) {
            self.missing(what, path, span);
        }
    }

    fn missing(&mut self, what: &str, path: &str, span: &Range<usize>) {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(dir, name)| (dir, name));
        let folder = if path.starts_with('/') && folder.is_empty() { "/" } else { folder };
        let names = self.loader.list(&join(&self.dir, folder));
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
        let mut first: Option<(bool, &Spanned<String>)> = None;
        for source in sources {
            self.must_exist("kernel source", source, &source.span);
            self.claims.fixed("kernel", source, &source.span);
            let extension = Path::new(source.as_str()).extension().and_then(|e| e.to_str());
            let is_cuda = is_cuda_source(source);
            let is_known = is_cuda || CPU_SOURCES.iter().any(|known| Some(*known) == extension);
            if !is_known && problem.is_none() {
                continue;
            }
            if !is_known {
                let message = match extension {
                    Some(extension) => format!("unknown kernel language `.{extension}`"),
                    None => "a kernel source without an extension".to_owned(),
                };
                self.findings
                    .at("bad-kernel", message, &source.span, "not a kernel source")
                    .help("kernels are .c, .cc, .cpp, .cu, .ptx or .cubin files");
                continue;
            }
            match first {
                Some((was_cuda, other)) if was_cuda != is_cuda => {
                    let message = "CUDA and host sources cannot be one kernel";
                    self.findings
                        .at("bad-kernel", message, &source.span, "this one")
                        .and(&other.span, "and this one");
                }
                Some(_) => {}
                None => {
                    self.device_fits(source, is_cuda, device);
                    first = Some((is_cuda, source));
                }
            }
        }
    }

    fn device_fits(&mut self, source: &Spanned<String>, is_cuda: bool, device: &DeviceRequest) {
        let wrong = match device {
            DeviceRequest::Auto => false,
            DeviceRequest::Cpu(_) => is_cuda,
            DeviceRequest::Cuda(_) => !is_cuda,
        };
        if wrong {
            let language = if is_cuda { "a CUDA kernel" } else { "a kernel in C or C++" };
            let message = format!("{language} cannot run on device `{device}`");
            self.findings
                .at("device-mismatch", message, &source.span, "this source")
                .help("leave `device` out, or write device = \"auto\"");
        }
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
            } else if let Some(maker) = makers.get(normal(&input.path).as_ref()) {
                let [reader, writer] = [input, maker].map(|claim| built[claim.stage]);
                self.check_order(input, maker, [reader, writer], (drafts, graph));
            } else {
                self.must_exist("input", &input.path, &input.span);
            }
        }
    }

    fn check_order(
        &mut self,
        input: &Claim,
        maker: &Claim,
        [reader, writer]: [usize; 2],
        (drafts, graph): (&[Draft], &Upstream<'_>),
    ) {
        let [to, from] = [reader, writer].map(|index| drafts[index].name.value.as_str());
        if reader == writer {
            if input.variant == maker.variant {
                let message = format!("`{}` is both input and output of `{to}`", input.path);
                self.findings
                    .at("output-is-input", message, &maker.span, "written here")
                    .and(&input.span, "read here")
                    .help("a stage that changes its own input would never be up to date");
            }
        } else if !graph.reaches(reader, writer) {
            let message = format!("`{to}` reads what `{from}` writes, and does not need it");
            self.findings
                .at("missing-need", message, &input.span, "read here")
                .and(&maker.span, "written here")
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
        has_wildcard(path) && (path.contains('*') || !self.loader.exists(&join(&self.dir, path)))
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

/// The path without `.`, `..` and doubled slashes, as far as the text alone tells.
fn normal(path: &str) -> Cow<'_, str> {
    let is_plain = !path.contains("./") && !path.contains("//") && !path.ends_with(['/', '.']);
    if is_plain {
        return Cow::Borrowed(path);
    }
    let mut parts = PathBuf::new();
    for part in Path::new(path).components() {
        let ends_in_name = matches!(parts.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if ends_in_name => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Cow::Owned(parts.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn the_same_file_has_one_spelling() {
        for (path, want) in [
            ("a/b.c", "a/b.c"),
            ("./a/b.c", "a/b.c"),
            ("a//b.c", "a/b.c"),
            ("a/../b.c", "b.c"),
            ("../b.c", "../b.c"),
            ("../../a/../b.c", "../../b.c"),
            ("/a/./b", "/a/b"),
            ("a/b/..", "a"),
        ] {
            assert_eq!(normal(path), want, "{path}");
        }
    }
}
