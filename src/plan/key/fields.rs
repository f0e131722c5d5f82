//! The fields of definitions, each under its name.
//!
//! Every definition is taken apart whole: a new field does not compile until somebody says here
//! whether it counts. What is bound to `_` changes how a stage is run and not what comes out of it,
//! or is told by the digest of a binary.

use std::collections::BTreeMap;

use serde::Serialize;

use super::walk::Walk;
use crate::pipeline::{
    BenchWork, CheckWork, Clocks, CommandMetric, CommandWork, CompileWork, Cores, KernelFile,
    MetricSource, Opponent, RuleWork, Run, Target,
};
use crate::plan::{Bench, Best, Check, Compile, Definition, Sources};

/// What has fields that count.
pub(super) trait KeyFields {
    /// Adds them below the name that the walk stands at.
    fn walk(&self, at: &mut Fields<'_>);
}

/// A place in a walk: fields are added below its dotted name.
pub(super) struct Fields<'w> {
    walk: &'w mut Walk,
    name: String,
}

impl<'w> Fields<'w> {
    pub(super) fn new(walk: &'w mut Walk, name: &str) -> Self {
        Self { walk, name: name.to_owned() }
    }

    /// A value under the very name that the walk stands at.
    pub(super) fn value(&mut self, value: &str) {
        self.walk.field(&self.name, value);
    }

    /// With `.key` behind the name.
    pub(super) fn below(&mut self, key: &str, add: impl FnOnce(&mut Self)) {
        let end = self.name.len();
        self.name.push('.');
        self.name.push_str(key);
        add(self);
        self.name.truncate(end);
    }

    pub(super) fn all(&mut self, key: &str, value: &impl KeyFields) {
        self.below(key, |at| value.walk(at));
    }

    /// What is absent has no field.
    pub(super) fn optional(&mut self, key: &str, value: Option<&impl KeyFields>) {
        if let Some(value) = value {
            self.all(key, value);
        }
    }

    /// Each under its position.
    pub(super) fn each(&mut self, key: &str, values: &[impl KeyFields]) {
        if values.is_empty() {
            self.text(key, "[]");
        }
        for (position, value) in values.iter().enumerate() {
            self.all(&format!("{key}[{position}]"), value);
        }
    }

    pub(super) fn map(&mut self, key: &str, values: &BTreeMap<String, String>) {
        self.below(key, |at| values.iter().for_each(|(name, value)| at.text(name, value)));
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.below(key, |at| at.value(value));
    }

    /// Numbers, words of an enum, what may be absent, and lists of such: as JSON, text without its
    /// quotes.
    pub(super) fn plain(&mut self, key: &str, value: &impl Serialize) {
        // Neither maps nor floats that are no numbers get here, which are all that JSON refuses.
        let json = serde_json::to_string(value).unwrap_or_default();
        let bare = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
        self.text(key, bare.unwrap_or(&json));
    }
}

impl KeyFields for Definition {
    fn walk(&self, at: &mut Fields<'_>) {
        match self {
            Self::Command(command) => command.walk(at),
            Self::Compile(compile) => compile.walk(at),
            Self::Check(check) => check.walk(at),
            Self::Bench(bench) => bench.walk(at),
            Self::Best(best) => best.walk(at),
        }
    }
}

impl KeyFields for CommandWork {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self {
            run,
            inputs,
            outputs,
            env,
            pass_env,
            depfile,
            metric,
            limits: _,
            cache: _,
            exclusive: _,
            salt,
            purpose,
            incumbent: _,
            repeats,
            rule,
            carry,
            kernel,
            opponent,
        } = self;
        at.all("run", run);
        at.plain("inputs", inputs);
        at.plain("outputs", outputs);
        at.map("env", env);
        at.plain("pass_env", pass_env);
        at.optional("depfile", depfile.as_ref());
        at.optional("metric", metric.as_ref());
        at.text("salt", salt);
        at.plain("purpose", purpose);
        // How a comparison is made counts where one is made.
        if self.compares() {
            at.plain("repeats", repeats);
            at.all("rule", rule);
            at.plain("carry", carry);
            at.each("kernel", kernel);
            at.optional("opponent", opponent.as_ref());
        }
    }
}

impl KeyFields for Run {
    fn walk(&self, at: &mut Fields<'_>) {
        match self {
            Self::Shell(script) => at.text("Shell", script),
            Self::Argv(argv) => at.plain("Argv", argv),
        }
    }
}

impl KeyFields for CommandMetric {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { name, from, stream, unit, better, scale, deterministic } = self;
        at.text("name", name);
        at.all("from", from);
        at.plain("stream", stream);
        at.plain("unit", unit);
        at.plain("better", better);
        at.plain("scale", scale);
        at.plain("deterministic", deterministic);
    }
}

