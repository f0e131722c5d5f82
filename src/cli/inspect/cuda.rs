//! `optloop inspect ptx`, `sass` and `resources`: what a kernel for CUDA devices is built to.
//!
//! Built by NVIDIA's compilers ([`make`]), read by `backend::cuda::inspect`; no device is needed.

mod call;
mod code;
mod geometry;
mod make;
mod table;

use super::super::args::{DeviceCodeArgs, ResourcesArgs};
use super::super::refusal::Refusal;
use super::super::ui::Ui;
use super::listing::{cannot, like_the_file, no_entry};
use crate::backend::cpu::assembly::is_of;
use crate::backend::cuda::find::Tool;
use crate::backend::cuda::inspect::resources::{parse_ptx, parse_sass};
pub(super) use call::EXTENSIONS;
use call::{Call, Version};
use code::{Code, Listing, Part, Shown};
use make::Wanted;

/// Shows PTX.
pub(super) fn ptx(args: &DeviceCodeArgs, ui: &Ui) -> Result<(), Refusal> {
    listings(args, Shown::Ptx, ui, |call, version| {
        let built = make::build(call, version, Wanted::Ptx)?;
        let bytes = std::fs::read(&built.file).map_err(|e| cannot("read the PTX", &e))?;
        let ptx = parse_ptx(&String::from_utf8_lossy(&bytes));
        let parts = ptx.functions.into_iter().map(Part::from).collect();
        let mut listing = Listing::new(
            version,
            built.command,
            Code { target: ptx.target, files: ptx.files, parts },
        );
        if args.all {
            listing.head = ptx.head;
        }
        Ok(listing)
    })
}

/// Shows machine code.
pub(super) fn sass(args: &DeviceCodeArgs, ui: &Ui) -> Result<(), Refusal> {
    listings(args, Shown::Sass, ui, |call, version| {
        call.need(Tool::Nvdisasm, "shows machine code")?;
        let built = make::build(call, version, Wanted::Cubin)?;
        let sass = parse_sass(&make::disassemble(call, &built, version.scratch)?);
        built.is_for(args.arch.as_deref(), &sass.target, version)?;
        let parts = sass.functions.into_iter().map(Part::from).collect();
        Ok(Listing::new(
            version,
            built.command,
            Code { target: sass.target, files: sass.files, parts },
        ))
    })
}

/// Shows what kernels use, and how many fit.
pub(super) fn resources(args: &ResourcesArgs, ui: &Ui) -> Result<(), Refusal> {
    let call = Call::new(&args.code, ui)?;
    call.missing(ui);
    let versions = call.versions(|version| {
        let mut report = table::report(&call, version)?;
        choose(&call, version, &mut report.kernels, |kernel| &kernel.name)?;
        let launches = geometry::launches(args, &call, version.source);
        match (launches, report.arch.clone()) {
            (Ok(launches), Some(arch)) => report.place(&launches, &arch),
            (Err(why), _) => ui.note(&format!("no occupancy: {why}")),
            (_, None) => ui.note("no occupancy: say what the file is for with --arch"),
        }
        Ok(report)
    })?;
    match &versions {
        (own, None) => table::resources(own, ui),
        (own, Some(old)) => table::changes(old, own, ui),
    }
    Ok(())
}

fn listings(
    args: &DeviceCodeArgs,
    shown: Shown,
    ui: &Ui,
    read: impl Fn(&Call<'_>, &Version<'_>) -> Result<Listing, Refusal>,
) -> Result<(), Refusal> {
    let call = Call::new(args, ui)?;
    let versions = call.versions(|version| {
        let mut listing = read(&call, version)?;
        choose(&call, version, &mut listing.parts, |part| &part.name)?;
        Ok(listing)
    })?;
    match &versions {
        (own, None) => code::listing(own, shown, ui),
        (own, Some(old)) => code::changes(old, own, shown, ui),
    }
    Ok(())
}

/// Leaves only what is to be shown, the wanted kernel first.
fn choose<T>(
    call: &Call<'_>,
    version: &Version<'_>,
    all: &mut Vec<T>,
    name: fn(&T) -> &String,
) -> Result<(), Refusal> {
    let args = call.args;
    let names: Vec<String> = all.iter().map(|item| name(item).clone()).collect();
    let names = || names.iter().map(String::as_str);
    let there = |wanted: &str| names().any(|n| is_of(n, wanted));
    if let Some(wanted) = args.entry.as_ref().filter(|e| !there(e)) {
        return Err(no_entry(wanted, version.title, names()));
    }
    let problems = call.recipe.entry().map(String::as_str).filter(|e| there(e));
    let wanted = args.entry.as_deref().or(problems);
    let Some(wanted) = wanted.or_else(|| like_the_file(names(), version.source)) else {
        return Ok(());
    };
    if !args.all {
        all.retain(|item| is_of(name(item), wanted));
    }
    all.sort_by_key(|item| !is_of(name(item), wanted));
    Ok(())
}
