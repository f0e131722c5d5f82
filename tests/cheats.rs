//! The complete list of known ways to cheat, and what becomes of each: every kernel is built once,
//! judged on fresh inputs, and refused in its class; with `OPTLOOP_TRIALS=3`, as in CI, three times
//! in a row. Kernels that are odd and honest pass as often.
//!
//! What is known of cheating on kernel benchmarks, and where it is tried:
//!
//! | the cheat | tried in |
//! | --- | --- |
//! | results remembered by pointer, shape, a few elements, a hash, or the whole content | `answers::kernels_that_remember_are_refused` |
//! | right while it is checked and cheap later; every second launch; from launch 40 on | `answers::kernels_that_are_right_on_some_launches_only_are_wrong` |
//! | warm-up detected, or cut short by sleeping | the same |
//! | output not written, zeros or the last result relied on, constants, NaN, part of the work, fewer bits | `answers::kernels_that_skip_work_are_wrong` |
//! | work skipped where the output still holds the right result | `answers::kernels_that_find_their_own_result_compute_nevertheless` |
//! | results forged in what is printed | the same |
//! | results forged where the worker answers | `outside::closed_descriptors_are_noticed`, `clock::answers_before_the_work_is_done_are_wrong` |
//! | inputs changed so that the reference agrees; one element too many written or read | `leaving::one_element_too_many_is_found_on_either_side` |
//! | the worker ended before it is judged, as if nothing were wrong, or as if the machine were | `leaving::crashes_and_exits_are_told_apart_from_wrong_results` |
//! | the worker made to hang, or the machine's memory eaten up | `leaving::kernels_that_never_come_back_are_ended_in_time`, `leaving::memory_without_end_is_a_crash` |
//! | the clock patched in the system's library or in the worker | `clock::a_clock_that_is_made_slow_is_contradicted_or_does_not_pay` |
//! | the clock shadowed by a function of its name | `clock::a_clock_of_its_own_deceives_only_itself` |
//! | measured durations written over | `clock::durations_that_are_written_over_are_contradicted` |
//! | work left to a thread that the clock does not see | `clock::work_that_is_finished_later_is_refused` |
//! | work left to another process or program; things compiled at run time | `outside::other_processes_and_the_network_are_out_of_reach` |
//! | judge killed, traced, its memory read; network; shared memory | the same |
//! | priority or place on the machine changed | `outside::priorities_are_out_of_reach` |
//! | descriptors closed | `outside::closed_descriptors_are_noticed` |
//! | the reference called, its source read, its file rewritten | `outside::answers_are_not_to_be_had_from_files` |
//! | answers carried from process to process in files | `outside::no_file_carries_answers_from_process_to_process` |
//!
//! Tried elsewhere, because they need more than one kernel: problems whose check is passed by zeros,
//! constants, copies and stale answers, hold-out cases, sanitizers (`tests/workers.rs`); a stopped
//! worker that lets itself go on, nonsense in shared memory (`tests/session.rs`); times under what
//! the machine can do, edited harnesses, lucky noise (the engine's and the record's own tests).
//!
//! A test binary of its own: here the library lives in the test process and takes its orphans,
//! which must not happen to programs that other tests start.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a helper of tests stops at the first surprise, compilers need a PATH, and what was seen is told"
)]

#[path = "cheats/answers.rs"]
mod answers;
#[path = "cheats/clock.rs"]
mod clock;
#[path = "cheats/court.rs"]
mod court;
#[path = "cheats/honest.rs"]
mod honest;
#[path = "cheats/leaving.rs"]
mod leaving;
#[path = "cheats/outside.rs"]
mod outside;
mod stages;
