//! What each variant of a stage does.

use std::collections::BTreeMap;

use super::file::{Kind, StageFile};
use super::matrix::{self, Point};
use super::resolve::Resolver;
use super::values::{MetricFile, OneOrMany, Scalar};
use super::variables::{Quoting, Scope};
use super::{
    BenchWork, CacheMode, CheckWork, Clocks, CommandMetric, CommandWork, Direction, Incumbent,
    Limits, Purpose, Reuse, RuleWork, Run, SandboxMode, Stage, Variant, Work,
};
use crate::diagnostic::{Entries, Spanned};

/// What holds where neither stage, preset nor pipeline says otherwise.
mod default {
    pub(super) const REPEATS: [u32; 8] = [4, 8, 12, 16, 24, 32, 48, 64];
    pub(super) const RETRIES: u32 = 1;
    pub(super) const GRACE_MS: u64 = 2000;
    pub(super) const KERNEL_TIMEOUT_MS: u64 = 60_000;
    pub(super) const LAUNCHES: u32 = 2;
    pub(super) const ENDURANCE: u32 = 64;
    pub(super) const WARMUP: u32 = 3;
}

/// A variant being made.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a StageFile,
    pub(super) point: &'a Point,
    pub(super) limits: Limits,
}

impl<'a> Making<'a> {
    pub(super) fn scope(self) -> Scope<'a> {
        let matrix = &self.point.values;
        Scope { stage: Some(self.name), matrix, quoting: Quoting::Plain }
    }
}

