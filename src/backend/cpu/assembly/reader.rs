//! The text of an assembly file, read into functions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::counts::{self, Counts};
use super::line::{Architecture, Instruction, Line, Place};
use super::loops::{self, Loop};
use super::names::plain_name;

/// One function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// As the linker knows it.
    pub symbol: String,
    /// As the source names it, without its parameters.
    pub name: String,
    /// Where it begins.
    pub place: Option<Place>,
    /// Labels and instructions.
    pub lines: Vec<Line>,
    /// Its loops: outer ones before those inside them.
    pub loops: Vec<Loop>,
    architecture: Architecture,
}

impl Function {
    /// What it is for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Counts over the whole function.
    pub fn counts(&self) -> Counts {
        Counts::of(self.architecture, self.lines.iter().filter_map(Line::instruction))
    }

    /// Counts over one of its loops, with the loops inside it.
    pub fn counts_in(&self, of: &Loop) -> Counts {
        let inside = of.lines.iter().filter_map(|&at| self.lines.get(at)?.instruction());
        Counts::of(self.architecture, inside)
    }
}

/// What a file of assembly holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    /// What it is for.
    pub architecture: Architecture,
    /// Source files that places name.
    pub files: Vec<PathBuf>,
    /// Functions in the order of the file.
    pub functions: Vec<Function>,
}

impl Assembly {
    /// The source file of a place.
    pub fn file(&self, place: Place) -> &Path {
        self.files.get(place.file).map_or(Path::new(""), PathBuf::as_path)
    }
}

/// Reads what a compiler wrote for `-S -g1`.
pub fn parse(text: &str) -> Assembly {
    // The first is GCC's way to write it, the second clang's.
    let arm = |l: &str| l.contains(", %function") || l.contains("// -- Begin function");
    let arm = text.lines().filter(|l| !l.starts_with('#')).any(arm);
    let architecture = if arm { Architecture::Arm } else { Architecture::X86 };
    let mut reader = Reader::new(text, architecture);
    for line in text.lines() {
        reader.line(line);
    }
    reader.finish()
}

/// Goes through the file line by line.
struct Reader {
    architecture: Architecture,
    functions: HashSet<String>,
    labels: HashMap<String, String>,
    constants: HashMap<String, String>,
    numbers: HashMap<u32, usize>,
    files: Vec<PathBuf>,
    done: Vec<Function>,
    open: Option<Function>,
    place: Option<Place>,
}

impl Reader {
    fn new(text: &str, architecture: Architecture) -> Self {
        let code = |line| without_comment(architecture, line).0;
        let functions = text.lines().filter_map(|l| function_type(code(l))).collect();
        let mut reader = Self {
            architecture,
            functions,
            labels: HashMap::new(),
            constants: HashMap::new(),
            numbers: HashMap::new(),
            files: Vec::new(),
            done: Vec::new(),
            open: None,
            place: None,
        };
        reader.find_labels(text);
        reader
    }

    /// Numbers the labels that instructions name, and keeps what stands at those of constants.
    fn find_labels(&mut self, text: &str) {
        let code = |line| without_comment(self.architecture, line).0;
        let named: HashSet<&str> = text
            .lines()
            .map(code)
            .filter(|line| !line.starts_with('.') && !line.ends_with(':'))
            .flat_map(local_labels)
            .collect();
        let (mut inside, mut last) = (false, None);
        for line in text.lines().map(code) {
            if let Some(label) = line.strip_suffix(':') {
                inside |= self.functions.contains(label);
                last = named.contains(label).then(|| label.to_owned());
                if inside && last.is_some() {
                    let number = format!(".L{}", self.labels.len() + 1);
                    self.labels.insert(label.to_owned(), number);
                }
            } else if line.starts_with(".size") {
                inside = false;
            } else if let (false, Some(label), true) = (inside, &last, is_data(line)) {
                let content = self.constants.entry(label.clone()).or_default();
                content.extend(line.split_whitespace());
                content.push(' ');
            }
        }
    }

    fn line(&mut self, line: &str) {
        let (code, comment) = without_comment(self.architecture, line);
        if let Some(label) = code.strip_suffix(':') {
            self.label(label);
        } else if let Some(rest) = directive(code, ".file") {
            self.source_file(rest);
        } else if let Some(rest) = directive(code, ".loc") {
            self.located(rest);
        } else if directive(code, ".size").is_some() {
            self.close();
        } else if !code.is_empty() && !code.starts_with('.') {
            self.instruction(code, comment);
        }
    }

