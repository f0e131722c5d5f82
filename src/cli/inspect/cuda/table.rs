//! What kernels use and how many blocks fit, and how that changed, as tables or as JSON lines.

use super::super::super::args::Format;
use super::super::super::columns::paragraph;
use super::super::super::lines::Line;
use super::super::super::lines::inspected::{
    EntryDiffLine, EntryLine, EntryOnlyInLine, INSPECT_VERSION, OccupancyLine, ResourcesDiffLine,
    ResourcesLine, Side,
};
use super::super::super::refusal::Refusal;
use super::super::super::ui::Ui;
use super::super::show::{indented, plain, plain_table};
use super::call::{Call, Version};
use super::code::matched;
use super::geometry::Launch;
use super::make::{self, Wanted};
use crate::backend::cpu::assembly::plain_name;
use crate::backend::cuda::find::Tool;
use crate::backend::cuda::inspect::resources::{
    Arch, Block, Occupancy, Usage, occupancy, parse_ptxas, parse_res_usage, parse_sass,
};

/// Longer names are cut, to leave room for the numbers.
const NAME: usize = 20;

/// One version of a file.
pub(super) struct Report {
    title: String,
    command: String,
    /// What it is for.
    pub(super) arch: Option<Arch>,
    /// The wanted one first.
    pub(super) kernels: Vec<Kernel>,
}

/// One kernel of it.
pub(super) struct Kernel {
    /// As the source names it.
    pub(super) name: String,
    usage: Usage,
    instructions: Option<usize>,
    places: Vec<Placed>,
}

impl Report {
    fn arch_name(&self) -> Option<String> {
        self.arch.as_ref().map(|arch| arch.name.clone())
    }

    /// Finds out how many blocks fit.
    pub(super) fn place(&mut self, launches: &[Launch], arch: &Arch) {
        for kernel in &mut self.kernels {
            let of = |launch: &Launch| {
                let block = Block {
                    threads: launch.threads,
                    registers: kernel.usage.registers,
                    shared_bytes: kernel
                        .usage
                        .shared_bytes
                        .unwrap_or(0)
                        .saturating_add(launch.shared_bytes),
                    barriers: kernel.usage.barriers.unwrap_or(0),
                };
                Placed { launch: launch.clone(), found: occupancy(arch.limits, block) }
            };
            kernel.places = launches.iter().map(of).collect();
        }
    }
}

/// Builds a version and asks the tools.
pub(super) fn report(call: &Call<'_>, version: &Version<'_>) -> Result<Report, Refusal> {
    let built = make::build(call, version, Wanted::Cubin)?;
    let mut usages = parse_ptxas(&built.said);
    // Only machine code that came as it is has no compiler's word on it.
    if usages.is_empty() || call.tool(Tool::Cuobjdump).is_some() {
        let said = parse_res_usage(&make::usage(call, &built, version.scratch)?);
        for usage in &mut usages {
            if let Some(other) = said.iter().find(|u| u.symbol == usage.symbol) {
                usage.fill(other);
            }
        }
        if usages.is_empty() {
            usages = said;
        }
    }
    let mut arch = built.arch.clone().or_else(|| call.arch.clone());
    let mut counts = Vec::new();
    if call.tool(Tool::Nvdisasm).is_some() {
        let sass = parse_sass(&make::disassemble(call, &built, version.scratch)?);
        built.is_for(call.args.arch.as_deref(), &sass.target, version)?;
        arch = arch.or_else(|| Arch::parse(&sass.target).ok());
        counts = sass.functions.iter().map(|f| (f.symbol.clone(), f.instructions())).collect();
    }
    let kernels = usages.into_iter().map(|usage| {
        let name = plain_name(&usage.symbol);
        let counted = counts.iter().find(|(symbol, _)| *symbol == usage.symbol);
        let instructions = counted.map(|(_, n)| *n);
        Kernel { name, usage, instructions, places: Vec::new() }
    });
    let (title, command) = (version.title.to_owned(), built.command.clone());
    Ok(Report { title, command, arch, kernels: kernels.collect() })
}

