//! Listings and changes as text of 80 columns or as JSON lines.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::args::Format;
use super::super::lines::Line as JsonLine;
use super::super::lines::inspected::{
    AsmDiffLine, AsmFunction, AsmLine, CodeLine, FunctionDiffLine, FunctionLine,
    FunctionOnlyInLine, FunctionSize, FunctionSizes, INSPECT_VERSION, LoopLine, Side,
};
use super::super::ui::Ui;
use super::diff::{Changes, Edit};
use super::listing::Listing;
use crate::backend::cpu::assembly::{
    Architecture, Counts, Function, Instruction, Line, Loop, Place,
};
use comfy_table::{CellAlignment, Table, presets};

const WIDTH: usize = 80;

/// Shows all functions.
pub(super) fn listing(listing: &Listing, ui: &Ui) {
    let mut sources = Sources::default();
    let count = listing.shown.len();
    if ui.format == Format::Json {
        ui.json(&JsonLine::InspectAsm(AsmLine {
            version: INSPECT_VERSION,
            kernel: listing.title.clone(),
            command: listing.command.clone(),
            functions: count,
        }));
        listing.functions().for_each(|f| ui.json(&function_line(listing, f)));
        return;
    }
    ui.line(&format!("{}: {}", listing.title, listing.command));
    if count == 0 {
        ui.note("no function comes from this file; --all shows those from elsewhere");
    }
    for function in listing.functions() {
        ui.text(&function_text(listing, function, &mut sources));
    }
}

/// Shows what changed from an older version to a newer, function by function.
pub(super) fn changes(old: &Listing, new: &Listing, ui: &Ui) {
    if ui.format == Format::Json {
        ui.json(&JsonLine::InspectAsmDiff(AsmDiffLine {
            version: INSPECT_VERSION,
            old: old.title.clone(),
            new: new.title.clone(),
            command: new.command.clone(),
        }));
    } else {
        ui.line(&format!("--- {}\n+++ {}\n{}", old.title, new.title, new.command));
    }
    for (before, after) in matched(old, new) {
        match (before, after) {
            (Some(a), Some(b)) => changed(new, a, b, ui),
            (Some(gone), None) => alone(gone, Side::Old, &old.title, ui),
            (None, Some(come)) => alone(come, Side::New, &new.title, ui),
            (None, None) => {}
        }
    }
}

/// Functions of the same name beside each other; the first of each, the entries, too.
fn matched<'a>(
    old: &'a Listing,
    new: &'a Listing,
) -> Vec<(Option<&'a Function>, Option<&'a Function>)> {
    let mut before: Vec<&Function> = old.functions().collect();
    let mut pairs = Vec::new();
    for (at, function) in new.functions().enumerate() {
        let same = before.iter().position(|f| f.name == function.name);
        let first = (at == 0 && !before.is_empty()).then_some(0);
        pairs.push((same.or(first).map(|at| before.remove(at)), Some(function)));
    }
    pairs.extend(before.into_iter().map(|f| (Some(f), None)));
    pairs
}

fn alone(function: &Function, side: Side, title: &str, ui: &Ui) {
    let counts = function.counts();
    if ui.format == Format::Json {
        let (name, size) = (function.name.clone(), FunctionSize::Asm { counts });
        ui.json(&JsonLine::FunctionOnlyIn(FunctionOnlyInLine { name, side, size }));
    } else {
        let many = counts.instructions;
        ui.line(&format!("\n{}: only in {title} ({many} instructions)", function.name));
    }
}

fn changed(new: &Listing, a: &Function, b: &Function, ui: &Ui) {
    let changes = Changes::between(&keys(&a.lines), &keys(&b.lines));
    let (before, after) = (a.counts(), b.counts());
    let text = unified(
        &changes,
        &Lines { old: &a.lines, new: &b.lines },
        &|place| short(new, place),
        code,
    );
    if ui.format == Format::Json {
        ui.json(&JsonLine::FunctionDiff(FunctionDiffLine {
            name: b.name.clone(),
            sizes: FunctionSizes::Asm { old_counts: before, new_counts: after },
            removed: changes.removed(),
            added: changes.added(),
            diff: text,
        }));
        return;
    }
    ui.line(&format!("\n{}", b.name));
    ui.text(&beside(before, after, b.architecture()));
    ui.text(if text.is_empty() { "  the instructions are the same\n" } else { &text });
}

