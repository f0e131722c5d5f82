//! How a kernel is compiled in one variant of a stage.

use std::collections::BTreeMap;

use super::CompileWork;
use super::file::CompileFile;
use super::resolve::Resolver;
use super::work::Making;
use crate::diagnostic::Spanned;

const FLAGS: [&str; 2] = ["-O3", "-march=native"];
const TIMEOUT_MS: u64 = 60_000;

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
                let flags = self.expand_list(compile.flags.as_ref(), scope).into_iter();
                flags.map(|flag| flag.value).collect()
            }
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
            timeout_ms: self.findings.timeout(compile.timeout.as_ref(), TIMEOUT_MS),
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

/// C has no `true` without a header.
fn as_macro(value: String) -> String {
    match value.as_str() {
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        _ => value,
    }
}
