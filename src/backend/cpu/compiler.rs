//! The commands that build a kernel, and what makes their output the same every time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::source::{BadPath, Language, Signature, trampoline};

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub struct CompileRequest<'a> {
    /// Absolute paths; the first holds the entry, the others are compiled beside it.
    pub sources: &'a [PathBuf],
    /// The text of the first source, to point into it.
    pub text: &'a str,
    /// What the entry must look like.
    pub signature: &'a Signature,
    /// The compiler: an absolute path. One that can link C++ when any source is C++.
    pub compiler: &'a Path,
    /// Flags, in order.
    pub flags: &'a [String],
    /// `-D` definitions.
    pub defines: &'a BTreeMap<String, String>,
    /// `-I` folders, absolute.
    pub include_dirs: &'a [PathBuf],
    /// A private folder for the trampoline, objects and dependency files.
    pub scratch: &'a Path,
    /// The shared object.
    pub output: &'a Path,
}

/// What every kernel is compiled with before its own flags, which win: where functions and loops
/// begin within a cache line is worth some per cent, and would change with every edit above them.
pub const ALIGNED: [&str; 2] = ["-falign-functions=64", "-falign-loops=64"];

/// What is to be done: write the trampoline, run the steps, read the dependency files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compilation {
    /// The generated source and where it is to stand.
    pub trampoline: (PathBuf, String),
    /// Commands in order; each must exit with 0. The last one links.
    pub steps: Vec<Step>,
    /// What is linked, in order.
    pub objects: Vec<PathBuf>,
    /// Written by the steps; see [`super::depfile::parse_depfile`].
    pub depfiles: Vec<PathBuf>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The compiler: an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Why nothing can be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// No sources.
    #[error("there is no kernel source to compile")]
    NoSource,
    /// A language that this backend does not know.
    #[error("`{}` is neither C (.c) nor C++ (.cc, .cpp, .cxx); the cpu backend compiles nothing else", .0.display())]
    NotCompilable(PathBuf),
    /// A path that cannot be included.
    #[error(transparent)]
    BadPath(#[from] BadPath),
}

/// Variables that steps run with besides `PATH` and the scratch folder as `TMPDIR`: messages in
/// English, and no time of day in the output.
pub const STEP_ENV: [(&str, &str); 2] = [("LC_ALL", "C"), ("SOURCE_DATE_EPOCH", "0")];

/// Plans the commands for `request`.
///
/// # Errors
/// When a source is in no known language or cannot be included.
pub fn plan(request: &CompileRequest<'_>) -> Result<Compilation, CompileError> {
    let first = request.sources.first().ok_or(CompileError::NoSource)?;
    let languages = request
        .sources
        .iter()
        .map(|s| Language::of(s).ok_or_else(|| CompileError::NotCompilable(s.clone())))
        .collect::<Result<Vec<_>, _>>()?;
    let generated = request.scratch.join(match languages[0] {
        Language::C => "kernel.c",
        Language::Cpp => "kernel.cc",
    });
    let text = trampoline(first, request.text, request.signature)?;
    let mut plan = Compilation {
        trampoline: (generated.clone(), text),
        steps: Vec::new(),
        objects: Vec::new(),
        depfiles: Vec::new(),
    };
    let inputs = std::iter::once(&generated).chain(&request.sources[1..]);
    for (index, (input, language)) in inputs.zip(&languages).enumerate() {
        let object = request.scratch.join(format!("{index}.o"));
        let depfile = request.scratch.join(format!("{index}.d"));
        let unit = Unit { input, language: *language, object: &object, depfile: &depfile };
        plan.steps.push(compile_step(request, &unit));
        plan.depfiles.push(depfile);
        plan.objects.push(object);
    }
    plan.steps.push(link_step(request, &plan.objects));
    Ok(plan)
}

/// What a sanitizer build is compiled with besides the kernel's own flags, and after them: what
/// is found is to have a place in the source, which optimisation blurs.
pub const SANITIZE_FLAGS: [&str; 7] = [
    "-O1",
    "-g",
    "-gz=none",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    // Loads that are not aligned are undefined, and everywhere in honest kernels.
    "-fno-sanitize=alignment",
    "-fno-sanitize-recover=all",
];

