//! One kernel in a CUDA worker, with what is staged for it.
#![expect(unsafe_code, reason = "calls a candidate's host code")]

use std::ffi::{CString, c_void};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::io::Errno;

use super::super::control::{STRAY_INPUT, STRAY_INPUTS, STRAY_NONE, STRAY_OUTPUTS, StrayLine};
use super::super::protocol::{Reply, Slot, Stride};
use super::super::{Grid, LAUNCH_SYMBOL};
use super::arena::{Arena, Refusal, View, Writing, places};
use super::bundle::{Bundle, ImageKind};
use super::driver::{self, Context, Function, Graph, Memory, Module, Stream};
use super::helpers::Helpers;
use super::inspect::resources::Resources;
use crate::verify::{Dtype, Tolerance};
use std::sync::atomic::Ordering::Relaxed;

/// What a kernel with host code exports: arguments as a processor's kernel gets them, buffers by
/// their device addresses, and the stream.
type HostLaunch = unsafe extern "C" fn(*const *mut c_void, *mut c_void);

/// A loaded kernel.
pub(super) enum Kernel {
    /// Device code alone.
    Device {
        function: Function,
        /// What the function belongs to.
        _module: Module,
    },
    /// Host code that launches.
    Host(HostLaunch),
}

impl Kernel {
    /// Loads a bundle; one with host code is opened from a file in `private`.
    pub(super) fn load(bundle: &Bundle, private: &Path, seat: usize) -> Result<Self, Reply> {
        if bundle.kind == ImageKind::Shared {
            return Self::open(bundle, &private.join(format!("kernel{seat}.so")));
        }
        let module = Module::load(&bundle.image).map_err(|error| unloadable(bundle, error))?;
        let function = module.function(&bundle.entry).map_err(|error| unloadable(bundle, error))?;
        Ok(Self::Device { function, _module: module })
    }

    fn open(bundle: &Bundle, path: &Path) -> Result<Self, Reply> {
        std::fs::write(path, &bundle.image)
            .map_err(|e| Reply::Failed(format!("writing {}: {e}", path.display())))?;
        let wrong = |e: libloading::Error| Reply::Unloadable(e.to_string());
        let name = CString::new(LAUNCH_SYMBOL).expect("a constant without NUL");
        // SAFETY: runs the candidate's constructors, in the process that is there for it.
        let library = unsafe { Library::open(Some(path.as_os_str()), RTLD_NOW | RTLD_LOCAL) }
            .map_err(wrong)?;
        // SAFETY: the trampoline that every such kernel holds declares it with this type.
        let launch = *unsafe { library.get::<HostLaunch>(name.as_c_str()) }.map_err(wrong)?;
        std::mem::forget(library);
        Ok(Self::Host(launch))
    }

    /// What the device cannot give such a launch, in words.
    pub(super) fn refuse(&self, grid: &Grid, context: Context) -> driver::Result<Option<String>> {
        let Self::Device { function, .. } = self else { return Ok(None) };
        let threads: u64 = grid.threads.iter().map(|&axis| u64::from(axis)).product();
        let most = function.most_threads()?;
        if threads > most {
            let what =
                format!("{threads} threads a block, and with its registers there are {most}");
            return Ok(Some(what));
        }
        let (own, dynamic) = (function.own_shared_bytes()?, u64::from(grid.shared_bytes));
        let most = context.shared_bytes()?;
        if own + dynamic > most {
            let what = format!(
                "{dynamic} bytes of dynamic and {own} of static shared memory a block; the device \
                 has {most}"
            );
            return Ok(Some(what));
        }
        if dynamic > 0 {
            function.allow_shared(grid.shared_bytes)?;
        }
        Ok(None)
    }

    /// What it takes of the device; `None` for host code, whose kernels only it knows.
    pub(super) fn resources(&self) -> driver::Result<Option<Resources>> {
        let Self::Device { function, .. } = self else { return Ok(None) };
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(Some(Resources {
            registers: word(function.registers()?),
            static_shared_bytes: word(function.own_shared_bytes()?),
            local_bytes: word(function.local_bytes()?),
        }))
    }

