//! The generated source around a kernel: it checks the signature at compile time and exports one
//! function that takes every argument through a pointer.

use std::fmt::Write as _;
use std::path::Path;

use crate::verify::Dtype;

/// What a kernel's function looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub entry: String,
    /// Its parameters in order.
    pub params: Vec<Param>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name in the problem, for messages.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Pointer or value.
    pub kind: ParamKind,
}

/// How a parameter is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// `const T *`.
    Read,
    /// `T *`.
    Write,
    /// `T`.
    Value,
}

/// What a source is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cpp,
}

impl Language {
    /// The language by a file's extension; `None` for what this backend does not compile.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "c" => Some(Self::C),
            "cc" | "cpp" | "cxx" | "c++" | "C" => Some(Self::Cpp),
            _ => None,
        }
    }
}

impl Signature {
    /// The declaration as a user would write it: `void scale(const float *x, float *y, int32_t n)`.
    pub fn declaration(&self) -> String {
        let params: Vec<String> = self.params.iter().map(Param::declaration).collect();
        let params = if params.is_empty() { "void".into() } else { params.join(", ") };
        format!("void {}({params})", self.entry)
    }
}

impl Param {
    fn declaration(&self) -> String {
        let c_type = self.dtype.c_name();
        match self.kind {
            ParamKind::Read => format!("const {c_type} *{}", self.name),
            ParamKind::Write => format!("{c_type} *{}", self.name),
            ParamKind::Value => format!("{c_type} {}", self.name),
        }
    }

    /// The parameter's type without any header.
    fn builtin(&self, language: Language) -> String {
        let c_type = builtin_type(self.dtype, language);
        match self.kind {
            ParamKind::Read => format!("const {c_type} *"),
            ParamKind::Write => format!("{c_type} *"),
            ParamKind::Value => c_type.to_owned(),
        }
    }
}

/// What [`Dtype::c_name`] stands for, without a header: including one before the kernel would make
/// feature macros that the kernel defines (`_GNU_SOURCE`) come too late.
fn builtin_type(dtype: Dtype, language: Language) -> &'static str {
    match dtype {
        Dtype::F64 => "double",
        Dtype::F32 => "float",
        Dtype::F16 => "_Float16",
        Dtype::Bf16 => "__UINT16_TYPE__",
        Dtype::I64 => "__INT64_TYPE__",
        Dtype::I32 => "__INT32_TYPE__",
        Dtype::I16 => "__INT16_TYPE__",
        Dtype::I8 => "__INT8_TYPE__",
        Dtype::U8 => "__UINT8_TYPE__",
        Dtype::Bool if language == Language::C => "_Bool",
        Dtype::Bool => "bool",
    }
}

/// A path that cannot stand in an `#include`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be compiled: its path holds a quote, a backslash, a line break or no UTF-8; rename it"
)]
pub struct BadPath(pub String);

/// The text that includes the kernel at `path` and exports its launch function.
///
/// In C a prototype stands before the include, so that a kernel with another signature is an error
/// at its own line. In C++, where that would only declare an overload, a pointer of the right type
/// is initialised afterwards, and `text` (the kernel's) is searched for the line to blame.
///
/// Either way the kernel is called through a pointer that no compiler can see through: copied into
/// the launcher it would be other code than its own function, which is what users read, debug and
/// call, and a store that cannot be could be left out of it.
///
/// # Errors
/// When the path cannot stand in an `#include`.
pub fn trampoline(path: &Path, text: &str, signature: &Signature) -> Result<String, BadPath> {
    let bad = || BadPath(path.display().to_string());
    let name = path.to_str().filter(|p| !p.contains(['"', '\\', '\n', '\r'])).ok_or_else(bad)?;
    Ok(match Language::of(path) {
        Some(Language::Cpp) => cpp_trampoline(name, text, signature),
        _ => c_trampoline(name, signature),
    })
}

fn types(signature: &Signature, language: Language) -> String {
    let types: Vec<String> = signature.params.iter().map(|p| p.builtin(language)).collect();
    if types.is_empty() { "void".into() } else { types.join(", ") }
}

fn arguments(signature: &Signature, language: Language) -> String {
    let argument = |(index, param): (usize, &Param)| match param.kind {
        ParamKind::Value => format!("*(const {} *)args[{index}]", param.builtin(language)),
        _ => format!("({})args[{index}]", param.builtin(language)),
    };
    signature.params.iter().enumerate().map(argument).collect::<Vec<_>>().join(", ")
}

