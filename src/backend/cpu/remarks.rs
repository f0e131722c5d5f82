//! What compilers say about vectors and registers, brought down to what a reader can use.
//!
//! Runs nothing: [`flags`] asks for the remarks, [`parse`] reads them, [`spills`] adds the register
//! pressure seen in the assembly, [`rank`] puts first what most likely costs time. GCC's words are
//! those of `-fopt-info` (GCC manual, "Developer Options"), clang's those of `-Rpass` (Clang
//! Compiler User's Manual, "Options to Emit Optimization Reports").

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::assembly::{Assembly, Function, Place};

/// Whose flags and words a compiler has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// GCC.
    Gcc,
    /// clang and what is made from it.
    Clang,
}

impl Family {
    /// The family by what a compiler prints for `--version`.
    pub fn of(version: &str) -> Option<Self> {
        if version.contains("clang") {
            Some(Self::Clang)
        } else if version.contains("Free Software Foundation") || version.contains("gcc") {
            Some(Self::Gcc)
        } else {
            None
        }
    }
}

/// What a remark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// A loop or straight code was turned into vectors.
    Vectorised {
        /// Their size; clang counts elements instead and does not tell it.
        bytes: Option<u32>,
    },
    /// A loop stayed as it was.
    Missed,
    /// Registers did not suffice.
    Spill,
    /// Anything else.
    Note,
}

/// One remark on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The source file as the compiler names it.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1; 0 where only the line is known.
    pub column: u32,
    /// What it is about.
    pub kind: RemarkKind,
    /// In words.
    pub text: String,
}

impl Remark {
    /// What usually lies behind it and what helps, for reasons that are hard to read.
    pub fn advice(&self) -> Option<&'static str> {
        const ADVICE: [(&str, &str); 9] = [
            ("safe to reorder floating-point", REDUCTION),
            ("unsupported use in stmt", REDUCTION),
            ("could not be identified as reduction", REDUCTION),
            ("no vectype for stmt", SMALLEST),
            ("complicated access pattern", "neighbouring turns do not use neighbouring elements"),
            ("statement clobbers memory", "a call stands in the loop: inline it or move it out"),
            ("call instruction cannot be", "a call stands in the loop: inline it or move it out"),
            ("control flow in loop", "replace the branch in the loop by a choice of values"),
            ("cannot identify array bounds", "`restrict` tells that arrays do not overlap"),
        ];
        let known = ADVICE.iter().find(|(words, _)| self.text.contains(words));
        known.map(|(_, advice)| *advice)
    }
}

const REDUCTION: &str = "each turn needs the one before, such as a sum in fixed order: keep \
                         several sums, or allow another order with -fassociative-math";

const SMALLEST: &str = "GCC tells only why its smallest vectors do not fit: look for a sum in \
                        fixed order and for strides";

/// How a remark on a loop that stayed scalar begins.
const UNVECTORISED: &str = "not vectorised";

/// Flags that make a compiler say what it did. GCC appends to `file`, which should not exist
/// before; clang writes among its diagnostics and takes no notice of it.
pub fn flags(family: Family, file: &Path) -> Vec<OsString> {
    match family {
        Family::Gcc => {
            let mut flag = OsString::from("-fopt-info-vec-optimized-missed=");
            flag.push(file);
            vec![flag]
        }
        Family::Clang => [
            "-Rpass=loop-vectorize|slp-vectorizer",
            "-Rpass-missed=loop-vectorize|slp-vectorizer|regalloc",
            "-Rpass-analysis=loop-vectorize",
            "-gline-tables-only",
            "-fno-caret-diagnostics",
            "-fno-color-diagnostics",
        ]
        .map(OsString::from)
        .to_vec(),
    }
}

/// Reads what a compiler said: one remark of each kind for a line, in the order of the source.
pub fn parse(family: Family, text: &str) -> Vec<Remark> {
    let said: Vec<Remark> = text.lines().filter_map(located).collect();
    most_telling(match family {
        Family::Gcc => gcc(said),
        Family::Clang => clang(said),
    })
}

/// `FILE:LINE:COLUMN: words`; notes until more is known.
fn located(line: &str) -> Option<Remark> {
    let (place, text) = line.split_once(": ")?;
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok().filter(|&line| line > 0)?;
    let file = parts.next()?.into();
    Some(Remark { file, line, column, kind: RemarkKind::Note, text: text.to_owned() })
}

