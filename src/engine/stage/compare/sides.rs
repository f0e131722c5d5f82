//! The two trees that a command is compared in: each has the project's files, with one side's
//! kernel at its usual place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::command::{self, CommandRequest, Ran, WorkingCopy};
use super::super::{Failure, FailureClass, StageContext};
use crate::cache::Kind;
use crate::digest::Digest;
use crate::engine::account::TreesRecord;
use crate::measure::pairs::Side;
use crate::pipeline::Purpose;
use crate::plan::build::relative;
use crate::tree::home::{self, Owner};
use crate::tree::{Listing, Swap, Tree};

/// Folder of all trees below the state folder.
pub(in crate::engine) const TREES: &str = "trees";

/// Both trees.
pub(super) struct Sides<'a> {
    request: &'a CommandRequest<'a>,
    /// Where they lie, with what belongs to them.
    home: PathBuf,
    /// The project without what the command writes.
    project: Listing,
    incumbent: Prepared,
    candidate: Prepared,
}

/// A tree and what it is to hold.
struct Prepared {
    tree: Tree,
    wanted: Listing,
    temporary: PathBuf,
}

/// What lies where the kernel's files do.
#[derive(Clone, Copy)]
pub(super) enum Kernel<'k> {
    /// These files, in the kernel's order.
    Files(&'k [String]),
    /// Nothing: empty files.
    Empty,
}

impl<'a> Sides<'a> {
    /// Opens the trees of a command, with the candidate in its own.
    ///
    /// # Errors
    /// When the project cannot be listed, or the trees cannot be written.
    pub(super) fn open(request: &'a CommandRequest<'a>) -> Result<Self, Failure> {
        let work = request.work;
        let places = work.kernel.iter().flat_map(|file| &file.places);
        let names: Vec<&str> = places.chain(&work.carry).map(String::as_str).collect();
        let id = Digest::of(names.join("\0").as_bytes()).short();
        let open = || -> io::Result<Self> {
            let root = request.root;
            let var = |name: &str| request.ctx.host.var(name);
            let link = request.ctx.state.join(TREES);
            let home = home::of(&Owner { link: &link, project: root, var: &var })?.join(id);
            fs::create_dir_all(&home)?;
            let project = Listing::of(root, &extra(request))?.without(&own(request));
            let prepare = |name: &str| -> io::Result<Prepared> {
                let tree = Tree::open(home.join(name), home.join(format!("{name}.list")))?;
                let temporary = home.join(format!("{name}.tmp"));
                Ok(Prepared { tree, wanted: project.clone(), temporary })
            };
            let (incumbent, candidate) = (prepare("a")?, prepare("b")?);
            Ok(Self { request, home, project, incumbent, candidate })
        };
        let mut sides = open().map_err(|e| sides_failed(request, &e))?;
        let files: Vec<String> = work.kernel.iter().map(|file| file.file.clone()).collect();
        sides.put(Side::Candidate, Kernel::Files(&files))?;
        Ok(sides)
    }

    /// Puts a kernel into a tree. A confirmation builds everything anew.
    pub(super) fn put(&mut self, side: Side, kernel: Kernel<'_>) -> Result<(), Failure> {
        let request = self.request;
        let mut put = || -> io::Result<()> {
            let swaps = self.swaps(kernel)?;
            let wanted = self.project.with(&swaps)?;
            let confirms = request.work.purpose == Purpose::Final;
            let outputs: Vec<PathBuf> = own(request);
            let prepared = self.of(side);
            prepared.wanted = wanted;
            if confirms {
                prepared.tree.clean()?;
            }
            for output in outputs {
                remove(&prepared.tree.place().join(output))?;
            }
            fs::create_dir_all(&prepared.temporary)
        };
        put().map_err(|e| sides_failed(request, &e))?;
        self.refresh(side)
    }

    /// The files that a kernel's bytes come from, each with the places that it has.
    fn swaps(&self, kernel: Kernel<'_>) -> io::Result<Vec<Swap>> {
        let root = self.request.root;
        let empty = self.home.join("empty");
        if matches!(kernel, Kernel::Empty) {
            fs::write(&empty, "")?;
        }
        let from = |at: usize| match kernel {
            Kernel::Files(files) => files.get(at).map_or_else(|| empty.clone(), |f| root.join(f)),
            Kernel::Empty => empty.clone(),
        };
        let each = self
            .request
            .work
            .kernel
            .iter()
            .enumerate()
            .flat_map(|(at, file)| file.places.iter().map(move |place| (at, place)));
        Ok(each.map(|(at, place)| Swap { name: place.into(), from: from(at) }).collect())
    }

    fn of(&mut self, side: Side) -> &mut Prepared {
        match side {
            Side::Incumbent => &mut self.incumbent,
            Side::Candidate => &mut self.candidate,
        }
    }

    /// Makes every file of a tree what it should be.
    fn refresh(&mut self, side: Side) -> Result<(), Failure> {
        let request = self.request;
        let ctx = &request.ctx;
        let prepared = self.of(side);
        if prepared.tree.is_new() {
            let words = format!("copying the project, {} files", prepared.wanted.len());
            (ctx.progress)(0.0, &words);
        }
        let stop = || ctx.cancel.is_set();
        let updated = prepared.tree.update(&prepared.wanted, &stop);
        updated.map(drop).map_err(|e| sides_failed(request, &e))
    }