    /// Enqueues one launch.
    pub(super) fn launch(
        &self,
        grid: &Grid,
        pointers: &[*mut c_void],
        stream: &Stream,
    ) -> driver::Result<()> {
        match self {
            Self::Device { function, .. } => function.launch(grid, pointers, stream),
            Self::Host(launch) => {
                // SAFETY: as many pointers as the problem has arguments. What the candidate does
                // with them is contained by the process.
                unsafe { launch(pointers.as_ptr(), stream.raw()) };
                Ok(())
            }
        }
    }
}

fn unloadable(bundle: &Bundle, error: driver::Error) -> Reply {
    let built = match bundle.arch.as_str() {
        "" => String::new(),
        arch => format!("; it was built for {arch}"),
    };
    match error.code {
        200 | 209 | 218 | 222 | 500 => {
            Reply::Unloadable(format!("`{}`: {error}{built}", bundle.entry))
        }
        code => Reply::Trouble { code, call: error.call.to_owned() },
    }
}

/// What a message says is to be loaded.
pub(super) struct Layout {
    pub(super) grid: Grid,
    pub(super) slots: Vec<Slot>,
    pub(super) sets: u32,
    pub(super) sizes: (Stride, Stride),
}

/// What a worker has for all its kernels.
pub(super) struct Tools {
    pub(super) context: Context,
    pub(super) helpers: Helpers,
    pub(super) stream: Stream,
    /// Where helpers leave what they found.
    pub(super) found: Memory,
    /// As large as L2 twice over; what is written to it drives everything else out.
    pub(super) flush: Memory,
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
    inputs: Arena,
    outputs: Arena,
    answers: View,
    /// Device memory for one set's answers, empty but while it is needed.
    sums: Vec<u64>,
    slots: Vec<Slot>,
    graph: Option<((u32, u32), Graph)>,
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
    pub(super) fn prepare(
        &mut self,
        (first, count): (u32, u32),
        hot: bool,
        tools: &Tools,
    ) -> driver::Result<()> {
        let device_only = matches!(self.kernel, Kernel::Device { .. });
        let function = match &self.kernel {
            Kernel::Device { function, .. } => Some(*function),
            Kernel::Host(_) => None,
        };
        let loaded = self.loaded()?;
        let (stream, helpers) = (&tools.stream, &tools.helpers);
        for set in loaded.range(first, count)? {
            for &(to, from, bytes) in &set.restores {
                driver::copy(to, from, bytes, stream)?;
            }
        }
        if let (true, true, Some(function)) = (device_only, count > 1, function) {
            loaded.build_graph((first, count), function, stream)?;
        }
        if hot {
            for set in loaded.range(first, count)? {
                for &(at, bytes) in &set.buffers {
                    helpers.touch(at, bytes, stream)?;
                }
            }
        } else {
            Context::reset_persisting()?;
            tools.flush.fill(0x5a, stream)?;
        }
        Context::wait()
    }

