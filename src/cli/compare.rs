//! `optloop compare`: two kernels, pair by pair, through the pipeline that builds and checks them.

pub(super) mod anchor;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::args::{CompareArgs, PipelineArgs, Tuning, Which};
use super::exit::Exit;
use super::incumbents::Incumbents;
use super::session::Refusal;
use super::ui::Ui;
use super::world::{self, Located};
use super::{pipeline, session};
use crate::pipeline::Overrides;
use crate::plan::build::relative;
use crate::plan::incumbent::Incumbents as _;

/// Runs it.
pub(super) fn run(args: &CompareArgs, ui: Ui) -> Exit {
    let planned = if args.anchor { anchor::plan(args) } else { plan(args) };
    match planned {
        Ok(planned) if args.anchor => anchor::run(args, &planned, ui),
        Ok(planned) => pipeline::run(&planned, ui),
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn plan(args: &CompareArgs) -> Result<PipelineArgs, Refusal> {
    let side = |side: &Option<String>| side.clone().unwrap_or_default();
    let (a, b) = (side(&args.a), side(&args.b));
    let (a, b) = (a.as_str(), b.as_str());
    let file = match &args.pipeline {
        Some(file) => file.clone(),
        None => by_problem(a, b)?,
    };
    let located = session::located(&file)?;
    let sides = Sides { located: &located, stage: &args.stage, tuning: &args.tuning };
    let mut tuning = args.tuning.clone();
    // A comparison is always of now.
    tuning.set.push((format!("stages.{}.cache", args.stage), "false".to_owned()));
    let incumbent = Some(sides.incumbent(a)?);
    let Measured { kernel, set } = sides.kernel(b)?;
    tuning.set.extend(set);
    let only = vec![args.stage.clone()];
    let which = Which { file, kernel, incumbent, tuning, add: Vec::new(), only };
    Ok(PipelineArgs::of(which, &[&args.stage]))
}

/// The side that is measured, as changes of the command line.
pub(super) struct Measured {
    /// `--kernel`, where it is one file.
    pub(super) kernel: Option<PathBuf>,
    /// `--set`, where it is several.
    pub(super) set: Option<(String, String)>,
}

/// How sides are named, for a pipeline.
pub(super) struct Sides<'a> {
    pub(super) located: &'a Located,
    pub(super) stage: &'a str,
    pub(super) tuning: &'a Tuning,
}

impl Sides<'_> {
    /// The side that stays, as `incumbent` is written.
    fn incumbent(&self, name: &str) -> Result<String, Refusal> {
        if Path::new(name).is_file() {
            return Ok(format!("file:{name}"));
        }
        // What there is not is said here, in terms of sides.
        self.files(name)?;
        match name {
            "best" | "baseline" => Ok(name.to_owned()),
            _ => Ok(format!("git:{name}")),
        }
    }

    /// A side as the kernel that is measured: one file, or a change of what the pipeline names.
    pub(super) fn kernel(&self, name: &str) -> Result<Measured, Refusal> {
        match &self.files(name)?[..] {
            [one] => Ok(Measured { kernel: Some(one.clone()), set: None }),
            several => {
                let set = Some(("kernel".to_owned(), self.list(several)));
                Ok(Measured { kernel: None, set })
            }
        }
    }

    /// The files of a side: a path, the best or the first of the pipeline's problem, or the kernel as
    /// it is at a revision.
    fn files(&self, name: &str) -> Result<Vec<PathBuf>, Refusal> {
        let path = Path::new(name);
        if path.is_file() {
            return Ok(vec![path.to_owned()]);
        }
        let set = self.tuning.set.iter().cloned().collect();
        let overrides = Overrides { set, ..Overrides::default() };
        let incumbents = Incumbents { located: self.located, overrides: &overrides };
        if name == "best" || name == "baseline" {
            return incumbents.kept(name, self.stage);
        }
        let kernel = incumbents.kernel().ok_or_else(|| unknown(name, "no kernel is named"))?;
        let found = incumbents.revision(name, &kernel).map_err(|why| unknown(name, &why))?;
        Ok(found.sources.iter().map(|path| self.located.root.join(path)).collect())
    }

    /// Several files, as the pipeline would name them.
    fn list(&self, files: &[PathBuf]) -> String {
        let named = files.iter().map(|file| {
            let below = relative(&self.located.root, Path::new(""), &file.to_string_lossy());
            toml::Value::String(session::from_below(self.located, &below))
        });
        toml::Value::Array(named.collect()).to_string()
    }
}

fn unknown(name: &str, why: &str) -> Refusal {
    let what = format!("`{name}` is no file, and as a revision: {why}");
    let hint = "name a file, a revision such as HEAD~1, `best` or `baseline`".to_owned();
    Refusal::Words(what, Some(hint), Exit::User)
}

/// The pipeline for files that lie beside a `problem.toml`: it is written below `.optloop/`.
fn by_problem(a: &str, b: &str) -> Result<String, Refusal> {
    let problem = [b, a].iter().find_map(|name| {
        let folder = Path::new(name).parent()?;
        let problem = folder.join("problem.toml");
        (Path::new(name).is_file() && problem.is_file()).then_some(problem)
    });
    let Some(problem) = problem else {
        let what = "there is no `problem.toml` beside these, to say what they must compute";
        let hint = "name the pipeline that builds them: --pipeline FILE".to_owned();
        return Err(Refusal::Words(what.to_owned(), Some(hint), Exit::User));
    };
    let cannot = |what: &Path, e: std::io::Error| {
        let what = format!("cannot write {}: {e}", what.display());
        Refusal::Words(what, None, Exit::Infrastructure)
    };
    let problem = problem.canonicalize().map_err(|e| cannot(&problem, e))?;
    let folder = problem.parent().unwrap_or(Path::new("/")).to_owned();
    let root = world::root_for(&folder);
    let kernel = Path::new(if Path::new(b).is_file() { b } else { a });
    let kernel = kernel.canonicalize().map_err(|e| cannot(kernel, e))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let pipelines = root.join(".optloop/pipelines");
    let path = pipelines.join(format!("{name}.toml"));
    let seen = |file: &Path| {
        let below = relative(&root, Path::new(""), &file.to_string_lossy());
        if below.starts_with('/') { below } else { format!("../../{below}") }
    };
    let mut text = String::from("# Written by `optloop compare`; it may be removed.\n");
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let _infallible = write!(
        text,
        "name = {}\nkernel = {}\nproblem = {}\n\n[stages.smoke]\n\n[stages.candidate]\nneeds = \
         [\"smoke\"]\n",
        quoted(&name),
        quoted(&seen(&kernel)),
        quoted(&seen(&problem)),
    );
    if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
        std::fs::create_dir_all(&pipelines).map_err(|e| cannot(&pipelines, e))?;
        let bytes = text.as_bytes();
        crate::cache::index::replace(&path, |file| std::io::Write::write_all(file, bytes))
            .map_err(|e| cannot(&path, e))?;
    }
    Ok(world::shown(&path).display().to_string())
}
