//! A command that is run through another one.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::CommandRequest;
use crate::host::Launched;
use crate::pipeline::Run;
use crate::process::{self, CommandSpec};

/// Names to a command the folder that it may write to.
const SCRATCH: &str = "OPTLOOP_SCRATCH";

/// The same command through the host's launcher, where it has one.
pub(super) fn through(request: &CommandRequest<'_>, mut spec: CommandSpec) -> CommandSpec {
    let Some(launcher) = request.ctx.host.launcher() else { return spec };
    let scratch = match request.temporary() {
        Some(temporary) => temporary.to_owned(),
        None => request.ctx.scratch.join("writes"),
    };
    // Where it cannot be made, the command says so.
    drop(std::fs::create_dir_all(&scratch));
    spec.env.push((SCRATCH.into(), scratch.clone().into()));
    let work = request.work;
    let given = work.pass_env.iter().chain(work.env.keys());
    let mut env: Vec<String> = given.cloned().collect();
    env.push(SCRATCH.to_owned());
    let launched = Launched { tree: request.place(), cwd: &spec.dir, scratch: &scratch, env: &env };
    let mut words = launcher.words(launched).into_iter().map(OsString::from);
    let program = words.next().unwrap_or_default();
    let own = match &work.run {
        // Where it lies here says nothing of where it lies there.
        Run::Argv(argv) if !argv[0].contains('/') => argv[0].clone().into(),
        Run::Shell(_) | Run::Argv(_) => spec.program.clone().into_os_string(),
    };
    let args: Vec<OsString> =
        words.chain(std::iter::once(own)).chain(spec.args.iter().cloned()).collect();
    let path = spec.env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new("/usr/bin:/bin"), |(_, value)| value);
    // What is not found is told when it is started.
    let found = process::resolve(&program, &spec.dir, path);
    spec.program = found.unwrap_or_else(|| Path::new(&program).to_owned());
    spec.args = args;
    spec
}