    fn label(&mut self, label: &str) {
        if self.functions.contains(label) {
            self.close();
            self.place = None;
            self.open = Some(Function {
                symbol: label.to_owned(),
                name: plain_name(label),
                place: None,
                lines: Vec::new(),
                loops: Vec::new(),
                architecture: self.architecture,
            });
        } else if let (Some(open), Some(name)) = (&mut self.open, self.labels.get(label)) {
            open.lines.push(Line::Label(name.clone()));
        }
    }

    /// `N "path"` or `N "folder" "name"`; what has no number only names the unit.
    fn source_file(&mut self, rest: &str) {
        let mut parts = rest.splitn(2, char::is_whitespace);
        let Some(number) = parts.next().and_then(|n| n.parse().ok()) else { return };
        let names: Vec<&str> = parts.next().unwrap_or("").split('"').skip(1).step_by(2).collect();
        let path: PathBuf = names.iter().collect();
        let at = self.files.iter().position(|f| *f == path).unwrap_or(self.files.len());
        if at == self.files.len() {
            self.files.push(path);
        }
        self.numbers.insert(number, at);
    }

    /// `FILE LINE COLUMN …`; line 0 is what belongs to no line.
    fn located(&mut self, rest: &str) {
        let mut numbers = rest.split_whitespace().map_while(|n| n.parse::<u32>().ok());
        let (Some(file), Some(line)) = (numbers.next(), numbers.next()) else { return };
        self.place = self.numbers.get(&file).map(|&file| Place { file, line });
        self.place = self.place.filter(|p| p.line > 0);
        if let Some(open) = &mut self.open {
            open.place = open.place.or(self.place);
        }
    }

    fn instruction(&mut self, code: &str, comment: &str) {
        let Some(open) = &mut self.open else { return };
        let (mnemonic, operands) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
        let operands = operands.split_whitespace().collect::<Vec<_>>().join(" ");
        let spill = counts::spill(self.architecture, mnemonic, &operands, comment);
        let label = |name: &str| self.labels.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let neutral = |name: &str| match self.constants.get(name) {
            Some(content) => format!("<{}>", content.trim_end()),
            None => ".L".to_owned(),
        };
        open.lines.push(Line::Instruction(Instruction {
            mnemonic: mnemonic.to_owned(),
            key: format!("{mnemonic} {}", replace_labels(&operands, neutral)),
            operands: replace_labels(&operands, label),
            place: self.place,
            spill,
        }));
    }

    fn close(&mut self) {
        let Some(mut function) = self.open.take() else { return };
        function.loops = loops::find(self.architecture, &function.lines);
        self.done.push(function);
    }

    fn finish(mut self) -> Assembly {
        self.close();
        let Self { architecture, files, done: functions, .. } = self;
        Assembly { architecture, files, functions }
    }
}

/// The code of a line without blanks around it, and what its comment says.
fn without_comment(architecture: Architecture, line: &str) -> (&str, &str) {
    let mark = match architecture {
        Architecture::X86 => "#",
        Architecture::Arm => "//",
    };
    // Paths and texts in quotes may hold anything.
    if line.trim_start().starts_with('.') && line.contains('"') {
        return (line.trim(), "");
    }
    let (code, comment) = line.split_once(mark).unwrap_or((line, ""));
    (code.trim(), comment)
}

fn directive<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    code.strip_prefix(name).filter(|rest| rest.starts_with(char::is_whitespace)).map(str::trim)
}

/// The symbol that a line declares to be a function.
fn function_type(code: &str) -> Option<String> {
    let (symbol, kind) = directive(code, ".type")?.split_once(',')?;
    kind.trim().ends_with("function").then(|| symbol.trim().to_owned())
}

/// Directives that put numbers into constants.
fn is_data(code: &str) -> bool {
    const DATA: [&str; 8] =
        [".long", ".quad", ".octa", ".byte", ".short", ".value", ".zero", ".word"];
    DATA.iter().any(|name| directive(code, name).is_some())
}

const fn in_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

/// The local labels in an instruction's text: `.L` and what follows.
fn local_labels(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !in_label(c)).filter(|word| word.starts_with(".L"))
}

fn replace_labels(text: &str, with: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(".L") {
        let length = rest[start..].find(|c| !in_label(c)).unwrap_or(rest.len() - start);
        out += &rest[..start];
        out += &with(&rest[start..start + length]);
        rest = &rest[start + length..];
    }
    out + rest
}
