//! `optloop doctor`: what this machine has, what is missing, what that costs, what mends it.

mod check;
mod machine;
mod tools;

use std::path::Path;

use self::check::Check;
use super::args::Format;
use super::columns::{WIDTH, clean, wrapped};
use super::cuda::{self, Part};
use super::exit::Exit;
use super::host::cuda_places;
use super::lines::Line;
use super::lines::machine::CheckStanding;
use super::ui::Ui;
use crate::backend::cpu::identity;
use crate::backend::cuda::find::{Library, Places};
use crate::backend::cuda::probe::version_in_words;
use crate::backend::cuda::{CudaProbe, probe};
use crate::process::sandbox::SandboxLevel;

/// How a check stands, for people.
fn word(standing: CheckStanding) -> &'static str {
    match standing {
        CheckStanding::Ok => "ok",
        CheckStanding::Weak => "weak",
        CheckStanding::Missing => "MISSING",
    }
}

/// Looks at everything; the exit code says whether the main job can run here.
pub(super) fn run(ui: &Ui) -> Exit {
    let checks = checks();
    if ui.format == Format::Json {
        for check in &checks {
            ui.json(&Line::Check(Box::new(check.line())));
        }
    } else {
        ui.text(&in_words(&checks));
    }
    verdict(&checks)
}

fn verdict(checks: &[Check]) -> Exit {
    let stuck = checks.iter().any(|c| c.standing == CheckStanding::Missing);
    if stuck { Exit::User } else { Exit::Ok }
}

fn checks() -> Vec<Check> {
    // Before the compilers run, which would be the load that is found.
    let machine = machine::checks(&identity());
    let mut all = vec![tools::compiler("cc", "c"), tools::cpp(tools::compiler("c++", "c++"))];
    all.push(tools::sanitizers());
    all.push(state(Path::new(".")));
    all.extend(machine);
    all.push(sandbox_line());
    all.extend(tools::others());
    let places = cuda_places();
    all.push(cuda_line(&probe(&places), &places));
    all.extend(cuda::parts(&places).into_iter().map(part));
    all
}

/// Where `.optloop/` is or would be made.
fn state(dir: &Path) -> Check {
    let there = dir.join(".optloop");
    let place = if there.is_dir() { there } else { dir.to_owned() };
    let shown = std::path::absolute(&place).unwrap_or(place.clone()).display().to_string();
    match rustix::fs::access(&place, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Check::ok("state folder", shown),
        Err(e) => {
            let mend = format!("chown -R \"$USER\" {shown}");
            Check::missing("state folder", format!("{shown}: {e}"), "no result can be kept", &mend)
        }
    }
}

/// How far workers are shut in; no line where nothing tells.
fn sandbox_line() -> Check {
    let level = SandboxLevel::available();
    let words = level.describe();
    sandbox(if level.is_full() { Ok(words) } else { Err(words) })
}

/// From the level's own words: everything that keeps a worker in, or what of it is missing.
fn sandbox(level: Result<String, String>) -> Check {
    const COST: &str = "a kernel can write files and reach the network";
    const MEND: &str = "Linux 5.13 or newer with Landlock (boot with lsm=landlock,…) and seccomp; in \
                        a container, one whose profile lets both through";
    match level {
        Ok(whole) => Check::ok("sandbox", whole),
        Err(part) => Check::weak("sandbox", part, COST, MEND),
    }
}

fn cuda_line(probe: &CudaProbe, places: &Places) -> Check {
    let mut found = probe.to_string();
    if let (CudaProbe::Devices(devices), Some(driver)) = (probe, places.find(Library::Driver)) {
        let version = devices.first().map_or(0, |device| device.driver_version);
        let path = driver.path.display();
        found += &format!("; {path} ({}), CUDA {}", driver.from, version_in_words(version));
    }
    match probe.hint() {
        None => Check::ok("cuda", found),
        Some(hint) => Check::weak("cuda", found, "kernels run on the CPU alone", &hint),
    }
}

fn part(part: Part) -> Check {
    match part.found {
        Ok(found) => Check::ok(part.name, found),
        Err((why, hint)) => Check::weak(part.name, why, part.cost, &hint),
    }
}

/// In 80 columns: how it stands, what it is, and what was found; longer texts go on below.
fn in_words(checks: &[Check]) -> String {
    let width = |text: fn(&Check) -> &str| checks.iter().map(|c| text(c).len()).max().unwrap_or(0);
    let (standing, name) = (width(|c| word(c.standing)), width(|c| c.name));
    let mut text = String::new();
    for check in checks {
        let mut start = format!("{:<standing$} {:<name$} ", word(check.standing), check.name);
        let indent = " ".repeat(start.len());
        let mut texts = vec![(String::new(), check.found.as_str())];
        if check.standing != CheckStanding::Ok {
            texts.push(("costs: ".to_owned(), check.cost));
            texts.push(("mend:  ".to_owned(), &check.mend));
        }
        for (label, words) in texts {
            let mut label = label;
            for line in wrapped(&clean(words), WIDTH - indent.len() - label.len()) {
                text += format!("{start}{label}{line}").trim_end();
                text.push('\n');
                start.clone_from(&indent);
                label = " ".repeat(label.len());
            }
        }
    }
    text += match verdict(checks) {
        Exit::Ok => "\nkernels can be built and measured here\n",
        _ => "\nkernels cannot be measured here until what is MISSING is mended\n",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[test]
    fn only_what_is_missing_keeps_the_main_job_from_running() {
        let ok = || Check::ok("a", "found");
        let weak = || Check::weak("b", "slow", "noise", "be quick");
        let missing = || Check::missing("c", "nothing", "everything", "install it");
        assert_eq!(verdict(&[ok(), weak()]), Exit::Ok);
        assert_eq!(verdict(&[ok(), missing()]), Exit::User);
        assert_eq!(tools::cpp(missing()).standing, CheckStanding::Weak);
        let text = in_words(&[ok(), weak(), missing()]);
        assert!(text.contains("costs: noise") && text.contains("mend:  install it"), "{text}");
        assert!(text.contains("cannot be measured") && !text.contains("costs: \n"), "{text}");
    }

    #[test]
    fn long_answers_go_on_below_in_their_column() {
        let check = Check::weak("name", "f ".repeat(60), "costs", &"m".repeat(200));
        let text = in_words(&[check, Check::ok("other", "x")]);
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("\n           f f ") && text.contains("\nok   other x\n"), "{text}");
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_hold_state() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(state(dir.path()).standing, CheckStanding::Ok);
        assert_eq!(state(&dir.path().join("gone")).standing, CheckStanding::Missing);
    }

    #[test]
    fn cuda_that_is_not_there_is_weak_with_its_reason_and_its_way_out() {
        let places = Places::under(Path::new("/nowhere"), &MemoryHost::default());
        let check = cuda_line(&probe(&places), &places);
        assert_eq!(check.standing, CheckStanding::Weak);
        assert!(check.found.contains("libcuda.so.1") && check.mend.contains("driver"), "{check:?}");
        let device = crate::backend::cuda::CudaDevice::default();
        assert_eq!(
            cuda_line(&CudaProbe::Devices(vec![device]), &places).standing,
            CheckStanding::Ok
        );
    }

    #[test]
    fn a_sandbox_in_part_is_weak() {
        let standing = |level| sandbox(level).standing;
        assert_eq!(standing(Ok("landlock abi 7, seccomp".into())), CheckStanding::Ok);
        assert_eq!(standing(Err("seccomp".into())), CheckStanding::Weak);
    }
}
