//! NVIDIA's Compute Sanitizer: how it is called, and what it found.
//!
//! Pure: command lines out, text in. Options and output are those of NVIDIA's "Compute Sanitizer" user
//! manual (Command Line Options, Understanding Memcheck Errors, Understanding Racecheck Reports).

use std::ffi::OsString;

use serde::Serialize;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Accesses outside of allocations, misaligned ones, and what the device stops for.
    Memcheck,
    /// Hazards between threads of a block in shared memory.
    Racecheck,
}

impl Check {
    /// Both, the cheaper first.
    pub const ALL: [Self; 2] = [Self::Memcheck, Self::Racecheck];

    /// As the tool names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memcheck => "memcheck",
            Self::Racecheck => "racecheck",
        }
    }
}

/// The exit code that the tool is told to end with when it found something.
pub const EXIT_FOUND: i32 = 86;

/// The arguments with which `compute-sanitizer` watches a command.
pub fn watch(check: Check, command: &[OsString]) -> Vec<OsString> {
    let found = EXIT_FOUND.to_string();
    let mut args: Vec<&str> = vec!["--tool", check.name()];
    if check == Check::Memcheck {
        // Buffers lie apart, so that what is behind one is not another.
        args.extend(["--leak-check", "no", "--padding", "4096"]);
    }
    args.extend(["--target-processes", "application-only", "--show-backtrace", "no"]);
    // A call that fails tells of this machine, or of what was found already.
    args.extend(["--report-api-errors", "no", "--print-limit", "20", "--error-exitcode", &found]);
    args.into_iter().map(OsString::from).chain(command.iter().cloned()).collect()
}

/// Something that was found in a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is, such as `Invalid __global__ write of size 4 bytes`.
    pub what: String,
    /// The kernel or function, without its parameters.
    pub kernel: Option<String>,
    /// File and line, where the build has line tables.
    pub place: Option<String>,
    /// The thread in its block.
    pub thread: Option<String>,
    /// The block.
    pub block: Option<String>,
    /// What else is said: how far beside an allocation.
    pub more: Vec<String>,
}

impl Finding {
    /// In a line; addresses, which differ from run to run, are left out.
    pub fn line(&self) -> String {
        let mut line = self.what.clone();
        if let Some(place) = &self.place {
            line += &format!(" at {place}");
        }
        let mut around: Vec<String> = Vec::new();
        around.extend(self.kernel.as_ref().map(|kernel| format!("in {kernel}")));
        around.extend(self.thread.as_ref().map(|thread| format!("thread {thread}")));
        around.extend(self.block.as_ref().map(|block| format!("block {block}")));
        if around.is_empty() { line } else { format!("{line} ({})", around.join(", ")) }
    }
}

/// What a run printed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SanitizerReport {
    /// What was found in kernels.
    pub findings: Vec<Finding>,
    /// Hazards that the tool itself calls warnings: they may be meant so.
    pub warnings: u32,
    /// What it says about itself or the process.
    pub notes: Vec<String>,
    /// Its own count of errors; `None` when it did not come to its end.
    pub errors: Option<u32>,
}

/// How each line of the tool's begins.
const PREFIX: &str = "=========";

/// Reads what was printed.
pub fn parse(printed: &str) -> SanitizerReport {
    let mut report = SanitizerReport::default();
    let mut entry: Vec<&str> = Vec::new();
    for line in printed.lines() {
        // What the process prints stands between.
        let Some(line) = line.strip_prefix(PREFIX) else { continue };
        let goes_on = line.starts_with("     ");
        if !goes_on {
            report.take(&std::mem::take(&mut entry));
        }
        if !line.trim().is_empty() && (!goes_on || !entry.is_empty()) {
            entry.push(line.trim());
        }
    }
    report.take(&entry);
    report
}

