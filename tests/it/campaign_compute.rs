//! Campaigns whose commands run in containers: over a `docker` that is a script.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::campaign::{commit_all, project};
use super::support::Project;

/// Does what docker would, without a container.
const DOCKER: &str = r#"#!/bin/sh
echo "$@" >> "$HOME/docker.log"
if [ "$1" = info ]; then
    [ ! -e "$HOME/down" ] && exit 0
    echo "Cannot connect to the Docker daemon"; exit 1
fi
while [ "$1" != python:3.12-slim ]; do
    [ "$1" = --workdir ] && dir=$2
    shift
done
shift
cd "$dir" && IN_CONTAINER=yes exec "$@"
"#;

/// A project whose commands succeed in a container alone.
fn contained() -> (Project, String) {
    let project = project();
    project.write("../home/bin/docker", DOCKER);
    let docker = project.path("../home/bin/docker");
    fs::set_permissions(docker, fs::Permissions::from_mode(0o755)).expect("set");
    project.edit("pipeline.toml", "cat ${kernel}", "test $IN_CONTAINER = yes && cat ${kernel}");
    project.write("tests/guard.sh", "test $IN_CONTAINER = yes && echo Ran 2 tests\n");
    project.edit("campaign.toml", "iterations = 20", "iterations = 2");
    project.edit("campaign.toml", "[scope]", "[compute]\nuse = \"docker\"\n[scope]");
    drop(commit_all(&project));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", project.path("../home/bin").display());
    (project, path)
}

#[test]
fn every_measured_command_and_guard_runs_in_a_container_that_reads_the_project_alone() {
    let (project, path) = contained();
    let start = project.args(["loop", "start"]).env("PATH", &path);
    let ran = start.run().code(10);
    drop(ran.says("1: kept: 01-version").says("2: reverted"));
    let log = fs::read_to_string(project.path("../home/docker.log")).expect("it was called");
    let runs: Vec<&str> = log.lines().filter(|line| line.starts_with("run ")).collect();
    let judge = |line: &&&str| line.contains("/judge:ro ");
    assert!(runs.iter().filter(judge).count() >= 3, "baseline and guards: {log}");
    for run in &runs {
        for flag in ["--rm", "--network none", "--tmpfs /tmp:rw,exec,size=256m", ":ro --volume"] {
            assert!(run.contains(flag), "{flag}: {run}");
        }
        assert!(!run.contains("--memory") && !run.contains("--cpus"), "no limits: {run}");
    }
    assert!(log.starts_with("info\n"), "{log}");
    assert!(runs.iter().any(|run| run.ends_with("python:3.12-slim sh tests/guard.sh")), "{log}");
    project.expect_no_processes();
}

#[test]
fn a_daemon_that_is_down_or_another_device_stops_a_campaign_before_anything_is_measured() {
    let (project, path) = contained();
    project.write("../home/down", "");
    let start = || project.args(["loop", "start"]).env("PATH", &path).run();
    let ran = start().code(4).says("`docker info` ended with 1: Cannot connect");
    drop(ran.says("leave [compute] out"));
    fs::remove_file(project.path("../home/down")).expect("removed");
    let keys =
        "use = \"docker\"\ndevice = \"H200\"\ndevice_command = [\"echo\", \"A100 of the lab\"]";
    project.edit("campaign.toml", "use = \"docker\"", keys);
    let ran = start().code(4).says("the device is `A100 of the lab`");
    drop(ran.says("device = \"H200\" wants another one"));
    project.edit("campaign.toml", "A100 of", "H200 of");
    drop(start().code(10).says("1: kept: 01-version"));
}
