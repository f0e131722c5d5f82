//! The judge's side of one process in which a kernel is ready to be launched.

use std::time::Duration;

use super::allowance::LaunchLimit;
use super::contract::{Argument, Grid, Launched, Order, Timer};
use super::fault::Fault;
use super::link::Shelf;
use crate::verify::{Dtype, Tolerance};

/// The judge's side of one process in which a kernel is ready to be launched.
pub trait Session {
    /// The geometry of the launches of what is loaded next. A processor has none.
    fn shape(&mut self, _grid: Grid) {}

    /// Stages one set of arguments per launch, each with buffers of its own; replaces what was
    /// staged before. Outputs hold random bytes.
    ///
    /// # Errors
    /// The fault that ended the kernel's process, or that the memory is not there.
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault>;

    /// [`Session::load`] of sets that other sessions are given too: what stands on the shelf under
    /// that number is not staged again.
    ///
    /// # Errors
    /// As there.
    fn load_shared(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        _number: u64,
        _shelf: &mut Shelf,
    ) -> Result<(), Fault> {
        self.load(sets)
    }

    /// Forgets what is staged, so that its memory can be used for what comes next.
    fn unload(&mut self) {}

    /// Launches the kernel. `Inout` buffers start from their staged bytes.
    ///
    /// # Errors
    /// What the kernel did instead.
    fn launch(&mut self, order: Order) -> Result<Launched, Fault>;

    /// What a set's launch left in each `Out` and `Inout` buffer, in argument order. The process is
    /// stopped first and stays so until the next launch, so that nothing can be finished later.
    ///
    /// # Errors
    /// That the kernel wrote beside its buffers, or that the memory cannot be read.
    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault>;

    /// [`Session::outputs`] into buffers that are there already.
    ///
    /// # Errors
    /// As there.
    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        *into = self.outputs(set)?;
        Ok(())
    }

    /// [`Session::outputs`] in parts of `bytes` bytes, for outputs that are not to be copied whole:
    /// `look` is called on several threads, with the output's number and where the part begins in it.
    ///
    /// # Errors
    /// As there; what was seen until then proves nothing.
    fn outputs_in_parts(
        &mut self,
        set: u32,
        bytes: usize,
        look: &(dyn Fn(usize, usize, &[u8]) + Sync),
    ) -> Result<(), Fault> {
        for (number, output) in self.outputs(set)?.iter().enumerate() {
            for (part, found) in output.chunks(bytes.max(1)).enumerate() {
                look(number, part * bytes, found);
            }
        }
        Ok(())
    }

    /// Whether all outputs of a set agree with what is wanted, in argument order, each by its type and
    /// tolerance; found out where the outputs lie. `None` where that cannot be done or would prove
    /// nothing: then [`Session::outputs`] tells. A kernel that does not agree is always asked for its
    /// outputs, so that the host's comparison has the last word.
    ///
    /// # Errors
    /// As [`Session::outputs`].
    fn agrees(
        &mut self,
        _set: u32,
        _want: &[Vec<u8>],
        _like: &[(Dtype, Tolerance)],
    ) -> Result<Option<bool>, Fault> {
        Ok(None)
    }

    /// Why what was measured since this was asked last does not count, in a few words: the device
    /// was throttled, say. `None` where all is well or nothing is known.
    fn disturbed(&mut self) -> Option<String> {
        None
    }

    /// Lets the process go on for a pause and then reads again: what differs from
    /// [`Session::outputs`] was written after the launch had returned.
    ///
    /// # Errors
    /// As there.
    fn reread(&mut self, set: u32, _pause: Duration) -> Result<Vec<Vec<u8>>, Fault> {
        self.outputs(set)
    }

    /// Lets the whole process stand still until its next order, so that it takes nothing from
    /// another on its core.
    ///
    /// # Errors
    /// That it cannot be stopped, or has left something running.
    fn pause(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// How long one [`Session::launch`] may take from now on, warm-ups too: what goes on for longer
    /// is ended as [`Fault::Overlong`]. `None`: until the session's
    /// [`Allowance`](super::Allowance) is spent.
    fn limit(&mut self, _launch: Option<LaunchLimit>) {}

    /// The session's clock.
    fn timer(&self) -> Timer;

    /// Ends the kernel's process and gives back what it printed.
    fn finish(&mut self) -> Vec<u8>;
}
