use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::backend::cpu::layouts::Layouts;
use crate::backend::cpu::symbols;
use crate::engine::account::CompiledLayouts;
use crate::engine::stage::FailureClass;
use crate::host::MemoryHost;
use crate::pipeline::CompileWork;
use crate::problem::{Arg, ArgKind, Fill, Problem, Role};
use crate::process::Cancel;
use crate::verify::{Dtype, Tolerance};

/// `void scale(const float *x, float *y, int32_t n)`.
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

/// A folder of sources, and a scratch folder for each compile.
struct World {
    dir: tempfile::TempDir,
    work: CompileWork,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        let work = CompileWork {
            cc: String::new(),
            flags: vec!["-O1".into()],
            defines: BTreeMap::new(),
            include_dirs: Vec::new(),
            arch: String::new(),
            host: false,
            layouts: 1,
            timeout_ms: 60_000,
        };
        Self { dir, work }
    }

    fn compile(&self, sources: &[&str]) -> (StageOutcome, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let output = self.dir.path().join("out/k.so");
        let def = CompileDef {
            sources: sources.iter().map(|s| self.dir.path().join(s)).collect(),
            entry: "scale".into(),
            problem: problem(),
            compile: self.work.clone(),
            compiler: None,
            arch: None,
            output: output.clone(),
        };
        let context = StageContext {
            name: "compile",
            dir: self.dir.path(),
            scratch: scratch.path(),
            state: self.dir.path(),
            marker: "compile-test",
            host: &MemoryHost::with_vars([("PATH", "/usr/local/bin:/usr/bin:/bin")]),
            cancel: &Cancel::default(),
            progress: &|_, _| {},
            looked: &|_| {},
        };
        (run(&def, &context), output)
    }

    fn binary(&self, sources: &[&str]) -> Vec<u8> {
        let (outcome, output) = self.compile(sources);
        assert_eq!(outcome.failure, None);
        fs::read(output).unwrap()
    }
}

const GOOD: &str = "#include \"gain.h\"\nvoid scale(const float *restrict x, float *restrict y, int n) {\n  for (int i = 0; i < n; i++) y[i] = GAIN * x[i];\n}\n";

#[test]
fn a_comment_another_folder_and_another_day_give_the_same_bytes() {
    for name in ["k.c", "k.cc"] {
        let text = GOOD.replace("restrict", "__restrict");
        let extra = "\n#include <assert.h>\nstatic int here(int x) { assert(x); return x; }\n";
        let body = format!("{text}{extra}");
        let commented = format!("{text} /* faster */ {extra}// end\n");
        let mut one =
            World::new(&[("a/gain.h", "#define GAIN 2\n"), (&format!("a/{name}"), &body)]);
        let mut two = World::new(&[
            ("elsewhere/b/gain.h", "#define GAIN 2 // twice\n"),
            (&format!("elsewhere/b/{name}"), &commented),
        ]);
        (one.work.layouts, two.work.layouts) = (8, 8);
        let first = one.binary(&[&format!("a/{name}")]);
        let second = two.binary(&[&format!("elsewhere/b/{name}")]);
        assert_eq!(first, second, "{name}");
        let changed =
            World::new(&[("a/gain.h", "#define GAIN 3\n"), (&format!("a/{name}"), &body)]);
        assert_ne!(first, changed.binary(&[&format!("a/{name}")]), "{name}");
    }
}

#[test]
fn what_was_included_is_discovered_even_when_the_code_is_wrong() {
    let broken = GOOD.replace("int n)", "int n");
    for text in [GOOD, &broken] {
        let world = World::new(&[("k.c", text), ("gain.h", "#define GAIN 2\n")]);
        let (outcome, _) = world.compile(&["k.c"]);
        for name in ["k.c", "gain.h"] {
            let path = world.dir.path().join(name);
            assert!(outcome.discovered.contains(&path), "{name}: {:?}", outcome.discovered);
        }
    }
}

