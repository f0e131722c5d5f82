//! One kernel in a CUDA worker, with what is staged for it.

use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::super::link::control::{
    STRAY_INPUT, STRAY_INPUTS, STRAY_NONE, STRAY_OUTPUTS, StrayLine,
};
use super::super::link::placement::{Slot, Stride};
use super::super::link::protocol::Reply;
use super::super::{Grid, Mode};
use super::answers::{ANSWER_HEAD, answer_bytes, dtype_of};
use super::arena::{Arena, Content, Refusal, View, Writing, places};
use super::driver::{self, Context, Function, Graph, Memory, Stream};
use super::helpers::Comparison;
use super::kernel::{Kernel, trouble};
use super::tools::Tools;
use crate::verify::Tolerance;

/// What a message says is to be loaded.
pub(super) struct Layout {
    pub(super) grid: Grid,
    pub(super) slots: Vec<Slot>,
    pub(super) sets: u32,
    pub(super) sizes: (Stride, Stride),
}

/// Which sets an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sets {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// What is staged, on the device.
struct Arenas {
    inputs: Arena,
    outputs: Arena,
}

/// One launch's arguments.
struct Set {
    /// A pointer to each value, or the buffer's address for host code.
    pointers: Vec<*mut c_void>,
    /// To, from and how many bytes: `Inout` buffers before a launch.
    restores: Vec<(u64, u64, usize)>,
    buffers: Vec<(u64, u64)>,
    /// What `pointers` point to.
    #[expect(clippy::vec_box, reason = "a value stays in place while the list grows")]
    _values: Vec<Box<[u64; 2]>>,
}

const NOTHING: driver::Error = driver::Error { call: "a launch of nothing", code: 1 };

/// A kernel, and what is staged.
pub(super) struct Seat {
    pub(super) kernel: Kernel,
    loaded: Option<Loaded>,
}

struct Loaded {
    grid: Grid,
    sets: Vec<Set>,
    arenas: Arenas,
    answers: View,
    /// What the inputs added up to when they were staged.
    sums: Vec<u64>,
    slots: Vec<Slot>,
    graph: Option<(Sets, Graph)>,
    /// Something was launched since the zones and inputs were looked at.
    launched: bool,
}

impl Seat {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self { kernel, loaded: None }
    }

    /// Forgets what was staged; its memory is wiped.
    pub(super) fn clear(&mut self) {
        self.loaded = None;
    }

    /// Stages.
    pub(super) fn load(
        &mut self,
        layout: Layout,
        fds: Vec<OwnedFd>,
        tools: &Tools,
    ) -> Result<(), Reply> {
        self.clear();
        if let Some(what) = self.kernel.refuse(&layout.grid, tools.context).map_err(trouble)? {
            return Err(Reply::Refused(what));
        }
        let [inputs, outputs, answers]: [OwnedFd; 3] =
            fds.try_into().map_err(|_| Reply::Failed("segments are missing".into()))?;
        let staged = Loaded::stage(layout, &[inputs, outputs, answers], &self.kernel, tools);
        self.loaded = Some(staged.map_err(|refusal| match refusal {
            Refusal::Driver(error) => trouble(error),
            Refusal::System(error) => Reply::Failed(format!("mapping shared memory: {error}")),
        })?);
        Ok(())
    }

    fn loaded(&mut self) -> driver::Result<&mut Loaded> {
        self.loaded.as_mut().ok_or(NOTHING)
    }

    /// Restores, and brings the caches into the state that is asked for.
    pub(super) fn prepare(&mut self, sets: Sets, mode: Mode, tools: &Tools) -> driver::Result<()> {
        let function = match &self.kernel {
            Kernel::Device { function, .. } => Some(*function),
            Kernel::Host(_) => None,
        };
        let loaded = self.loaded()?;
        let (stream, helpers) = (&tools.stream, &tools.helpers);
        for set in loaded.range(sets)? {
            for &(to, from, bytes) in &set.restores {
                driver::copy(to, from, bytes, stream)?;
            }
        }
        if let (true, Some(function)) = (sets.count > 1, function) {
            loaded.build_graph(sets, function, stream)?;
        }
        match mode {
            Mode::Hot => {
                for set in loaded.range(sets)? {
                    for &(at, bytes) in &set.buffers {
                        helpers.touch(at, bytes, stream)?;
                    }
                }
            }
            Mode::Cold => {
                Context::reset_persisting()?;
                tools.flush.fill(0x5a, stream)?;
            }
        }
        Context::wait()
    }

    /// Enqueues the launches of these sets.
    pub(super) fn launch(&mut self, sets: Sets, stream: &Stream) -> driver::Result<()> {
        let loaded = self.loaded.as_mut().ok_or(NOTHING)?;
        loaded.launched = true;
        if let Some((_, graph)) = loaded.graph.as_ref().filter(|(of, _)| *of == sets) {
            return graph.launch(stream);
        }
        let grid = loaded.grid;
        for set in loaded.range(sets)? {
            self.kernel.launch(&grid, &set.pointers, stream)?;
        }
        Ok(())
    }

    /// Brings a set's outputs back, and says what was written beside buffers or to inputs.
    pub(super) fn collect(
        &mut self,
        set: u32,
        stray: &StrayLine,
        tools: &Tools,
    ) -> driver::Result<()> {
        let loaded = self.loaded()?;
        loaded.look_for_strays(stray, tools)?;
        loaded.arenas.outputs.collect(u64::from(set)).map_err(|e| inside(&e))
    }

    /// How many elements of a set's outputs do not agree with the answers that the judge wrote.
    pub(super) fn agree(
        &mut self,
        set: u32,
        stray: &StrayLine,
        tools: &Tools,
    ) -> driver::Result<u64> {
        let loaded = self.loaded()?;
        loaded.look_for_strays(stray, tools)?;
        loaded.disagreements(u64::from(set), tools)
    }
}

