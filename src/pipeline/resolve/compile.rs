//! How a kernel is compiled in one variant of a stage.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::resolver::Resolver;
use super::stage::Making;
use crate::diagnostic::Spanned;
use crate::pipeline::CompileWork;
use crate::pipeline::device::Language;
use crate::pipeline::file::CompileFile;
use crate::pipeline::variables::{Quoting, Scope};

const FLAGS: [&str; 2] = ["-O3", "-march=native"];
const TIMEOUT_MS: u64 = 60_000;

/// This many cover every part of a cache line, and of a page, equally often.
const LAYOUTS: u32 = 8;

impl Resolver<'_> {
    pub(super) fn compile(&mut self, making: Making<'_>) -> CompileWork {
        let Making { file, point, .. } = making;
        let scope = making.scope();
        let mut compile = CompileFile::default();
        if let Some(own) = &file.compile {
            compile.lay_over(own);
        }
        compile.lay_over(&self.compile);
        let cc = point.values.iter().find(|(key, _)| key == "cc").map(|(_, cc)| cc.clone());
        let written = compile.cc.as_ref();
        let cc = cc.or_else(|| Some(self.variables.expand(written?, scope, &mut self.findings)));
        let mut flags: Vec<String> = match &compile.flags {
            Some(_) => {
                let scope = Scope { quoting: Quoting::Flag, ..scope };
                let flags = self.expand_list(compile.flags.as_ref(), scope).into_iter();
                flags.map(|flag| flag.value).collect()
            }
            None if self.is_cuda() => Vec::new(),
            None => FLAGS.map(str::to_owned).to_vec(),
        };
        flags.extend_from_slice(&point.flags);
        let include_dirs = self.expand_list(compile.include_dirs.as_ref(), scope);
        for dir in &include_dirs {
            self.must_exist("include folder", dir, &dir.span);
        }
        CompileWork {
            cc: cc.unwrap_or_default(),
            flags,
            defines: self.defines(&compile, making),
            include_dirs: include_dirs.into_iter().map(|dir| dir.value).collect(),
            arch: self.arch(&compile, scope),
            host: self.host(&compile),
            layouts: self.layouts(&compile),
            timeout_ms: self.findings.timeout(compile.timeout.as_ref(), TIMEOUT_MS),
        }
    }

    fn is_cuda(&self) -> bool {
        self.variables.kernel.first().and_then(|source| Language::of(source))
            == Some(Language::Cuda)
    }

    /// False also where it cannot be told, for want of a kernel.
    pub(super) fn runs_on_a_processor(&self) -> bool {
        !self.variables.kernel.is_empty() && !self.is_cuda()
    }

    fn arch(&mut self, compile: &CompileFile, scope: Scope<'_>) -> String {
        let Some(written) = &compile.arch else { return String::new() };
        let arch = self.variables.expand(written, scope, &mut self.findings);
        if !is_architecture(&arch) {
            let message = format!("bad architecture `{}`", arch.escape_debug());
            let help = "`sm_` and the compute capability without its point, such as sm_80, sm_90a \
                        or sm_100";
            self.findings.at("bad-arch", message, &written.span, "no architecture").help(help);
        } else if !self.is_cuda() {
            self.only_for_cuda("arch", &written.span);
        }
        arch
    }

    fn host(&mut self, compile: &CompileFile) -> bool {
        let Some(written) = compile.host.as_ref().filter(|host| host.value) else { return false };
        let sources = &self.variables.kernel;
        let built = sources
            .iter()
            .find(|source| Path::new(source).extension() != Some(OsStr::new("cu")))
            .cloned();
        let by_nvrtc = compile.cc.as_ref().is_some_and(|cc| cc.value == "nvrtc");
        if !self.is_cuda() {
            self.only_for_cuda("host", &written.span);
        } else if let Some(built) = built {
            let message = format!("`{built}` is built already and has no host code");
            let help = "host = true is for .cu sources";
            self.findings.at("host-code", message, &written.span, "asked for here").help(help);
        } else if by_nvrtc {
            let message = "NVRTC compiles no host code";
            let help = "leave `cc` out, or write cc = \"nvcc\"";
            self.findings.at("host-code", message, &written.span, "asked for here").help(help);
        }
        true
    }

    fn layouts(&mut self, compile: &CompileFile) -> u32 {
        let Some(written) = &compile.layouts else {
            return if self.is_cuda() { 1 } else { LAYOUTS };
        };
        if self.is_cuda() && written.value != 1 {
            let help = "a CUDA kernel has one layout: leave `layouts` out";
            let message = "`layouts` is for kernels in C and C++".to_owned();
            let label = "not for this kernel";
            self.findings.at("misplaced-key", message, &written.span, label).help(help);
        }
        // Its range is the schema's.
        written.value
    }

    /// Without a kernel there was an error already.
    fn only_for_cuda(&mut self, key: &str, span: &std::ops::Range<usize>) {
        if !self.variables.kernel.is_empty() {
            let message = format!("`{key}` is for CUDA kernels");
            let help = "kernels in C and C++ are compiled for the processor: see `flags`";
            self.findings.at("misplaced-key", message, span, "not for this kernel").help(help);
        }
    }

    fn defines(&mut self, compile: &CompileFile, making: Making<'_>) -> BTreeMap<String, String> {
        let mut defines = BTreeMap::new();
        for (name, value) in &compile.defines {
            self.define_name(name);
            let text = Spanned::new(value.0.clone(), value.span.clone());
            let text = self.variables.expand(&text, making.scope(), &mut self.findings);
            defines.insert(name.value.clone(), as_macro(text));
        }
        for (name, _) in making.file.matrix.iter().flat_map(|matrix| &matrix.define) {
            self.define_name(name);
        }
        for (key, value) in &making.point.values {
            if let Some(name) = key.strip_prefix("define.") {
                defines.insert(name.to_owned(), as_macro(value.clone()));
            }
        }
        defines
    }

    fn define_name(&mut self, name: &Spanned<String>) {
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("bad definition name `{}`", name.escape_debug());
            let label = "not a name in C";
            self.findings.at("bad-name", message, &name.span, label);
        }
    }
}

/// `sm_90a`: the number of a compute capability, and the letter of features that only one
/// architecture (`a`) or one family (`f`) has.
fn is_architecture(text: &str) -> bool {
    let number = text.strip_prefix("sm_").unwrap_or_default();
    let number = number.strip_suffix(['a', 'f']).unwrap_or(number);
    matches!(number.len(), 2 | 3) && number.bytes().all(|b| b.is_ascii_digit())
}

/// C has no `true` without a header.
fn as_macro(value: String) -> String {
    match value.as_str() {
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        _ => value,
    }
}
