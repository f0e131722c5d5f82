//! `optloop init --campaign`: a campaign file for a pipeline that is there.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Value;

use super::files::{refusal, tell, write_new};
use crate::campaign::settings;
use crate::cli::args::{Format, InitArgs};
use crate::cli::exit::Exit;
use crate::cli::lines::kept::Done;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::pipeline::Overrides;
use crate::project::host::Disk;
use crate::project::{Access, Project};

const FILE: &str = "campaign.toml";
/// Where versions to replay are put.
const VERSIONS: &str = "versions";

/// What a campaign is made for.
struct Found {
    /// The pipeline, from the folder.
    pipeline: String,
    /// Its kernel files, from the root.
    kernel: Vec<String>,
    root: PathBuf,
}

/// Writes a campaign file; one that is there stays as it is, and that is refused.
pub(super) fn run(args: &InitArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let agent = args.agent.as_deref().map(words).transpose()?;
    let found = found(args, ui)?;
    let path = args.dir.join(FILE);
    let text = text(&found, &args.dir, agent.as_deref());
    let cannot = |e| refusal(&path, &e);
    // What is written is what is read.
    let loaded = settings::load(&path, text.clone());
    if loaded.settings.is_none() {
        return Err(Refusal::Diagnostics(loaded.diagnostics));
    }
    match write_new(&path, &text).map_err(cannot)? {
        Done::Kept | Done::Same => {
            let what = format!("there is a campaign file already: {}", path.display());
            let hint = "edit it, or move it away and run this again".to_owned();
            return Err(Refusal::Words(what, Some(hint), Exit::User));
        }
        done => tell(ui, FILE, done),
    }
    if agent.is_none() {
        example(&found, args, ui)?;
    }
    if ui.format == Format::Human && !ui.quiet {
        ui.text(&next_steps(args));
    }
    Ok(Exit::Ok)
}

/// The words of a command, as a shell would split them.
fn words(command: &str) -> Result<Vec<String>, Refusal> {
    shlex::split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
        let what = format!("`{command}` is no command: a quote is open, or it is empty");
        let hint = "write --agent 'my-agent --headless'".to_owned();
        Refusal::Words(what, Some(hint), Exit::Usage)
    })
}

/// The pipeline that is named, or the first with a stage that compares with the best.
fn found(args: &InitArgs, ui: &Ui) -> Result<Found, Refusal> {
    let places: Vec<PathBuf> = match &args.pipeline {
        Some(named) => vec![args.dir.join(named)],
        None => candidates(&args.dir),
    };
    let mut refused = None;
    for place in places {
        match usable(&place, &args.dir, ui) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => refused = Some(error),
        }
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    let what = match &args.pipeline {
        Some(named) => format!("no stage of {} compares with the best", named.display()),
        None => "there is no pipeline here with a stage that compares with the best".to_owned(),
    };
    let hint = "write incumbent = \"best\" in the stage that decides, or begin with the example: \
                `optloop init`";
    Err(Refusal::Words(what, Some(hint.to_owned()), Exit::User))
}

/// TOML files of the folder and of `pipelines/`; those called `candidate` first.
fn candidates(dir: &Path) -> Vec<PathBuf> {
    let files = [dir.to_owned(), dir.join("pipelines")].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    });
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let mut files: Vec<PathBuf> = files.filter(is_toml).collect();
    files.sort_by_key(|path| {
        (path.file_stem().is_none_or(|stem| stem != "candidate"), path.clone())
    });
    files
}

fn usable(place: &Path, dir: &Path, ui: &Ui) -> Result<Option<Found>, Refusal> {
    let project = Project::find(&place.to_string_lossy(), &Disk)?;
    let overrides = Overrides::default();
    let kernel = project.kernel(&overrides).unwrap_or_default();
    if project.scoring(&overrides).is_empty() || kernel.is_empty() {
        return Ok(None);
    }
    // One with mistakes is shown before a campaign is written for it.
    drop(project.open(overrides, Access::Read, &[ui])?);
    let pipeline = place.strip_prefix(dir).unwrap_or(place).to_string_lossy().into_owned();
    Ok(Some(Found { pipeline, kernel, root: project.root }))
}

