//! PTX without comments and debug lines, cut into its functions.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::backend::cpu::assembly::{Instruction, Line, Place, Spill, plain_name};

/// A file of PTX.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ptx {
    /// What it is for, such as `sm_90a`.
    pub target: String,
    /// Source files that places name.
    pub files: Vec<PathBuf>,
    /// Lines outside functions.
    pub head: Vec<String>,
    /// Kernels and functions.
    pub functions: Vec<PtxFunction>,
}

/// One of its functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PtxFunction {
    /// As the linker knows it.
    pub symbol: String,
    /// As the source names it, unless it is a template.
    pub name: String,
    /// It can be launched.
    pub entry: bool,
    /// Its heading, labels, declarations and instructions.
    pub lines: Vec<Line>,
}

impl PtxFunction {
    /// How many instructions it has; declarations are none.
    pub fn instructions(&self) -> usize {
        let body =
            self.lines.iter().filter_map(Line::instruction).skip_while(|i| i.mnemonic != "{");
        // Arguments of a call may stand on lines of their own.
        body.filter(|i| i.mnemonic.starts_with(|c: char| c == '@' || c.is_ascii_lowercase()))
            .filter(|i| i.operands.ends_with([';', ',']) || i.mnemonic.ends_with(';'))
            .count()
    }
}

fn has_brace(instruction: &Instruction) -> bool {
    instruction.mnemonic.contains('{') || instruction.operands.contains('{')
}

/// Numbers of files become positions: they are told below the code.
fn place(function: &mut PtxFunction, numbers: &HashMap<u32, usize>) {
    for line in &mut function.lines {
        if let Line::Instruction(i) = line {
            i.place = i.place.and_then(|p| {
                let file = *numbers.get(&u32::try_from(p.file).ok()?)?;
                Some(Place { file, ..p })
            });
        }
    }
}

static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|\s)\.(entry|func)\b(?:\s*\([^)]*\))?\s*([A-Za-z_$%][\w$]*)")
        .expect("a fixed pattern")
});
static LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$L__BB\d+_\d+").expect("a fixed pattern"));

/// Reads the text.
pub fn parse_ptx(text: &str) -> Ptx {
    let mut reader = Reader::default();
    for line in without_comments(text).lines() {
        reader.line(line.trim());
    }
    let Reader { mut ptx, numbers, .. } = reader;
    // A heading without a body only declares.
    ptx.functions.retain(|f| f.lines.iter().filter_map(Line::instruction).any(has_brace));
    for function in &mut ptx.functions {
        tidy(function);
        place(function, &numbers);
    }
    ptx
}

#[derive(Default)]
struct Reader {
    ptx: Ptx,
    numbers: HashMap<u32, usize>,
    place: Option<Place>,
    /// Within a function.
    open: bool,
    depth: usize,
    /// Within a section of debug data.
    debug: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if self.debug {
            self.debug = !line.contains('}');
            return;
        }
        if line.is_empty() || self.marks(line) {
            return;
        }
        if let (false, Some(found)) = (self.open, HEADING.captures(line)) {
            let (symbol, entry) = (found[2].to_owned(), &found[1] == "entry");
            let name = plain_name(&symbol);
            self.ptx.functions.push(PtxFunction { symbol, name, entry, lines: Vec::new() });
            (self.open, self.place) = (true, None);
            self.code(line);
        } else if self.open {
            self.code(line);
        } else {
            if let Some(target) = line.strip_prefix(".target") {
                let target = target.split(',').next().unwrap_or_default();
                target.trim().clone_into(&mut self.ptx.target);
            }
            self.ptx.head.push(line.to_owned());
        }
    }

    /// What says where code comes from.
    fn marks(&mut self, line: &str) -> bool {
        if line.starts_with(".section") {
            self.debug = !line.contains('}');
            return true;
        }
        if let Some(rest) = line.strip_prefix(".file") {
            let number = rest.split_whitespace().next().and_then(|n| n.parse().ok());
            if let (Some(number), Some(path)) = (number, rest.split('"').nth(1)) {
                self.numbers.insert(number, self.ptx.files.len());
                self.ptx.files.push(path.into());
            }
            return true;
        }
        let Some(rest) = line.strip_prefix(".loc") else { return false };
        let mut numbers = rest.split_whitespace().map_while(|n| n.parse::<u32>().ok());
        self.place = match (numbers.next(), numbers.next()) {
            (Some(file), Some(at @ 1..)) => Some(Place { file: file as usize, line: at }),
            _ => None,
        };
        true
    }

    fn code(&mut self, line: &str) {
        let opens = line.matches('{').count();
        let closes = line.matches('}').count();
        let before = self.depth;
        self.depth = (self.depth + opens).saturating_sub(closes);
        let Some(function) = self.ptx.functions.last_mut() else { return };
        function.lines.push(match line.strip_suffix(':') {
            Some(label) => Line::Label(label.to_owned()),
            None => instruction(line, self.place),
        });
        let declared = before == 0 && opens == 0 && line.ends_with(';');
        if declared || (self.depth == 0 && closes > 0) {
            self.open = false;
        }
    }
}

