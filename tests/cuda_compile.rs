//! CUDA kernels through the compile stage, with NVIDIA's own compilers: none of it needs a device.
//!
//! Skipped where a tool is missing, unless `OPTLOOP_REQUIRE` names it (`nvcc`, `nvrtc`). Every
//! kernel for every architecture by both compilers takes a while: that is done where
//! `OPTLOOP_REQUIRE` names a tool, or `OPTLOOP_CUDA_MATRIX` is set.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a helper of tests stops at the first surprise, and compilers need a PATH"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use optloop::backend::cuda::compiler::elf;
use optloop::backend::cuda::{Bundle, ImageKind};
use optloop::engine::stage::compile::CompileDef;
use optloop::engine::stage::{FailureClass, StageContext, StageOutcome, compile};
use optloop::host::Host;
use optloop::pipeline::CompileWork;
use optloop::problem::{Arg, ArgKind, Fill, Problem, Role, load};
use optloop::process::Cancel;
use optloop::verify::{Dtype, Tolerance};

const ARCHES: [&str; 3] = ["sm_80", "sm_90a", "sm_100"];
const KERNELS: [&str; 5] = ["vector_add", "reduce_sum", "softmax", "sgemm", "stencil2d"];
const GOOD: &str = "extern \"C\" __global__ void scale(const float *__restrict__ x, float *y, int n)\n{\n    int i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i < n)\n        y[i] = GAIN * x[i];\n}\n";

/// The disk, and an environment in which a toolkit is also known by its nvcc.
struct Machine;

impl Host for Machine {
    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn var(&self, name: &str) -> Option<OsString> {
        let set = variable(name).filter(|value| !value.is_empty());
        if name != "CUDA_HOME" || set.is_some() {
            return set;
        }
        nvcc()?.parent()?.parent().map(OsString::from)
    }

    fn program(&self) -> &Path {
        Path::new(env!("CARGO_BIN_EXE_optloop"))
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn required() -> Vec<String> {
    let all = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
    all.split(',').map(str::to_owned).collect()
}

fn nvcc() -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("nvcc")).find(|nvcc| nvcc.exists())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nvrtc,
    Nvcc,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Nvrtc => "nvrtc",
            Self::Nvcc => "nvcc",
        }
    }

    /// Whether it is here; said aloud when it is not, and nobody requires it.
    fn is_here(self) -> bool {
        let here = match self {
            Self::Nvcc => nvcc().is_some(),
            Self::Nvrtc => has_nvrtc(),
        };
        if !here {
            let word = self.word();
            assert!(!required().iter().any(|r| r == word), "OPTLOOP_REQUIRE: there is no {word}");
            println!("skipped: no {word}");
        }
        here
    }
}

fn has_nvrtc() -> bool {
    let world = World::new(&[("k.cu", GOOD)]);
    let (outcome, _) = world.compile("k.cu", &work(By::Nvrtc));
    let told = outcome.failure.map(|failure| failure.message).unwrap_or_default();
    !told.contains("NVRTC was not found")
}

/// `void scale(const float *x, float *y, int n)`.
fn problem() -> Problem {
    let buffer = |role| ArgKind::Buffer { shape: vec!["n".into()], role, fill: Fill::Zeros };
    let arg = |name: &str, dtype, kind| Arg { name: name.into(), dtype, kind, is_const: true };
    Problem {
        name: "scale".into(),
        entry: "scale".into(),
        cases: Vec::new(),
        holdout: None,
        args: vec![
            arg("x", Dtype::F32, buffer(Role::In)),
            arg("y", Dtype::F32, buffer(Role::Out)),
            arg("n", Dtype::I32, ArgKind::Scalar("n".into())),
        ],
        reference: PathBuf::new(),
        tolerance: Tolerance { rtol: 0.0, atol: 0.0, equal_nan: false },
        growth: None,
        deterministic: false,
        flops: None,
        bytes: None,
        cuda: None,
    }
}

fn work(by: By) -> CompileWork {
    CompileWork {
        cc: by.word().into(),
        flags: Vec::new(),
        defines: BTreeMap::from([("GAIN".to_owned(), "2.0f".to_owned())]),
        include_dirs: Vec::new(),
        arch: "sm_90a".into(),
        host: false,
        layouts: 1,
        timeout_ms: 120_000,
    }
}

