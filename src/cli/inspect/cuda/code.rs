//! PTX and machine code, and what changed in them, as text of 80 columns or as JSON lines.

use std::path::{Path, PathBuf};

use super::super::super::args::Format;
use super::super::super::lines::Line as JsonLine;
use super::super::super::lines::inspected::{
    CodeLine, DeviceCodeDiffLine, DeviceCodeLine, DeviceFunction, FunctionDiffLine, FunctionLine,
    FunctionOnlyInLine, FunctionSize, FunctionSizes, INSPECT_VERSION, Side,
};
use super::super::super::ui::Ui;
use super::super::diff::Changes;
use super::super::show::{Lines, Sources, keys, unified};
use super::call::Version;
use crate::backend::cpu::assembly::{Instruction, Line, Place};
use crate::backend::cuda::inspect::resources::{PtxFunction, SassFunction};

const WIDTH: usize = 80;

/// One version of a kernel's code.
pub(super) struct Listing {
    title: String,
    command: String,
    /// What it is for.
    target: String,
    files: Vec<PathBuf>,
    /// Lines outside functions.
    pub(super) head: Vec<String>,
    /// Functions, the entry first.
    pub(super) parts: Vec<Part>,
}

/// One function.
pub(super) struct Part {
    symbol: String,
    /// As the source names it.
    pub(super) name: String,
    entry: bool,
    lines: Vec<Line>,
    instructions: usize,
    /// Instructions that spill or reload; PTX has none.
    spills: usize,
}

impl From<PtxFunction> for Part {
    fn from(f: PtxFunction) -> Self {
        let instructions = f.instructions();
        let PtxFunction { symbol, name, entry, lines } = f;
        Self { symbol, name, entry, lines, instructions, spills: 0 }
    }
}

impl From<SassFunction> for Part {
    fn from(f: SassFunction) -> Self {
        let (instructions, spills) = (f.instructions(), f.spills());
        let SassFunction { symbol, name, entry, lines } = f;
        Self { symbol, name, entry, lines, instructions, spills }
    }
}

/// What a tool reads of a file.
pub(super) struct Code {
    /// What it is for.
    pub(super) target: String,
    /// The sources that lines come from.
    pub(super) files: Vec<PathBuf>,
    /// Functions, the entry first.
    pub(super) parts: Vec<Part>,
}

/// Which code is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Ptx,
    Sass,
}

impl Listing {
    /// Everything of a file.
    pub(super) fn new(version: &Version<'_>, command: String, code: Code) -> Self {
        let Code { target, files, parts } = code;
        Self { title: version.title.to_owned(), command, target, files, head: Vec::new(), parts }
    }

    fn file(&self, place: Place) -> &Path {
        self.files.get(place.file).map_or(Path::new(""), PathBuf::as_path)
    }

    /// `sgemm.cu:7`.
    fn short(&self, place: Place) -> String {
        let name = self.file(place).file_name().unwrap_or_default().to_string_lossy();
        format!("{name}:{}", place.line)
    }
}

/// Shows all functions.
pub(super) fn listing(listing: &Listing, shown: Shown, ui: &Ui) {
    if ui.format == Format::Json {
        let line = DeviceCodeLine {
            version: INSPECT_VERSION,
            kernel: listing.title.clone(),
            command: listing.command.clone(),
            target: listing.target.clone(),
            functions: listing.parts.len(),
            head: listing.head.clone(),
        };
        ui.json(&match shown {
            Shown::Ptx => JsonLine::InspectPtx(line),
            Shown::Sass => JsonLine::InspectSass(line),
        });
        listing.parts.iter().for_each(|part| ui.json(&part_line(listing, part)));
        return;
    }
    ui.line(&format!("{}: {}", listing.title, heading(listing)));
    if listing.parts.is_empty() {
        ui.note("the file has no functions");
    }
    if !listing.head.is_empty() {
        ui.text(&format!("\n{}\n", listing.head.join("\n")));
    }
    let mut sources = Sources::default();
    for part in &listing.parts {
        ui.text(&part_text(listing, part, &mut sources));
    }
}

/// Compiler and flags; the target where they do not tell it.
fn heading(listing: &Listing) -> String {
    if listing.command.contains(&listing.target) {
        return listing.command.clone();
    }
    format!("{} ({})", listing.command, listing.target)
}

fn part_text(listing: &Listing, part: &Part, sources: &mut Sources) -> String {
    let mut text = format!("\n{}\n\n", counted(part));
    let mut last = None;
    for line in &part.lines {
        let place = line.instruction().and_then(|i| i.place);
        if let Some(place) = place.filter(|p| last != Some(*p)) {
            last = Some(place);
            let source = sources.line(listing.file(place), place.line);
            let comment = format!("# {}: {source}", listing.short(place));
            let comment: String = comment.chars().take(WIDTH).collect();
            text += comment.trim_end();
            text.push('\n');
        }
        text += &code(line);
        text.push('\n');
    }
    text
}

/// `softmax: 270 instructions, 4 of them spill or reload`.
fn counted(part: &Part) -> String {
    let many = match part.instructions {
        1 => "1 instruction".to_owned(),
        n => format!("{n} instructions"),
    };
    let spills = match part.spills {
        0 => String::new(),
        n => format!(", {n} of them spill or reload"),
    };
    format!("{}: {many}{spills}", part.name)
}

fn code(line: &Line) -> String {
    match line {
        Line::Label(name) => format!("{name}:"),
        Line::Instruction(i) => instruction(i),
    }
}