impl Resolver<'_> {
    /// The stage with its variants; needs and condition come later.
    pub(super) fn stage(
        &mut self,
        name: &Spanned<String>,
        file: &StageFile,
        kind: Kind,
        preset: Option<String>,
    ) -> Stage {
        self.fitting_keys(name, file, kind);
        if kind != Kind::Command {
            self.need_kernel(name, kind);
        }
        let limits = self.limits(file, kind);
        let points = matrix::points(file.matrix.as_ref(), &mut self.findings);
        self.claims.stage();
        let mut variants = Vec::with_capacity(points.len());
        for point in &points {
            self.claims.variant(&point.label);
            let making = Making { name, file, point, limits };
            let work = match kind {
                Kind::Command => Work::Command(self.command(name, making)),
                Kind::Check => Work::Check(self.check(making)),
                Kind::Bench => Work::Bench(self.bench(making)),
            };
            variants.push(Variant { label: point.label.clone(), work });
        }
        Stage {
            name: name.value.clone(),
            span: name.span.clone(),
            preset,
            needs: Vec::new(),
            when: None,
            best_by: best_by(&variants),
            variants,
        }
    }

    fn limits(&mut self, file: &StageFile, kind: Kind) -> Limits {
        let otherwise = if kind == Kind::Command { 0 } else { default::KERNEL_TIMEOUT_MS };
        Limits {
            timeout_ms: self.findings.timeout(file.timeout.as_ref(), otherwise),
            grace_ms: self.findings.duration("grace", file.grace.as_ref(), default::GRACE_MS),
            retries: file.retries.as_ref().map_or(default::RETRIES, |retries| retries.value),
        }
    }

    fn command(&mut self, name: &Spanned<String>, making: Making<'_>) -> CommandWork {
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

    /// A command as it stands under `key`.
    fn command_line(&mut self, key: &str, written: &OneOrMany<String>, making: Making<'_>) -> Run {
        let nothing = |span: &std::ops::Range<usize>, resolver: &mut Self| {
            let help = "write the program and its arguments, or a line for the shell";
            resolver
                .findings
                .at("empty", format!("`{key}` must not be empty"), span, "nothing to run")
                .help(help);
        };
        match written {
            OneOrMany::One(line) => {
                let scope = Scope { quoting: Quoting::Shell, ..making.scope() };
                if line.trim().is_empty() {
                    nothing(&line.span, self);
                }
                Run::Shell(self.variables.expand(line, scope, &mut self.findings))
            }
            OneOrMany::Many(words) => {
                let argv = self.variables.expand_all(words, making.scope(), &mut self.findings);
                if words.first().is_none_or(|program| program.trim().is_empty()) {
                    nothing(&words.span, self);
                }
                Run::Argv(argv.into_iter().map(|word| word.value).collect())
            }
        }
    }

    pub(super) fn expand_list(
        &mut self,
        list: Option<&super::file::Strings>,
        scope: Scope<'_>,
    ) -> Vec<Spanned<String>> {
        let Some(list) = list else { return Vec::new() };
        self.variables.expand_all(list, scope, &mut self.findings)
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

    fn check(&mut self, making: Making<'_>) -> CheckWork {
        CheckWork {
            compile: self.compile(making),
            launches: making.file.launches.as_ref().map_or(default::LAUNCHES, |count| count.value),
            endurance: making.file.endurance.as_ref().map_or(default::ENDURANCE, |n| n.value),
            sanitize: making.file.sanitize.as_ref().is_none_or(|sanitize| sanitize.value),
            sandbox: sandbox(making.file),
            limits: making.limits,
        }
    }

    fn bench(&mut self, making: Making<'_>) -> BenchWork {
        let Making { file, limits, .. } = making;
        BenchWork {
            purpose: file.purpose.as_ref().map_or(Purpose::Candidate, |purpose| purpose.value),
            compile: self.compile(making),
            repeats: self.repeats(making),
            warmup: file.warmup.as_ref().map_or(default::WARMUP, |warmup| warmup.value),
            early_stop_us: file.early_stop_us.as_ref().map(|limit| limit.value),
            precision: file.precision.as_ref().map(|share| share.value),
            mode: file.mode.as_ref().map_or(CacheMode::Hot, |mode| mode.value),
            clocks: self.clocks(file),
            sandbox: sandbox(file),
            telemetry: (file.telemetry.as_ref())
                .map(|written| self.command_line("telemetry", written, making)),
            metric: self.bench_metric(file),
            incumbent: self.bench_incumbent(making),
            rule: self.rule(making),
            limits,
            cache: file.cache.as_ref().is_none_or(|cache| cache.value),
        }
    }

    fn clocks(&mut self, file: &StageFile) -> Clocks {
        let Some(clocks) = &file.clocks else { return Clocks::AsIs };
        if clocks.value == Clocks::Lock && self.runs_on_a_processor() {
            let help = "a processor's is set for the whole machine: \
                        `sudo cpupower frequency-set -g performance`";
            self.findings
                .at(
                    "misplaced-key",
                    "only a CUDA device's clock can be locked",
                    &clocks.span,
                    "the kernel runs on a processor",
                )
                .help(help);
        }
        clocks.value
    }

    fn rule(&mut self, making: Making<'_>) -> RuleWork {
        let looks = self.repeats(making).len();
        self.findings.rule(making.file.rule.as_deref(), looks)
    }

    /// Scoring and confirming compare with the best; points of a matrix are compared with each
    /// other.
    fn bench_incumbent(&mut self, making: Making<'_>) -> Incumbent {
        let file = making.file;
        if let Some(written) = &file.incumbent {
            return self.incumbent(written, making);
        }
        let purpose = file.purpose.as_ref().map_or(Purpose::Candidate, |purpose| purpose.value);
        let scores = matches!(purpose, Purpose::Candidate | Purpose::Final);
        if scores && making.point.label.is_empty() { Incumbent::Best } else { Incumbent::None }
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

    fn incumbent(&mut self, written: &Spanned<String>, making: Making<'_>) -> Incumbent {
        let text = self.variables.expand(written, making.scope(), &mut self.findings);
        let incumbent = self.findings.incumbent(&Spanned::new(text, written.span.clone()));
        if let Incumbent::File(path) = &incumbent {
            self.must_exist("incumbent", path, &written.span);
            self.claims.fixed("incumbent", path, &written.span);
        }
        incumbent
    }

    fn repeats(&mut self, making: Making<'_>) -> Vec<u32> {
        if let Some(looks) = &making.point.repeats {
            let placed = looks.iter().map(|look| Spanned::new(*look, looks.span.clone()));
            self.findings.repeats(&placed.collect::<Vec<_>>(), &looks.span);
            return looks.value.clone();
        }
        let Some(repeats) = &making.file.repeats else {
            return default::REPEATS.to_vec();
        };
        self.findings.repeats(repeats.as_slice(), &repeats.span());
        repeats.as_slice().iter().map(|look| look.value).collect()
    }

    fn bench_metric(&mut self, file: &StageFile) -> String {
        match file.metric.as_ref().map(|metric| (&metric.value, &metric.span)) {
            Some((MetricFile::Named(name), _)) => name.clone(),
            Some((MetricFile::Printed(_), span)) => {
                let names = super::values::BENCH_METRICS.join(", ");
                let message = "a measuring stage prints nothing to read a metric from";
                self.findings
                    .at("bad-metric", message, span, "expected a name")
                    .help(format!("one of: {names}"));
                "median_us".to_owned()
            }
            None => "median_us".to_owned(),
        }
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

fn sandbox(file: &StageFile) -> SandboxMode {
    file.sandbox.as_ref().map_or(SandboxMode::Auto, |mode| mode.value)
}

/// The number that says which variant is best.
fn best_by(variants: &[Variant]) -> (String, Direction) {
    match variants.first().map(|variant| &variant.work) {
        Some(Work::Bench(bench)) => (bench.metric.clone(), Direction::Lower),
        Some(Work::Command(CommandWork { metric: Some(metric), .. })) => {
            (metric.name.clone(), metric.better)
        }
        _ => ("seconds".to_owned(), Direction::Lower),
    }
}
