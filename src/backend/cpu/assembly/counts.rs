//! What single instructions do, and how many of each there are.

use serde::Serialize;

use super::line::{Architecture, Instruction, Spill};

/// How many instructions of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Counts {
    /// All of them.
    pub instructions: u32,
    /// On vectors of 128 bits: xmm, NEON.
    pub vector_128: u32,
    /// On vectors of 256 bits: ymm.
    pub vector_256: u32,
    /// On vectors of 512 bits: zmm.
    pub vector_512: u32,
    /// On vectors whose length the machine knows: SVE.
    pub vector_scalable: u32,
    /// Fused multiply-adds, of vectors or not.
    pub fma: u32,
    /// Floating-point arithmetic on one number, fused multiply-adds included.
    pub scalar_fp: u32,
    /// Registers written to the stack for want of registers.
    pub spill_stores: u32,
    /// Registers read back.
    pub spill_loads: u32,
    /// Calls, those that end the function (tail calls) too.
    pub calls: u32,
}

impl Counts {
    pub(super) fn of<'a>(
        architecture: Architecture,
        instructions: impl Iterator<Item = &'a Instruction>,
    ) -> Self {
        let mut counts = Self::default();
        for i in instructions {
            counts.add(architecture, i);
        }
        counts
    }

    fn add(&mut self, architecture: Architecture, i: &Instruction) {
        self.instructions += 1;
        match width(architecture, i) {
            Width::None => {}
            Width::Bits128 => self.vector_128 += 1,
            Width::Bits256 => self.vector_256 += 1,
            Width::Bits512 => self.vector_512 += 1,
            Width::Scalable => self.vector_scalable += 1,
        }
        self.fma += u32::from(is_fma(&i.mnemonic));
        self.scalar_fp += u32::from(is_scalar_fp(architecture, i));
        self.spill_stores += u32::from(i.spill.stores);
        self.spill_loads += u32::from(i.spill.loads);
        self.calls += u32::from(is_call(architecture, i));
    }

    /// The counts by name, in the order they are shown.
    pub fn named(&self) -> [(&'static str, u32); 10] {
        [
            ("instructions", self.instructions),
            ("vector 128", self.vector_128),
            ("vector 256", self.vector_256),
            ("vector 512", self.vector_512),
            ("vector scalable", self.vector_scalable),
            ("fma", self.fma),
            ("scalar fp", self.scalar_fp),
            ("spill stores", self.spill_stores),
            ("spill loads", self.spill_loads),
            ("calls", self.calls),
        ]
    }
}

/// Where control goes after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow<'a> {
    /// To the next.
    Next,
    /// To a label.
    Jump(&'a str),
    /// To a label or the next.
    Branch(&'a str),
    /// Out of sight: a return, a tail call, a table of jumps.
    End,
}

pub(super) fn flow(architecture: Architecture, i: &Instruction) -> Flow<'_> {
    let name = i.mnemonic.as_str();
    let target = i.operands.rsplit(", ").next().unwrap_or("");
    let local = target.starts_with(".L");
    match architecture {
        Architecture::X86 => match name {
            "jmp" if local => Flow::Jump(target),
            "jmp" | "ret" | "retq" | "ud2" | "hlt" => Flow::End,
            "rep" | "notrack" if i.operands.starts_with("ret") || i.operands.starts_with("jmp") => {
                Flow::End
            }
            _ if local && name.starts_with('j') => Flow::Branch(target),
            _ => Flow::Next,
        },
        Architecture::Arm => match name {
            "b" if local => Flow::Jump(target),
            "b" | "br" | "ret" | "brk" | "udf" => Flow::End,
            _ if local && ["b", "cb", "tb"].iter().any(|p| name.starts_with(p)) => {
                Flow::Branch(target)
            }
            _ => Flow::Next,
        },
    }
}

