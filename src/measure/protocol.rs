//! Looks over rounds: each round is a fresh process that runs a slot of every case.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::estimate::{self, Measurement, Stopped, Taken};
use super::slot::{Again, Loaded, Slot};
use super::stopping;
use super::subject::{Halt, Protocol, SlotEnd, Subject};
use crate::backend::{Fault, Session};

/// Measures by `protocol`; `progress` hears the share of launches that is done.
///
/// Cases come in an order drawn anew for each process, so that a slow drift of the machine touches
/// all alike.
///
/// # Errors
/// The first fault or wrong output; there is no measurement of a wrong kernel.
pub fn measure(
    protocol: &Protocol,
    subject: &mut dyn Subject,
    progress: &dyn Fn(f32, &str),
) -> Result<Measurement, Halt> {
    let mut run = Run::new(protocol, subject, progress);
    let nothing = Fault::Infrastructure { what: "there is nothing to launch".into() };
    let mut latest = Err(Halt::Fault { case: 0, fault: nothing });
    for (look, &total) in protocol.looks.iter().enumerate() {
        let stopped = run.up_to(total)?;
        run.believable()?;
        let mut measurement = run.describe(look)?;
        measurement.stopped = stopped
            .or_else(|| stopping::at_look(protocol, &measurement))
            .or_else(|| stopping::out_of_time(protocol, look, run.subject.elapsed()));
        let over = measurement.stopped.is_some();
        measurement.saved_launches = if over { run.saved() } else { 0 };
        latest = Ok(measurement);
        if over {
            break;
        }
    }
    latest
}

/// A measurement in the making.
struct Run<'a> {
    protocol: &'a Protocol,
    subject: &'a mut dyn Subject,
    progress: &'a dyn Fn(f32, &str),
    labels: Vec<String>,
    cases: Vec<Taken>,
    rng: ChaCha8Rng,
}

impl<'a> Run<'a> {
    fn new(
        protocol: &'a Protocol,
        subject: &'a mut dyn Subject,
        progress: &'a dyn Fn(f32, &str),
    ) -> Self {
        let labels = subject.labels();
        let cases = labels.iter().map(|label| Taken::new(label)).collect();
        let rng = ChaCha8Rng::seed_from_u64(protocol.seed);
        Self { protocol, subject, progress, labels, cases, rng }
    }

    /// Runs rounds until every case has `total` samples, or the kernel is hopelessly slow.
    fn up_to(&mut self, total: u32) -> Result<Option<Stopped>, Halt> {
        while self.missing(total) > 0 {
            self.round(total)?;
            let hopeless = stopping::hopeless(self.protocol, &self.cases);
            if hopeless && self.missing(total) > 0 {
                return Ok(Some(Stopped::GrosslySlow));
            }
        }
        Ok(None)
    }

    fn missing(&self, total: u32) -> u32 {
        self.cases.iter().map(|c| total.saturating_sub(c.samples() as u32)).max().unwrap_or(0)
    }

    /// One fresh process, one slot of every case.
    fn round(&mut self, total: u32) -> Result<(), Halt> {
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        order.shuffle(&mut self.rng);
        let first = order.first().copied().unwrap_or(0);
        let mut session =
            self.subject.start().map_err(|fault| Halt::Fault { case: first, fault })?;
        let done = order.into_iter().try_for_each(|case| self.slot(case, total, &mut *session));
        self.subject.finish(session);
        done
    }

    fn slot(&mut self, case: usize, total: u32, session: &mut dyn Session) -> Result<(), Halt> {
        self.tell(case);
        let have = self.cases[case].samples() as u32;
        let wanted = self.protocol.per_process.max(1).min(total.saturating_sub(have));
        if wanted == 0 {
            return Ok(());
        }
        let mut again = Again::default();
        loop {
            let loaded = self.take(case, wanted, session).map_err(|end| match end {
                SlotEnd::Fault(fault) => Halt::Fault { case, fault },
                SlotEnd::Wrong(report) => Halt::Wrong { case, report },
            })?;
            let counts = again.counts(session.disturbed());
            let counts = counts.map_err(|fault| Halt::Fault { case, fault })?;
            let taken = &mut self.cases[case];
            (taken.looped, taken.ring) = (Some(loaded.looped), loaded.ring);
            taken.timer = session.timer();
            taken.warmups += loaded.warmups;
            if counts {
                taken.processes.push(loaded.samples);
                return Ok(());
            }
            taken.discarded_throttled += loaded.samples.len() as u64;
            self.subject.renew();
        }
    }

    fn take(
        &mut self,
        case: usize,
        wanted: u32,
        session: &mut dyn Session,
    ) -> Result<Loaded, SlotEnd> {
        let slot = Slot {
            case,
            wanted,
            warmup: self.protocol.warmup,
            mode: self.protocol.mode,
            looped: self.cases[case].looped,
            draw: self.rng.next_u64(),
        };
        slot.run(session, self.subject)
    }

    fn tell(&self, case: usize) {
        let last = self.protocol.looks.last().copied().unwrap_or(0) as usize;
        let all = last * self.cases.len();
        let done: usize = self.cases.iter().map(Taken::samples).sum();
        (self.progress)(done as f32 / all.max(1) as f32, &self.labels[case]);
    }

    /// Times that the judge's clock speaks against, in most launches of a case, were made up.
    fn believable(&self) -> Result<(), Halt> {
        let forged = self.cases.iter().position(Taken::is_forged);
        let Some(case) = forged else { return Ok(()) };
        let what = self.cases[case].disbelief();
        Err(Halt::Fault { case, fault: Fault::Cheating { what } })
    }

    fn describe(&self, look: usize) -> Result<Measurement, Halt> {
        let described = estimate::describe(self.protocol.statistic, &self.cases);
        let mut measurement = described.ok_or_else(|| {
            let fault = Fault::Infrastructure { what: "a case has no samples".into() };
            Halt::Fault { case: 0, fault }
        })?;
        measurement.looks_used = look as u32 + 1;
        Ok(measurement)
    }

    /// Samples that stopping now leaves out.
    fn saved(&self) -> u64 {
        let last = u64::from(self.protocol.looks.last().copied().unwrap_or(0));
        self.cases.iter().map(|c| last.saturating_sub(c.samples() as u64)).sum()
    }
}
