//! What is needed on the way from the image of a file to a pipeline.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::checked::Checked;
use super::claims::Claims;
use crate::diagnostic::Source;
use crate::host::Host;
use crate::pipeline::file::CompileFile;
use crate::pipeline::findings::Findings;
use crate::pipeline::overlay::StageOverrides;
use crate::pipeline::preset::Presets;
use crate::pipeline::variables::Variables;

/// Everything that is needed along the way.
pub(super) struct Resolver<'a> {
    pub(super) findings: Findings,
    pub(super) variables: Variables<'a>,
    pub(super) claims: Claims,
    pub(super) host: &'a dyn Host,
    pub(super) dir: PathBuf,
    pub(super) checked: Checked,
    /// The pipeline's `[compile]`.
    pub(super) compile: CompileFile,
    pub(super) source: Arc<Source>,
    pub(super) presets: Presets<'a>,
    pub(super) over: StageOverrides,
    pub(super) kernel_span: Option<Range<usize>>,
    pub(super) problem_span: Option<Range<usize>>,
    /// A stage that needs a kernel or a problem was already told so.
    pub(super) told_kernel: bool,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        source: &Arc<Source>,
        host: &'a dyn Host,
        findings: Findings,
        over: StageOverrides,
    ) -> Self {
        let dir = match source.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        // Commands start in the folder: a relative path from elsewhere would miss it.
        let shown = if dir.is_absolute() { dir.to_string_lossy().into_owned() } else { ".".into() };
        Self {
            findings,
            variables: Variables::new(host, shown),
            claims: Claims::default(),
            host,
            checked: Checked::default(),
            compile: CompileFile::default(),
            source: Arc::clone(source),
            presets: Presets::new(&dir, host),
            over,
            kernel_span: None,
            problem_span: None,
            told_kernel: false,
            dir,
        }
    }
}
