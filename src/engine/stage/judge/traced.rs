//! A session whose every step is written to the trace: see [`crate::process::trace`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{Argument, Fault, Grid, LaunchLimit, Launched, Order, Session, Shelf, Timer};
use crate::process::trace;
use crate::verify::{Dtype, Tolerance};

/// A session under a number of its own.
struct Traced {
    inner: Box<dyn Session>,
    number: u64,
}

/// The session as it is, or with its steps traced when tracing is on.
pub(super) fn traced(inner: Box<dyn Session>) -> Box<dyn Session> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    if trace::file().is_none() {
        return inner;
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Box::new(Traced { inner, number })
}

/// Starts a worker between two lines of the trace.
pub(super) fn started<T>(
    kernel: fmt::Arguments<'_>,
    start: impl FnOnce() -> Result<T, Fault>,
    words: impl FnOnce(&T) -> String,
) -> Result<T, Fault> {
    trace::note(|| format!("worker for {kernel}: starting"));
    let since = Instant::now();
    let result = start();
    trace::note(|| {
        let took = since.elapsed();
        match &result {
            Ok(worker) => format!("worker for {kernel}: {} after {took:.1?}", words(worker)),
            Err(fault) => format!("worker for {kernel}: {fault} after {took:.1?}"),
        }
    });
    result
}

impl Traced {
    /// One step, between a line before it, for it may not come back, and one with what came of it.
    fn step<T>(
        &mut self,
        what: fmt::Arguments<'_>,
        go: impl FnOnce(&mut dyn Session) -> Result<T, Fault>,
        words: impl FnOnce(&T) -> String,
    ) -> Result<T, Fault> {
        let number = self.number;
        trace::note(|| format!("session {number}: {what}"));
        let since = Instant::now();
        let result = go(&mut *self.inner);
        trace::note(|| {
            let took = since.elapsed();
            match &result {
                Ok(value) => format!("session {number}: {} after {took:.1?}", words(value)),
                Err(fault) => format!("session {number}: {fault} after {took:.1?}"),
            }
        });
        result
    }
}

/// What came of a step that only has to end.
fn done<T>(_: &T) -> String {
    "done".to_owned()
}

impl Session for Traced {
    fn shape(&mut self, grid: Grid) {
        self.inner.shape(grid);
    }

    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        self.step(format_args!("load {} sets", sets.len()), |inner| inner.load(sets), done)
    }

    fn load_shared(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        number: u64,
        shelf: &mut Shelf,
    ) -> Result<(), Fault> {
        let what = format_args!("load {} sets, number {number} of the shelf", sets.len());
        self.step(what, |inner| inner.load_shared(sets, number, shelf), done)
    }

    fn unload(&mut self) {
        self.inner.unload();
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        let Order { first, count, mode } = order;
        let what = format_args!("launch {count} from set {first}, {}", mode.name());
        self.step(
            what,
            |inner| inner.launch(order),
            |launched| {
                let Launched { reported_ns, judged_ns, at_least_ns } = launched;
                format!("reported {reported_ns} ns, judged {at_least_ns} to {judged_ns} ns,")
            },
        )
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        self.step(format_args!("read set {set}"), |inner| inner.outputs(set), done)
    }

    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        self.step(format_args!("read set {set}"), |inner| inner.outputs_into(set, into), done)
    }

    fn outputs_in_parts(
        &mut self,
        set: u32,
        bytes: usize,
        look: &(dyn Fn(usize, usize, &[u8]) + Sync),
    ) -> Result<(), Fault> {
        let what = format_args!("read set {set} in parts of {bytes} bytes");
        self.step(what, |inner| inner.outputs_in_parts(set, bytes, look), done)
    }

    fn agrees(
        &mut self,
        set: u32,
        want: &[Vec<u8>],
        like: &[(Dtype, Tolerance)],
    ) -> Result<Option<bool>, Fault> {
        let what = format_args!("compare set {set} where it lies");
        self.step(what, |inner| inner.agrees(set, want, like), |agrees| format!("{agrees:?}"))
    }

    fn disturbed(&mut self) -> Option<String> {
        self.inner.disturbed()
    }

    fn reread(&mut self, set: u32, pause: Duration) -> Result<Vec<Vec<u8>>, Fault> {
        let what = format_args!("go on for {pause:.1?} and read set {set} again");
        self.step(what, |inner| inner.reread(set, pause), done)
    }

    fn pause(&mut self) -> Result<(), Fault> {
        self.step(format_args!("stand still"), |inner| inner.pause(), done)
    }

    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.inner.limit(launch);
    }

    fn timer(&self) -> Timer {
        self.inner.timer()
    }

    fn finish(&mut self) -> Vec<u8> {
        let number = self.number;
        trace::note(|| format!("session {number}: finish"));
        self.inner.finish()
    }
}
