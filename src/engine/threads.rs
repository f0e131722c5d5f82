//! The threads that perform jobs.
//!
//! The thread that ends a job enters its result, hands out what may start then, and takes the next
//! job itself: no other thread has to be woken for that. What is handed out beyond it goes to a
//! thread that waits, or to a new one.

use std::sync::{Condvar, Mutex};
use std::thread::Scope;

use super::error::EngineError;
use super::job::{self, Done};
use super::shared::Shared;
use super::subject::Job;

/// Where jobs come from, and where their results go.
pub(super) trait Work: Send {
    /// Makes jobs of what may start.
    fn hand_out(&mut self) -> Result<(), EngineError>;

    /// The next job that was handed out.
    fn pop(&mut self) -> Option<Job>;

    /// Whether there are more of those.
    fn has_jobs(&self) -> bool;

    /// Enters a result.
    fn take(&mut self, done: Done) -> Result<(), EngineError>;

    /// Whether no job is at work or handed out.
    fn is_over(&self) -> bool;
}

struct Pool<'d, W> {
    state: Mutex<State<W>>,
    handed_out: Condvar,
    shared: &'d Shared<'d>,
    threads: usize,
}

struct State<W> {
    work: W,
    started: usize,
    waiting: usize,
    end: Option<Result<(), EngineError>>,
}

impl<W: Work> State<W> {
    fn hand_out(&mut self) {
        match self.work.hand_out() {
            Err(error) => self.end = Some(Err(error)),
            Ok(()) if self.work.is_over() => self.end = Some(Ok(())),
            Ok(()) => {}
        }
    }
}

/// Performs all that `work` hands out, on at most so many threads, and gives it back.
///
/// # Errors
/// The first of its errors; jobs that are at work are waited for.
pub(super) fn perform_all<W: Work>(
    work: W,
    shared: &Shared<'_>,
    threads: usize,
) -> Result<W, EngineError> {
    let mut state = State { work, started: 1, waiting: 0, end: None };
    state.hand_out();
    let pool = Pool { state: Mutex::new(state), handed_out: Condvar::new(), shared, threads };
    // Not on this thread: orphans become its children, and are recognised by that.
    std::thread::scope(|scope| drop(scope.spawn(|| serve(scope, &pool))));
    // A panic in one of the threads has gone on in this one.
    let state = pool.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.end.unwrap_or(Ok(())).map(|()| state.work)
}

/// What each thread does, to the end of the work.
fn serve<'s, 'd: 's, W: Work + 's>(scope: &'s Scope<'s, '_>, pool: &'s Pool<'d, W>) {
    let Ok(mut state) = pool.state.lock() else { return };
    while state.end.is_none() {
        let Some(job) = state.work.pop() else {
            state.waiting += 1;
            let Ok(woken) = pool.handed_out.wait(state) else { return };
            state = woken;
            state.waiting -= 1;
            continue;
        };
        if state.work.has_jobs() {
            if state.waiting > 0 {
                pool.handed_out.notify_one();
            } else if state.started < pool.threads {
                state.started += 1;
                scope.spawn(move || serve(scope, pool));
            }
        }
        drop(state);
        let done = perform(job, pool.shared);
        match pool.state.lock() {
            Ok(locked) => state = locked,
            Err(_) => return,
        }
        if let Err(error) = state.work.take(done) {
            state.end.get_or_insert(Err(error));
        }
        if state.end.is_none() {
            state.hand_out();
        }
    }
    pool.handed_out.notify_all();
}

/// A panic is a defect of ours; it must not leave the run waiting for an answer.
fn perform(job: Job, shared: &Shared<'_>) -> Done {
    // Without a token (cancelled, or make is gone) the job still ends, as interrupted.
    let _token = shared.around.tokens.acquire(shared.around.cancel);
    let (node, name, kind) = (job.node, job.name.clone(), job.stored.definition.kind());
    let execute = std::panic::AssertUnwindSafe(|| job::execute(job, shared));
    std::panic::catch_unwind(execute).unwrap_or_else(|_| Done::defect(node, name, kind))
}