impl KeyFields for MetricSource {
    fn walk(&self, at: &mut Fields<'_>) {
        match self {
            Self::Regex(pattern) => at.text("Regex", pattern),
            Self::JsonPath(path) => at.text("JsonPath", path),
        }
    }
}

impl KeyFields for KernelFile {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { file, places } = self;
        at.text("file", file);
        at.plain("places", places);
    }
}

impl KeyFields for Opponent {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { kernel, called, measured: _ } = self;
        at.plain("kernel", kernel);
        at.text("called", called);
    }
}

impl KeyFields for RuleWork {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self {
            min_effect,
            gross,
            lower_levels,
            upper_levels,
            confirm,
            confirm_fraction,
            confirm_fewest,
            confirm_threshold,
            discard,
            timed,
            pairs_per_process,
            guard,
            weights,
            budget_ms,
        } = self;
        at.plain("min_effect", min_effect);
        at.plain("gross", gross);
        at.plain("lower_levels", lower_levels);
        at.plain("upper_levels", upper_levels);
        at.plain("confirm", confirm);
        at.plain("confirm_fraction", confirm_fraction);
        at.plain("confirm_fewest", confirm_fewest);
        at.plain("confirm_threshold", confirm_threshold);
        at.plain("discard", discard);
        at.plain("timed", timed);
        at.plain("pairs_per_process", pairs_per_process);
        at.plain("guard", guard);
        at.plain("weights", weights);
        at.plain("budget_ms", budget_ms);
    }
}

impl KeyFields for Compile {
    fn walk(&self, at: &mut Fields<'_>) {
        // The compiler counts by its content.
        let Self { sources, problem, work, compiler: _, include_dirs } = self;
        at.plain("sources", sources);
        at.all("problem", problem);
        at.all("work", work);
        at.plain("include_dirs", include_dirs);
    }
}

impl KeyFields for CompileWork {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { cc, flags, defines, include_dirs, arch, host, layouts, timeout_ms: _ } = self;
        at.text("cc", cc);
        at.plain("flags", flags);
        at.map("defines", defines);
        at.plain("include_dirs", include_dirs);
        at.text("arch", arch);
        at.plain("host", host);
        at.plain("layouts", layouts);
    }
}

impl KeyFields for Sources {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { sources, compiler, flags, defines, include_dirs } = self;
        at.plain("sources", sources);
        at.text("compiler", compiler);
        at.plain("flags", flags);
        at.map("defines", defines);
        at.plain("include_dirs", include_dirs);
    }
}

impl KeyFields for Check {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { problem, work, target, build } = self;
        at.all("problem", problem);
        at.all("work", work);
        target.walk(at);
        at.optional("build", build.as_ref());
    }
}

impl KeyFields for CheckWork {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { compile: _, launches, endurance, sanitize, sandbox, limits: _ } = self;
        at.plain("launches", launches);
        at.plain("endurance", endurance);
        at.plain("sanitize", sanitize);
        at.plain("sandbox", sandbox);
    }
}

impl KeyFields for Bench {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { problem, work, target, build, against: _, measured: _ } = self;
        at.all("problem", problem);
        at.all("work", work);
        target.walk(at);
        at.optional("build", build.as_ref());
    }
}

impl KeyFields for BenchWork {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self {
            purpose,
            compile: _,
            repeats,
            warmup,
            early_stop_us,
            precision,
            mode,
            clocks,
            sandbox,
            telemetry,
            metric,
            incumbent: _,
            rule,
            limits: _,
            cache: _,
        } = self;
        at.plain("purpose", purpose);
        at.plain("repeats", repeats);
        at.plain("warmup", warmup);
        at.plain("early_stop_us", early_stop_us);
        at.plain("precision", precision);
        at.plain("mode", mode);
        if *clocks != Clocks::AsIs {
            at.plain("clocks", clocks);
        }
        at.plain("sandbox", sandbox);
        at.optional("telemetry", telemetry.as_ref());
        at.text("metric", metric);
        at.all("rule", rule);
    }
}

impl KeyFields for Best {
    fn walk(&self, at: &mut Fields<'_>) {
        let Self { by, better } = self;
        at.text("by", by);
        at.plain("better", better);
    }
}

impl KeyFields for Target {
    fn walk(&self, at: &mut Fields<'_>) {
        match self {
            Self::Cpu(Cores::One(core)) => at.below("cores", |at| at.plain("One", core)),
            Self::Cpu(cores) => at.plain("cores", cores),
            Self::Cuda(name) => at.below("target", |at| at.text("Cuda", name)),
        }
    }
}

impl KeyFields for String {
    fn walk(&self, at: &mut Fields<'_>) {
        at.value(self);
    }
}
