//! What the binaries of a kernel stage are to it.

use super::{Bench, Definition};

/// What a binary is to a stage that checks or measures. Keys and their records name binaries by
/// this and not by where a pipeline keeps them, so that two pipelines share a measurement of the
/// same binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputRole {
    /// The kernel that is checked or measured.
    Kernel,
    /// The judge's own implementation.
    Reference,
    /// The kernel that it is compared with.
    Incumbent,
}

impl InputRole {
    /// The input of that position, where it is a binary.
    pub fn of(definition: &Definition, position: usize) -> Option<Self> {
        let compares = matches!(definition, Definition::Bench(Bench { against: Some(_), .. }));
        let is_kernel_stage = matches!(definition, Definition::Check(_) | Definition::Bench(_));
        let roles: &[Self] = match is_kernel_stage {
            true if compares => &[Self::Kernel, Self::Reference, Self::Incumbent],
            true => &[Self::Kernel, Self::Reference],
            false => &[],
        };
        roles.get(position).copied()
    }

    /// Its position among the inputs of a stage that has it.
    pub const fn position(self) -> usize {
        self as usize
    }

    /// What it is called in keys and their records, behind the kind of input.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel binary",
            Self::Reference => "reference binary",
            Self::Incumbent => "incumbent binary",
        }
    }

    /// The field of a key that holds the digest of its content.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Kernel => "input:kernel binary",
            Self::Reference => "input:reference binary",
            Self::Incumbent => "input:incumbent binary",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_of_a_role_is_the_input_of_its_word() {
        for role in [InputRole::Kernel, InputRole::Reference, InputRole::Incumbent] {
            assert_eq!(role.field(), format!("input:{}", role.word()));
        }
    }
}