/// What a failed compile says, with the folder's name taken out.
fn failure(world: &World, source: &str) -> String {
    let (outcome, output) = world.compile(&[source]);
    let failure = outcome.failure.expect("it must not compile");
    assert_eq!(failure.class, FailureClass::Failed);
    assert!(!output.exists(), "a failed compile leaves no output");
    failure.message.replace(&world.dir.path().display().to_string(), "")
}

#[test]
fn mistakes_are_shown_at_the_users_line() {
    let wrong_type = "// one\nvoid scale(const double *x, float *y, int n) {}\n";
    let wrong_count = "// one\nvoid scale(const float *x, float *y) {}\n";
    let wrong_return = "// one\nint scale(const float *x, float *y, int n) { return 0; }\n";
    let hidden = "// one\nstatic void scale(const float *x, float *y, int n) {}\n";
    let syntax = "// one\nvoid scale(const float *x, float *y, int n) { y[0] = x[0] }\n";
    for (name, text) in [
        ("k.c", wrong_type),
        ("k.c", wrong_count),
        ("k.c", wrong_return),
        ("k.c", hidden),
        ("k.c", syntax),
        ("k.cc", wrong_type),
        ("k.cc", wrong_count),
        ("k.cc", wrong_return),
        ("k.cc", syntax),
    ] {
        let message = failure(&World::new(&[(name, text)]), name);
        assert!(message.contains(&format!("/{name}:2:")), "{name} {text}\n{message}");
        let wanted = "problem `scale` asks for: void scale(const float *x, float *y, int n)";
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn the_kernel_is_called_and_never_copied_into_its_launcher() {
    let text = "void scale(const float *x, float *y, int n) {\n  *(volatile int *)y = 0x12345678 + 0 * n;\n}\n";
    let hidden = format!("namespace {{ {text} }}\n");
    for (name, text, flags) in [
        ("k.c", text, "-O3"),
        ("k.c", text, "-flto"),
        ("k.cc", text, "-O3"),
        ("k.cc", &hidden, "-O3"),
    ] {
        let mut world = World::new(&[(name, text)]);
        world.work.flags = vec!["-O3".into(), flags.into()];
        let binary = world.binary(&[name]);
        let scale = symbols::function(&binary, "scale").expect("it is a function of its own");
        if cfg!(target_arch = "x86_64") {
            let mark = 0x1234_5678_u32.to_le_bytes();
            let marks: Vec<u64> = (0..binary.len() as u64 - 4)
                .filter(|&at| binary[at as usize..].starts_with(&mark))
                .collect();
            assert_eq!(marks.len(), 1, "{name} {flags}: {marks:x?}");
            assert!(scale.contains(&marks[0]), "{name} {flags}: {marks:x?} is not in {scale:x?}");
        }
    }
}

#[test]
fn a_kernel_is_linked_at_eight_places_and_stays_the_same_code() {
    for (flags, by_line) in [
        (&["-O3"][..], [2; 4]),
        (&["-O3", "-ffunction-sections", "-Wl,--gc-sections"], [2; 4]),
        // There is no code to loosen before the link, so it is moved by whole lines.
        (&["-O3", "-flto"], [8, 0, 0, 0]),
    ] {
        let mut world = World::new(&[("k.c", GOOD), ("gain.h", "#define GAIN 2\n")]);
        world.work.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let alone = world.binary(&["k.c"]);
        world.work.layouts = 8;
        let (outcome, output) = world.compile(&["k.c"]);
        assert_eq!(outcome.failure, None);
        let file = fs::read(output).unwrap();
        let layouts = Layouts::of(&file);
        assert_eq!(told(&outcome).count, 8, "{outcome:?}");
        assert_eq!(layouts.parts()[0], alone, "the first is the kernel as it is linked by itself");
        assert_eq!(layouts.identity(), Layouts::of(&alone).identity());
        let mut pages = std::collections::BTreeSet::new();
        let mut lines = [0; 4];
        for part in layouts.parts() {
            let scale = symbols::function(part, "scale").expect("a function");
            pages.insert(scale.start % 4096);
            lines[(scale.start % 64 / 16) as usize] += 1;
        }
        assert_eq!((pages.len(), lines), (8, by_line), "{flags:?}: {pages:x?}");
    }
}

/// What is recorded of its layouts.
fn told(outcome: &StageOutcome) -> CompiledLayouts {
    let Some(StageRecord::Compile(record)) = &outcome.detail else { panic!("{outcome:?}") };
    record.layouts.clone().expect("layouts")
}

#[test]
fn what_cannot_be_moved_has_one_layout_and_says_why() {
    let mut world = World::new(&[("k.c", GOOD), ("gain.h", "#define GAIN 2\n")]);
    // A compiler that links once and never again.
    let fussy = world.dir.path().join("fussy");
    let script =
        "#!/bin/sh\ncase \"$*\" in *padding*) echo no room here; exit 1;; esac\nexec cc \"$@\"\n";
    fs::write(&fussy, script).unwrap();
    fs::set_permissions(&fussy, PermissionsExt::from_mode(0o755)).unwrap();
    world.work.cc = fussy.display().to_string();
    world.work.layouts = 8;
    let (outcome, output) = world.compile(&["k.c"]);
    assert_eq!(outcome.failure, None);
    let told = told(&outcome);
    assert_eq!(told.count, 1, "{told:?}");
    assert_eq!(told.why.as_deref(), Some("it cannot be linked again: no room here"));
    assert_eq!(Layouts::of(&fs::read(output).unwrap()).parts().len(), 1);
}

#[test]
fn a_kernel_without_its_entry_is_told_which_one_is_wanted() {
    for (name, other) in
        [("k.c", "void other(void) {}\n"), ("k.cc", "namespace a { void scale() {} }\n")]
    {
        let message = failure(&World::new(&[(name, other)]), name);
        assert!(message.contains("asks for: void scale("), "{message}");
    }
}

#[test]
fn definitions_and_include_folders_reach_the_kernel() {
    let text = "#include <gain.h>\n#ifndef BLOCK\n#error no BLOCK\n#endif\nvoid scale(const float *x, float *y, int n) { y[0] = GAIN * BLOCK * x[n]; }\n";
    let mut world = World::new(&[("k.c", text), ("inc/gain.h", "#define GAIN 2\n")]);
    world.work.include_dirs.push("inc".into());
    world.work.defines.insert("BLOCK".into(), "64".into());
    let (outcome, _) = world.compile(&["k.c"]);
    assert_eq!(outcome.failure, None);
}

#[test]
fn further_sources_are_linked_in_whatever_their_language() {
    let text = "float gain(void);\nvoid scale(const float *x, float *y, int n) { y[0] = gain() * x[n]; }\n";
    let gain =
        "#include <vector>\nextern \"C\" float gain() { return std::vector<float>(3, 1.5f)[1]; }\n";
    let (outcome, output) =
        World::new(&[("k.c", text), ("gain.cpp", gain)]).compile(&["k.c", "gain.cpp"]);
    assert_eq!(outcome.failure, None);
    assert!(output.is_absolute());
}

#[test]
fn a_missing_compiler_is_told_with_what_to_do() {
    let mut world = World::new(&[("k.c", GOOD), ("gain.h", "#define GAIN 2\n")]);
    world.work.cc = "no-such-compiler".into();
    assert!(failure(&world, "k.c").contains("no compiler `no-such-compiler` on the PATH"));
}

#[test]
fn what_is_no_c_is_refused() {
    let message = failure(&World::new(&[("k.rs", "")]), "k.rs");
    assert!(message.contains("neither C (.c) nor C++"), "{message}");
}

#[test]
fn definitions_of_compiles_survive_postcard() {
    let world = World::new(&[]);
    let def = CompileDef {
        sources: vec!["/k.c".into()],
        entry: "scale".into(),
        problem: problem(),
        compile: world.work.clone(),
        compiler: Some("/usr/bin/cc".into()),
        arch: None,
        output: "/o.so".into(),
    };
    let bytes = postcard::to_stdvec(&def).unwrap();
    assert_eq!(postcard::from_bytes::<CompileDef>(&bytes).unwrap(), def);
}
