//! Jobs on their way to the threads that perform them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, mpsc};

use super::job::{self, Done, Shared};
use super::subject::Job;

/// Jobs for the threads.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
    /// A job failed: nothing more may start.
    halted: bool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        if let Ok(mut state) = self.state.lock() {
            state.jobs.push_back(job);
        }
        self.bell.notify_one();
    }

    pub(super) fn close(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.closed = true;
        }
        self.bell.notify_all();
    }

    /// Keeps every job that has not started from starting.
    fn halt(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.halted = true;
        }
    }

    /// Takes back the nodes of jobs that have not started.
    pub(super) fn take_back(&self) -> Vec<u32> {
        let Ok(mut state) = self.state.lock() else { return Vec::new() };
        state.jobs.drain(..).map(|job| job.node).collect()
    }

    /// The next job; `None` when there will be no more.
    fn pop(&self) -> Option<Job> {
        let mut state = self.state.lock().ok()?;
        loop {
            if !state.halted
                && let Some(job) = state.jobs.pop_front()
            {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.bell.wait(state).ok()?;
        }
    }
}

/// Takes jobs until there are no more. A panic is a defect of ours; it must not leave the run
/// waiting for an answer.
pub(super) fn work(queue: &Queue, sender: &mpsc::Sender<Done>, shared: &Shared<'_>) {
    while let Some(job) = queue.pop() {
        // Without a token (cancelled, or make is gone) the job still ends, as interrupted.
        let _token = shared.around.tokens.acquire(shared.around.cancel);
        let (node, name, kind) = (job.node, job.name.clone(), job.stored.definition.kind());
        let perform = std::panic::AssertUnwindSafe(|| job::perform(job, shared));
        let done =
            std::panic::catch_unwind(perform).unwrap_or_else(|_| Done::defect(node, name, kind));
        // Before this thread asks for the next one: it may be there already.
        if !done.finished.outcome.passed() && !shared.options.keep_going {
            queue.halt();
        }
        if sender.send(done).is_err() {
            return;
        }
    }
}
