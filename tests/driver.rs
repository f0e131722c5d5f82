//! The stand-in driver keeps to its script, and the judge's own device kernels find what the host
//! finds.
#![expect(unsafe_code, reason = "calls a driver library, as the judge does")]
#![expect(clippy::unwrap_used, reason = "a helper of tests stops at the first surprise")]

mod cuda;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs;
use std::ptr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cuda::{Folder, HELPERS, HELPERS_PTX, StandIn, leaks, tool};
use half::{bf16, f16};
use libloading::Library;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::GpuLockedClocksSetting;
use nvml_wrapper::error::NvmlError;
use optloop::backend::cuda::probe::CALLS;
use optloop::verify::{Dtype, Tolerance, compare};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Handle = *mut c_void;

/// `call!(driver, name(value => type, …))`: what the driver returns.
macro_rules! call {
    ($driver:expr, $name:ident($($value:expr => $kind:ty),*)) => {{
        // SAFETY: the types are those of cuda.h, and what pointers name outlives the call.
        unsafe {
            let name = concat!(stringify!($name), "\0").as_bytes();
            let function = $driver.library.get::<unsafe extern "C" fn($($kind),*) -> c_int>(name);
            function.unwrap()($($value),*)
        }
    }};
}

/// A stand-in in this process. Each has a copy of the library, so that none knows of others.
struct Driver {
    library: Library,
    folder: Folder,
    dir: tempfile::TempDir,
}

impl Driver {
    fn new(script: &str) -> Self {
        Self::with_library(script, "")
    }

    /// `code` becomes `kernels.so`.
    fn with_library(script: &str, code: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = StandIn::build().at(&dir.path().join("driver"), script);
        if !code.is_empty() {
            folder.library("kernels.so", code);
        }
        // SAFETY: the library has no constructors.
        let library = unsafe { Library::new(folder.driver()) }.unwrap();
        Self { library, folder, dir }
    }

    /// Initialised, and with a current context.
    fn ready(self) -> Self {
        assert_eq!(self.init(), 0);
        let mut context: Handle = ptr::null_mut();
        assert_eq!(self.retain(&mut context), 0);
        assert_eq!(call!(self, cuCtxSetCurrent(context => Handle)), 0);
        self
    }

    fn init(&self) -> c_int {
        call!(self, cuInit(0 => u32))
    }

    fn retain(&self, context: &mut Handle) -> c_int {
        call!(self, cuDevicePrimaryCtxRetain(context => *mut Handle, 0 => c_int))
    }

    fn synchronize(&self) -> c_int {
        call!(self, cuCtxSynchronize())
    }

    fn alloc(&self, bytes: usize) -> Result<u64, c_int> {
        let mut at = 0;
        match call!(self, cuMemAlloc_v2(&raw mut at => *mut u64, bytes => usize)) {
            0 => Ok(at),
            code => Err(code),
        }
    }

    fn free(&self, at: u64) -> c_int {
        call!(self, cuMemFree_v2(at => u64))
    }

    fn write(&self, at: u64, bytes: &[u8]) -> c_int {
        let (from, count) = (bytes.as_ptr().cast(), bytes.len());
        call!(self, cuMemcpyHtoD_v2(at => u64, from => *const c_void, count => usize))
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> c_int {
        let (to, count) = (bytes.as_mut_ptr().cast(), bytes.len());
        call!(self, cuMemcpyDtoH_v2(to => *mut c_void, at => u64, count => usize))
    }

    fn words(&self, at: u64, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; 8 * count];
        assert_eq!(self.read(at, &mut bytes), 0);
        bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
    }

    /// Device memory that holds `bytes`.
    fn holding(&self, bytes: &[u8]) -> u64 {
        let at = self.alloc(bytes.len()).unwrap();
        assert_eq!(self.write(at, bytes), 0);
        at
    }

    fn module(&self, image: &[u8]) -> Result<Handle, c_int> {
        let mut module: Handle = ptr::null_mut();
        let image = [image, b"\0"].concat();
        let from = image.as_ptr().cast();
        match call!(self, cuModuleLoadData(&raw mut module => *mut Handle, from => *const c_void)) {
            0 => Ok(module),
            code => Err(code),
        }
    }

    fn function(&self, module: Handle, name: &CStr) -> Result<Handle, c_int> {
        let mut function: Handle = ptr::null_mut();
        let to = &raw mut function;
        let name = name.as_ptr();
        match call!(self, cuModuleGetFunction(to => *mut Handle, module => Handle, name => *const c_char))
        {
            0 => Ok(function),
            code => Err(code),
        }
    }

    /// A function of a module of its own.
    fn kernel(&self, name: &CStr) -> Handle {
        self.function(self.module(HELPERS_PTX.as_bytes()).unwrap(), name).unwrap()
    }

    /// With one thread; each argument is the bytes of a word.
    fn launch(&self, function: Handle, arguments: &[u64]) -> c_int {
        self.launch_by(function, arguments, 1)
    }

    fn launch_by(&self, function: Handle, arguments: &[u64], threads: u32) -> c_int {
        let mut pointers = pointers(arguments);
        let parameters = pointers.as_mut_ptr();
        call!(
            self,
            cuLaunchKernel(
                function => Handle, 1 => u32, 1 => u32, 1 => u32, threads => u32, 1 => u32,
                1 => u32, 0 => u32, ptr::null_mut() => Handle, parameters => *mut Handle,
                ptr::null_mut() => *mut Handle
            )
        )
    }

    fn event(&self) -> Handle {
        let mut event: Handle = ptr::null_mut();
        assert_eq!(call!(self, cuEventCreate(&raw mut event => *mut Handle, 0 => u32)), 0);
        event
    }