/// GCC names the loop first (`couldn't vectorize loop`) and then, at the statement, why not.
fn gcc(said: Vec<Remark>) -> Vec<Remark> {
    const LOOP: &str = "couldn't vectorize loop";
    let mut found: Vec<Remark> = Vec::new();
    let mut open: Option<Remark> = None;
    for mut remark in said {
        if let Some(text) = remark.text.strip_prefix("optimized: ").map(str::to_owned) {
            remark.kind = vector_bytes(&text)
                .map_or(RemarkKind::Note, |bytes| RemarkKind::Vectorised { bytes: Some(bytes) });
            remark.text = text;
            found.extend(open.take());
            found.push(remark);
        } else if let Some(text) = remark.text.strip_prefix("missed: ").map(str::to_owned) {
            remark.kind = RemarkKind::Missed;
            match open.take() {
                Some(of_loop) if text != LOOP => {
                    found.push(Remark { text: reason(&of_loop, &remark, &text), ..of_loop });
                }
                before => {
                    found.extend(before);
                    remark.text.clone_from(&text);
                    if text == LOOP {
                        open = Some(remark);
                    } else {
                        // About a statement outside of any loop that was tried.
                        found.push(Remark { kind: RemarkKind::Note, ..remark });
                    }
                }
            }
        }
    }
    found.extend(open);
    for remark in found.iter_mut().filter(|r| r.text == LOOP) {
        UNVECTORISED.clone_into(&mut remark.text);
    }
    found
}

/// `loop vectorized using 64 byte vectors`.
fn vector_bytes(text: &str) -> Option<u32> {
    text.split_once("vectorized using ")?.1.split_once(" byte")?.0.parse().ok()
}

/// Why a loop stayed as it was, and where that shows when it is not at the loop itself.
fn reason(of_loop: &Remark, at: &Remark, text: &str) -> String {
    let text = text.strip_prefix("not vectorized: ").unwrap_or(text);
    // clang goes on with how to allow it.
    let text = text.split("; allow reordering").next().unwrap_or(text).trim_end_matches(['.', ';']);
    if of_loop.line == at.line && of_loop.file == at.file {
        return format!("{UNVECTORISED}: {text}");
    }
    format!("{UNVECTORISED}: {text} (line {})", at.line)
}

/// clang says first, at the statement, why not (`loop not vectorized: …`) and then names the loop.
fn clang(said: Vec<Remark>) -> Vec<Remark> {
    const LOOP: &str = "loop not vectorized";
    let mut found: Vec<Remark> = Vec::new();
    let mut why: Option<(Remark, String)> = None;
    for mut remark in said {
        let said = remark.text.clone();
        let Some(text) = said.strip_prefix("remark: ") else { continue };
        let (text, pass) = text.rsplit_once(" [-Rpass").unwrap_or((text, ""));
        if let Some(because) = text.strip_prefix("loop not vectorized: ") {
            // Why an inner statement stands in the way comes before why its loop does.
            why = why.or_else(|| Some((remark, because.to_owned())));
            continue;
        }
        text.clone_into(&mut remark.text);
        remark.kind = if pass.contains("regalloc") {
            match spilled(text) {
                Some(words) => remark.text = words,
                None => continue,
            }
            RemarkKind::Spill
        } else if text == LOOP {
            remark.text = match why.take() {
                Some((at, because)) => reason(&remark, &at, &because),
                None => UNVECTORISED.to_owned(),
            };
            RemarkKind::Missed
        } else if text.starts_with("vectorized loop") || text.contains("SLP vectorized with") {
            RemarkKind::Vectorised { bytes: None }
        } else {
            RemarkKind::Note
        };
        found.push(remark);
    }
    found
}

/// `4 spills 1e3 total spills cost 2 reloads … generated in loop` without the costs; none when it
/// is only about copies.
fn spilled(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let count = |what: &[&str]| -> u32 {
        let all = words.windows(what.len() + 1).filter(|w| w[1..] == *what);
        all.filter_map(|w| w[0].parse::<u32>().ok()).sum()
    };
    let stores = count(&["spills"]) + count(&["folded", "spills"]);
    let loads = count(&["reloads"]) + count(&["folded", "reloads"]);
    let place = words.last().copied().unwrap_or("loop");
    (stores + loads > 0).then(|| format!("{} in this {place}", spill_words(stores, loads)))
}

fn spill_words(stores: u32, loads: u32) -> String {
    format!("{stores} spilled, {loads} reloaded")
}