fn inside(refusal: &Refusal) -> driver::Error {
    match refusal {
        Refusal::Driver(error) => *error,
        Refusal::System(_) => driver::Error { call: "a look outside of what is staged", code: 1 },
    }
}

impl Loaded {
    fn stage(
        layout: Layout,
        segments: &[OwnedFd; 3],
        kernel: &Kernel,
        tools: &Tools,
    ) -> Result<Self, Refusal> {
        let Layout { grid, slots, sets: count, sizes } = layout;
        let [inputs, outputs, answers] = segments;
        let (places_in, places_out) = places(&slots);
        let number = u64::from(count);
        let (size_in, size_out) = sizes;
        let view = View::map(inputs, Writing::Never)?;
        let content = Content { size: size_in, sets: number, places: places_in };
        let inputs = Arena::stage(content, view, tools)?;
        let view = View::map(outputs, Writing::ByWorker)?;
        let content = Content { size: size_out, sets: number, places: places_out };
        let outputs = Arena::stage(content, view, tools)?;
        let answers = View::map(answers, Writing::ByJudge)?;
        let sums = inputs.sums(tools)?;
        let arenas = Arenas { inputs, outputs };
        let mut sets = Vec::with_capacity(count as usize);
        for set in 0..number {
            sets.push(Set::of(&slots, set, &arenas, kernel)?);
        }
        Ok(Self { grid, sets, arenas, answers, sums, slots, graph: None, launched: false })
    }

    fn range(&self, of: Sets) -> driver::Result<&[Set]> {
        let end = of.first.checked_add(of.count).map(|end| end as usize);
        let sets = end.and_then(|end| self.sets.get(of.first as usize..end));
        sets.ok_or(driver::Error { call: "a launch of what is not staged", code: 1 })
    }

    fn build_graph(
        &mut self,
        sets: Sets,
        function: Function,
        stream: &Stream,
    ) -> driver::Result<()> {
        if self.graph.as_ref().is_some_and(|(of, _)| *of == sets) {
            return Ok(());
        }
        let launches = self.range(sets)?.iter().map(|set| set.pointers.as_slice());
        let graph = Graph::of(function, &self.grid, launches)?;
        graph.upload(stream)?;
        self.graph = Some((sets, graph));
        Ok(())
    }

