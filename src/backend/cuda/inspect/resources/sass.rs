//! Machine code as `nvdisasm -c -g` prints it, without what tells two equal kernels apart:
//! addresses, padding, and numbers of labels that count through the file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;

use crate::backend::cpu::assembly::{Instruction, Line, Place, Spill, plain_name};

/// A file of machine code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sass {
    /// What it is for, such as `sm_90a`.
    pub target: String,
    /// Source files that places name.
    pub files: Vec<PathBuf>,
    /// Kernels, and functions that are not part of one.
    pub functions: Vec<SassFunction>,
}

/// One of its functions, with those that were compiled into its section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SassFunction {
    /// As the linker knows it.
    pub symbol: String,
    /// As the source names it, unless it is a template.
    pub name: String,
    /// It can be launched.
    pub entry: bool,
    /// Labels and instructions.
    pub lines: Vec<Line>,
}

impl SassFunction {
    /// How many instructions it has, padding left out.
    pub fn instructions(&self) -> usize {
        self.lines.iter().filter(|l| l.instruction().is_some()).count()
    }

    /// How many of them store or load a spilled register.
    pub fn spills(&self) -> usize {
        let spills = |i: &Instruction| i.spill.stores || i.spill.loads;
        self.lines.iter().filter_map(Line::instruction).filter(|i| spills(i)).count()
    }
}

static INSTRUCTION: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^\s*/\*[0-9a-f]+\*/\s+(@!?U?P[0-9T]+\s+)?(\S+?)(?:\s+(.*?))?\s*;(.*)$";
    Regex::new(pattern).expect("a fixed pattern")
});
static LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\.L_x?_?\d+").expect("a fixed pattern"));

/// Reads the text.
pub fn parse_sass(text: &str) -> Sass {
    let mut sass = Sass::default();
    let mut place = None;
    let mut open = false;
    for line in text.lines() {
        let said = line.trim();
        if let Some(target) = said.strip_prefix(".target") {
            target.trim().clone_into(&mut sass.target);
        } else if let Some(name) = section(said) {
            // Others hold data.
            let symbol = name.strip_prefix(".text.");
            open = symbol.is_some();
            place = None;
            sass.functions.extend(symbol.map(function));
        } else if let (Some(function), true) = (sass.functions.last_mut(), open) {
            if let Some(found) = source(said, &mut sass.files) {
                place = Some(found);
            } else {
                add(said, line, place, function);
            }
        }
    }
    sass.functions.iter_mut().for_each(tidy);
    sass
}

/// The name in a section's heading.
fn section(said: &str) -> Option<&str> {
    said.strip_prefix("//-----").map(|l| l.trim_matches(['-', ' ']))
}

fn function(symbol: &str) -> SassFunction {
    let name = plain_name(symbol);
    SassFunction { symbol: symbol.to_owned(), name, ..SassFunction::default() }
}

/// `//## File "/k/softmax.cu", line 35`, perhaps with where that was inlined.
fn source(said: &str, files: &mut Vec<PathBuf>) -> Option<Place> {
    let (path, rest) = said.strip_prefix("//## File \"")?.split_once('"')?;
    let number = rest.trim_start_matches(", line ");
    let number = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let path = PathBuf::from(path);
    let file = files.iter().position(|f| *f == path).unwrap_or_else(|| {
        files.push(path);
        files.len() - 1
    });
    Some(Place { file, line: number.parse().ok()? })
}

fn add(said: &str, line: &str, place: Option<Place>, function: &mut SassFunction) {
    if said.starts_with(".other") && said.contains("STO_CUDA_ENTRY") {
        function.entry = true;
    } else if let Some(label) = said.strip_suffix(':') {
        let own = label.strip_prefix(".text.").unwrap_or(label) == function.symbol;
        if !own {
            function.lines.push(Line::Label(label.to_owned()));
        }
    } else if let Some(parts) = INSTRUCTION.captures(line) {
        let part = |at: usize| parts.get(at).map_or("", |m| m.as_str());
        let guard = part(1).trim();
        let mnemonic =
            if guard.is_empty() { part(2).to_owned() } else { format!("{guard} {}", part(2)) };
        let operands = without_notes(part(3));
        let spilled = part(4).contains("SpillRefill") || part(3).contains("SpillRefill");
        let stores = part(2).starts_with("ST");
        let spill = Spill { stores: spilled && stores, loads: spilled && !stores };
        let key = String::new();
        let instruction = Instruction { mnemonic, operands, place, spill, key };
        function.lines.push(Line::Instruction(instruction));
    }
}