fn instruction(line: &str, place: Option<Place>) -> Line {
    let (guard, rest) = match line.split_once(char::is_whitespace) {
        Some((guard, rest)) if guard.starts_with('@') => (format!("{guard} "), rest.trim_start()),
        _ => (String::new(), line),
    };
    let (word, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let operands = operands.split_whitespace().collect::<Vec<_>>().join(" ");
    let mnemonic = guard + word;
    let (spill, key) = (Spill::default(), String::new());
    Line::Instruction(Instruction { mnemonic, operands, place, spill, key })
}

/// The text without comments of both kinds; ends of lines stay.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"']) {
        let (before, from) = rest.split_at(at);
        out += before;
        let end = if from.starts_with("//") {
            from.find('\n').unwrap_or(from.len())
        } else if from.starts_with("/*") {
            from.find("*/").map_or(from.len(), |end| end + 2)
        } else {
            // A path in quotes may hold what looks like a comment.
            let quoted = from.starts_with('"').then(|| from[1..].find('"')).flatten();
            let end = quoted.map_or(1, |end| end + 2);
            out += &from[..end];
            end
        };
        rest = &from[end..];
    }
    out + rest
}

/// Numbers labels from 1, and gives each line what it is compared by.
fn tidy(function: &mut PtxFunction) {
    let mut numbers: HashMap<String, String> = HashMap::new();
    for line in &function.lines {
        if let Line::Label(name) = line
            && LABEL.is_match(name)
        {
            numbers.insert(name.clone(), format!("$L{}", numbers.len() + 1));
        }
    }
    let number = |m: &Captures<'_>| numbers.get(&m[0]).cloned().unwrap_or_else(|| m[0].to_owned());
    for line in &mut function.lines {
        match line {
            Line::Label(name) => *name = LABEL.replace_all(name, number).into_owned(),
            Line::Instruction(i) => {
                i.key = format!("{} {}", i.mnemonic, LABEL.replace_all(&i.operands, "$L"));
                i.operands = LABEL.replace_all(&i.operands, number).into_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// nvcc 13.5 on `kernels/vector_add/vector_add.cu` with -lineinfo, shortened, and what it writes
    /// for functions that are called.
    const TEXT: &str = r#"//
// Generated by NVIDIA NVVM Compiler
//
.version 9.5
.target sm_90a, debug
.address_size 64

	// .globl	vector_add
.const .align 4 .b8 table[64];

.func  (.param .b32 func_retval0) declared(
	.param .b32 declared_param_0
)
;
.visible .entry vector_add(
	.param .u64 vector_add_param_0,
	.param .u32 vector_add_param_3
)
{
	.reg .pred 	%p<2>; /* two */
	.reg .b32 	%r<6>;
	.loc	1 2 0

	ld.param.u32 	%r2, [vector_add_param_3];
	.loc	1 5 9, function_name $L__info_string0, inlined_at 1 4 2
	setp.ge.s32 	%p1, %r1, %r2;
	@%p1 bra 	$L__BB3_2;
	{ // callseq 0, 0
	call.uni (retval0),
	heavy,
	(
	param0
	);
	} // callseq 0
$L__BB3_2:
	ret;

}
.func  (.param .b32 func_retval0) _Z5heavyPfi(
	.param .b32 p
)
{
	ret;
}
	.file	1 "/k//vector_add.cu"
	.section	.debug_str
	{
$L__info_string0:
.b8 95
	}
"#;

    #[test]
    fn functions_come_without_comments_and_debug_lines() {
        let ptx = parse_ptx(TEXT);
        assert_eq!(ptx.target, "sm_90a");
        assert!(ptx.head.contains(&".const .align 4 .b8 table[64];".to_owned()));
        let names: Vec<_> = ptx.functions.iter().map(|f| (f.name.as_str(), f.entry)).collect();
        assert_eq!(names, [("vector_add", true), ("heavy", false)]);
        let add = &ptx.functions[0];
        let text: Vec<String> = add
            .lines
            .iter()
            .map(|l| match l {
                Line::Label(name) => format!("{name}:"),
                Line::Instruction(i) => format!("{} {}", i.mnemonic, i.operands),
            })
            .collect();
        assert_eq!(text[0], ".visible .entry vector_add(");
        assert_eq!(text[5], ".reg .pred %p<2>;");
        assert_eq!(
            text[7..10],
            [
                "ld.param.u32 %r2, [vector_add_param_3];",
                "setp.ge.s32 %p1, %r1, %r2;",
                "@%p1 bra $L1;"
            ]
        );
        assert_eq!(text[text.len() - 3..], ["$L1:", "ret; ", "} "]);
        assert_eq!(add.instructions(), 5);
    }

    #[test]
    fn lines_know_where_they_come_from() {
        let ptx = parse_ptx(TEXT);
        let places: Vec<_> =
            ptx.functions[0].lines.iter().filter_map(|l| l.instruction()?.place).collect();
        assert_eq!((places[0].line, places[1].line), (2, 5));
        assert_eq!(ptx.files[places[0].file], PathBuf::from("/k//vector_add.cu"));
    }

    #[test]
    fn numbers_of_labels_make_no_difference() {
        assert_eq!(parse_ptx(&TEXT.replace("BB3", "BB0")).functions, parse_ptx(TEXT).functions);
        let other = parse_ptx(&TEXT.replace("setp.ge", "setp.gt"));
        assert_ne!(other.functions, parse_ptx(TEXT).functions);
    }

    #[test]
    fn broken_texts_are_read_as_far_as_they_go() {
        for text in ["", "{", "}", ".entry", ".entry k(", "/* open", "\"open", ".loc", ".file 1"] {
            assert_eq!(parse_ptx(text).functions, [], "{text}");
        }
        assert_eq!(parse_ptx(".entry k() { ret; }").functions.len(), 1);
    }
}
