//! What `[compute]` means.

use regex::Regex;

use super::{Checker, Compute, DeviceCheck};
use crate::campaign::file::{CampaignFile, ComputeFile, ComputePreset};
use crate::diagnostic::Spanned;
use crate::host::Launcher;

const IMAGE: &str = "python:3.12-slim";
const NETWORK: &str = "none";

/// A container that reads the project, writes to one folder, and reaches nothing else. It has no
/// limits of its own: numbers are to be those of the machine.
fn docker(image: &str, network: &str) -> Vec<String> {
    let words = [
        "docker",
        "run",
        "--rm",
        "--init",
        "--user",
        "{user}",
        "--network",
        network,
        "--tmpfs",
        "/tmp:rw,exec,size=256m",
        "--volume",
        "{tree}:{tree}:ro",
        "--volume",
        "{scratch}:{scratch}",
        "--workdir",
        "{cwd}",
        "{env}",
        image,
    ];
    words.map(str::to_owned).to_vec()
}

impl Checker<'_> {
    pub(super) fn compute(&mut self, file: &CampaignFile) -> Compute {
        let Some(file) = &file.compute else { return Compute::default() };
        let preset = file.preset.as_ref().map(|preset| preset.value);
        if let (Some(preset), Some(_)) = (&file.preset, &file.run) {
            let label = "leave out `use` or `run`";
            self.tell("conflict", "a preset and a command of your own", &preset.span, label);
        }
        let is_docker = preset == Some(ComputePreset::Docker);
        if !is_docker {
            for key in [&file.image, &file.network].into_iter().flatten() {
                let label = "only use = \"docker\" has it: leave this out";
                self.tell("no-effect", "this key has no effect here", &key.span, label);
            }
        }
        for words in [&file.run, &file.check, &file.device_command].into_iter().flatten() {
            if words.is_empty() {
                self.tell("empty", "a command is empty", &words.span, "a list of words");
            }
        }
        let text = |key: &Option<Spanned<String>>| key.as_ref().map(|key| key.value.clone());
        let launcher = match &file.run {
            Some(run) => self.placed(run),
            None if is_docker => {
                let image = text(&file.image).unwrap_or(IMAGE.to_owned());
                docker(&image, &text(&file.network).unwrap_or(NETWORK.to_owned()))
            }
            None => Vec::new(),
        };
        let usual =
            if is_docker { vec!["docker".to_owned(), "info".to_owned()] } else { Vec::new() };
        let check = file.check.as_ref().map_or(usual, |check| check.value.clone());
        Compute { launcher, check, device: self.device(file) }
    }

    fn placed(&mut self, run: &Spanned<Vec<String>>) -> Vec<String> {
        if let Some(wrong) = run.iter().find_map(|word| Launcher::mistake(word)) {
            let what = format!("`{wrong}` stands for nothing");
            let label = "{tree}, {cwd}, {scratch}, {user}, or a word {env}";
            self.tell("bad-name", &what, &run.span, label);
        }
        run.value.clone()
    }

    fn device(&mut self, file: &ComputeFile) -> Option<DeviceCheck> {
        match (&file.device, &file.device_command) {
            (Some(device), Some(command)) => match Regex::new(device) {
                Ok(wanted) => Some(DeviceCheck { wanted, command: command.value.clone() }),
                Err(error) => {
                    let label = error.to_string();
                    self.tell("bad-regex", "this is no regular expression", &device.span, &label);
                    None
                }
            },
            (None, None) => None,
            (Some(device), None) => {
                let label = "`device_command` says what is there: it is required beside this";
                self.tell("missing-key", "nothing names the device", &device.span, label);
                None
            }
            (None, Some(command)) => {
                let label = "write device = \"…\" beside it, or leave this out";
                self.tell("no-effect", "this key has no effect here", &command.span, label);
                None
            }
        }
    }
}
