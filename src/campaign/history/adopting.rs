//! Another commit of the user's, taken up by a campaign that has begun.

use super::super::epoch::{Epoch, Merged};
use super::super::event::{Adopted, Baseline, Begun, Judgement};
use super::super::misplaced::Misplaced;
use super::{Best, History};

impl History {
    /// Which epoch this is, from 1.
    pub fn epoch(&self) -> u32 {
        self.epochs.len() as u32 + 1
    }

    /// The commit of the best, also while it waits to be judged on an adopted commit; the base before
    /// anything was measured.
    pub fn best_commit(&self) -> Option<&str> {
        let waiting = self.merged.as_ref().filter(|merged| merged.is_waiting());
        let commit = waiting.map(|merged| &merged.commit);
        let best = self.best.as_ref().map(|best| &best.commit);
        commit.or(best).or(self.begun.as_ref().map(|begun| &begun.base)).map(String::as_str)
    }

    /// The first baseline of the epoch that an iteration belongs to.
    pub fn baseline_of(&self, iteration: u32) -> Option<&Baseline> {
        match self.epochs.iter().find(|epoch| iteration <= epoch.until) {
            Some(epoch) => epoch.baseline.as_ref(),
            None => self.baseline.as_ref(),
        }
    }

    /// The last epoch before the present one that has a baseline.
    pub fn measured_before(&self) -> Option<usize> {
        self.epochs.iter().rposition(|epoch| epoch.baseline.is_some()).map(|at| at + 1)
    }

    /// The folder of a campaign in which the artifacts of an iteration lie: each epoch has its own.
    pub fn judge_of(&self, iteration: u32) -> String {
        match self.epochs.iter().position(|epoch| iteration <= epoch.until) {
            Some(at) => format!("epochs/{}", at + 1),
            None => "judge".to_owned(),
        }
    }

    pub(super) fn adopt(&mut self, adopted: &Adopted) -> Result<(), Misplaced> {
        if let Some(open) = self.open_iteration() {
            return Err(Misplaced::StillOpen(open.number));
        }
        if adopted.epoch != self.epoch() + 1 {
            return Err(Misplaced::Epoch { found: adopted.epoch, last: self.epoch() });
        }
        let iteration = match (&self.merged, &self.best) {
            (Some(merged), _) if merged.is_waiting() => merged.iteration,
            (_, best) => best.as_ref().map_or(0, |best| best.iteration),
        };
        let begun = self.begun.as_mut().ok_or(Misplaced::NotBegun)?;
        let next = Begun {
            base: adopted.base.clone(),
            head: Some(adopted.head.clone()),
            ancestry: adopted.ancestry.clone(),
            carry: adopted.carry.clone(),
            ..begun.clone()
        };
        let begun = std::mem::replace(begun, next);
        let judging_s = self.merged.as_ref().and_then(|merged| merged.judgement.as_ref());
        self.epochs.push(Epoch {
            begun,
            baseline: self.baseline.take(),
            until: self.next_number() - 1,
            judging_s: judging_s.map_or(0.0, |judged| judged.seconds),
        });
        self.best = None;
        self.moved = None;
        self.anchor = None;
        self.unanchored = 0;
        self.is_anchor_wanted = false;
        self.merged = (adopted.merged != adopted.base).then(|| Merged {
            commit: adopted.merged.clone(),
            iteration,
            judgement: None,
            is_kept: false,
        });
        Ok(())
    }

    pub(super) fn judge_merged(&mut self, judgement: &Judgement) -> Result<(), Misplaced> {
        let merged = self.merged.as_mut().filter(|merged| merged.judgement.is_none());
        let merged = merged.filter(|_| self.best.is_some()).ok_or(Misplaced::NothingMerged)?;
        merged.judgement = Some(judgement.clone());
        Ok(())
    }

    pub(super) fn keep_merged(&mut self) -> Result<(), Misplaced> {
        let merged = self.merged.as_mut().filter(|merged| merged.is_better() && !merged.is_kept);
        let merged = merged.ok_or(Misplaced::NothingMerged)?;
        let value = merged.judgement.as_ref().and_then(|judged| judged.value);
        merged.is_kept = true;
        self.best = Some(Best {
            iteration: merged.iteration,
            commit: merged.commit.clone(),
            value: value.ok_or(Misplaced::NothingToKeep)?,
            confirmations: 0,
            is_refuted: false,
        });
        // A branch and a command of the user's know the changes on the commit before.
        self.announced = 0;
        self.is_anchor_wanted = true;
        Ok(())
    }

    /// How long earlier baselines and merged changes kept the device, s.
    pub(super) fn adopting_s(&self) -> f64 {
        let before = self.epochs.iter().map(|epoch| {
            epoch.judging_s + epoch.baseline.as_ref().map_or(0.0, |baseline| baseline.seconds)
        });
        let judged = self.merged.as_ref().and_then(|merged| merged.judgement.as_ref());
        before.sum::<f64>() + judged.map_or(0.0, |judged| judged.seconds)
    }
}