/// A folder of sources.
struct World {
    dir: tempfile::TempDir,
    problem: Problem,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir, problem: problem() }
    }

    /// Compiles a source: one of this folder, or an absolute path.
    fn compile(&self, source: &str, work: &CompileWork) -> (StageOutcome, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let output = self.dir.path().join("out/kernel.cuda");
        let def = CompileDef {
            sources: source.split(' ').map(|name| self.dir.path().join(name)).collect(),
            entry: self.problem.entry.clone(),
            problem: self.problem.clone(),
            compile: work.clone(),
            compiler: None,
            arch: None,
            output: output.clone(),
        };
        let context = StageContext {
            name: "compile",
            dir: self.dir.path(),
            scratch: scratch.path(),
            state: self.dir.path(),
            marker: &scratch.path().display().to_string(),
            host: &Machine,
            cancel: &Cancel::default(),
            progress: &|_, _| {},
            looked: &|_| {},
        };
        (compile::run(&def, &context), output)
    }

    fn bundle(&self, source: &str, work: &CompileWork) -> Bundle {
        let (outcome, output) = self.compile(source, work);
        assert_eq!(outcome.failure, None, "{source} {work:?}");
        Bundle::read(&output).unwrap()
    }

    /// What a failed compile says, with the folder's name taken out.
    fn told(&self, source: &str, work: &CompileWork) -> String {
        let (outcome, output) = self.compile(source, work);
        let failure = outcome.failure.expect("it must not compile");
        assert_eq!(failure.class, FailureClass::Failed, "{}", failure.message);
        assert!(!output.exists(), "a failed compile leaves no output");
        let message = failure.message.replace(&self.dir.path().display().to_string(), "");
        let log = String::from_utf8_lossy(&outcome.log).into_owned();
        for ours in ["optloop_", "static_assert", "the signature in the problem", "kernel.cu("] {
            assert!(!message.contains(ours) && !log.contains(ours), "{ours} shows\n{message}");
        }
        message
    }
}

fn shipped(kernel: &str, by: By, arch: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(kernel);
    let problem = load(&root.join("problem.toml"), &Machine).problem.expect("a valid problem");
    let world = World { problem, ..World::new(&[]) };
    for name in [format!("{kernel}.cu"), format!("{kernel}_fast.cu")] {
        let source = root.join(&name).display().to_string();
        let bundle = world.bundle(&source, &CompileWork { arch: arch.into(), ..work(by) });
        assert_eq!((bundle.kind, bundle.arch.as_str()), (ImageKind::Cubin, arch), "{name}");
        assert_eq!(elf::functions(&bundle.image).unwrap(), [kernel], "{name}");
        assert_eq!(bundle.launch.grid.is_some(), name.contains("_fast"), "{name}");
        let number = arch.trim_end_matches('a');
        assert_eq!(elf::architecture(&bundle.image).as_deref(), Some(number), "{name}");
    }
}

#[test]
fn every_shipped_kernel_compiles() {
    let asked = required().iter().any(|r| r == "nvcc" || r == "nvrtc");
    let whole = asked || variable("OPTLOOP_CUDA_MATRIX").is_some();
    for by in [By::Nvrtc, By::Nvcc].into_iter().filter(|by| by.is_here()) {
        for (index, kernel) in KERNELS.iter().enumerate() {
            for (turn, arch) in ARCHES.iter().enumerate() {
                if whole || by == By::Nvrtc && index % ARCHES.len() == turn {
                    shipped(kernel, by, arch);
                } else {
                    println!("left out: {kernel} by {} for {arch}", by.word());
                }
            }
        }
    }
}

