//! The generated source around a CUDA kernel: it includes the kernel and checks its signature at
//! compile time, and for kernels with host code exports one function that takes every argument
//! through a pointer.

use std::fmt::Write as _;
use std::path::Path;

use crate::backend::cpu::source::BadPath;
use crate::backend::cpu::{Param, ParamKind, Signature};
use crate::verify::Dtype;

/// What our own lines are called in messages, before [`super::messages`] takes them out.
pub const OURS: &str = "the signature in the problem";

/// The host function of a kernel with host code.
pub const LAUNCH: &str = "launch";

/// Which function is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A kernel: `extern "C" __global__ void ENTRY(arguments…)`.
    Device,
    /// A function on the host: `extern "C" void launch(arguments…, cudaStream_t)`.
    Host,
}

/// The function's name.
pub fn name(signature: &Signature, form: Form) -> &str {
    match form {
        Form::Device => &signature.entry,
        Form::Host => LAUNCH,
    }
}

/// The declaration as a user would write it.
pub fn declaration(signature: &Signature, form: Form) -> String {
    let mut params: Vec<String> = signature
        .params
        .iter()
        .map(|p| typed(p, &format!("{} ", spelled(p.dtype)), &p.name))
        .collect();
    let attribute = match form {
        Form::Device => "__global__ ",
        Form::Host => {
            params.push("cudaStream_t stream".into());
            ""
        }
    };
    let name = name(signature, form);
    format!("extern \"C\" {attribute}void {name}({})", params.join(", "))
}

fn typed(param: &Param, spelled: &str, name: &str) -> String {
    match param.kind {
        ParamKind::Read => format!("const {spelled}*{name}"),
        ParamKind::Write => format!("{spelled}*{name}"),
        ParamKind::Value => format!("{spelled}{name}"),
    }
}

/// What people call the type in CUDA.
fn spelled(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "double",
        Dtype::F32 => "float",
        Dtype::F16 => "__half",
        Dtype::Bf16 => "__nv_bfloat16",
        Dtype::I64 => "long long",
        Dtype::I32 => "int",
        Dtype::I16 => "short",
        Dtype::I8 => "signed char",
        Dtype::U8 => "unsigned char",
        Dtype::Bool => "bool",
    }
}

/// Types that are taken for it, as far as they can be named without a header; `None` for 16 bits
/// that stand for a floating-point number, whose types come with headers of the user's choice.
fn taken(dtype: Dtype) -> Option<&'static [&'static str]> {
    match dtype {
        Dtype::F16 | Dtype::Bf16 => None,
        Dtype::F64 => Some(&["double"]),
        Dtype::F32 => Some(&["float"]),
        Dtype::I64 => Some(&["long", "long long"]),
        Dtype::I32 => Some(&["int"]),
        Dtype::I16 => Some(&["short"]),
        Dtype::I8 => Some(&["signed char", "char"]),
        Dtype::U8 => Some(&["unsigned char"]),
        Dtype::Bool => Some(&["bool"]),
    }
}

/// What the check is made of. It stands before the kernel, where none of its macros reach, and
/// needs no header, because NVRTC has none.
const PARTS: &str = r"
struct optloop_none {};
template <class A, class B> struct optloop_same { static const bool optloop_yes = false; };
template <class A> struct optloop_same<A, A> { static const bool optloop_yes = true; };
template <class A> struct optloop_plain { typedef A optloop_type; };
template <class A> struct optloop_plain<const A> { typedef A optloop_type; };
template <class A> struct optloop_pointee { typedef optloop_none optloop_type; };
template <class A> struct optloop_pointee<A *> { typedef typename optloop_plain<A>::optloop_type optloop_type; };
template <class A> struct optloop_bits16 { static const bool optloop_yes = sizeof(A) == 2; };
template <> struct optloop_bits16<void> { static const bool optloop_yes = false; };
template <> struct optloop_bits16<short> { static const bool optloop_yes = false; };
template <unsigned I, class... A> struct optloop_nth { typedef optloop_none optloop_type; };
template <class F, class... A> struct optloop_nth<0, F, A...> { typedef F optloop_type; };
template <unsigned I, class F, class... A> struct optloop_nth<I, F, A...> : optloop_nth<I - 1, A...> {};
template <class F> struct optloop_function;
template <class R, class... A> struct optloop_function<R (*)(A...)> {
  typedef R optloop_result;
  static const unsigned optloop_count = sizeof...(A);
  template <unsigned I> struct optloop_argument : optloop_nth<I, A...> {};
};
";

