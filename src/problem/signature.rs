//! The C prototype of a problem's entry.

use std::fmt::Write as _;

use super::{Arg, ArgKind, Problem, Role};

/// What a C or C++ file needs before [`prototype`].
pub const PROTOTYPE_INCLUDES: &str = "#include <stdbool.h>\n#include <stdint.h>\n";

/// `void softmax(const float *x, float *y, int rows, int cols)`: valid C and C++, without a
/// semicolon and without `extern "C"`.
pub fn prototype(problem: &Problem) -> String {
    let mut text = format!("void {}(", problem.entry);
    for (i, arg) in problem.args.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _infallible = write!(text, "{comma}{}", parameter(arg));
    }
    text.push(')');
    text
}

fn parameter(arg: &Arg) -> String {
    let (name, c_name) = (&arg.name, arg.dtype.c_name());
    match &arg.kind {
        ArgKind::Scalar(_) => format!("{c_name} {name}"),
        ArgKind::Buffer { role: Role::In, .. } if arg.is_const => format!("const {c_name} *{name}"),
        ArgKind::Buffer { .. } => format!("{c_name} *{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Fill;
    use crate::verify::Dtype;

    #[test]
    fn inputs_are_const_and_scalars_are_values() {
        let buffer = |role| ArgKind::Buffer { shape: vec!["n".into()], role, fill: Fill::Zeros };
        let arg = |name: &str, dtype, kind| {
            let is_const = name != "free";
            Arg { name: name.into(), dtype, kind, is_const }
        };
        let mut problem = crate::problem::case::tests::problem();
        problem.entry = "mix".into();
        problem.args = vec![
            arg("x", Dtype::F32, buffer(Role::In)),
            arg("free", Dtype::F32, buffer(Role::In)),
            arg("acc", Dtype::F64, buffer(Role::Inout)),
            arg("y", Dtype::Bf16, buffer(Role::Out)),
            arg("on", Dtype::Bool, ArgKind::Scalar("1".into())),
            arg("n", Dtype::I64, ArgKind::Scalar("n".into())),
        ];
        assert_eq!(
            prototype(&problem),
            "void mix(const float *x, float *free, double *acc, uint16_t *y, bool on, int64_t n)"
        );
    }
}