#[test]
fn mistakes_are_shown_at_the_users_line() {
    let signature = "(const float *x, float *y, int n)";
    let kernel = |name: &str, body: &str| format!("// one\n{name} {{ {body} }}\n");
    let entry = |params: &str| format!("extern \"C\" __global__ void scale{params}");
    let cases = [
        (kernel(&entry(signature), "y[0] = x[0]"), "/k.cu:2: error: expected a \";\""),
        (
            kernel(&entry("(const double *x, float *y, int n)"), ""),
            "argument 1 of `scale` (`x`) must be `const float *`",
        ),
        (
            kernel(&entry("(const float *x, float *y, long long n)"), ""),
            "argument 3 of `scale` (`n`) must be `int`",
        ),
        (
            kernel(&entry("(const float *x, float *y)"), ""),
            "/k.cu:2: error: `scale` must take 3 arguments",
        ),
        (kernel("extern \"C\" __global__ void other()", ""), "/k.cu does not define `scale`"),
        (
            kernel(&entry(signature).replace("extern \"C\" ", ""), "y[0] = x[0];"),
            "write extern \"C\" before __global__",
        ),
        (
            kernel(&entry(signature).replace("__global__", "__device__"), "y[0] = x[0];"),
            "has no kernel called `scale`",
        ),
        ("// one\n#error stop here\n".to_owned(), "stop here"),
        (kernel(&entry(signature), "y[0] = x[0];").replace('}', ""), "error: expected a \"}\""),
    ];
    for by in [By::Nvrtc, By::Nvcc].into_iter().filter(|by| by.is_here()) {
        // The front end is the same: a few show that its words come the same way.
        let count = if by == By::Nvrtc { cases.len() } else { 3 };
        for (text, words) in cases.iter().rev().take(count) {
            let told = World::new(&[("k.cu", text)]).told("k.cu", &work(by));
            assert!(told.contains(words), "{by:?} {text}\n{told}");
            let wanted = "problem `scale` asks for: extern \"C\" __global__ void scale(const float *x, float *y, int n)";
            assert_eq!(told.contains("`scale`"), told.contains(wanted), "{by:?} {text}\n{told}");
        }
    }
}

#[test]
fn pointees_may_be_const_and_half_precision_has_its_own_types() {
    let text = "#include <cuda_fp16.h>\nextern \"C\" __global__ void scale(__half *x, const float *y, int n) {}\n";
    for by in [By::Nvrtc, By::Nvcc].into_iter().filter(|by| by.is_here()) {
        let mut world = World::new(&[("k.cu", text)]);
        world.problem.args[0].dtype = Dtype::F16;
        let bundle = world.bundle("k.cu", &work(by));
        assert_eq!(bundle.entry, "scale");
    }
}

#[test]
fn what_was_included_is_discovered_even_when_the_code_is_wrong() {
    let text = format!("#include \"gain.h\"\n#include <more.h>\n{GOOD}");
    for by in [By::Nvrtc, By::Nvcc].into_iter().filter(|by| by.is_here()) {
        for text in [text.clone(), text.replace("x[i];", "x[i]")] {
            let world = World::new(&[
                ("k.cu", text.as_str()),
                ("gain.h", "#include \"deep.h\"\n"),
                ("deep.h", ""),
                ("inc/more.h", ""),
            ]);
            let work = CompileWork { include_dirs: vec!["inc".into()], ..work(by) };
            let (outcome, _) = world.compile("k.cu", &work);
            assert_eq!(outcome.failure.is_some(), text.contains("x[i]\n"), "{:?}", outcome.failure);
            for name in ["k.cu", "gain.h", "deep.h", "inc/more.h"] {
                let path = world.dir.path().join(name);
                assert!(
                    outcome.discovered.contains(&path),
                    "{by:?} {name}: {:?}",
                    outcome.discovered
                );
            }
        }
    }
}

#[test]
fn a_comment_and_another_folder_give_the_same_bytes() {
    for by in [By::Nvrtc, By::Nvcc].into_iter().filter(|by| by.is_here()) {
        let kernel =
            format!("static __device__ int calls;\n{}", GOOD.replace("if (", "calls++; if ("));
        let one = World::new(&[("a/k.cu", &kernel)]).bundle("a/k.cu", &work(by));
        let commented = format!("{kernel}// faster\n");
        let two = World::new(&[("b/c/k.cu", &commented)]).bundle("b/c/k.cu", &work(by));
        assert!(one == two, "{by:?}");
        let other =
            World::new(&[("a/k.cu", &kernel.replace("GAIN", "3.0f"))]).bundle("a/k.cu", &work(by));
        assert!(one != other, "{by:?}");
    }
}

const HOST: &str = "__global__ void kernel(const float *x, float *y, int n) { y[0] = GAIN * x[n]; }\n\
    extern \"C\" void launch(const float *x, float *y, int n, cudaStream_t stream) { kernel<<<1, 1, 0, stream>>>(x, y, 1); }\n";