/// Operands without the disassembler's notes, `(*"SpillRefill"*)`, and quotes around labels.
fn without_notes(operands: &str) -> String {
    let mut text = operands.to_owned();
    while let (Some(from), Some(to)) = (text.find("(*"), text.find("*)")) {
        if to < from {
            break;
        }
        text.replace_range(from..to + 2, "");
    }
    let text = text.trim_end();
    match (text.find("`("), text.rfind(')')) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{}{}", &text[..from], &text[from + 2..to], &text[to + 1..])
        }
        _ => text.to_owned(),
    }
}

/// Takes off the padding and the jump to itself before it, drops labels that nothing names, and
/// counts the others from 1.
fn tidy(function: &mut SassFunction) {
    let lines = &mut function.lines;
    let padding = |l: &Line| match l {
        Line::Label(name) => LABEL.is_match(name),
        Line::Instruction(i) => i.mnemonic == "NOP",
    };
    while lines.last().is_some_and(padding) {
        lines.pop();
    }
    if let [.., Line::Label(label), Line::Instruction(last)] = &lines[..]
        && last.mnemonic == "BRA"
        && last.operands == *label
    {
        lines.truncate(lines.len() - 2);
    }
    let used: Vec<String> = lines.iter().filter_map(Line::instruction).flat_map(named).collect();
    lines.retain(|l| match l {
        Line::Label(name) => !LABEL.is_match(name) || used.contains(name),
        Line::Instruction(_) => true,
    });
    let mut numbers: HashMap<String, String> = HashMap::new();
    for line in lines.iter() {
        if let Line::Label(name) = line
            && LABEL.is_match(name)
        {
            let next = format!(".L{}", numbers.len() + 1);
            numbers.insert(name.clone(), next);
        }
    }
    for line in lines {
        rename(line, &numbers);
    }
}

fn named(instruction: &Instruction) -> Vec<String> {
    LABEL.find_iter(&instruction.operands).map(|m| m.as_str().to_owned()).collect()
}