/// Plans a build with sanitizers: as [`plan`], with [`SANITIZE_FLAGS`] and `more` after the
/// kernel's flags, and with the debugging information left in.
///
/// # Errors
/// As [`plan`].
pub fn plan_sanitized(
    request: &CompileRequest<'_>,
    more: &[String],
) -> Result<Compilation, CompileError> {
    let own = SANITIZE_FLAGS.map(str::to_owned);
    let flags: Vec<String> = request.flags.iter().chain(&own).chain(more).cloned().collect();
    let mut plan = plan(&CompileRequest { flags: &flags, ..*request })?;
    if let Some(link) = plan.steps.last_mut() {
        link.args.retain(|arg| arg != "-s");
    }
    Ok(plan)
}

impl Compilation {
    /// The link once more, of `objects` to `output`: which were linked to what is told by the plan.
    pub fn link_again(&self, objects: &[PathBuf], output: &Path) -> Option<Step> {
        let mut step = self.steps.last()?.clone();
        let first = step.args.iter().position(|arg| self.objects.iter().any(|o| arg == o))?;
        step.args.retain(|arg| !self.objects.iter().any(|object| arg == object));
        step.args.splice(first..first, objects.iter().map(OsString::from));
        let named = step.args.iter().rposition(|arg| arg == "-o")?;
        *step.args.get_mut(named + 1)? = output.into();
        Some(step)
    }
}

/// The compiler's name that a pipeline's `cc` (empty: the system's) means for these sources.
pub fn compiler_name<'a>(cc: &'a str, sources: &[PathBuf]) -> &'a str {
    let is_cpp = |source: &PathBuf| Language::of(source) == Some(Language::Cpp);
    match cc {
        "" if sources.iter().any(is_cpp) => "c++",
        "" => "cc",
        written => written,
    }
}

/// Flags that keep paths, times and order of writing out of the output, so that an edit of a
/// comment gives the same bytes: names of folders are mapped away, and names made up for internal
/// symbols come from a fixed seed.
fn reproducible(request: &CompileRequest<'_>) -> Vec<OsString> {
    let mut flags = Vec::new();
    let folders = request.sources.iter().filter_map(|s| s.parent());
    for folder in std::iter::once(request.scratch).chain(folders) {
        let mut map = OsString::from("-ffile-prefix-map=");
        map.push(folder);
        map.push("=.");
        if !flags.contains(&map) {
            flags.push(map);
        }
    }
    flags.push("-frandom-seed=optloop".into());
    flags
}

/// One file that is compiled, and what comes of it.
struct Unit<'a> {
    input: &'a Path,
    language: Language,
    object: &'a Path,
    depfile: &'a Path,
}

fn compile_step(request: &CompileRequest<'_>, unit: &Unit<'_>) -> Step {
    let Unit { input, language, object, depfile } = *unit;
    let mut args: Vec<OsString> = ALIGNED.map(OsString::from).into();
    args.extend(request.flags.iter().map(OsString::from));
    args.extend(["-fPIC", "-fvisibility=hidden"].map(OsString::from));
    args.extend(reproducible(request));
    for (name, value) in request.defines {
        args.push(format!("-D{name}={value}").into());
    }
    for folder in request.include_dirs {
        args.push("-I".into());
        args.push(folder.into());
    }
    args.extend(["-MD".into(), "-MF".into(), depfile.into(), "-x".into()]);
    args.push(if language == Language::Cpp { "c++" } else { "c" }.into());
    args.extend(["-c".into(), input.into(), "-o".into(), object.into()]);
    Step { program: request.compiler.to_owned(), args }
}

fn link_step(request: &CompileRequest<'_>, objects: &[PathBuf]) -> Step {
    let mut args: Vec<OsString> = objects.iter().map(OsString::from).collect();
    args.push("-shared".into());
    // Flags again, for those that link libraries (`-fopenmp`, `-lblas`), after the objects.
    args.extend(request.flags.iter().map(OsString::from));
    args.extend(["-lm", "-Wl,-z,defs", "-Wl,--build-id=none", "-o"].map(OsString::from));
    args.push(request.output.into());
    Step { program: request.compiler.to_owned(), args }
}

#[cfg(test)]
mod tests {
    use crate::verify::Dtype;

    use super::super::source::{Param, ParamKind};
    use super::*;

    fn signature() -> Signature {
        let param = Param { name: "x".into(), dtype: Dtype::F32, kind: ParamKind::Write };
        Signature { entry: "f".into(), params: vec![param] }
    }