/// Guards stand in a column of their own.
fn instruction(i: &Instruction) -> String {
    let structure = i.mnemonic.starts_with(['.', '{', '}', '(', ')']);
    let text = match i.mnemonic.split_once(' ') {
        _ if structure => format!("    {} {}", i.mnemonic, i.operands),
        Some((guard, name)) => format!("    {guard:<5} {name:<16} {}", i.operands),
        None => format!("          {:<16} {}", i.mnemonic, i.operands),
    };
    text.trim_end().to_owned()
}

fn part_line(listing: &Listing, part: &Part) -> JsonLine {
    let code = part.lines.iter().map(|line| match line {
        Line::Label(name) => CodeLine::Label { label: name.clone() },
        Line::Instruction(i) => CodeLine::Instruction {
            text: format!("{} {}", i.mnemonic, i.operands).trim_end().to_owned(),
            file: i.place.map(|p| crate::project::shown(listing.file(p))),
            line: i.place.map(|p| p.line),
            spill: Some(i.spill.stores || i.spill.loads),
        },
    });
    JsonLine::Function(FunctionLine::Device(DeviceFunction {
        name: part.name.clone(),
        symbol: part.symbol.clone(),
        entry: part.entry,
        instructions: part.instructions,
        spills: part.spills,
        code: code.collect(),
    }))
}

/// Shows what changed from an older version to a newer, function by function.
pub(super) fn changes(old: &Listing, new: &Listing, shown: Shown, ui: &Ui) {
    if ui.format == Format::Json {
        let line = DeviceCodeDiffLine {
            version: INSPECT_VERSION,
            old: old.title.clone(),
            new: new.title.clone(),
            command: new.command.clone(),
            old_target: old.target.clone(),
            new_target: new.target.clone(),
        };
        ui.json(&match shown {
            Shown::Ptx => JsonLine::InspectPtxDiff(line),
            Shown::Sass => JsonLine::InspectSassDiff(line),
        });
    } else {
        ui.line(&format!("--- {}\n+++ {}\n{}", old.title, new.title, heading(new)));
    }
    for (before, after) in matched(&old.parts, &new.parts, |p| &p.name) {
        match (before, after) {
            (Some(a), Some(b)) => changed(new, a, b, ui),
            (Some(gone), None) => alone(gone, Side::Old, &old.title, ui),
            (None, Some(come)) => alone(come, Side::New, &new.title, ui),
            (None, None) => {}
        }
    }
}

/// Those of the same name beside each other; the first of each, the entries, too.
pub(super) fn matched<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &String,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut before: Vec<&T> = old.iter().collect();
    let mut pairs = Vec::new();
    for (at, item) in new.iter().enumerate() {
        let same = before.iter().position(|b| name(b) == name(item));
        // One that has a namesake further down keeps it.
        let free = |b: &&T| !new.iter().any(|n| name(n) == name(b));
        let first = before.first().filter(|b| at == 0 && free(b)).map(|_| 0);
        pairs.push((same.or(first).map(|at| before.remove(at)), Some(item)));
    }
    pairs.extend(before.into_iter().map(|item| (Some(item), None)));
    pairs
}

fn alone(part: &Part, side: Side, title: &str, ui: &Ui) {
    if ui.format == Format::Json {
        let size = FunctionSize::Device { instructions: part.instructions };
        let name = part.name.clone();
        ui.json(&JsonLine::FunctionOnlyIn(FunctionOnlyInLine { name, side, size }));
    } else {
        ui.line(&format!("\n{}; only in {title}", counted(part)));
    }
}

fn changed(new: &Listing, a: &Part, b: &Part, ui: &Ui) {
    let changes = Changes::between(&keys(&a.lines), &keys(&b.lines));
    let text =
        unified(&changes, &Lines { old: &a.lines, new: &b.lines }, &|place| new.short(place), code);
    if ui.format == Format::Json {
        let sizes = FunctionSizes::Device {
            old_instructions: a.instructions,
            new_instructions: b.instructions,
            old_spills: a.spills,
            new_spills: b.spills,
        };
        ui.json(&JsonLine::FunctionDiff(FunctionDiffLine {
            name: b.name.clone(),
            sizes,
            removed: changes.removed(),
            added: changes.added(),
            diff: text,
        }));
        return;
    }
    let arrow = if a.instructions == b.instructions {
        String::new()
    } else {
        format!(", {} before", a.instructions)
    };
    ui.line(&format!("\n{}{arrow}", counted(b)));
    ui.text(if text.is_empty() { "  the instructions are the same\n" } else { &text });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_namesake_stands_beside_it() {
        let names = |list: &[&str]| list.iter().map(|&n| n.to_owned()).collect::<Vec<String>>();
        for (old, new, expected) in [
            (&["a", "b"][..], &["b", "a"][..], "bb aa"),
            (&["a"], &["x"], "ax"),
            (&["a", "b"], &["a"], "aa b-"),
            (&["b"], &["a", "b"], "-a bb"),
            (&[], &["a"], "-a"),
        ] {
            let (old, new) = (names(old), names(new));
            let word = |n: Option<&String>| n.map_or("-", String::as_str).to_owned();
            let pairs = matched(&old, &new, |n| n);
            let pairs: Vec<String> = pairs.into_iter().map(|(a, b)| word(a) + &word(b)).collect();
            assert_eq!(pairs.join(" "), expected, "{old:?} {new:?}");
        }
    }
}
