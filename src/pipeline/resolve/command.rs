//! Stages that run a command.

use std::collections::BTreeMap;

use super::resolver::Resolver;
use super::stage::Making;
use crate::diagnostic::{Entries, Spanned};
use crate::pipeline::file::StageFile;
use crate::pipeline::values::{MetricFile, Scalar};
use crate::pipeline::variables::Scope;
use crate::pipeline::{CommandMetric, CommandWork, Incumbent, Purpose, Reuse, Run};

impl Resolver<'_> {
    pub(super) fn command(&mut self, name: &Spanned<String>, making: Making<'_>) -> CommandWork {
        let Making { file, limits, .. } = making;
        let scope = making.scope();
        let inputs = self.expand_list(file.inputs.as_ref(), scope);
        let outputs = self.expand_list(file.outputs.as_ref(), scope);
        for input in &inputs {
            self.claims.input(input);
        }
        for output in &outputs {
            self.claims.output(output);
        }
        let depfile = file.depfile.as_ref();
        CommandWork {
            run: self.run(name, making),
            inputs: inputs.into_iter().map(|input| input.value).collect(),
            outputs: outputs.into_iter().map(|output| output.value).collect(),
            env: self.env(file.env.as_deref(), scope),
            pass_env: self.pass_env(file),
            depfile: depfile.map(|path| self.variables.expand(path, scope, &mut self.findings)),
            metric: self.command_metric(file),
            limits,
            cache: reuse(file),
            exclusive: file.exclusive.as_ref().map_or(file.metric.is_some(), |alone| alone.value),
            salt: file.salt.as_ref().map_or_else(String::new, |salt| {
                self.variables.expand(salt, scope, &mut self.findings)
            }),
            purpose: self.command_purpose(name, file),
            incumbent: self.command_incumbent(making),
            repeats: self.repeats(making),
            rule: self.rule(making),
            carry: self.carry(making),
            kernel: Vec::new(),
            opponent: None,
        }
    }

    fn run(&mut self, name: &Spanned<String>, making: Making<'_>) -> Run {
        let Some(written) = &making.file.run else {
            let message = format!("command stage `{}` has no `run`", name.value);
            self.findings.at("missing-key", message, &name.span, "`run` is required here");
            return Run::Shell(String::new());
        };
        self.command_line("run", written, making)
    }

    fn env(
        &mut self,
        env: Option<&Entries<Spanned<Scalar>>>,
        scope: Scope<'_>,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (name, value) in env.into_iter().flatten() {
            self.env_name(name);
            let text = Spanned::new(value.0.clone(), value.span.clone());
            let text = self.variables.expand(&text, scope, &mut self.findings);
            all.insert(name.value.clone(), text);
        }
        all
    }

    fn pass_env(&mut self, file: &StageFile) -> Vec<String> {
        let names = file.pass_env.as_ref().map_or(&[][..], |names| names.value.as_slice());
        for name in names {
            self.env_name(name);
            let given = file.env.as_ref().and_then(|env| {
                env.iter().find(|(given, _)| given.value == name.value).map(|(given, _)| given)
            });
            if let Some(given) = given {
                let message = format!("`{}` is both set and passed on", name.value);
                self.findings
                    .at("duplicate-name", message, &name.span, "passed on here")
                    .and(&given.span, "set here");
            }
        }
        names.iter().map(|name| name.value.clone()).collect()
    }

    fn env_name(&mut self, name: &Spanned<String>) {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("bad environment name `{}`", name.escape_debug());
            let label = if name.is_empty() { "an empty name" } else { "not a name" };
            let help = "a name has no `=`: write env = { NAME = \"value\" }";
            self.findings.at("bad-name", message, &name.span, label).help(help);
        }
    }

    fn command_metric(&mut self, file: &StageFile) -> Option<CommandMetric> {
        let metric = file.metric.as_ref()?;
        match &metric.value {
            MetricFile::Printed(printed) => {
                Some(self.printed_metric(printed, &Spanned::new((), metric.span.clone())))
            }
            MetricFile::Named(name) => {
                let message = format!("a command does not measure `{name}` by itself");
                self.findings
                    .at("bad-metric", message, &metric.span, "expected a table")
                    .help("such as metric = { name = \"score\", regex = 'score: ([0-9.]+)' }");
                None
            }
        }
    }

    /// A confirmation is a question of its own: it is not answered by what was asked before it.
    fn command_purpose(&mut self, name: &Spanned<String>, file: &StageFile) -> Purpose {
        let confirms = Purpose::of_command(name);
        let Some(written) = &file.purpose else { return confirms };
        let is_known = matches!(written.value, Purpose::Candidate | Purpose::Final);
        if file.metric.is_none() || !is_known {
            let label = if is_known { "without a metric" } else { "not of a command" };
            self.findings
                .at("misplaced-key", "`purpose` does not fit this command", &written.span, label)
                .help("a command with a `metric` is \"candidate\" or, to ask once more, \"final\"");
        }
        written.value
    }

    fn carry(&mut self, making: Making<'_>) -> Vec<String> {
        let paths = self.expand_list(making.file.carry.as_ref(), making.scope());
        for path in &paths {
            self.must_exist("carried path", path, &path.span);
        }
        paths.into_iter().map(|path| path.value).collect()
    }

    fn command_incumbent(&mut self, making: Making<'_>) -> Incumbent {
        let Some(written) = &making.file.incumbent else {
            let repeats = making.file.repeats.as_ref().map(|r| ("repeats", r.span()));
            let rule = making.file.rule.as_ref().map(|r| ("rule", r.span.clone()));
            let carry = making.file.carry.as_ref().map(|c| ("carry", c.span.clone()));
            for (key, span) in repeats.into_iter().chain(rule).chain(carry) {
                let message = format!("`{key}` is about comparing, and this command does not");
                self.findings
                    .at("misplaced-key", message, &span, "without an incumbent")
                    .help("add incumbent = \"best\", or remove it");
            }
            return Incumbent::None;
        };
        let incumbent = self.incumbent(written, making);
        if incumbent != Incumbent::None && making.file.metric.is_none() {
            let message = "without a `metric` there is nothing to compare";
            self.findings
                .at("missing-key", message, &written.span, "compared by what?")
                .help("add metric = { name = \"cycles\", regex = 'cycles: ([0-9]+)' }");
        }
        if incumbent != Incumbent::None
            && making.file.metric.is_some()
            && self.kernel_span.is_none()
        {
            let message = "without a `kernel` both sides would be the same";
            self.findings
                .at("missing-kernel", message, &written.span, "what differs from the incumbent?")
                .help("name the file that changes, at the top: kernel = \"src/kernel.py\"");
        }
        incumbent
    }
}

/// A command that names no inputs could read anything; an empty list says that it reads nothing.
fn reuse(file: &StageFile) -> Reuse {
    let declares = file.inputs.is_some() || file.depfile.is_some();
    match file.cache.as_ref().map(|cache| cache.value) {
        Some(true) => Reuse::Yes,
        Some(false) => Reuse::No,
        None if declares => Reuse::Yes,
        None => Reuse::Unsure,
    }
}