    fn record(&self, event: Handle) -> c_int {
        call!(self, cuEventRecord(event => Handle, ptr::null_mut() => Handle))
    }

    /// Between events around one launch.
    fn timed(&self, function: Handle, arguments: &[u64]) -> Duration {
        let (start, end) = (self.event(), self.event());
        assert_eq!(self.record(start), 0);
        assert_eq!(self.launch(function, arguments), 0);
        assert_eq!(self.record(end), 0);
        assert_eq!(call!(self, cuEventSynchronize(end => Handle)), 0);
        let mut ms = -1.0f32;
        let to = &raw mut ms;
        assert_eq!(
            call!(self, cuEventElapsedTime_v2(to => *mut f32, start => Handle, end => Handle)),
            0
        );
        for event in [start, end] {
            assert_eq!(call!(self, cuEventDestroy_v2(event => Handle)), 0);
        }
        Duration::from_secs_f32(ms / 1e3)
    }
}

fn pointers(arguments: &[u64]) -> Vec<Handle> {
    arguments.iter().map(|word| ptr::from_ref(word).cast_mut().cast()).collect()
}

fn bytes_of<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| bytes(value)).collect()
}

// ------------------------------------------------------------------------- the stand-in itself

#[test]
fn every_call_of_the_judge_is_there() {
    let driver = Driver::new("");
    let dir = tempfile::tempdir().unwrap();
    let folder = StandIn::build().too_old_at(dir.path(), "");
    // SAFETY: the library has no constructors.
    let library = unsafe { Library::new(folder.driver()) }.unwrap();
    let old = Driver { library, folder, dir };
    let has = |library: &Library, name: &str| {
        // SAFETY: the symbol is looked for, not called.
        unsafe { library.get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_ok()
    };
    for name in CALLS {
        assert!(has(&driver.library, name), "{name}");
        assert_eq!(has(&old.library, name), *name != "cuGraphInstantiateWithFlags", "{name}");
    }
    assert_eq!((version(&driver), version(&old)), (13000, 11000));
}

fn version(driver: &Driver) -> c_int {
    let mut version = 0;
    assert_eq!(call!(driver, cuDriverGetVersion(&raw mut version => *mut c_int)), 0);
    version
}

#[test]
fn without_a_script_there_is_one_device_without_surprises() {
    let driver = Driver::new("");
    let mut count = -1;
    let to = &raw mut count;
    assert_eq!(call!(driver, cuDeviceGetCount(to => *mut c_int)), 3, "before cuInit");
    assert_eq!(driver.init(), 0);
    assert_eq!(driver.alloc(1), Err(201), "without a context");
    assert_eq!(call!(driver, cuDeviceGetCount(to => *mut c_int)), 0);
    assert_eq!(count, 1);
    let mut name = [0 as c_char; 64];
    let to = name.as_mut_ptr();
    assert_eq!(call!(driver, cuDeviceGetName(to => *mut c_char, 64 => c_int, 0 => c_int)), 0);
    // SAFETY: the driver wrote text that ends within the array.
    assert_eq!(unsafe { CStr::from_ptr(name.as_ptr()) }, c"Stand-in H");
    let mut uuid = [0u8; 16];
    let to = uuid.as_mut_ptr();
    assert_eq!(call!(driver, cuDeviceGetUuid_v2(to => *mut u8, 0 => c_int)), 0);
    assert_eq!(uuid, std::array::from_fn(|i| i as u8 * 17));
    let mut bytes = 0;
    let to = &raw mut bytes;
    assert_eq!(call!(driver, cuDeviceTotalMem_v2(to => *mut usize, 0 => c_int)), 0);
    assert_eq!(bytes, 80 << 30);
    for (attribute, expected) in
        [(75, 9), (76, 0), (16, 132), (38, 50 << 20), (8, 49152), (97, 232_448), (1, 1024)]
    {
        let mut value = -1;
        let to = &raw mut value;
        assert_eq!(
            call!(driver, cuDeviceGetAttribute(to => *mut c_int, attribute => c_int, 0 => c_int)),
            0
        );
        assert_eq!(value, expected, "attribute {attribute}");
    }
    assert_eq!(driver.folder.log(), ["init"]);
}

/// The program's own bindings agree with the stand-in about names and types.
#[test]
#[expect(clippy::disallowed_methods, reason = "runs the program")]
fn the_program_finds_the_stand_in_by_the_path_of_libraries() {
    let dir = tempfile::tempdir().unwrap();
    let devices = |script: &str| {
        let (name, value) = StandIn::build().at(dir.path(), script).env();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_optloop"));
        let out = command.args(["devices", "--format", "json"]).env(name, value).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let said = devices("devices 2\nname Stand-in of Many Words\ncc 8 6\nsms 28\nmemory 12345");
    for part in [
        "Stand-in of Many Words",
        "GPU-00112233-4455-6677-8899-aabbccddeeff",
        "GPU-00112233-4455-6677-8899-aabbccddeefe",
        "12345",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = devices("fail cuInit 803");
    assert!(said.contains("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), "{said}");
}

#[test]
fn what_is_taken_and_given_back_stands_in_the_log() {
    let driver = Driver::new("").ready();
    let module = driver.module(HELPERS_PTX.as_bytes()).unwrap();
    let (kept, given) = (driver.alloc(100).unwrap(), driver.alloc(200).unwrap());
    assert_eq!((kept % 512, given % 512), (0, 0));
    assert_eq!(driver.free(given), 0);
    assert_eq!(driver.free(given), 1, "only once");
    assert_eq!(call!(driver, cuModuleUnload(module => Handle)), 0);
    assert_eq!(call!(driver, cuModuleUnload(module => Handle)), 400, "only once");
    assert_eq!(leaks(&driver.folder.log()), [format!("alloc 100 {kept:#x}"), "context: 1".into()]);
    assert_eq!(call!(driver, cuDevicePrimaryCtxRelease_v2(0 => c_int)), 0);
    let log = driver.folder.log();
    assert_eq!(leaks(&log), [format!("alloc 100 {kept:#x}")], "went with its context");
    assert_eq!(driver.folder.count("alloc"), 2);
    assert_eq!(
        [&log[0], &log[1], &log[2], log.last().unwrap()],
        ["init", "context +", "module +", "context -"]
    );
}

#[test]
fn memory_has_an_end_and_bounds() {
    let driver = Driver::new("memory 4096").ready();
    let at = driver.alloc(4000).unwrap();
    assert_eq!(driver.alloc(97), Err(2), "out of memory");
    assert_eq!(driver.write(at, &[7; 4000]), 0);
    assert_eq!(driver.write(at + 1, &[7; 4000]), 1, "a byte too far");
    let mut back = [0; 3];
    assert_eq!(driver.read(at + 3997, &mut back), 0);
    assert_eq!(back, [7; 3]);
    assert_eq!(call!(driver, cuMemsetD8_v2(at => u64, 9 => u8, 4001 => usize)), 1);
    assert_eq!(call!(driver, cuMemsetD32_v2(at => u64, 0x0102_0304 => u32, 1000 => usize)), 0);
    assert_eq!(driver.words(at, 1), [0x0102_0304_0102_0304]);
    assert_eq!(driver.free(at), 0);
    assert!(driver.alloc(4096).is_ok());
}

#[test]
fn images_are_elf_or_ptx_and_kernels_are_those_of_the_script() {
    let driver = Driver::new("").ready();
    for image in ["\x7fELF…", ".version 8.0", "  // PTX"] {
        assert!(driver.module(image.as_bytes()).is_ok(), "{image}");
    }
    assert_eq!(driver.module(b"garbage"), Err(200));
    let module = driver.module(b".version 8.0").unwrap();
    assert_eq!(driver.function(module, c"optloop_hash"), Err(500), "not in this image");
    assert_eq!(driver.function(module, c"unheard_of"), Err(500));
}

#[test]
fn a_call_fails_in_the_turns_that_the_script_names() {
    let script = "# a comment\nfail cuMemAlloc_v2 2 after 1 times 2\nfail cuStreamCreate 999";
    let driver = Driver::new(script).ready();
    let codes: Vec<_> = (0..5).map(|_| driver.alloc(8).err().unwrap_or(0)).collect();
    assert_eq!(codes, [0, 2, 2, 0, 0]);
    let mut stream: Handle = ptr::null_mut();
    for _ in 0..3 {
        assert_eq!(call!(driver, cuStreamCreate(&raw mut stream => *mut Handle, 0 => u32)), 999);
    }
    assert_eq!(driver.folder.count("fail cuMemAlloc_v2 2"), 2);
}

#[test]
fn no_device_is_told_by_the_first_call() {
    assert_eq!(Driver::new("devices 0").init(), 100);
    assert_eq!(Driver::new("fail cuInit 803").init(), 803);
}

#[test]
fn a_sticky_error_stays_and_another_does_not() {
    for (code, name) in
        [(700, c"CUDA_ERROR_ILLEGAL_ADDRESS"), (214, c"CUDA_ERROR_ECC_UNCORRECTABLE")]
    {
        let driver = Driver::new(&format!("fail cuMemAlloc_v2 {code} times 1")).ready();
        assert_eq!(driver.alloc(8), Err(code));
        assert_eq!(driver.alloc(8), Err(code));
        assert_eq!(driver.synchronize(), code);
        assert_eq!(driver.init(), code);
        let mut said: *const c_char = ptr::null();
        assert_eq!(
            call!(driver, cuGetErrorName(code => c_int, &raw mut said => *mut *const c_char)),
            0
        );
        // SAFETY: the driver's names are literals.
        assert_eq!(unsafe { CStr::from_ptr(said) }, name);
    }
    let driver = Driver::new("fail cuMemAlloc_v2 2 times 1").ready();
    assert_eq!((driver.alloc(8).err(), driver.synchronize()), (Some(2), 0));
}

/// `twice` doubles an int; `beyond` is there for its parameters.
const TWICE: &str = "\
    void twice(void **p); void twice(void **p) { **(int **)p[0] = 2 * *(int *)p[1]; }\n";
const TWICE_PTX: &str = "\
    .version 8.0\n.visible .entry twice(\n\t.param .u64 .ptr .global .align 1 twice_param_0,\n\
    \t.param .u32 twice_param_1,\n\t.param .align 8 .b8 twice_param_2[24]\n)\n.maxntid 256\n{\n}\n";

/// A driver that follows `script`, a kernel `twice`, and memory for its result.
fn twice(script: &str) -> (Driver, Handle, u64) {
    let script = format!("kernel twice kernels.so twice\n{script}");
    let driver = Driver::with_library(&script, TWICE).ready();
    let module = driver.module(TWICE_PTX.as_bytes()).unwrap();
    let function = driver.function(module, c"twice").unwrap();
    let out = driver.holding(&[0; 64]);
    (driver, function, out)
}

#[test]
fn a_kernel_of_the_script_runs_with_its_arguments() {
    let (driver, function, out) =
        twice("scribble twice 0 8 4\nns twice 200000\nfirst_ns twice 3000000");
    let span = driver.timed(function, &[out, 21, 0]);
    assert!(span >= Duration::from_micros(2999), "{span:?}");
    let span = driver.timed(function, &[out, 21, 0]);
    assert!(span >= Duration::from_micros(199), "{span:?}");
    let mut back = [0; 16];
    assert_eq!(driver.read(out, &mut back), 0);
    assert_eq!(back, [42, 0, 0, 0, 0, 0, 0, 0, 0xEE, 0xEE, 0xEE, 0xEE, 0, 0, 0, 0]);
    assert_eq!(driver.folder.count("launch twice"), 2);
    let layout: Vec<(usize, usize)> =
        (0..3).map(|i| parameter(&driver, function, i).unwrap()).collect();
    assert_eq!(layout, [(0, 8), (8, 4), (16, 24)]);
    assert_eq!(parameter(&driver, function, 3), Err(1));
}

/// Offset and size.
fn parameter(driver: &Driver, function: Handle, index: usize) -> Result<(usize, usize), c_int> {
    let (mut offset, mut size) = (0, 0);
    let (at, bytes) = (&raw mut offset, &raw mut size);
    match call!(driver, cuFuncGetParamInfo(
        function => Handle, index => usize, at => *mut usize, bytes => *mut usize))
    {
        0 => Ok((offset, size)),
        code => Err(code),
    }
}

#[test]
fn limits_of_a_launch_are_the_devices() {
    let (driver, function, out) = twice("function twice 4 128");
    let launch = |threads| driver.launch_by(function, &[out, 1, 0], threads);
    assert_eq!([launch(0), launch(512), launch(1024), launch(1025)], [1, 0, 701, 1]);
    let dynamic = |bytes: c_int| call!(driver, cuFuncSetAttribute(function => Handle, 8 => c_int, bytes => c_int));
    assert_eq!([dynamic(232_448), dynamic(232_449)], [0, 1]);
    let mut blocks = 0;
    let to = &raw mut blocks;
    let code = call!(driver, cuOccupancyMaxActiveBlocksPerMultiprocessor(
        to => *mut c_int, function => Handle, 128 => c_int, 0 => usize));
    assert_eq!((code, blocks), (0, 4), "65536 registers, 128 a thread, 128 threads a block");
}

#[test]
fn a_failed_launch_is_told_by_the_next_call_that_waits() {
    let (driver, function, out) = twice("fail_launch twice 719 after 1");
    let launch = |value| driver.launch(function, &[out, value, 0]);
    assert_eq!((launch(1), driver.synchronize()), (0, 0));
    assert_eq!((launch(2), driver.synchronize()), (0, 719));
    assert_eq!(launch(3), 719);
    let (driver, function, out) = twice("fail_launch twice 700");
    assert_eq!(driver.launch(function, &[out, 1, 0]), 0);
    assert_eq!(driver.read(out, &mut [0; 4]), 700);
}

#[test]
fn a_hung_launch_keeps_who_waits() {
    let (say, hear) = mpsc::channel();
    let (say_where, hear_where) = mpsc::channel();
    // It never ends, so nobody joins it; the process takes it along.
    let _waiting = thread::spawn(move || {
        let (driver, function, out) = twice("hang twice after 1");
        say_where.send(driver.dir.path().to_owned()).unwrap();
        assert_eq!((driver.launch(function, &[out, 1, 0]), driver.synchronize()), (0, 0));
        assert_eq!(driver.launch(function, &[out, 1, 0]), 0);
        let event = driver.event();
        assert_eq!(driver.record(event), 0);
        let queries = [
            call!(driver, cuEventQuery(event => Handle)),
            call!(driver, cuStreamQuery(ptr::null_mut() => Handle)),
        ];
        say.send(queries).unwrap();
        say.send([call!(driver, cuEventSynchronize(event => Handle)); 2]).unwrap();
    });
    assert_eq!(hear.recv().unwrap(), [600, 600]);
    let timeout = mpsc::RecvTimeoutError::Timeout;
    assert_eq!(hear.recv_timeout(Duration::from_millis(40)), Err(timeout));
    fs::remove_dir_all(hear_where.recv().unwrap()).unwrap();
}

#[test]
fn work_on_another_stream_is_awaited_by_the_context_alone() {
    let (driver, function, out) = twice("late twice 20000000");
    let start = Instant::now();
    let span = driver.timed(function, &[out, 1, 0]);
    assert_eq!(call!(driver, cuStreamSynchronize(ptr::null_mut() => Handle)), 0);
    assert_eq!(driver.synchronize(), 0);
    let whole = start.elapsed();
    assert!(whole >= Duration::from_millis(20) && span < whole / 2, "{span:?} of {whole:?}");
}

/// `CUDA_KERNEL_NODE_PARAMS_v2` of cuda.h.
#[repr(C)]
struct KernelNode {
    function: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    dynamic: u32,
    parameters: *mut Handle,
    extra: *mut Handle,
    kernel: Handle,
    context: Handle,
}

#[test]
fn a_graph_launches_with_the_arguments_it_was_given() {
    let (driver, function, out) = twice("");
    let (mut graph, mut exec, mut node): (Handle, Handle, Handle) =
        (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    assert_eq!(call!(driver, cuGraphCreate(&raw mut graph => *mut Handle, 0 => u32)), 0);
    {
        let arguments = [out, 8, 0, 0, 0];
        let mut pointers = pointers(&arguments);
        let what = KernelNode {
            function,
            grid: [1; 3],
            block: [1; 3],
            dynamic: 0,
            parameters: pointers.as_mut_ptr(),
            extra: ptr::null_mut(),
            kernel: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        let code = call!(driver, cuGraphAddKernelNode_v2(
            &raw mut node => *mut Handle, graph => Handle, ptr::null() => *const Handle,
            0 => usize, &raw const what => *const KernelNode));
        assert_eq!(code, 0);
    }
    assert_eq!(
        call!(driver, cuGraphInstantiateWithFlags(&raw mut exec => *mut Handle, graph => Handle, 0 => u64)),
        0
    );
    assert_eq!(call!(driver, cuGraphDestroy(graph => Handle)), 0);
    for launches in 1..=2 {
        assert_eq!(call!(driver, cuMemsetD8_v2(out => u64, 0 => u8, 8 => usize)), 0);
        assert_eq!(call!(driver, cuGraphLaunch(exec => Handle, ptr::null_mut() => Handle)), 0);
        assert_eq!(driver.words(out, 1), [16]);
        assert_eq!(driver.folder.count("launch twice"), launches);
    }
    assert_eq!(call!(driver, cuGraphExecDestroy(exec => Handle)), 0);
    assert_eq!(call!(driver, cuGraphLaunch(exec => Handle, ptr::null_mut() => Handle)), 400);
}

#[test]
fn the_management_library_follows_the_same_script() {
    let dir = tempfile::tempdir().unwrap();
    let script = "throttle 0x40 from 2 to 3\ntemperature 71\nclock 1500\nprocess 77 4096\nfail nvmlDeviceSetGpuLockedClocks 4 times 1";
    let folder = StandIn::build().at(dir.path(), script);
    let nvml = nvml_wrapper::Nvml::builder().lib_path(folder.nvml().as_os_str()).init().unwrap();
    let uuid = "GPU-00112233-4455-6677-8899-aabbccddeeff";
    let mut device = nvml.device_by_uuid(uuid).unwrap();
    assert_eq!(
        (device.uuid().unwrap(), device.name().unwrap()),
        (uuid.into(), "Stand-in H".into())
    );
    let reasons: Vec<u64> =
        (0..4).map(|_| device.current_throttle_reasons().unwrap().bits()).collect();
    assert_eq!(reasons, [0, 0x40, 0x40, 0]);
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 71);
    assert_eq!(device.running_compute_processes().unwrap()[0].pid, 77);
    assert_eq!(device.memory_info().unwrap().used, 4096);
    assert_eq!(device.max_clock_info(Clock::SM).unwrap(), 1980);
    assert_eq!(device.clock_info(Clock::Memory).unwrap(), 2619);
    assert_eq!((device.power_usage().unwrap(), device.pci_info().unwrap().bus), (120_000, 1));
    assert!(device.performance_state().is_ok());
    assert!(nvml.device_by_pci_bus_id("0000:01:00.0").is_ok() && nvml.device_by_index(0).is_ok());
    assert!(nvml.device_by_index(1).is_err());
    assert_eq!(nvml.sys_cuda_driver_version().unwrap(), 13000);
    assert!(nvml.sys_driver_version().unwrap().starts_with("580."));
    let lock = || GpuLockedClocksSetting::Numeric { min_clock_mhz: 1200, max_clock_mhz: 1200 };
    assert!(matches!(device.set_gpu_locked_clocks(lock()), Err(NvmlError::NoPermission)));
    device.set_gpu_locked_clocks(lock()).unwrap();
    assert_eq!(device.clock_info(Clock::SM).unwrap(), 1200);
    assert_eq!(folder.leaks(), ["lock: 1", "nvml: 1"]);
    device.reset_gpu_locked_clocks().unwrap();
    assert_eq!(device.clock_info(Clock::Graphics).unwrap(), 1500);
    nvml.shutdown().unwrap();
    assert!(folder.leaks().is_empty(), "{:?}", folder.log());
}

// ------------------------------------------------------------------- the judge's own kernels

/// splitmix64's finaliser, as in `helpers.cu`.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[test]
fn the_hash_is_the_keyed_sum_and_tells_a_changed_or_moved_word() {
    // The first number that splitmix64 with seed 0 gives (Steele, Lea, Flood 2014, and the vector
    // in its reference code).
    assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    let driver = Driver::new("").ready();
    let function = driver.kernel(c"optloop_hash");
    let words: Vec<u64> = (0..1000).map(|i| mix(i) ^ i).collect();
    let (key, out) = (0x0123_4567_89ab_cdef, driver.alloc(8).unwrap());
    let hash = |words: &[u64]| {
        let at = driver.holding(&bytes_of(words, u64::to_ne_bytes));
        assert_eq!(driver.write(out, &5u64.to_ne_bytes()), 0);
        assert_eq!(driver.launch(function, &[at, words.len() as u64, key, out]), 0);
        assert_eq!(driver.free(at), 0);
        driver.words(out, 1)[0].wrapping_sub(5)
    };
    let expected = |words: &[u64]| {
        let each =
            words.iter().enumerate().map(|(i, word)| mix(mix(word ^ key).wrapping_add(i as u64)));
        each.fold(0u64, u64::wrapping_add)
    };
    assert_eq!(hash(&words), expected(&words));
    assert_eq!(hash(&words[..1]), mix(mix(words[0] ^ key)));
    let mut moved = words.clone();
    moved.swap(3, 700);
    assert_ne!(hash(&moved), hash(&words));
    let mut changed = words.clone();
    changed[999] ^= 1 << 63;
    assert_ne!(hash(&changed), hash(&words));
}

#[test]
fn red_zones_tell_how_many_words_and_the_first() {
    let driver = Driver::new("").ready();
    let (fill, check) =
        (driver.kernel(c"optloop_zones_fill"), driver.kernel(c"optloop_zones_check"));
    let (zones, words, key) = (3u64, 8u64, 99u64);
    let offsets = driver.holding(&bytes_of(&[64u64, 0, 1024], u64::to_ne_bytes));
    let arena = driver.holding(&[0x11; 2048]);
    let found = driver.alloc(16).unwrap();
    assert_eq!(driver.launch(fill, &[arena, offsets, zones, words, key]), 0);
    let check = || {
        assert_eq!(driver.write(found, &bytes_of(&[0, u64::MAX], u64::to_ne_bytes)), 0);
        assert_eq!(driver.launch(check, &[arena, offsets, zones, words, key, found]), 0);
        driver.words(found, 2)
    };
    assert_eq!(check(), [0, u64::MAX]);
    assert_eq!(driver.write(arena + 128, &[0xEE; 64]), 0, "between zones");
    assert_eq!(check(), [0, u64::MAX]);
    assert_eq!(driver.write(arena + 1024 + 24, &[0xEE]), 0, "in the last zone");
    assert_eq!(check(), [1, 2 * words + 3]);
    assert_eq!(driver.write(arena + 15, &[0xEE; 2]), 0, "over two words of the second zone");
    assert_eq!(check(), [3, words + 1]);
}

#[test]
fn clock_delay_touch_copy_and_multiply_add_do_what_they_say() {
    let driver = Driver::new("").ready();
    let words = driver.holding(&bytes_of(&[1u64, 2, 3, 4], u64::to_ne_bytes));
    let out = driver.holding(&[0; 64]);
    let stamp = || {
        assert_eq!(driver.launch(driver.kernel(c"optloop_stamp"), &[out]), 0);
        driver.words(out, 1)[0]
    };
    let start = stamp();
    assert_eq!(driver.launch(driver.kernel(c"optloop_delay"), &[1_000_000]), 0);
    assert!(stamp() - start >= 1_000_000);
    assert_eq!(driver.launch(driver.kernel(c"optloop_copy"), &[words, out, 2]), 0);
    assert_eq!(driver.words(out, 5), [1, 2, 3, 4, 0]);
    assert_eq!(driver.launch(driver.kernel(c"optloop_touch"), &[words, 8, out]), 0);
    assert_eq!(driver.words(out, 5), [1, 2, 3, 4, 0], "reads alone");
    // a = a / 2 + 1 from a = 1/2 … 15/2: two rounds leave a / 4 + 3/2.
    let start = driver.holding(&bytes_of(&[0.5f32, 1.0], f32::to_ne_bytes));
    assert_eq!(driver.launch(driver.kernel(c"optloop_fma"), &[start, out, 2]), 0);
    let sum: f32 = (0u8..8).map(|i| (0.5 + f32::from(i)) / 4.0 + 1.5).sum();
    assert_eq!(driver.words(out, 1)[0] as u32, sum.to_bits());
}

/// The comparison on the device, with buffers that stay.
struct Comparer {
    driver: Driver,
    function: Handle,
    got: u64,
    want: u64,
    found: u64,
}

/// Elements of the largest comparison of eight bytes each.
const MOST: usize = 1 << 14;
/// Pairs that are drawn of each type.
const DRAWN: usize = 1024;
/// How many of them are looked at at once.
const WINDOW: usize = 8;

impl Comparer {
    fn new() -> Self {
        let driver = Driver::new("").ready();
        let function = driver.kernel(c"optloop_compare");
        let [got, want] = [0; 2].map(|_| driver.alloc(8 * MOST).unwrap());
        let found = driver.alloc(16).unwrap();
        Self { driver, function, got, want, found }
    }

    fn load(&self, got: &[u8], want: &[u8]) {
        assert_eq!((self.driver.write(self.got, got), self.driver.write(self.want, want)), (0, 0));
    }

    /// How many of the loaded elements do not agree, and which is the first, `u64::MAX` for none.
    fn compare(&self, from: usize, count: usize, dtype: Dtype, tolerance: &Tolerance) -> [u64; 2] {
        assert_eq!(self.driver.write(self.found, &bytes_of(&[0, u64::MAX], u64::to_ne_bytes)), 0);
        let skip = (from * dtype.size_bytes()) as u64;
        let number = dtype as u64;
        let bounds = [tolerance.rtol.to_bits(), tolerance.atol.to_bits()];
        let arguments = [
            self.got + skip,
            self.want + skip,
            count as u64,
            number,
            bounds[0],
            bounds[1],
            self.found,
        ];
        assert_eq!(self.driver.launch(self.function, &arguments), 0);
        self.driver.words(self.found, 2).try_into().unwrap()
    }
}

/// What the host finds, in the words of the device.
fn on_host(got: &[u8], want: &[u8], dtype: Dtype, tolerance: &Tolerance) -> [u64; 2] {
    let found = compare(got, want, dtype, tolerance);
    [found.mismatches, found.first.first().map_or(u64::MAX, |first| first.index)]
}

const TOLERANCES: [Tolerance; 10] = [
    Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false },
    Tolerance { rtol: 1e-5, atol: 1e-8, equal_nan: false },
    Tolerance { rtol: 1e-3, atol: 0.0, equal_nan: false },
    Tolerance { rtol: 0.0, atol: 1e-2, equal_nan: false },
    Tolerance { rtol: 0.1, atol: 0.3, equal_nan: false },
    Tolerance { rtol: 1.0, atol: 1.0, equal_nan: false },
    Tolerance { rtol: 0.0, atol: 3.0, equal_nan: false },
    Tolerance { rtol: f64::EPSILON, atol: 0.0, equal_nan: false },
    Tolerance { rtol: 0.0, atol: f64::MIN_POSITIVE, equal_nan: false },
    Tolerance { rtol: 1e300, atol: 1e300, equal_nan: false },
];

/// The bytes of `value`, or of what the type makes of it.
fn encode(dtype: Dtype, value: f64) -> Vec<u8> {
    match dtype {
        Dtype::F64 => value.to_ne_bytes().to_vec(),
        Dtype::F32 => (value as f32).to_ne_bytes().to_vec(),
        Dtype::F16 => f16::from_f64(value).to_ne_bytes().to_vec(),
        Dtype::Bf16 => bf16::from_f64(value).to_ne_bytes().to_vec(),
        Dtype::I64 => (value as i64).to_ne_bytes().to_vec(),
        Dtype::I32 => (value as i32).to_ne_bytes().to_vec(),
        Dtype::I16 => (value as i16).to_ne_bytes().to_vec(),
        Dtype::I8 => (value as i8).to_ne_bytes().to_vec(),
        Dtype::U8 => (value as u8).to_ne_bytes().to_vec(),
        Dtype::Bool => vec![u8::from(value > 0.5)],
    }
}

/// Values that a comparison could get wrong, by the number of bytes a type has.
fn odd_values(dtype: Dtype) -> Vec<Vec<u8>> {
    let limits = [dtype.max_finite(), -dtype.max_finite()];
    let small = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-3, 3.0, 127.0, -128.0, 255.0];
    let mut values: Vec<Vec<u8>> = limits.iter().chain(&small).map(|v| encode(dtype, *v)).collect();
    if dtype.is_float() {
        let beyond =
            [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, 5e-324, 1e-45, 6e-8, 1e-40];
        values.extend(beyond.iter().map(|v| encode(dtype, *v)));
        // The least subnormal, the greatest one, and a NaN with a payload alone.
        let size = dtype.size_bytes();
        let exponent = [0, 0, 10, 0, 23, 0, 0, 0, 52][size];
        let exponent = if dtype == Dtype::Bf16 { 7 } else { exponent };
        let infinity = encode(dtype, f64::INFINITY);
        let mut bits = [0; 8];
        bits[..size].copy_from_slice(&infinity);
        let infinity = u64::from_le_bytes(bits).to_le();
        for bits in [1, (1u64 << exponent) - 1, 1 << exponent, infinity | 1, infinity - 1] {
            values.push(bits.to_le_bytes()[..size].to_vec());
        }
    } else {
        let (least, most) = dtype.exact_integers();
        for value in [least, least.saturating_add(1), most - 1, most] {
            values.push(value.to_le_bytes()[..dtype.size_bytes()].to_vec());
        }
    }
    values
}

/// `want` or something near it: itself, some of the last bits off, or a tolerance away.
fn near(rng: &mut ChaCha8Rng, dtype: Dtype, want: &[u8]) -> Vec<u8> {
    let mut bits = [0; 8];
    bits[..want.len()].copy_from_slice(want);
    let bits = u64::from_le_bytes(bits);
    let step = rng.random_range(0..4u64);
    let moved = match rng.random_range(0..4) {
        0 => bits,
        1 => bits.wrapping_add(step),
        2 => bits.wrapping_sub(step),
        _ if dtype.is_float() => {
            let value = value_of(dtype, want);
            let tolerance = TOLERANCES[rng.random_range(0..TOLERANCES.len())];
            let sign = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
            return encode(dtype, value + sign * tolerance.allowed(value));
        }
        _ => bits.wrapping_mul(step),
    };
    moved.to_le_bytes()[..want.len()].to_vec()
}

fn value_of(dtype: Dtype, bytes: &[u8]) -> f64 {
    match dtype {
        Dtype::F64 => f64::from_ne_bytes(bytes.try_into().unwrap()),
        Dtype::F32 => f64::from(f32::from_ne_bytes(bytes.try_into().unwrap())),
        Dtype::F16 => f16::from_ne_bytes(bytes.try_into().unwrap()).to_f64(),
        _ => bf16::from_ne_bytes(bytes.try_into().unwrap()).to_f64(),
    }
}

/// Got and want: random bits, odd values, numbers of everyday, and near ones.
fn pair(rng: &mut ChaCha8Rng, dtype: Dtype, odd: &[Vec<u8>]) -> [Vec<u8>; 2] {
    let size = dtype.size_bytes();
    let draw = |rng: &mut ChaCha8Rng| match rng.random_range(0..3) {
        0 => rng.next_u64().to_le_bytes()[..size].to_vec(),
        1 => odd[rng.random_range(0..odd.len())].clone(),
        _ => encode(dtype, rng.random_range(-4.0..4.0)),
    };
    let mut want = draw(rng);
    let mut got = if rng.random_range(0..8) == 0 { draw(rng) } else { near(rng, dtype, &want) };
    if dtype == Dtype::Bool {
        (want[0], got[0]) = (want[0] & 1, got[0] & 1);
    }
    [got, want]
}

#[test]
fn the_device_finds_the_very_mismatches_that_the_host_finds() {
    let comparer = Comparer::new();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut seen = [0u64; 2];
    for dtype in Dtype::ALL {
        let odd = odd_values(dtype);
        let pairs: Vec<[Vec<u8>; 2]> = (0..DRAWN).map(|_| pair(&mut rng, dtype, &odd)).collect();
        let half = |i: usize| pairs.iter().flat_map(|p| p[i].clone()).collect::<Vec<u8>>();
        let (got, want) = (half(0), half(1));
        comparer.load(&got, &want);
        for tolerance in &TOLERANCES {
            // All of it, and windows so small that their counts and firsts tell the set.
            let windows = (0..DRAWN).step_by(WINDOW).map(|from| (from, WINDOW));
            for (from, count) in windows.chain([(0, DRAWN)]) {
                let part = from * dtype.size_bytes()..(from + count) * dtype.size_bytes();
                let device = comparer.compare(from, count, dtype, tolerance);
                let host = on_host(&got[part.clone()], &want[part], dtype, tolerance);
                assert_eq!(device, host, "{dtype} {tolerance:?} from {from}");
                seen[0] += device[0];
                seen[1] += count as u64 - device[0];
            }
        }
    }
    let all = seen[0] + seen[1];
    assert!(seen.iter().all(|part| part * 5 > all), "{seen:?}: much must agree and much differ");
}

#[test]
fn every_half_is_read_as_the_host_reads_it() {
    let comparer = Comparer::new();
    for dtype in [Dtype::F16, Dtype::Bf16] {
        // Each beside its neighbour: the step between two is just within, or just beyond.
        let want: Vec<u8> = bytes_of(&(0..=u16::MAX).collect::<Vec<_>>(), u16::to_ne_bytes);
        let got: Vec<u8> = bytes_of(&(0..=u16::MAX).collect::<Vec<_>>(), |x| (x ^ 1).to_ne_bytes());
        comparer.load(&got, &want);
        let most = f64::powi(2.0, if dtype == Dtype::F16 { -10 } else { -7 });
        for rtol in [most, most * 0.75, most.next_down()] {
            for atol in [0.0, 6e-8] {
                let tolerance = Tolerance { rtol, atol, equal_nan: false };
                let device = comparer.compare(0, 1 << 16, dtype, &tolerance);
                assert_eq!(
                    device,
                    on_host(&got, &want, dtype, &tolerance),
                    "{dtype} {tolerance:?}"
                );
            }
        }
    }
}

#[test]
fn the_device_and_the_host_agree_on_every_pair_of_odd_values() {
    let comparer = Comparer::new();
    for dtype in Dtype::ALL {
        let odd = odd_values(dtype);
        let count = odd.len() * odd.len();
        let got: Vec<u8> = odd.iter().flat_map(|got| got.repeat(odd.len())).collect();
        let want: Vec<u8> = odd.concat().repeat(odd.len());
        comparer.load(&got, &want);
        for tolerance in &TOLERANCES[..6] {
            for (i, (got, want)) in
                got.chunks(dtype.size_bytes()).zip(want.chunks(dtype.size_bytes())).enumerate()
            {
                let device = comparer.compare(i, 1, dtype, tolerance);
                let host = on_host(got, want, dtype, tolerance);
                assert_eq!(device, host, "{dtype} {tolerance:?}: got {got:x?}, want {want:x?}");
            }
        }
        assert!(count <= MOST);
    }
}

// ------------------------------------------------------------------------ the text of helpers

/// Names and numbers of parameters, in order.
fn declared(text: &str, start: &str) -> Vec<(String, usize)> {
    let code = text.split("\n#define KERNEL void").last().unwrap();
    let parts = code.split(start).skip(1);
    parts
        .map(|part| {
            let (name, rest) = part.split_once('(').unwrap();
            let (parameters, _) = rest.split_once(')').unwrap();
            (name.trim().to_owned(), parameters.split(',').filter(|p| !p.trim().is_empty()).count())
        })
        .collect()
}

#[test]
fn the_text_the_program_carries_declares_the_kernels_of_its_source() {
    let source = declared(HELPERS, "\nKERNEL ");
    assert_eq!(source, declared(HELPERS_PTX, ".visible .entry "));
    assert_eq!(source.len(), 9);
    assert!(source.contains(&("optloop_compare".to_owned(), 7)), "{source:?}");
    let driver = Driver::new("").ready();
    for (name, count) in source {
        let name = std::ffi::CString::new(name).unwrap();
        let function = driver.kernel(&name);
        let told = (0..99).take_while(|i| parameter(&driver, function, *i).is_ok()).count();
        assert_eq!(told, count, "{name:?} in the stand-in");
    }
}

/// Without what tells the compiler's version.
fn essence(ptx: &str) -> Vec<&str> {
    let beside = |line: &&str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with("//") || line.starts_with(".version"))
    };
    ptx.lines().filter(beside).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "drives a compiler")]
fn nvcc_makes_the_text_the_program_carries() {
    let Some(nvcc) = tool("nvcc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("helpers.cu"), dir.path().join("helpers.ptx"));
    fs::write(&source, HELPERS).unwrap();
    let mut command = std::process::Command::new(nvcc);
    command.args(["-ptx", "-arch=compute_75", "-std=c++17", "-O3"]);
    let run = command.arg(&source).arg("-o").arg(&out).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let made = fs::read_to_string(out).unwrap();
    assert!(
        essence(&made) == essence(HELPERS_PTX),
        "nvcc makes another helpers.ptx of helpers.cu; make it anew, with the .version it has now"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "drives an assembler")]
fn ptxas_assembles_the_text_the_program_carries() {
    let Some(ptxas) = tool("ptxas") else { return };
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("helpers.ptx");
    fs::write(&text, HELPERS_PTX).unwrap();
    for arch in ["sm_80", "sm_90a", "sm_100"] {
        let mut command = std::process::Command::new(&ptxas);
        command.arg(format!("-arch={arch}")).arg(&text).arg("-o").arg(dir.path().join(arch));
        let run = command.output().unwrap();
        assert!(run.status.success(), "{arch}: {}", String::from_utf8_lossy(&run.stderr));
    }
}
