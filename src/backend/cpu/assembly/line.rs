//! Lines of assembly: labels and instructions.

/// What the instructions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64 in AT&T syntax.
    X86,
    /// 64-bit ARM.
    Arm,
}

/// A place in a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Position in [`Assembly::files`](super::Assembly::files).
    pub file: usize,
    /// Counted from 1.
    pub line: u32,
}

/// How an instruction touches a spilled register's slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spill {
    /// It writes one.
    pub stores: bool,
    /// It reads one.
    pub loads: bool,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Its name.
    pub mnemonic: String,
    /// Its operands, separated by a comma and a blank; labels numbered in the order of the file.
    pub operands: String,
    /// Where it comes from.
    pub place: Option<Place>,
    /// Whether it spills or reloads.
    pub spill: Spill,
    /// Its text with labels taken out and constants put in: equal when it does the same.
    pub key: String,
}

/// One line of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A label that some instruction names.
    Label(String),
    /// An instruction.
    Instruction(Instruction),
}

impl Line {
    /// The instruction, if it is one.
    pub fn instruction(&self) -> Option<&Instruction> {
        match self {
            Self::Label(_) => None,
            Self::Instruction(i) => Some(i),
        }
    }
}
