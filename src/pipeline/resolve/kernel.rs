//! Stages that check or measure a kernel.

use super::resolver::Resolver;
use super::stage::Making;
use crate::pipeline::file::StageFile;
use crate::pipeline::values::{BENCH_METRICS, MetricFile};
use crate::pipeline::{BenchWork, CacheMode, CheckWork, Clocks, Incumbent, Purpose, SandboxMode};

/// What holds where neither stage, preset nor pipeline says otherwise.
mod default {
    pub(super) const LAUNCHES: u32 = 2;
    pub(super) const ENDURANCE: u32 = 64;
    pub(super) const WARMUP: u32 = 3;
}

impl Resolver<'_> {
    pub(super) fn check(&mut self, making: Making<'_>) -> CheckWork {
        CheckWork {
            compile: self.compile(making),
            launches: making.file.launches.as_ref().map_or(default::LAUNCHES, |count| count.value),
            endurance: making.file.endurance.as_ref().map_or(default::ENDURANCE, |n| n.value),
            sanitize: making.file.sanitize.as_ref().is_none_or(|sanitize| sanitize.value),
            sandbox: sandbox(making.file),
            limits: making.limits,
        }
    }

    pub(super) fn bench(&mut self, making: Making<'_>) -> BenchWork {
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

    fn bench_metric(&mut self, file: &StageFile) -> String {
        match file.metric.as_ref().map(|metric| (&metric.value, &metric.span)) {
            Some((MetricFile::Named(name), _)) => name.clone(),
            Some((MetricFile::Printed(_), span)) => {
                let names = BENCH_METRICS.join(", ");
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

fn sandbox(file: &StageFile) -> SandboxMode {
    file.sandbox.as_ref().map_or(SandboxMode::Auto, |mode| mode.value)
}