#[test]
fn a_kernel_with_host_code_becomes_a_shared_object() {
    if !By::Nvcc.is_here() {
        return;
    }
    let work = CompileWork { cc: String::new(), host: true, ..work(By::Nvcc) };
    let bundle = World::new(&[("k.cu", HOST)]).bundle("k.cu", &work);
    assert_eq!((bundle.kind, bundle.arch.as_str()), (ImageKind::Shared, "sm_90a"));
    assert!(bundle.image.starts_with(b"\x7fELF"));
    let symbol = b"\0optloop_launch\0";
    assert!(bundle.image.windows(symbol.len()).any(|bytes| bytes == symbol));
    let again = World::new(&[("k.cu", HOST)]).bundle("k.cu", &work);
    assert!(bundle == again, "another folder gives other bytes");
    for (from, to, words) in [
        (
            "float *y, int n, cudaStream_t",
            "float *y, cudaStream_t",
            "`launch` must take 4 arguments",
        ),
        (
            "cudaStream_t stream",
            "int stream",
            "the last argument of `launch` must be `cudaStream_t`",
        ),
        ("void launch(", "void start(", "/k.cu does not define `launch`"),
    ] {
        let told = World::new(&[("k.cu", &HOST.replace(from, to).replace("0, stream", "0, 0"))])
            .told("k.cu", &work);
        assert!(told.contains(words), "{told}");
        assert!(told.contains("asks for: extern \"C\" void launch("), "{told}");
    }
}

#[test]
fn what_is_built_already_is_taken_as_it_is() {
    let ptx = "// optloop: block = [128]\n.version 8.0\n.target sm_80\n.address_size 64\n\
               .visible .entry scale(.param .u64 x, .param .u64 y, .param .u32 n) { ret; }\n";
    let world = World::new(&[("k.ptx", ptx), ("bad.ptx", &ptx.replace("u32", "u64"))]);
    let plain = CompileWork { cc: String::new(), arch: String::new(), ..work(By::Nvrtc) };
    let bundle = world.bundle("k.ptx", &plain);
    assert_eq!((bundle.kind, bundle.arch.as_str()), (ImageKind::Ptx, "sm_80"));
    assert_eq!(bundle.launch.block, Some(vec!["128".to_owned()]));
    fs::remove_file(world.dir.path().join("out/kernel.cuda")).unwrap();
    assert!(world.told("bad.ptx", &plain).contains("`n` takes 4 bytes"));
    if By::Nvrtc.is_here() {
        let cubin = World::new(&[("k.cu", GOOD)]).bundle("k.cu", &work(By::Nvrtc)).image;
        fs::write(world.dir.path().join("k.cubin"), &cubin).unwrap();
        let bundle = world.bundle("k.cubin", &plain);
        assert_eq!((bundle.arch.as_str(), bundle.image), ("sm_90", cubin));
    }
}

#[test]
fn what_cannot_be_built_is_told_before_any_tool_is_asked() {
    let world =
        World::new(&[("k.cu", GOOD), ("other.cu", ""), ("bad.cu", "\n// optloop: gird = [1]\n")]);
    let none = CompileWork { arch: String::new(), ..work(By::Nvcc) };
    for (sources, work, words) in [
        ("k.cu other.cu", work(By::Nvcc), "built from one source, and there are 2"),
        ("k.cu", CompileWork { host: true, ..work(By::Nvrtc) }, "NVRTC compiles no host code"),
        (
            "k.cu",
            CompileWork { cc: "no-such-nvcc".into(), ..none.clone() },
            "no compiler `no-such-nvcc`",
        ),
    ] {
        let told = world.told(sources, &work);
        assert!(told.contains(words), "{told}");
    }
    if By::Nvcc.is_here() {
        assert!(world.told("k.cu", &none).contains("arch = \"sm_90a\""));
        let told = world.told("bad.cu", &none);
        assert!(told.contains("/bad.cu:2:13") && told.contains("did you mean `grid`"), "{told}");
    }
}

#[test]
fn what_nvrtc_lacks_is_said_with_what_to_do() {
    if !By::Nvrtc.is_here() {
        return;
    }
    let cases = [
        ("#include <vector>\n", "", "NVRTC has no headers of the system"),
        (
            "#define NAME \"a.h\"\n#include NAME\n",
            "",
            "/k.cu:2: error: `#include NAME` names its file",
        ),
        ("", "--no-such-option", "NVRTC takes fewer options than nvcc"),
    ];
    for (text, flag, words) in cases {
        let flags = Some(flag).filter(|flag| !flag.is_empty()).map(str::to_owned);
        let work = CompileWork { flags: flags.into_iter().collect(), ..work(By::Nvrtc) };
        let told = World::new(&[("k.cu", &format!("{text}{GOOD}"))]).told("k.cu", &work);
        assert!(told.contains(words), "{told}");
    }
    let unknown = CompileWork { arch: "sm_12".into(), ..work(By::Nvrtc) };
    let told = World::new(&[("k.cu", GOOD)]).told("k.cu", &unknown);
    assert!(told.contains("does not know that `arch`"), "{told}");
}