/// A version to replay: the kernel as it is, to be changed.
fn example(found: &Found, args: &InitArgs, ui: &Ui) -> Result<(), Refusal> {
    for file in &found.kernel {
        let name = format!("{VERSIONS}/01-as-it-is/{file}");
        let place = args.dir.join(&name);
        let text = fs::read_to_string(found.root.join(file));
        let done = text.and_then(|text| write_new(&place, &text));
        tell(ui, &name, done.map_err(|e| refusal(&place, &e))?);
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list(all: &[String]) -> String {
    Value::Array(all.iter().cloned().map(Value::String).collect()).to_string()
}

fn text(found: &Found, dir: &Path, agent: Option<&[String]>) -> String {
    let first = found.kernel.first().map(String::as_str).unwrap_or_default();
    let agent = match agent {
        Some(run) => format!(
            "run      = {}\n# prompt = \"stdin\"          # or \"argument\", or \"file\": \
             OPTLOOP_PROMPT names it\n# timeout = \"30m\"\n# writes = [\"~/.config/my-agent\"]   \
             # folders that it needs beside its copy of the project\n",
            list(run)
        ),
        None => format!(
            "# Each folder and patch in here is a version, in the order of their names. To ask a \
             program instead:\n# run    = [\"my-agent\", \"--headless\"]\nreplay   = {}\n",
            quoted(VERSIONS)
        ),
    };
    format!(
        "# A campaign: an agent proposes one change an iteration, and the pipeline decides whether \
         it stays.\n# What it would do: optloop loop start --dry-run\n\
         name     = {}\n\
         goal     = {}\n\
         pipeline = {}   # its last stage that compares with the best decides\n\
         # target = 5.0               # the metric that is enough, in its unit\n\
         # dirty  = \"include\"         # begin with changes that are not committed\n\
         \n[scope]\n\
         edit     = {}\n\
         # protect = [\"tests/**\"]    # never, whatever `edit` says\n\
         \n[agent]\n{agent}\
         \n# [[guard]]                  # must succeed with every candidate\n\
         # run    = [\"make\", \"test\"]\n\
         \n[budget]\n\
         iterations = 20\n\
         hours      = 8.0\n\
         failures   = 3               # of the agent or the machine\n\
         \n[stop]\n\
         no_gain  = 8                 # iterations in a row\n",
        quoted(&name_of(first, dir)),
        quoted(&format!("Make {first} faster; its results stay correct.")),
        quoted(&found.pipeline),
        list(&found.kernel),
    )
}

/// A campaign's name from a kernel's: what names a folder.
fn name_of(kernel: &str, dir: &Path) -> String {
    let stem = Path::new(kernel).file_stem().or(dir.file_name()).unwrap_or_default();
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String =
        stem.to_string_lossy().chars().map(|c| if is_fit(c) { c } else { '-' }).collect();
    if name.is_empty() { "campaign".to_owned() } else { name }
}

fn next_steps(args: &InitArgs) -> String {
    let cd = match &args.dir {
        here if here == Path::new(".") => String::new(),
        there => format!("  cd {}\n", there.display()),
    };
    let versions = match args.agent {
        Some(_) => String::new(),
        None => format!("  edit {VERSIONS}/01-as-it-is, and add more versions beside it\n"),
    };
    format!(
        "\nNext:\n{cd}{versions}  optloop loop start --dry-run     says what the campaign would do\n  \
         optloop loop start               does it; the checkout stays as it is\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::settings::{AgentKind, load};

    fn found_kernel(kernel: &str) -> Found {
        Found {
            pipeline: "pipelines/candidate.toml".to_owned(),
            kernel: vec![kernel.to_owned()],
            root: PathBuf::from("/p"),
        }
    }

    #[test]
    fn what_is_written_loads_whatever_the_names_are() {
        for (kernel, name) in [("kernels/soft max.c", "soft-max"), ("a\"b\\.c", "a-b-")] {
            let found = found_kernel(kernel);
            let run = words("my-agent --say 'two words'").expect("a command");
            for agent in [Some(&run[..]), None] {
                let text = text(&found, Path::new("."), agent);
                let loaded = load(Path::new(FILE), text.clone());
                let settings = loaded.settings.unwrap_or_else(|| panic!("{text}"));
                assert_eq!(settings.name, name);
                assert_eq!(settings.patterns.edit, [kernel]);
                match settings.agent.kind {
                    AgentKind::Command { run, .. } => {
                        assert_eq!(run, ["my-agent", "--say", "two words"]);
                    }
                    AgentKind::Replay(folder) => assert_eq!(folder, Path::new(VERSIONS)),
                }
            }
        }
        assert!(words("my-agent 'open").is_err() && words("  ").is_err());
    }
}