fn c_trampoline(path: &str, signature: &Signature) -> String {
    let entry = &signature.entry;
    let types = types(signature, Language::C);
    let arguments = arguments(signature, Language::C);
    let mut text = String::new();
    // `#line` names the source of the prototype in the compiler's note.
    let _infallible = write!(
        text,
        "#line 1 \"the signature in the problem\"\n\
         void {entry}({types});\n\
         #include \"{path}\"\n\
         #line 1 \"optloop_launch\"\n\
         static void (*const volatile optloop_entry)({types}) = {entry};\n\
         __attribute__((visibility(\"default\"))) void optloop_launch(void **args);\n\
         void optloop_launch(void **args) {{ (void)args; optloop_entry({arguments}); }}\n"
    );
    text
}

fn cpp_trampoline(path: &str, text: &str, signature: &Signature) -> String {
    let entry = &signature.entry;
    let types = types(signature, Language::Cpp);
    let arguments = arguments(signature, Language::Cpp);
    let line = definition_line(text, entry);
    format!(
        "#include \"{path}\"\n\
         #line {line} \"{path}\"\n\
         static void (*const volatile optloop_entry)({types}) = &{entry};\n\
         #line 1 \"optloop_launch\"\n\
         extern \"C\" __attribute__((visibility(\"default\"))) void optloop_launch(void **args);\n\
         void optloop_launch(void **args) {{ (void)args; optloop_entry({arguments}); }}\n"
    )
}

/// The last line on which `entry` is followed by `(` at the beginning of a definition, counted
/// from 1; 1 when there is none. Only used to point at something helpful.
pub(crate) fn definition_line(text: &str, entry: &str) -> usize {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let names_it = |line: &str| {
        line.match_indices(entry).any(|(at, _)| {
            !line[..at].ends_with(word) && line[at + entry.len()..].trim_start().starts_with('(')
        })
    };
    let found = text.lines().enumerate().filter(|(_, line)| names_it(line)).last();
    found.map_or(1, |(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale() -> Signature {
        let param = |name: &str, dtype, kind| Param { name: name.into(), dtype, kind };
        Signature {
            entry: "scale".into(),
            params: vec![
                param("x", Dtype::F32, ParamKind::Read),
                param("y", Dtype::F32, ParamKind::Write),
                param("n", Dtype::I64, ParamKind::Value),
            ],
        }
    }

    #[test]
    fn the_declaration_reads_as_a_user_would_write_it() {
        assert_eq!(scale().declaration(), "void scale(const float *x, float *y, int64_t n)");
        let empty = Signature { entry: "f".into(), params: Vec::new() };
        assert_eq!(empty.declaration(), "void f(void)");
    }

    #[test]
    fn the_c_trampoline_declares_before_it_includes() {
        let text = trampoline(Path::new("/k/scale.c"), "", &scale()).unwrap();
        insta::assert_snapshot!(text, @r#"
        #line 1 "the signature in the problem"
        void scale(const float *, float *, __INT64_TYPE__);
        #include "/k/scale.c"
        #line 1 "optloop_launch"
        static void (*const volatile optloop_entry)(const float *, float *, __INT64_TYPE__) = scale;
        __attribute__((visibility("default"))) void optloop_launch(void **args);
        void optloop_launch(void **args) { (void)args; optloop_entry((const float *)args[0], (float *)args[1], *(const __INT64_TYPE__ *)args[2]); }
        "#);
    }

    #[test]
    fn the_cpp_trampoline_blames_the_line_of_the_definition() {
        let kernel =
            "// scale\n#include <cmath>\nvoid rescale(float);\nvoid scale (const float *x) {}\n";
        let text = trampoline(Path::new("/k/scale.cc"), kernel, &scale()).unwrap();
        assert!(
            text.contains("#line 4 \"/k/scale.cc\"\nstatic void (*const volatile optloop_entry)"),
            "{text}"
        );
    }

    #[test]
    fn a_path_that_would_end_the_include_is_refused() {
        for path in ["/k/a\".c", "/k/a\\b.c", "/k/a\nb.c"] {
            assert!(trampoline(Path::new(path), "", &scale()).is_err(), "{path}");
        }
    }

    #[test]
    fn languages_are_told_by_extension() {
        for (path, language) in [
            ("a.c", Some(Language::C)),
            ("a.cc", Some(Language::Cpp)),
            ("a.cpp", Some(Language::Cpp)),
            ("a.cu", None),
            ("a", None),
        ] {
            assert_eq!(Language::of(Path::new(path)), language, "{path}");
        }
    }
}
