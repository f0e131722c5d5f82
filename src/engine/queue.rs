//! Jobs on their way to the threads that perform them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, mpsc};

use super::job::{self, Done, Shared};
use super::subject::Job;

/// Jobs for the threads.
#[derive(Default)]
pub(super) struct Queue {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    bell: Condvar,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.0.push_back(job);
        }
        self.bell.notify_one();
    }

    pub(super) fn close(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.1 = true;
        }
        self.bell.notify_all();
    }

    /// The next job; `None` when there will be no more.
    fn pop(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock().ok()?;
        loop {
            if let Some(job) = jobs.0.pop_front() {
                return Some(job);
            }
            if jobs.1 {
                return None;
            }
            jobs = self.bell.wait(jobs).ok()?;
        }
    }
}

/// Takes jobs until there are no more. A panic is a defect of ours; it must not leave the run
/// waiting for an answer.
pub(super) fn work(queue: &Queue, sender: &mpsc::Sender<Done>, shared: &Shared<'_>) {
    while let Some(job) = queue.pop() {
        // Without a token (cancelled, or make is gone) the job still ends, as interrupted.
        let _token = shared.around.tokens.acquire(shared.around.cancel);
        let (node, name) = (job.node, job.name.clone());
        let perform = std::panic::AssertUnwindSafe(|| job::perform(job, shared));
        let done = std::panic::catch_unwind(perform).unwrap_or_else(|_| Done::defect(node, name));
        if sender.send(done).is_err() {
            return;
        }
    }
}