    fn look_for_strays(&mut self, stray: &StrayLine, tools: &Tools) -> driver::Result<()> {
        if !std::mem::take(&mut self.launched) {
            return Ok(());
        }
        stray.kind.store(STRAY_NONE, Relaxed);
        let Arenas { inputs, outputs } = &self.arenas;
        for (kind, arena) in [(STRAY_OUTPUTS, outputs), (STRAY_INPUTS, inputs)] {
            if let Some((zone, word, count)) = arena.changed_zones(tools)? {
                stray.place.store(zone as u32, Relaxed);
                stray.word.store(word, Relaxed);
                stray.count.store(count, Relaxed);
                stray.kind.store(kind, Relaxed);
                return Ok(());
            }
        }
        let sums = inputs.sums(tools).map_err(|e| inside(&e))?;
        let changed = sums.iter().zip(&self.sums).position(|(now, then)| now != then);
        if let Some(place) = changed {
            let argument =
                self.slots.iter().enumerate().filter(|(_, slot)| slot.places().0.is_some());
            let argument = argument.map(|(index, _)| index).nth(place).unwrap_or(0);
            stray.place.store(argument as u32, Relaxed);
            stray.kind.store(STRAY_INPUT, Relaxed);
        }
        Ok(())
    }

    /// The answers are on the device only while nothing of the candidate's runs, and are wiped.
    fn disagreements(&self, set: u64, tools: &Tools) -> driver::Result<u64> {
        let (mut disagreements, mut at) = (0, 0);
        for place in self.slots.iter().filter_map(|slot| slot.places().1) {
            let head = self.answers.bytes(at, ANSWER_HEAD).map_err(|e| inside(&e.into()))?;
            let (words, _) = head.as_chunks::<8>();
            let dtype = dtype_of(u64::from_le_bytes(words[0]))?;
            let tolerance = Tolerance {
                rtol: f64::from_le_bytes(words[1]),
                atol: f64::from_le_bytes(words[2]),
                equal_nan: false,
            };
            let want = self.answers.bytes(at + ANSWER_HEAD, place.bytes);
            let want = want.map_err(|e| inside(&e.into()))?;
            let there = Memory::of(want.len())?;
            there.write(there.at, want)?;
            let got = self.arenas.outputs.buffer(place, set).map_err(|e| inside(&e.into()))?;
            let comparison =
                Comparison { got, want: there.at, bytes: place.bytes, dtype, tolerance };
            disagreements += tools.helpers.compare(&comparison, &tools.found, &tools.stream)?;
            at += answer_bytes(place.bytes);
        }
        Ok(disagreements)
    }
}

impl Set {
    fn of(slots: &[Slot], set: u64, arenas: &Arenas, kernel: &Kernel) -> rustix::io::Result<Self> {
        let Arenas { inputs, outputs } = arenas;
        let (mut pointers, mut restores) = (Vec::new(), Vec::new());
        let (mut buffers, mut values) = (Vec::new(), Vec::new());
        for slot in slots {
            let (value, is_buffer) = match slot {
                Slot::Scalar(bytes) => (scalar(bytes)?, false),
                Slot::In(place) => ([inputs.buffer(place, set)?, place.bytes], true),
                Slot::Out(place) => ([outputs.buffer(place, set)?, place.bytes], true),
                Slot::Inout(from, to) => {
                    let (source, target) = (inputs.buffer(from, set)?, outputs.buffer(to, set)?);
                    restores.push((target, source, from.bytes.min(to.bytes) as usize));
                    ([target, to.bytes], true)
                }
            };
            if is_buffer {
                buffers.push((value[0], value[1]));
            }
            let mut value = Box::new(value);
            pointers.push(match kernel {
                Kernel::Host(_) if is_buffer => value[0] as *mut c_void,
                _ => value.as_mut_ptr().cast(),
            });
            values.push(value);
        }
        Ok(Self { pointers, restores, buffers, _values: values })
    }
}

/// A value's bytes at the start of two words.
fn scalar(bytes: &[u8]) -> rustix::io::Result<[u64; 2]> {
    let mut both = [0_u8; 16];
    both.get_mut(..bytes.len()).ok_or(Errno::INVAL)?.copy_from_slice(bytes);
    let (words, _) = both.as_chunks::<8>();
    Ok([u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])])
}