/// Two versions' counts; those that are zero in both are left out.
fn beside(old: Counts, new: Counts, architecture: Architecture) -> String {
    let mut table = plain_table(["", "old", "new"].map(str::to_owned));
    for ((name, a), (_, b)) in old.named().into_iter().zip(new.named()) {
        if a + b > 0 {
            table.add_row([in_words(name, architecture), a.to_string(), b.to_string()]);
        }
    }
    indented(&plain(&mut table)) + "\n"
}

fn in_words(name: &str, architecture: Architecture) -> String {
    let register = match (name, architecture) {
        ("vector 128", Architecture::X86) => "xmm",
        ("vector 128", Architecture::Arm) => "NEON",
        ("vector 256", _) => "ymm",
        ("vector 512", _) => "zmm",
        ("vector scalable", _) => "SVE",
        _ => return name.to_owned(),
    };
    format!("{register} vectors")
}

/// What each line is compared by.
pub(super) fn keys(lines: &[Line]) -> Vec<&str> {
    let key = |line| match line {
        &Line::Label(_) => ":",
        Line::Instruction(i) => &i.key,
    };
    lines.iter().map(key).collect()
}

/// Two versions of some code.
pub(super) struct Lines<'a> {
    pub(super) old: &'a [Line],
    pub(super) new: &'a [Line],
}

/// Only what differs, with the place where it does; `code` writes a line.
pub(super) fn unified(
    changes: &Changes,
    lines: &Lines<'_>,
    named: &dyn Fn(Place) -> String,
    code: fn(&Line) -> String,
) -> String {
    let Lines { old, new } = *lines;
    let mut text = String::new();
    for hunk in changes.hunks() {
        let place = hunk.edits.iter().find_map(|e| match e {
            Edit::Same(at) | Edit::Added(at) => new[*at].instruction()?.place,
            Edit::Removed(_) => None,
        });
        let place = place.map(|p| format!(" {}", named(p))).unwrap_or_default();
        let ((old_at, old_count), (new_at, new_count)) = (hunk.old, hunk.new);
        let _infallible =
            writeln!(text, "@@ -{old_at},{old_count} +{new_at},{new_count} @@{place}");
        for edit in &hunk.edits {
            let (sign, line) = match edit {
                Edit::Same(at) => (' ', &new[*at]),
                Edit::Added(at) => ('+', &new[*at]),
                Edit::Removed(at) => ('-', &old[*at]),
            };
            let _infallible = writeln!(text, "{sign}{}", code(line));
        }
    }
    text
}

/// One line as assembly.
fn code(line: &Line) -> String {
    match line {
        Line::Label(name) => format!("{name}:"),
        Line::Instruction(i) => instruction(i),
    }
}

fn instruction(i: &Instruction) -> String {
    let text = format!("    {:<12} {}", i.mnemonic, i.operands);
    text.trim_end().to_owned()
}