    /// Runs the command in a tree.
    pub(super) fn run(&mut self, side: Side) -> Result<Ran, Failure> {
        self.refresh(side)?;
        let request = self.request;
        let Prepared { tree, temporary, .. } = self.of(side);
        let place = tree.place();
        let dir = place.join(&request.job.stored.dir);
        let ctx = StageContext { dir: &dir, ..request.ctx };
        let copy = WorkingCopy::Tree { place, temporary };
        let mut ran = command::once(&CommandRequest { ctx, copy, ..*request });
        if let Some(failure) = &mut ran.outcome.failure
            && failure.class == FailureClass::Failed
        {
            let left_out = left_out(request, place);
            failure.message.push_str(&hint(&left_out));
        }
        Ok(ran)
    }

    /// Gives the project the outputs that the candidate's last run wrote.
    pub(super) fn hand_over(&mut self) -> Result<(), Failure> {
        let request = self.request;
        for output in &request.job.outputs {
            let from = self.candidate.tree.place().join(&output.name);
            let to = request.root.join(&output.name);
            let copied = match from.symlink_metadata() {
                Ok(found) if found.is_file() => replace(&from, &to),
                Ok(_) => Err(io::Error::other("it is not a plain file")),
                Err(e) => Err(e),
            };
            copied.map_err(|e| {
                let name = &output.name;
                if e.kind() == io::ErrorKind::NotFound {
                    let message =
                        format!("it passed, but did not write its declared output {name}");
                    return Failure { class: FailureClass::Failed, message };
                }
                let message = format!("cannot take over its output {name}: {e}");
                Failure { class: FailureClass::Infrastructure, message }
            })?;
        }
        Ok(())
    }

    /// Where what is known of these trees is noted.
    pub(super) fn note(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Where the sides ran, for the artifact.
    pub(super) fn record(&self) -> TreesRecord {
        let root = self.request.root;
        let below = |tree: &Tree| relative(root, Path::new(""), &tree.place().to_string_lossy());
        let is_within = self.home.starts_with(root);
        TreesRecord {
            incumbent: below(&self.incumbent.tree),
            candidate: below(&self.candidate.tree),
            files: self.project.len(),
            place: if is_within {
                "paths of equal length".to_owned()
            } else {
                "paths of equal length outside of the project".to_owned()
            },
        }
    }
}

/// What a comparison reads whatever is ignored: declared inputs, and what is carried.
fn extra(request: &CommandRequest<'_>) -> Vec<PathBuf> {
    let (work, root) = (request.work, request.root);
    let inputs = request.job.inputs.iter().filter(|input| input.kind == Kind::File);
    let inputs = inputs.map(|input| PathBuf::from(&input.name));
    let below = inputs.filter(|name| !name.is_absolute() && !name.starts_with(".optloop"));
    let there = below.filter(|name| root.join(name).symlink_metadata().is_ok());
    let carried =
        work.carry.iter().map(|path| relative(root, &root.join(&request.job.stored.dir), path));
    there.chain(carried.map(PathBuf::from)).collect()
}

/// What the command itself writes: each tree has its own.
fn own(request: &CommandRequest<'_>) -> Vec<PathBuf> {
    let (work, root) = (request.work, request.root);
    let dir = root.join(&request.job.stored.dir);
    let depfile = work.depfile.as_ref().map(|path| relative(root, &dir, path));
    let outputs = request.job.outputs.iter().map(|output| output.name.clone());
    outputs.chain(depfile).map(PathBuf::from).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(e)
        }
        _ => Ok(()),
    }
}

/// Copies a file over another, which is whole at every moment.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let beside = to.with_file_name(format!(".{name}.optloop-new"));
    remove(&beside)?;
    fs::copy(from, &beside).and_then(|_| fs::rename(&beside, to)).inspect_err(|_| {
        drop(fs::remove_file(&beside));
    })
}

/// Names in the project's root and the pipeline's folder that the tree does not have.
fn left_out(request: &CommandRequest<'_>, place: &Path) -> Vec<String> {
    let root = request.root;
    let dir = &request.job.stored.dir;
    let mut names = Vec::new();
    let folders = if dir.is_empty() { vec![""] } else { vec!["", dir.as_str()] };
    for folder in folders {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let name = Path::new(folder).join(entry.file_name());
            let is_own = [".git", ".optloop"].iter().any(|own| name.ends_with(own));
            if !is_own && place.join(&name).symlink_metadata().is_err() {
                names.push(as_written(dir, &name));
            }
        }
    }
    names.sort_unstable();
    names
}

/// A path below the root as the pipeline, in `dir`, names it.
fn as_written(dir: &str, name: &Path) -> String {
    if let Ok(below) = name.strip_prefix(dir) {
        return below.to_string_lossy().into_owned();
    }
    let up = "../".repeat(Path::new(dir).components().count());
    format!("{up}{}", name.display())
}

/// What may be missing in a tree.
fn hint(left_out: &[String]) -> String {
    const SHOWN: usize = 6;
    if left_out.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = left_out.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let more = if left_out.len() > SHOWN { ", …" } else { "" };
    format!(
        "\nit ran in a copy of the project without the files that git ignores; if it needs any of \
         them, name them in the stage: carry = [{}{more}]",
        shown.join(", ")
    )
}

fn sides_failed(request: &CommandRequest<'_>, e: &io::Error) -> Failure {
    if e.kind() == io::ErrorKind::Interrupted && request.ctx.cancel.is_set() {
        return Failure { class: FailureClass::Interrupted, message: "interrupted".to_owned() };
    }
    let message = format!("the copies of the project that both sides run in cannot be made: {e}");
    Failure { class: FailureClass::Infrastructure, message }
}