    fn planned(sources: &[&str]) -> Result<Compilation, CompileError> {
        let sources: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
        plan(&CompileRequest {
            sources: &sources,
            text: "",
            signature: &signature(),
            compiler: Path::new("/bin/cc"),
            flags: &["-O2".into()],
            defines: &BTreeMap::from([("BLOCK".into(), "64".into())]),
            include_dirs: &[PathBuf::from("/inc")],
            scratch: Path::new("/s"),
            output: Path::new("/o/k.so"),
        })
    }

    fn line(step: &Step) -> String {
        let args: Vec<_> = step.args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
        format!("{} {}", step.program.display(), args.join(" "))
    }

    #[test]
    fn one_c_source_is_compiled_through_its_trampoline_and_linked() {
        let plan = planned(&["/k/f.c"]).unwrap();
        let lines: Vec<String> = plan.steps.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        /bin/cc -falign-functions=64 -falign-loops=64 -O2 -fPIC -fvisibility=hidden -ffile-prefix-map=/s=. -ffile-prefix-map=/k=. -frandom-seed=optloop -DBLOCK=64 -I /inc -MD -MF /s/0.d -x c -c /s/kernel.c -o /s/0.o
        /bin/cc /s/0.o -shared -O2 -lm -Wl,-z,defs -Wl,--build-id=none -o /o/k.so
        ");
        assert!(plan.trampoline.1.contains("#include \"/k/f.c\""));
    }

    #[test]
    fn further_sources_are_compiled_in_their_own_language_beside_it() {
        let plan = planned(&["/k/f.c", "/k/g.cc"]).unwrap();
        assert_eq!((plan.steps.len(), plan.depfiles.len()), (3, 2));
        assert!(line(&plan.steps[0]).contains("-x c -c /s/kernel.c"), "{}", line(&plan.steps[0]));
        assert!(line(&plan.steps[1]).contains("-x c++ -c /k/g.cc"), "{}", line(&plan.steps[1]));
        assert!(line(&plan.steps[2]).contains("/s/0.o /s/1.o -shared"), "{}", line(&plan.steps[2]));
    }

    #[test]
    fn a_sanitizer_build_has_its_flags_last_and_is_not_stripped() {
        let sources = [PathBuf::from("/k/f.c")];
        let request = CompileRequest {
            sources: &sources,
            text: "",
            signature: &signature(),
            compiler: Path::new("/bin/cc"),
            flags: &["-O3".into()],
            defines: &BTreeMap::new(),
            include_dirs: &[],
            scratch: Path::new("/s"),
            output: Path::new("/o/k.so"),
        };
        let plan = plan_sanitized(&request, &["-shared-libasan".into()]).unwrap();
        let own = "-O3 -O1 -g -gz=none -fno-omit-frame-pointer -fsanitize=address,undefined \
                   -fno-sanitize=alignment -fno-sanitize-recover=all -shared-libasan";
        for step in &plan.steps {
            assert!(line(step).contains(own), "{}", line(step));
            assert!(!line(step).contains(" -s "), "{}", line(step));
        }
    }

    #[test]
    fn a_link_is_made_again_with_other_objects_and_another_output() {
        let plan = planned(&["/k/f.c", "/k/g.c"]).unwrap();
        let objects = ["/s/pad.o", "/s/f.o"].map(PathBuf::from);
        let again = line(&plan.link_again(&objects, Path::new("/s/1.so")).unwrap());
        let usual = line(plan.steps.last().unwrap());
        assert_eq!(
            again,
            usual.replace("/s/0.o /s/1.o", "/s/pad.o /s/f.o").replace("/o/k.so", "/s/1.so")
        );
    }

    #[test]
    fn one_cpp_source_makes_the_default_compiler_one_for_cpp() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(compiler_name("", &paths(&["a.c"])), "cc");
        assert_eq!(compiler_name("", &paths(&["a.c", "b.cpp"])), "c++");
        assert_eq!(compiler_name("clang", &paths(&["b.cpp"])), "clang");
    }

    #[test]
    fn what_is_neither_c_nor_cpp_is_refused() {
        assert_eq!(planned(&["/k/f.cu"]), Err(CompileError::NotCompilable("/k/f.cu".into())));
        assert_eq!(planned(&[]), Err(CompileError::NoSource));
    }
}