fn function_text(listing: &Listing, function: &Function, sources: &mut Sources) -> String {
    let place = function.place.map(|p| format!(" ({})", short(listing, p))).unwrap_or_default();
    let mut text = format!("\n{}{place}\n{}\n", function.name, counts_table(listing, function));
    let mut last = None;
    for line in &function.lines {
        let place = line.instruction().and_then(|i| i.place);
        if let Some(place) = place.filter(|p| last != Some(*p)) {
            last = Some(place);
            let source = sources.line(listing.assembly.file(place), place.line);
            let comment = format!("# {}: {}", short(listing, place), source);
            text += &comment.chars().take(WIDTH).collect::<String>();
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text += &code(line);
        text.push('\n');
    }
    text
}

fn counts_table(listing: &Listing, function: &Function) -> String {
    let titles = ["", "insns", "vectors", "fma", "scalar", "spills", "calls"];
    let mut table = plain_table(titles.map(str::to_owned));
    table.add_row(counts_row("all".to_owned(), function.counts(), function));
    for of in &function.loops {
        table.add_row(counts_row(loop_name(listing, of), function.counts_in(of), function));
    }
    indented(&plain(&mut table))
}

fn loop_name(listing: &Listing, of: &Loop) -> String {
    let place = of.place.map(|p| format!(" {}", short(listing, p))).unwrap_or_default();
    format!("{}{}{place}", "  ".repeat(of.depth.min(6) - 1), of.label)
}

fn counts_row(name: String, counts: Counts, function: &Function) -> [String; 7] {
    let number = |n: u32| if n == 0 { "-".to_owned() } else { n.to_string() };
    let spills = match (counts.spill_stores, counts.spill_loads) {
        (0, 0) => "-".to_owned(),
        (stores, loads) => format!("{stores}/{loads}"),
    };
    [
        name,
        number(counts.instructions),
        vectors(counts, function.architecture()),
        number(counts.fma),
        number(counts.scalar_fp),
        spills,
        number(counts.calls),
    ]
}

/// `12 zmm 3 ymm`, the widest first.
fn vectors(counts: Counts, architecture: Architecture) -> String {
    let narrow = if architecture == Architecture::Arm { "NEON" } else { "xmm" };
    let all = [
        (counts.vector_scalable, "SVE"),
        (counts.vector_512, "zmm"),
        (counts.vector_256, "ymm"),
        (counts.vector_128, narrow),
    ];
    let used: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if used.is_empty() { "-".to_owned() } else { used.join(" ") }
}

/// A table without lines, numbers to the right.
pub(super) fn plain_table<const N: usize>(titles: [String; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(titles);
    for column in 1..N {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Each line two blanks in.
pub(super) fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + "  " + line + "\n")
}

fn function_line(listing: &Listing, function: &Function) -> JsonLine {
    let file = |place: Option<Place>| place.map(|p| path(listing, p));
    let loops = function.loops.iter().map(|l| LoopLine {
        label: l.label.clone(),
        file: file(l.place),
        line: l.place.map(|p| p.line),
        depth: l.depth,
        innermost: l.innermost,
        counts: function.counts_in(l),
    });
    let code = function.lines.iter().map(|line| match line {
        Line::Label(name) => CodeLine::Label { label: name.clone() },
        Line::Instruction(i) => CodeLine::Instruction {
            text: format!("{} {}", i.mnemonic, i.operands).trim_end().to_owned(),
            file: file(i.place),
            line: i.place.map(|p| p.line),
            spill: None,
        },
    });
    JsonLine::Function(FunctionLine::Asm(AsmFunction {
        name: function.name.clone(),
        symbol: function.symbol.clone(),
        file: file(function.place),
        line: function.place.map(|p| p.line),
        counts: function.counts(),
        loops: loops.collect(),
        code: code.collect(),
    }))
}

/// The source of a place as the user would write it.
fn path(listing: &Listing, place: Place) -> PathBuf {
    crate::project::shown(listing.assembly.file(place))
}

/// `sgemm.c:7`.
fn short(listing: &Listing, place: Place) -> String {
    let file = listing.assembly.file(place);
    let name = file.file_name().unwrap_or(listing.source.as_os_str()).to_string_lossy();
    format!("{name}:{}", place.line)
}

/// Source files, each read once.
#[derive(Default)]
pub(super) struct Sources {
    read: HashMap<PathBuf, Vec<String>>,
}

impl Sources {
    /// The text of a line; nothing where it cannot be read.
    pub(super) fn line(&mut self, file: &Path, line: u32) -> &str {
        if !self.read.contains_key(file) {
            self.read.insert(file.to_owned(), lines(file));
        }
        let of = self.read.get(file).and_then(|l| l.get((line as usize).checked_sub(1)?));
        of.map_or("", String::as_str)
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(|l| l.trim().to_owned()).collect()
}

/// Lines of a table without its outer margins.
pub(super) fn plain(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.lines().map(|l| l.trim_end().to_owned() + "\n").collect()
}
