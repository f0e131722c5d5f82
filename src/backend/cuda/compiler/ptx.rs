//! What a PTX text says of a kernel: its parameters, and what it is for.

use crate::backend::cpu::{Param, ParamKind, Signature};

/// Why a PTX text cannot stand for a problem's kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PtxError {
    /// Binary, or another text.
    #[error("it is no PTX text: {0}")]
    NotPtx(&'static str),
    /// There are other kernels.
    #[error("it has no `.entry {entry}`{}", others(.found))]
    NoEntry {
        /// What is wanted.
        entry: String,
        /// What is there.
        found: Vec<String>,
    },
    /// Another number of parameters.
    #[error("`.entry {entry}` has {found} parameters, and the problem has {wanted} arguments")]
    Count {
        /// The kernel.
        entry: String,
        /// How many it has.
        found: usize,
        /// How many the problem has.
        wanted: usize,
    },
    /// A parameter of another size.
    #[error(
        "parameter {number} of `.entry {entry}` is `{found}`, and `{name}` takes {bytes} bytes"
    )]
    Width {
        /// The kernel.
        entry: String,
        /// Which one, from 1.
        number: usize,
        /// What it is.
        found: String,
        /// The argument.
        name: String,
        /// The argument's size.
        bytes: usize,
    },
}

fn others(found: &[String]) -> String {
    match found {
        [] => String::from("; it has no kernel at all"),
        names => format!("; its kernels are {}", names.join(", ")),
    }
}

/// Checks that `text` has the signature's kernel, and gives its `.target`.
///
/// The grammar is that of "PTX ISA", "Directives": `.target`, `.entry` and `.param`.
///
/// # Errors
/// What does not fit.
pub fn check(text: &str, signature: &Signature) -> Result<String, PtxError> {
    let text = without_comments(text);
    if !text.contains(".version") {
        return Err(PtxError::NotPtx("there is no `.version` in it"));
    }
    let target = after(&text, ".target").next().map(first_name).unwrap_or_default();
    if target.is_empty() {
        return Err(PtxError::NotPtx("there is no `.target` in it"));
    }
    let entry = &signature.entry;
    let mut found = Vec::new();
    for rest in after(&text, ".entry") {
        let name = first_name(rest);
        if name == *entry {
            let behind = rest.trim_start()[name.len()..].trim_start();
            parameters(behind, signature)?;
            return Ok(target);
        }
        found.push(name);
    }
    Err(PtxError::NoEntry { entry: entry.clone(), found })
}

/// The texts behind each occurrence of a directive.
fn after<'a>(text: &'a str, directive: &'a str) -> impl Iterator<Item = &'a str> {
    let behind = text.match_indices(directive).map(move |(at, _)| &text[at + directive.len()..]);
    behind.filter(|rest| rest.starts_with(char::is_whitespace))
}

fn first_name(rest: &str) -> String {
    let known = |c: &char| c.is_ascii_alphanumeric() || "_$%".contains(*c);
    rest.trim_start().chars().take_while(known).collect()
}

fn parameters(behind: &str, signature: &Signature) -> Result<(), PtxError> {
    let list = behind.strip_prefix('(').and_then(|b| b.split_once(')')).map_or("", |(l, _)| l);
    let found: Vec<&str> = list.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    let entry = signature.entry.clone();
    let (count, wanted) = (found.len(), signature.params.len());
    if count != wanted {
        return Err(PtxError::Count { entry, found: count, wanted });
    }
    for (index, (found, param)) in found.iter().zip(&signature.params).enumerate() {
        let bytes = width_of(param);
        if width(found) != Some(bytes) {
            let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
            let (number, name) = (index + 1, param.name.clone());
            return Err(PtxError::Width { entry, number, found, name, bytes });
        }
    }
    Ok(())
}

fn width_of(param: &Param) -> usize {
    match param.kind {
        ParamKind::Value => param.dtype.size_bytes(),
        ParamKind::Read | ParamKind::Write => 8,
    }
}

/// Bytes of `.param .u64 .ptr .global name`, `.param .align 4 .b8 name[12]`.
fn width(declaration: &str) -> Option<usize> {
    let one = declaration.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('.')?;
        let digits = word.strip_prefix(['u', 's', 'b', 'f'])?;
        let bits: usize = digits.parse().ok()?;
        matches!(bits, 8 | 16 | 32 | 64).then_some(bits / 8)
    })?;
    match declaration.split_once('[') {
        Some((_, count)) => {
            let count: usize = count.split(']').next()?.trim().parse().ok()?;
            one.checked_mul(count)
        }
        None => Some(one),
    }
}

/// Blanks in the place of comments.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("/*").into_iter().chain(rest.find("//")).min() {
        plain.push_str(&rest[..at]);
        plain.push(' ');
        let close = if rest[at..].starts_with("/*") { "*/" } else { "\n" };
        let behind = &rest[at + 2..];
        rest = behind.find(close).map_or("", |end| &behind[end + close.len()..]);
        if close == "\n" {
            plain.push('\n');
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Dtype;

    fn scale() -> Signature {
        let param = |name: &str, dtype, kind| Param { name: name.into(), dtype, kind };
        Signature {
            entry: "scale".into(),
            params: vec![
                param("x", Dtype::F32, ParamKind::Read),
                param("y", Dtype::F32, ParamKind::Write),
                param("n", Dtype::I32, ParamKind::Value),
            ],
        }
    }

    fn told(params: &str) -> Result<String, String> {
        let text = format!(
            "// made by hand\n.version 8.0\n.target sm_90a, texmode_independent\n\
             .address_size 64\n.visible .entry other()\n{{ ret; }}\n\
             /* .entry scale() */ .visible .entry scale({params})\n{{ ret; }}\n"
        );
        check(&text, &scale()).map_err(|e| e.to_string())
    }

    #[test]
    fn an_entry_whose_parameters_fit_is_taken_with_its_target() {
        for params in [
            ".param .u64 a, .param .u64 b, .param .u32 c",
            "\n.param .u64 .ptr .global .align 4 a, // the input\n.param .b64 b,\n.param .s32 c\n",
            ".param .u64 a, .param .u64 b, .param .align 4 .b8 c[4]",
        ] {
            assert_eq!(told(params), Ok("sm_90a".to_owned()), "{params}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (params, words) in [
            ("", "has 0 parameters, and the problem has 3 arguments"),
            (".param .u64 a, .param .u64 b", "has 2 parameters"),
            (".param .u64 a, .param .u32 b, .param .u32 c", "parameter 2 of `.entry scale` is"),
            (".param .u64 a, .param .u64 b, .param .u64 c", "and `n` takes 4 bytes"),
            (".param .u64 a, .param .u64 b, .param .b8 c[9999999999999999999999]", "`n` takes 4"),
        ] {
            let message = told(params).unwrap_err();
            assert!(message.contains(words), "{params}: {message}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let told = |text: &str| check(text, &scale()).unwrap_err().to_string();
        assert!(told("int main() {}").contains("no PTX text"));
        assert!(told(".version 8.0\n").contains("no `.target`"));
        let other = ".version 8.0\n.target sm_80\n.entry softmax() {}\n";
        assert!(told(other).contains("no `.entry scale`; its kernels are softmax"));
        assert!(told(".version 8.0\n.target sm_80\n// .entry scale").contains("no kernel at all"));
    }
}