impl Kernel {
    /// Its numbers with their names; `None` where no tool says.
    fn numbers(&self) -> [(&'static str, Option<u64>); 9] {
        let u = &self.usage;
        let wide = |n: Option<u32>| n.map(u64::from);
        [
            ("registers", Some(u64::from(u.registers))),
            ("stack bytes", wide(u.stack_bytes)),
            ("shared bytes", wide(u.shared_bytes)),
            ("spill store bytes", wide(u.spill_store_bytes)),
            ("spill load bytes", wide(u.spill_load_bytes)),
            ("local bytes", wide(u.local_bytes)),
            ("constant bytes", wide(u.constant_bytes)),
            ("barriers", wide(u.barriers)),
            ("instructions", self.instructions.map(|n| n as u64)),
        ]
    }

    fn row(&self) -> [String; 9] {
        let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let [registers, stack, shared, stores, loads, local, constant, barriers, instructions] =
            self.numbers().map(|(_, n)| n);
        let spills = match (stores, loads) {
            (Some(0), Some(0)) => "-".to_owned(),
            (Some(stores), Some(loads)) => format!("{stores}/{loads}"),
            _ => "?".to_owned(),
        };
        let rest = [local, constant, barriers, instructions].map(number);
        let [local, constant, barriers, instructions] = rest;
        let [registers, stack, shared] = [registers, stack, shared].map(number);
        let name = cut(&self.name);
        [name, registers, stack, shared, spills, local, constant, barriers, instructions]
    }

    fn line(&self) -> EntryLine {
        EntryLine {
            name: self.name.clone(),
            usage: self.usage.clone(),
            instructions: self.instructions,
            occupancy: self.places.iter().map(Placed::line).collect(),
        }
    }
}

/// A way in which a kernel is launched, and how full a multiprocessor is then.
struct Placed {
    launch: Launch,
    found: Occupancy,
}

impl Placed {
    fn line(&self) -> OccupancyLine {
        let Self { launch, found } = self;
        OccupancyLine {
            case: launch.case.clone(),
            threads: launch.threads,
            dynamic_shared_bytes: launch.shared_bytes,
            blocks: found.blocks,
            warps: found.warps,
            most_warps: found.most_warps,
            percent: found.percent(),
            limits: found.limits.clone(),
        }
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

/// Shows what all kernels use.
pub(super) fn resources(report: &Report, ui: &Ui) {
    if ui.format == Format::Json {
        ui.json(&Line::InspectResources(ResourcesLine {
            version: INSPECT_VERSION,
            kernel: report.title.clone(),
            command: report.command.clone(),
            arch: report.arch_name(),
            entries: report.kernels.len(),
        }));
        report.kernels.iter().for_each(|kernel| ui.json(&Line::Entry(kernel.line())));
        return;
    }
    ui.line(&format!("{}: {}\n", report.title, heading(report)));
    if report.kernels.is_empty() {
        ui.note("the file has no kernels: none of its functions is `__global__`");
        return;
    }
    let titles = ["", "regs", "stack", "shared", "spills", "local", "const", "bars", "insns"];
    let mut table = plain_table(titles.map(str::to_owned));
    for kernel in &report.kernels {
        table.add_row(kernel.row());
    }
    ui.text(&indented(&plain(&mut table)));
    for kernel in &report.kernels {
        for place in &kernel.places {
            ui.text(&format!("\n{}", paragraph(&in_words(kernel, place), 2)));
        }
    }
}

/// Compiler and flags; the architecture where they do not tell it.
fn heading(report: &Report) -> String {
    match &report.arch {
        Some(arch) if !report.command.contains(&arch.name) => {
            format!("{} ({})", report.command, arch.name)
        }
        _ => report.command.clone(),
    }
}

/// `softmax, 128 threads: occupancy 100 %: 16 blocks on a multiprocessor, 64 of 64 warps, …`.
fn in_words(kernel: &Kernel, place: &Placed) -> String {
    let Placed { launch, found } = place;
    let shared = match launch.shared_bytes {
        0 => String::new(),
        n => format!(", {n} bytes of dynamic shared memory"),
    };
    let case = match launch.case.as_str() {
        "" => String::new(),
        case => format!(" ({case})"),
    };
    let limits: Vec<&str> = found.limits.iter().map(|l| l.word()).collect();
    let limits = limits.join(" and ");
    let start = format!("{}, {} threads{shared}{case}", cut(&kernel.name), launch.threads);
    if found.blocks == 0 {
        return format!("{start}: cannot be launched, one block does not fit ({limits})");
    }
    let blocks =
        if found.blocks == 1 { "1 block".to_owned() } else { format!("{} blocks", found.blocks) };
    format!(
        "{start}: occupancy {}: {blocks} on a multiprocessor, {} of {} warps, limited by {limits}",
        percent(found),
        found.warps,
        found.most_warps
    )
}

fn percent(found: &Occupancy) -> String {
    format!("{:.0} %", found.percent())
}

/// Shows what changed from an older version to a newer, kernel by kernel.
pub(super) fn changes(old: &Report, new: &Report, ui: &Ui) {
    let json = ui.format == Format::Json;
    if json {
        ui.json(&Line::InspectResourcesDiff(ResourcesDiffLine {
            version: INSPECT_VERSION,
            old: old.title.clone(),
            new: new.title.clone(),
            command: new.command.clone(),
            arch: new.arch_name(),
        }));
    } else {
        ui.line(&format!("--- {}\n+++ {}\n{}", old.title, new.title, heading(new)));
    }
    for pair in matched(&old.kernels, &new.kernels, |k| &k.name) {
        match pair {
            (Some(a), Some(b)) if json => ui.json(&Line::EntryDiff(Box::new(EntryDiffLine {
                name: b.name.clone(),
                old: a.line(),
                new: b.line(),
                verdict: verdict(a, b),
            }))),
            (Some(a), Some(b)) => {
                ui.text(&format!("\n{}\n{}\n", cut(&b.name), beside(a, b)));
                ui.text(&paragraph(&verdict(a, b), 2));
            }
            (Some(gone), None) => alone(gone, Side::Old, &old.title, ui),
            (None, Some(come)) => alone(come, Side::New, &new.title, ui),
            (None, None) => {}
        }
    }
}

fn alone(kernel: &Kernel, side: Side, title: &str, ui: &Ui) {
    if ui.format == Format::Json {
        ui.json(&Line::EntryOnlyIn(EntryOnlyInLine { side, entry: kernel.line() }));
    } else {
        ui.line(&format!("\n{}: only in {title}", kernel.name));
    }
}

/// Two versions' numbers; those that neither has are left out.
fn beside(old: &Kernel, new: &Kernel) -> String {
    let mut table = plain_table(["", "old", "new", "change"].map(str::to_owned));
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    for ((name, a), (_, b)) in old.numbers().into_iter().zip(new.numbers()) {
        if a.or(b).is_none() || (a, b) == (Some(0), Some(0)) {
            continue;
        }
        let change = match (a, b) {
            (Some(a), Some(b)) if a != b => format!("{:+}", b as i64 - a as i64),
            _ => String::new(),
        };
        table.add_row([name.to_owned(), number(a), number(b), change]);
    }
    if let (Some(a), Some(b)) = (old.places.first(), new.places.first()) {
        let names = ["threads", "dynamic shared bytes", "blocks", "warps"];
        let of = |Placed { launch, found }: &Placed| {
            [launch.threads, launch.shared_bytes, found.blocks, found.warps].map(i64::from)
        };
        for ((name, a), b) in names.into_iter().zip(of(a)).zip(of(b)) {
            let change = if a == b { String::new() } else { format!("{:+}", b - a) };
            if a + b > 0 {
                table.add_row([name.to_owned(), a.to_string(), b.to_string(), change]);
            }
        }
        table.add_row([
            "occupancy".to_owned(),
            percent(&a.found),
            percent(&b.found),
            String::new(),
        ]);
    }
    indented(&plain(&mut table))
}

/// `8 more registers: occupancy 75 % -> 62 %`.
fn verdict(old: &Kernel, new: &Kernel) -> String {
    let (a, b) = (&old.usage, &new.usage);
    let sum = |u: &Usage| Some(u.spill_store_bytes? + u.spill_load_bytes?);
    let mut changes = vec![
        change(Some(a.registers), Some(b.registers), &Counted { unit: "register", of: "" }),
        change(a.shared_bytes, b.shared_bytes, &Counted { unit: "byte", of: " of shared memory" }),
        change(sum(a), sum(b), &Counted { unit: "byte", of: " spilled and reloaded" }),
        change(a.stack_bytes, b.stack_bytes, &Counted { unit: "byte", of: " of stack" }),
        change(a.barriers, b.barriers, &Counted { unit: "barrier", of: "" }),
    ];
    let places = old.places.first().zip(new.places.first());
    if let Some((Placed { launch: a, .. }, Placed { launch: b, .. })) = places {
        changes.push(change(
            Some(a.threads),
            Some(b.threads),
            &Counted { unit: "thread", of: " in a block" },
        ));
        let shared = Counted { unit: "byte", of: " of dynamic shared memory" };
        changes.push(change(Some(a.shared_bytes), Some(b.shared_bytes), &shared));
    }
    let changes: Vec<String> = changes.into_iter().flatten().collect();
    let what = if changes.is_empty() { "same resources".to_owned() } else { changes.join(", ") };
    match places {
        None => what,
        Some((a, b)) if percent(&a.found) == percent(&b.found) => {
            format!("{what}: occupancy stays {}", percent(&b.found))
        }
        Some((a, b)) => {
            format!("{what}: occupancy {} -> {}", percent(&a.found), percent(&b.found))
        }
    }
}

/// What a change is counted in.
struct Counted {
    unit: &'static str,
    of: &'static str,
}

fn change(old: Option<u32>, new: Option<u32>, what: &Counted) -> Option<String> {
    let Counted { unit, of } = what;
    let (old, new) = (old?, new?);
    let by = old.abs_diff(new);
    let word = if new > old { "more" } else { "fewer" };
    let plural = if by == 1 { "" } else { "s" };
    (by > 0).then(|| format!("{by} {word} {unit}{plural}{of}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(registers: u32, shared: u32, threads: u32) -> Kernel {
        let usage =
            Usage { symbol: "k".into(), registers, shared_bytes: Some(shared), ..Usage::default() };
        let kernel = Kernel { name: "k".into(), usage, instructions: None, places: Vec::new() };
        let arch = Arch::parse("sm_90").expect("a name");
        let mut report = Report {
            title: String::new(),
            command: String::new(),
            arch: None,
            kernels: vec![kernel],
        };
        report.place(&[Launch { case: String::new(), threads, shared_bytes: 0 }], &arch);
        report.kernels.remove(0)
    }

    #[test]
    fn the_verdict_is_one_line() {
        for (old, new, expected) in [
            ((40, 0, 256), (48, 0, 256), "8 more registers: occupancy 75 % -> 62 %"),
            ((33, 0, 256), (32, 0, 256), "1 fewer register: occupancy 75 % -> 100 %"),
            ((40, 0, 256), (40, 512, 256), "512 more bytes of shared memory: occupancy stays 75 %"),
            ((40, 0, 256), (40, 0, 256), "same resources: occupancy stays 75 %"),
            ((40, 0, 256), (40, 0, 128), "128 fewer threads in a block: occupancy stays 75 %"),
        ] {
            let of = |(r, s, t)| kernel(r, s, t);
            assert_eq!(verdict(&of(old), &of(new)), expected);
        }
        let mut blank = kernel(40, 0, 256);
        blank.places.clear();
        assert_eq!(verdict(&blank, &kernel(48, 0, 256)), "8 more registers");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let words = |k: &Kernel| in_words(k, &k.places[0]);
        assert_eq!(
            words(&kernel(255, 0, 1024)),
            "k, 1024 threads: cannot be launched, one block does not fit (registers)"
        );
        assert_eq!(
            words(&kernel(40, 9472, 256)),
            "k, 256 threads: occupancy 75 %: 6 blocks on a multiprocessor, 48 of 64 warps, \
             limited by registers"
        );
    }
}