/// The text that includes the kernel at `path` and asks nothing of it.
///
/// # Errors
/// When the path cannot stand in an `#include`.
pub fn including(path: &Path) -> Result<String, BadPath> {
    let bad = || BadPath(path.display().to_string());
    let shown = path.to_str().filter(|p| !p.contains(['"', '\\', '\n', '\r'])).ok_or_else(bad)?;
    Ok(format!("#include \"{shown}\"\n"))
}

/// The text that includes the kernel at `path` and checks its function; for [`Form::Host`] it
/// exports `optloop_launch(void *const *arguments, void *stream)`.
///
/// # Errors
/// When the path cannot stand in an `#include`.
pub fn trampoline(path: &Path, signature: &Signature, form: Form) -> Result<String, BadPath> {
    let mut text = format!("#line 1 \"{OURS}\"{PARTS}{}", including(path)?);
    text += &checks(signature, form);
    if form == Form::Host {
        text += &export(signature);
    }
    Ok(text)
}

/// One assertion for the function and for each argument, with what is to be said where it fails.
/// Names are in single quotes: NVRTC makes something else of backquotes.
fn checks(signature: &Signature, form: Form) -> String {
    let name = name(signature, form);
    let own = usize::from(form == Form::Host);
    let wanted = signature.params.len() + own;
    let plural = if wanted == 1 { "" } else { "s" };
    let mut text = format!(
        "#line 1 \"{OURS}\"\n\
         typedef optloop_function<decltype(&{name})> optloop_entry;\n\
         static_assert(optloop_entry::optloop_count == {wanted}, \"'{name}' must take {wanted} argument{plural}\");\n\
         static_assert(optloop_same<optloop_entry::optloop_result, void>::optloop_yes, \"'{name}' must return void\");\n"
    );
    for (index, param) in signature.params.iter().enumerate() {
        let wanted = typed(param, &format!("{} ", spelled(param.dtype)), "");
        let said = format!(
            "argument {} of '{name}' ('{}') must be '{}'",
            index + 1,
            param.name,
            wanted.trim()
        );
        let _infallible = writeln!(text, "static_assert({}, \"{said}\");", fits(index, param));
    }
    if form == Form::Host {
        let _infallible = writeln!(
            text,
            "static_assert(optloop_same<{}, cudaStream_t>::optloop_yes, \
             \"the last argument of '{name}' must be 'cudaStream_t'\");",
            argument(signature.params.len())
        );
    }
    text
}

fn argument(index: usize) -> String {
    format!("optloop_entry::optloop_argument<{index}>::optloop_type")
}

/// That the argument is the parameter, up to `const` of what it points to.
fn fits(index: usize, param: &Param) -> String {
    let found = match param.kind {
        ParamKind::Value => argument(index),
        ParamKind::Read | ParamKind::Write => {
            format!("optloop_pointee<{}>::optloop_type", argument(index))
        }
    };
    let Some(types) = taken(param.dtype) else {
        return format!("optloop_bits16<{found}>::optloop_yes");
    };
    let same = types.iter().map(|t| format!("optloop_same<{found}, {t}>::optloop_yes"));
    same.collect::<Vec<_>>().join(" || ")
}