    /// Enqueues the launches of these sets.
    pub(super) fn launch(
        &mut self,
        (first, count): (u32, u32),
        stream: &Stream,
    ) -> driver::Result<()> {
        let loaded = self.loaded.as_mut().ok_or(NOTHING)?;
        loaded.launched = true;
        if let Some((_, graph)) = loaded.graph.as_ref().filter(|(of, _)| *of == (first, count)) {
            return graph.launch(stream);
        }
        let grid = loaded.grid;
        for set in loaded.range(first, count)? {
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
        loaded.outputs.collect(u64::from(set)).map_err(|e| inside(&e))
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

pub(super) fn trouble(error: driver::Error) -> Reply {
    Reply::Trouble { code: error.code, call: error.call.to_owned() }
}

/// How the judge heads an output's answer: type, nothing, tolerance. Little-endian words.
pub(super) const ANSWER_HEAD: u64 = 24;

/// Head and answer of one output, up to where the next begins.
pub(super) fn answer_bytes(bytes: u64) -> u64 {
    ANSWER_HEAD + bytes.next_multiple_of(8)
}

impl Loaded {
    fn stage(
        layout: Layout,
        segments: &[OwnedFd; 3],
        kernel: &Kernel,
        tools: &Tools,
    ) -> Result<Self, Refusal> {
        let Layout { grid, slots, sets: count, sizes } = layout;
        let around = (&tools.helpers, &tools.stream);
        let [inputs, outputs, answers] = segments;
        let (places_in, places_out) = places(&slots);
        let number = u64::from(count);
        let view = View::map(inputs, Writing::Never)?;
        let inputs = Arena::stage((sizes.0, number), places_in, view, around)?;
        let view = View::map(outputs, Writing::ByWorker)?;
        let outputs = Arena::stage((sizes.1, number), places_out, view, around)?;
        let answers = View::map(answers, Writing::ByJudge)?;
        let sums = inputs.sums(&tools.found, around)?;
        let mut sets = Vec::with_capacity(count as usize);
        for set in 0..number {
            sets.push(Set::of(&slots, set, (&inputs, &outputs), kernel)?);
        }
        let (graph, launched) = (None, false);
        Ok(Self { grid, sets, inputs, outputs, answers, sums, slots, graph, launched })
    }

    fn range(&self, first: u32, count: u32) -> driver::Result<&[Set]> {
        let end = first.checked_add(count).map(|end| end as usize);
        let sets = end.and_then(|end| self.sets.get(first as usize..end));
        sets.ok_or(driver::Error { call: "a launch of what is not staged", code: 1 })
    }

    fn build_graph(
        &mut self,
        (first, count): (u32, u32),
        function: Function,
        stream: &Stream,
    ) -> driver::Result<()> {
        if self.graph.as_ref().is_some_and(|(of, _)| *of == (first, count)) {
            return Ok(());
        }
        let launches = self.range(first, count)?.iter().map(|set| set.pointers.as_slice());
        let graph = Graph::of(function, &self.grid, launches)?;
        graph.upload(stream)?;
        self.graph = Some(((first, count), graph));
        Ok(())
    }

    fn look_for_strays(&mut self, stray: &StrayLine, tools: &Tools) -> driver::Result<()> {
        if !std::mem::take(&mut self.launched) {
            return Ok(());
        }
        stray.kind.store(STRAY_NONE, Relaxed);
        let around = (&tools.helpers, &tools.stream);
        for (kind, arena) in [(STRAY_OUTPUTS, &self.outputs), (STRAY_INPUTS, &self.inputs)] {
            if let Some((zone, word, count)) = arena.changed_zones(&tools.found, around)? {
                stray.place.store(zone as u32, Relaxed);
                stray.word.store(word, Relaxed);
                stray.count.store(count, Relaxed);
                stray.kind.store(kind, Relaxed);
                return Ok(());
            }
        }
        let sums = self.inputs.sums(&tools.found, around).map_err(|e| inside(&e))?;
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
            let like = (
                dtype_of(u64::from_le_bytes(words[0]))?,
                Tolerance {
                    rtol: f64::from_le_bytes(words[1]),
                    atol: f64::from_le_bytes(words[2]),
                    equal_nan: false,
                },
            );
            let want = self.answers.bytes(at + ANSWER_HEAD, place.bytes);
            let want = want.map_err(|e| inside(&e.into()))?;
            let there = Memory::of(want.len())?;
            there.write(there.at, want)?;
            let got = self.outputs.buffer(place, set).map_err(|e| inside(&e.into()))?;
            disagreements += tools.helpers.compare(
                (got, there.at, place.bytes),
                like,
                &tools.found,
                &tools.stream,
            )?;
            at += answer_bytes(place.bytes);
        }
        Ok(disagreements)
    }
}

/// Element types as messages number them.
const DTYPES: [Dtype; 10] = [
    Dtype::F64,
    Dtype::F32,
    Dtype::F16,
    Dtype::Bf16,
    Dtype::I64,
    Dtype::I32,
    Dtype::I16,
    Dtype::I8,
    Dtype::U8,
    Dtype::Bool,
];

/// The number of a type in a message.
pub(super) fn dtype_number(dtype: Dtype) -> u64 {
    DTYPES.iter().position(|&known| known == dtype).unwrap_or(0) as u64
}

fn dtype_of(number: u64) -> driver::Result<Dtype> {
    let known = usize::try_from(number).ok().and_then(|number| DTYPES.get(number).copied());
    known.ok_or(driver::Error { call: "a comparison of an unknown type", code: 1 })
}

impl Set {
    fn of(
        slots: &[Slot],
        set: u64,
        (inputs, outputs): (&Arena, &Arena),
        kernel: &Kernel,
    ) -> rustix::io::Result<Self> {
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

/// The bundle at a path of bytes.
pub(super) fn read_bundle(path: &[u8]) -> Result<Bundle, Reply> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    Bundle::read(path).map_err(|e| Reply::Unloadable(format!("{}: {e}", path.display())))
}