impl SanitizerReport {
    fn take(&mut self, entry: &[&str]) {
        let Some((&head, after)) = entry.split_first() else { return };
        if head == "COMPUTE-SANITIZER" || head.starts_with("LEAK SUMMARY") {
            return;
        }
        if let Some(errors) = summary(head) {
            self.errors = Some(self.errors.unwrap_or(0) + errors);
            return;
        }
        let (severity, what) = severity(head);
        let finding = race(what, after).or_else(|| access(what, after));
        match (finding, severity) {
            (Some(_), Severity::Warning) => self.warnings += 1,
            (Some(finding), Severity::Error) => self.findings.push(finding),
            (None, _) => self.notes.push(head.to_owned()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

fn severity(head: &str) -> (Severity, &str) {
    let known = [("Error: ", Severity::Error), ("ERROR: ", Severity::Error)];
    let known = known.into_iter().chain([("Warning: ", Severity::Warning)]);
    let warned = [("WARNING: ", Severity::Warning), ("WARN: ", Severity::Warning)];
    let mut known = known.chain(warned).chain([("INFO: ", Severity::Warning)]);
    known
        .find_map(|(word, severity)| Some((severity, head.strip_prefix(word)?)))
        .unwrap_or((Severity::Error, head))
}

/// Errors of `ERROR SUMMARY: 3 errors` and of `RACECHECK SUMMARY: 2 hazards displayed (1 error, 1
/// warning)`.
fn summary(head: &str) -> Option<u32> {
    if let Some(rest) = head.strip_prefix("ERROR SUMMARY: ") {
        return rest.split(' ').next()?.parse().ok();
    }
    let (_, inside) = head.strip_prefix("RACECHECK SUMMARY: ")?.split_once('(')?;
    inside.split(' ').next()?.parse().ok()
}

/// `Race reported between Write access at A`, `and Read access at B [508 hazards]`.
fn race(what: &str, after: &[&str]) -> Option<Finding> {
    let first = what.strip_prefix("Race reported between ")?;
    let (access, at) = first.split_once(" access at ")?;
    let first = location(at);
    let second = after.iter().find_map(|line| {
        let (access, at) = line.strip_prefix("and ")?.split_once(" access at ")?;
        let at = at.rsplit_once(" [").map_or(at, |(at, _)| at);
        Some((access.to_lowercase(), location(at)))
    });
    let mut text = format!("race between a {}", access.to_lowercase());
    if let Some((access, (_, place))) = &second {
        if let Some(place) = &first.1 {
            text += &format!(" at {place}");
        }
        text += &format!(" and a {access}");
        return Some(Finding {
            what: text,
            kernel: first.0,
            place: place.clone(),
            ..<_>::default()
        });
    }
    Some(Finding { what: text, kernel: first.0, place: first.1, ..Finding::default() })
}

/// `Invalid __global__ write of size 4 bytes`, `at K+0x10 in f.cu:3`, `by thread (0,0,0) in block
/// (0,0,0)`; other checks differ only in the first line.
fn access(what: &str, after: &[&str]) -> Option<Finding> {
    let mut finding = Finding { what: what.trim_end_matches('.').to_owned(), ..Finding::default() };
    let mut placed = false;
    for line in after {
        if let Some(at) = line.strip_prefix("at ").filter(|_| !placed) {
            (finding.kernel, finding.place) = location(at);
            placed = true;
        } else if let Some((thread, block)) =
            line.strip_prefix("by thread ").and_then(|rest| rest.split_once(" in block "))
        {
            (finding.thread, finding.block) = (Some(thread.to_owned()), Some(block.to_owned()));
        } else if !line.contains("Frame:") && !line.starts_with("Saved ") {
            finding.more.push((*line).to_owned());
        }
    }
    placed.then_some(finding)
}

/// Kernel and place of `kernel(float*)+0xd0 in f.cu:30`, of `0x60 in f.cu:6:kernel(void)`, which older
/// versions print, and of both without a file.
fn location(at: &str) -> (Option<String>, Option<String>) {
    let (left, right) = at.rsplit_once(" in ").map_or((at, None), |(l, r)| (l, Some(r)));
    if left.starts_with("0x") {
        let Some(right) = right else { return (None, None) };
        let mut from = 0;
        while let Some(colon) = right[from..].find(':').map(|found| found + from) {
            let rest = &right[colon + 1..];
            if let Some((line, function)) = rest.split_once(':').filter(|(line, _)| number(line)) {
                return (function_name(function), place(&right[..colon], line));
            }
            from = colon + 1;
        }
        return (function_name(right), None);
    }
    let function = ["+0x", ":0x"].iter().find_map(|mark| left.rsplit_once(mark));
    let kernel = function_name(function.map_or(left, |(name, _)| name));
    let found = right.and_then(|right| right.rsplit_once(':')).filter(|(_, line)| number(line));
    (kernel, found.and_then(|(file, line)| place(file, line)))
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The file's name without its folders, which are this machine's own.
fn place(file: &str, line: &str) -> Option<String> {
    let name = file.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(format!("{name}:{line}"))
}

/// A function's name without what it returns and takes.
fn function_name(text: &str) -> Option<String> {
    let name = text.trim().replace("(anonymous namespace)::", "");
    let mut depth = 0_i32;
    let end = name.char_indices().find(|&(_, c)| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        c == '(' && depth == 0
    });
    let name = end.map_or(&name[..], |(at, _)| &name[..at]).trim_start_matches("void ").trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