fn is_call(architecture: Architecture, i: &Instruction) -> bool {
    let tail = i.operands.starts_with(|c: char| c.is_alphabetic() || c == '_');
    match architecture {
        Architecture::X86 => i.mnemonic.starts_with("call") || (i.mnemonic == "jmp" && tail),
        Architecture::Arm => {
            matches!(i.mnemonic.as_str(), "bl" | "blr") || (i.mnemonic == "b" && tail)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    None,
    Bits128,
    Bits256,
    Bits512,
    Scalable,
}

fn width(architecture: Architecture, i: &Instruction) -> Width {
    if architecture == Architecture::Arm {
        let is = |kind: char| i.operands.split([',', ' ', '{']).any(|o| is_register(o, kind));
        return match (is('z'), is('v')) {
            (true, _) => Width::Scalable,
            (_, true) => Width::Bits128,
            _ => Width::None,
        };
    }
    // `xor` of a register with itself makes a zero, also for scalars.
    if i.mnemonic.contains("xor") && same_operands(&i.operands) {
        return Width::None;
    }
    if i.operands.contains("%zmm") {
        Width::Bits512
    } else if i.operands.contains("%ymm") {
        Width::Bits256
    } else if i.operands.contains("%xmm") && !is_scalar(&i.mnemonic) {
        Width::Bits128
    } else {
        Width::None
    }
}

/// `v0.4s` of `v`, `z3.s` of `z`.
fn is_register(operand: &str, kind: char) -> bool {
    let number = operand.strip_prefix(kind).and_then(|rest| rest.split('.').next());
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn same_operands(operands: &str) -> bool {
    let mut all = operands.split(", ");
    let first = all.next();
    all.all(|o| Some(o) == first)
}

/// Works on the lowest element of an xmm register, or moves between it and another register.
fn is_scalar(mnemonic: &str) -> bool {
    let name = mnemonic.strip_prefix('v').unwrap_or(mnemonic);
    let scalar = ["ss", "sd", "sh"].iter().any(|end| name.ends_with(end))
        && !["broadcast", "insert", "extract", "shuf", "perm"]
            .iter()
            .any(|part| name.contains(part));
    let converts = name.starts_with("cvt") && name.contains("si");
    scalar || converts || matches!(name, "movd" | "movq")
}

fn is_fma(mnemonic: &str) -> bool {
    let name = mnemonic.strip_prefix('v').unwrap_or(mnemonic);
    ["fmadd", "fmsub", "fnmadd", "fnmsub", "fmla", "fmls"].iter().any(|p| name.starts_with(p))
}

fn is_scalar_fp(architecture: Architecture, i: &Instruction) -> bool {
    const STEMS: [&str; 13] = [
        "add", "sub", "mul", "div", "sqrt", "min", "max", "cvt", "round", "rndscale", "rcp",
        "rsqrt", "scalef",
    ];
    // The x87 unit knows nothing but scalars; arithmetic alone is counted.
    const X87: [&str; 9] =
        ["fadd", "fsub", "fmul", "fdiv", "fsqrt", "fsin", "fcos", "fprem", "fscale"];
    let name = i.mnemonic.as_str();
    match architecture {
        Architecture::X86 => {
            let plain = name.strip_prefix('v').unwrap_or(name);
            let does = is_fma(name) || STEMS.iter().any(|stem| plain.starts_with(stem));
            (does && is_scalar(name) && i.operands.contains("%xmm"))
                || X87.iter().any(|stem| name.starts_with(stem))
        }
        Architecture::Arm => {
            let moves = name.starts_with("fmov") || name.starts_with("fcmp");
            let scalar = i.operands.split([',', ' ']).any(|o| {
                ['s', 'd', 'h'].iter().any(|kind| !o.contains('.') && is_register(o, *kind))
            });
            name.starts_with('f') && !moves && scalar
        }
    }
}

/// What a compiler's comment says about spilled registers: GCC calls the slot `%sfp`, clang says
/// `4-byte Spill`, `8-byte Folded Reload`.
pub(super) fn spill(
    architecture: Architecture,
    mnemonic: &str,
    operands: &str,
    comment: &str,
) -> Spill {
    const READS: [&str; 12] = [
        "cmp", "test", "comis", "vcomis", "ucomis", "vucomis", "push", "div", "idiv", "mul",
        "imul", "call",
    ];
    const WRITES: [&str; 9] =
        ["mov", "vmov", "set", "pextr", "vpextr", "vextract", "kmov", "fst", "fist"];
    if comment.contains("Spill") || comment.contains("Reload") {
        return Spill { stores: comment.contains("Spill"), loads: comment.contains("Reload") };
    }
    if !comment.contains("%sfp") {
        return Spill::default();
    }
    if architecture == Architecture::Arm {
        let stores = mnemonic.starts_with("st");
        return Spill { stores, loads: !stores };
    }
    let starts = |with: &[&str]| with.iter().any(|p| mnemonic.starts_with(p));
    // The destination stands last; commas inside brackets are followed by no blank.
    let written = operands.ends_with(')');
    match () {
        () if !written || starts(&READS) || mnemonic == "jmp" => {
            Spill { stores: false, loads: true }
        }
        () if starts(&WRITES) => Spill { stores: true, loads: false },
        () => Spill { stores: true, loads: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(text: &str, comment: &str, architecture: Architecture) -> Instruction {
        let (mnemonic, operands) = text.split_once(' ').unwrap_or((text, ""));
        Instruction {
            mnemonic: mnemonic.to_owned(),
            operands: operands.to_owned(),
            place: None,
            spill: spill(architecture, mnemonic, operands, comment),
            key: String::new(),
        }
    }

    /// The counts beside `instructions` that are not zero.
    fn check(architecture: Architecture, text: &str, comment: &str, expected: &[&str]) {
        let i = instruction(text, comment, architecture);
        let counts = Counts::of(architecture, std::iter::once(&i));
        let found: Vec<&str> =
            counts.named()[1..].iter().filter(|(_, n)| *n > 0).map(|(name, _)| *name).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn each_instruction_is_counted_as_what_it_is() {
        for (text, comment, expected) in [
            ("vfmadd231ps (%rax), %zmm1, %zmm0", "", &["vector 512", "fma"][..]),
            ("vaddps %ymm1, %ymm0, %ymm0", "", &["vector 256"]),
            ("addps %xmm1, %xmm0", "", &["vector 128"]),
            ("vfmadd231ss (%rax), %xmm1, %xmm0", "", &["fma", "scalar fp"]),
            ("vaddsd %xmm1, %xmm0, %xmm0", "", &["scalar fp"]),
            ("vmovss (%rax), %xmm0", "", &[]),
            ("vxorps %xmm0, %xmm0, %xmm0", "", &[]),
            ("vbroadcastss (%rax), %xmm0", "", &["vector 128"]),
            ("vcvtsi2ssl %eax, %xmm0, %xmm0", "", &["scalar fp"]),
            ("movd %eax, %xmm0", "", &[]),
            ("movsd (%rax), %xmm0", "", &[]),
            ("fmulp %st, %st(1)", "", &["scalar fp"]),
            ("call expf@PLT", "", &["calls"]),
            ("jmp memcpy@PLT", "", &["calls"]),
            ("jmp .L3", "", &[]),
            ("addq $8, %rax", "", &[]),
            ("movl %ecx, 156(%rsp)", " tmp557, %sfp", &["spill stores"]),
            ("movl 184(%rsp), %eax", " %sfp, tmp645", &["spill loads"]),
            ("addl %eax, 12(%rsp)", " tmp, %sfp", &["spill stores", "spill loads"]),
            ("cmpl %eax, 12(%rsp)", " tmp, %sfp", &["spill loads"]),
            ("vmovss %xmm0, 64(%rsp,%rax)", " x, tile", &[]),
            ("movq %rcx, 104(%rsp)", " 8-byte Spill", &["spill stores"]),
            ("cmpl $0, 20(%rsp)", " 4-byte Folded Reload", &["spill loads"]),
        ] {
            check(Architecture::X86, text, comment, expected);
        }
    }

    #[test]
    fn arm_has_its_own_names() {
        for (text, comment, expected) in [
            ("fmla v0.4s, v1.4s, v2.4s", "", &["vector 128", "fma"][..]),
            ("fmla z0.s, p0/m, z1.s, z2.s", "", &["vector scalable", "fma"]),
            ("fmadd s0, s1, s2, s0", "", &["fma", "scalar fp"]),
            ("fadd d0, d1, d2", "", &["scalar fp"]),
            ("fmov s0, w1", "", &[]),
            ("bl expf", "", &["calls"]),
            ("str x0, [sp, 8]", " tmp, %sfp", &["spill stores"]),
            ("ldr x0, [sp, #8]", " 8-byte Folded Reload", &["spill loads"]),
            ("add x0, x1, x2", "", &[]),
        ] {
            check(Architecture::Arm, text, comment, expected);
        }
    }

    #[test]
    fn control_goes_where_the_instruction_says() {
        for (text, expected) in [
            ("jmp .L3", Flow::Jump(".L3")),
            ("jne .L3", Flow::Branch(".L3")),
            ("jmp *%rax", Flow::End),
            ("jmp expf@PLT", Flow::End),
            ("ret", Flow::End),
            ("call f", Flow::Next),
            ("addl $1, %eax", Flow::Next),
        ] {
            let i = instruction(text, "", Architecture::X86);
            assert_eq!(flow(Architecture::X86, &i), expected, "{text}");
        }
        let i = instruction("tbnz w0, #3, .L7", "", Architecture::Arm);
        assert_eq!(flow(Architecture::Arm, &i), Flow::Branch(".L7"));
    }
}