/// For each line and kind the remark that says most: the widest vector, the clearest reason; notes
/// only where nothing else is said.
fn most_telling(remarks: Vec<Remark>) -> Vec<Remark> {
    let mut kept: BTreeMap<(PathBuf, u32, u8), Remark> = BTreeMap::new();
    for remark in remarks {
        let group = match remark.kind {
            RemarkKind::Vectorised { .. } => 0,
            RemarkKind::Missed => 1,
            RemarkKind::Spill => 2,
            RemarkKind::Note => 3,
        };
        let best = kept.entry((remark.file.clone(), remark.line, group));
        let best = best.or_insert_with(|| remark.clone());
        if weight(&remark) > weight(best) {
            *best = remark;
        }
    }
    let said: BTreeSet<(PathBuf, u32)> =
        kept.keys().filter(|k| k.2 < 3).map(|k| (k.0.clone(), k.1)).collect();
    kept.retain(|(file, line, group), _| *group < 3 || !said.contains(&(file.clone(), *line)));
    kept.into_values().collect()
}

fn weight(remark: &Remark) -> u32 {
    /// From the least telling to the most.
    const VAGUE: [&str; 4] = ["SLP", "not profitable", "not beneficial", "clobbers memory"];
    let number = || remark.text.split_whitespace().filter_map(|w| w.parse::<u32>().ok()).sum();
    match remark.kind {
        RemarkKind::Vectorised { bytes } => bytes.unwrap_or(0),
        RemarkKind::Spill => number(),
        RemarkKind::Missed => u32::from(remark.text != UNVECTORISED),
        RemarkKind::Note => {
            let vague = VAGUE.iter().position(|words| remark.text.contains(words));
            vague.unwrap_or(VAGUE.len()) as u32
        }
    }
}

/// Source lines with code in loops that have no loop inside.
pub fn innermost(assembly: &Assembly) -> BTreeSet<(PathBuf, u32)> {
    let mut lines = BTreeSet::new();
    for function in &assembly.functions {
        for at in function.loops.iter().filter(|l| l.innermost).flat_map(|l| &l.lines) {
            let place = function.lines[*at].instruction().and_then(|i| i.place);
            lines.extend(place.map(|p| (assembly.file(p).to_owned(), p.line)));
        }
    }
    lines
}

/// Register pressure as the assembly shows it: a remark for each line that spills or reloads.
pub fn spills(assembly: &Assembly) -> Vec<Remark> {
    let mut counts: BTreeMap<Place, Pressure> = BTreeMap::new();
    for function in &assembly.functions {
        add_spills(function, &mut counts);
    }
    let remark = |(place, pressure): (Place, Pressure)| Remark {
        file: assembly.file(place).to_owned(),
        line: place.line,
        column: 0,
        kind: RemarkKind::Spill,
        text: pressure.words(),
    };
    counts.into_iter().map(remark).collect()
}

/// Accesses to spilled registers on one line.
#[derive(Debug, Clone, Copy, Default)]
struct Pressure {
    stores: u32,
    loads: u32,
    innermost: u32,
}

impl Pressure {
    fn words(self) -> String {
        let mut text = spill_words(self.stores, self.loads);
        if self.innermost > 0 {
            let _infallible = write!(text, ", {} of them in an innermost loop", self.innermost);
        }
        text
    }
}

fn add_spills(function: &Function, counts: &mut BTreeMap<Place, Pressure>) {
    let inner = function.loops.iter().filter(|l| l.innermost);
    let inner: BTreeSet<usize> = inner.flat_map(|l| l.lines.iter().copied()).collect();
    for (at, line) in function.lines.iter().enumerate() {
        let Some(i) = line.instruction() else { continue };
        let Some(place) = i.place else { continue };
        let (stores, loads) = (u32::from(i.spill.stores), u32::from(i.spill.loads));
        if stores + loads > 0 {
            let of = counts.entry(place).or_default();
            of.stores += stores;
            of.loads += loads;
            of.innermost += if inner.contains(&at) { stores + loads } else { 0 };
        }
    }
}

/// Orders remarks by what most likely costs time: innermost loops that stayed scalar, spills
/// inside them, other spills, what was vectorised, outer loops, notes.
pub fn rank(mut remarks: Vec<Remark>, innermost: &BTreeSet<(PathBuf, u32)>) -> Vec<Remark> {
    remarks.sort_by_cached_key(|remark| {
        let inner = innermost.contains(&(remark.file.clone(), remark.line));
        let nest = ["multiple nested loops", "loop nest containing"];
        let outer = nest.iter().any(|words| remark.text.contains(words));
        let rank = match remark.kind {
            RemarkKind::Missed if inner && !outer => 0,
            RemarkKind::Spill if inner => 1,
            RemarkKind::Spill => 2,
            RemarkKind::Vectorised { .. } => 3,
            RemarkKind::Missed => 4,
            RemarkKind::Note => 5,
        };
        (rank, remark.file.clone(), remark.line, remark.column)
    });
    remarks
}

#[cfg(test)]
mod tests;