fn export(signature: &Signature) -> String {
    let pass = |(index, param): (usize, &Param)| {
        let of = argument(index);
        match param.kind {
            ParamKind::Value => format!("*({of} *)optloop_arguments[{index}]"),
            ParamKind::Read | ParamKind::Write => format!("({of})optloop_arguments[{index}]"),
        }
    };
    let mut passed: Vec<String> = signature.params.iter().enumerate().map(pass).collect();
    passed.push("(cudaStream_t)optloop_stream".into());
    format!(
        "extern \"C\" __attribute__((visibility(\"default\"))) \
         void optloop_launch(void *const *optloop_arguments, void *optloop_stream)\n\
         {{ (void)optloop_arguments; {LAUNCH}({}); }}\n",
        passed.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn mixed() -> Signature {
        let param = |name: &str, dtype, kind| Param { name: name.into(), dtype, kind };
        Signature {
            entry: "scale".into(),
            params: vec![
                param("x", Dtype::F16, ParamKind::Read),
                param("y", Dtype::I64, ParamKind::Write),
                param("n", Dtype::I32, ParamKind::Value),
            ],
        }
    }

    #[test]
    fn the_declaration_reads_as_a_user_would_write_it() {
        assert_eq!(
            declaration(&mixed(), Form::Device),
            "extern \"C\" __global__ void scale(const __half *x, long long *y, int n)"
        );
        assert_eq!(
            declaration(&mixed(), Form::Host),
            "extern \"C\" void launch(const __half *x, long long *y, int n, cudaStream_t stream)"
        );
    }

    #[test]
    fn every_argument_is_checked_behind_the_kernel() {
        let text = trampoline(Path::new("/k/scale.cu"), &mixed(), Form::Device).unwrap();
        let (before, after) = text.split_once("#include \"/k/scale.cu\"\n").unwrap();
        assert!(before.starts_with("#line 1 \"the signature in the problem\"\n"), "{before}");
        insta::assert_snapshot!(after, @r#"
        #line 1 "the signature in the problem"
        typedef optloop_function<decltype(&scale)> optloop_entry;
        static_assert(optloop_entry::optloop_count == 3, "'scale' must take 3 arguments");
        static_assert(optloop_same<optloop_entry::optloop_result, void>::optloop_yes, "'scale' must return void");
        static_assert(optloop_bits16<optloop_pointee<optloop_entry::optloop_argument<0>::optloop_type>::optloop_type>::optloop_yes, "argument 1 of 'scale' ('x') must be 'const __half *'");
        static_assert(optloop_same<optloop_pointee<optloop_entry::optloop_argument<1>::optloop_type>::optloop_type, long>::optloop_yes || optloop_same<optloop_pointee<optloop_entry::optloop_argument<1>::optloop_type>::optloop_type, long long>::optloop_yes, "argument 2 of 'scale' ('y') must be 'long long *'");
        static_assert(optloop_same<optloop_entry::optloop_argument<2>::optloop_type, int>::optloop_yes, "argument 3 of 'scale' ('n') must be 'int'");
        "#);
    }

    #[test]
    fn a_kernel_with_host_code_exports_one_function_for_all_arguments() {
        let text = trampoline(Path::new("/k/scale.cu"), &mixed(), Form::Host).unwrap();
        assert!(text.contains("decltype(&launch)") && text.contains("'launch' must take 4"));
        let call = "launch((optloop_entry::optloop_argument<0>::optloop_type)optloop_arguments[0], \
                    (optloop_entry::optloop_argument<1>::optloop_type)optloop_arguments[1], \
                    *(optloop_entry::optloop_argument<2>::optloop_type *)optloop_arguments[2], \
                    (cudaStream_t)optloop_stream);";
        assert!(text.contains(call), "{text}");
    }

    #[test]
    fn a_path_that_would_end_the_include_is_refused() {
        for path in ["/k/a\".cu", "/k/a\\b.cu", "/k/a\nb.cu"] {
            assert!(trampoline(Path::new(path), &mixed(), Form::Device).is_err(), "{path}");
        }
    }
}