fn rename(line: &mut Line, numbers: &HashMap<String, String>) {
    match line {
        Line::Label(name) => {
            if let Some(new) = numbers.get(name) {
                name.clone_from(new);
            }
        }
        Line::Instruction(i) => {
            i.key = format!("{} {}", i.mnemonic, LABEL.replace_all(&i.operands, ".L"));
            let new = LABEL.replace_all(&i.operands, |m: &regex::Captures<'_>| {
                numbers.get(&m[0]).cloned().unwrap_or_else(|| m[0].to_owned())
            });
            i.operands = new.into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// nvdisasm 13.5 on `kernels/vector_add/vector_add.cu` for `sm_75`, and parts of what it prints for
    /// spills, calls and loops.
    const TEXT: &str = r#"	.target	sm_75

	.elftype	@"ET_EXEC"


//--------------------- .text.vector_add          --------------------------
	.section	.text.vector_add,"ax",@progbits
	.sectioninfo	@"SHI_REGISTERS=12"
	.align	128
        .global         vector_add
        .type           vector_add,@function
        .size           vector_add,(.L_x_3 - vector_add)
        .other          vector_add,@"STO_CUDA_ENTRY STV_DEFAULT"
vector_add:
.text.vector_add:
	//## File "/k/vector_add.cu", line 2
        /*0000*/                   MOV R1, c[0x0][0x28] ;
	//## File "/k/vector_add.cu", line 5
        /*0040*/                   ISETP.GE.AND P0, PT, R6, c[0x0][0x178], PT ;
.L_x_1:
        /*0050*/               @P0 EXIT ;
	//## File "/k/vector_add.cu", line 6
        /*00a0*/                   LDG.E.SYS R3, [R2] ;
.L_x_2:
	//## File "/k/vector_add.cu", line 7
        /*00e0*/                   EXIT ;
.L_x_0:
        /*00f0*/                   BRA `(.L_x_0);
        /*0100*/                   NOP;
.L_x_3:


//--------------------- .nv.constant0.vector_add  --------------------------
	.section	.nv.constant0.vector_add,"a",@progbits
        /*0000*/ 	.byte	0x00

//--------------------- .text._Z5spillPf          --------------------------
        .other          _Z5spillPf,@"STO_CUDA_ENTRY STV_DEFAULT"
_Z5spillPf:
.text._Z5spillPf:
        /*0000*/                   STL [R1+0x440], R0                               (*"SpillRefill"*);
        /*0010*/              @!P0 LDL.LU R0, [R1+0x440]                            (*"SpillRefill"*);
        /*0020*/              @UP0 UIADD3 UR4, UR4, 0x1, URZ ;
.L_x_42:
        /*0110*/                   CALL.REL.NOINC `($spill$_Z5heavyILi64EEfPfi) ;
        /*01e0*/               @P3 BRA `(.L_x_42) ;
        /*01f0*/                   EXIT ;
$spill$_Z5heavyILi64EEfPfi:
        /*0200*/                   RET.REL.NODEC R2 `(_Z5spillPf);
"#;

    fn words(function: &SassFunction) -> Vec<String> {
        let word = |l: &Line| match l {
            Line::Label(name) => format!("{name}:"),
            Line::Instruction(i) => format!("{} {}", i.mnemonic, i.operands).trim_end().to_owned(),
        };
        function.lines.iter().map(word).collect()
    }

    #[test]
    fn a_kernel_is_its_instructions_and_the_labels_they_name() {
        let sass = parse_sass(TEXT);
        let add = &sass.functions[0];
        assert_eq!(
            (sass.target.as_str(), add.name.as_str(), add.entry),
            ("sm_75", "vector_add", true)
        );
        assert_eq!(
            words(add),
            [
                "MOV R1, c[0x0][0x28]",
                "ISETP.GE.AND P0, PT, R6, c[0x0][0x178], PT",
                "@P0 EXIT",
                "LDG.E.SYS R3, [R2]",
                "EXIT"
            ]
        );
        let lines: Vec<u32> =
            add.lines.iter().filter_map(|l| Some(l.instruction()?.place?.line)).collect();
        assert_eq!((lines, sass.files), (vec![2, 5, 5, 6, 7], vec!["/k/vector_add.cu".into()]));
    }

    #[test]
    fn spills_calls_and_loops_are_seen() {
        let sass = parse_sass(TEXT);
        assert_eq!(sass.functions.len(), 2);
        let spill = &sass.functions[1];
        assert_eq!((spill.name.as_str(), spill.instructions(), spill.spills()), ("spill", 7, 2));
        assert_eq!(
            words(spill)[1..6],
            [
                "@!P0 LDL.LU R0, [R1+0x440]",
                "@UP0 UIADD3 UR4, UR4, 0x1, URZ",
                ".L1:",
                "CALL.REL.NOINC $spill$_Z5heavyILi64EEfPfi",
                "@P3 BRA .L1"
            ]
        );
        assert!(spill.lines[1].instruction().is_some_and(|i| i.place.is_none() && i.spill.loads));
    }

    #[test]
    fn numbers_of_labels_and_addresses_make_no_difference() {
        let moved = TEXT.replace(".L_x_42", ".L_x_7").replace("/*01e0*/", "/*02e0*/");
        assert_eq!(parse_sass(&moved), parse_sass(TEXT));
        assert_ne!(parse_sass(&TEXT.replace("@P3", "@P2")), parse_sass(TEXT));
        assert_eq!(parse_sass("nonsense\n/*0000*/ NOP;\n"), Sass::default());
    }
}
