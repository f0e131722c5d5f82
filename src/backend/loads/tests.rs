use std::process::Command;

use super::*;

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it exists").join(name)
    }

    /// Builds a shared object that defines `name` and links with `args`.
    #[expect(clippy::disallowed_methods, reason = "objects to look at have to be built")]
    fn build(&self, file: &str, args: &[&str]) -> PathBuf {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let source = self.path("empty.c");
        std::fs::write(&source, "int answer(void) { return 42; }\n").expect("written");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-o"]).arg(&path).arg(&source);
        let built = cc.args(args).output().expect("a C compiler");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        path
    }

    fn find(&self, object: &Path, library_path: &str) -> Vec<(String, Vec<String>)> {
        let libraries = needed(object, library_path.as_bytes()).expect("an object");
        let text = describe(&libraries, &self.path(""));
        let line = |line: &str| {
            let mut words = line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned);
            (words.next().expect("a name"), words.collect())
        };
        text.lines().map(line).filter(|(name, _)| name.starts_with("libw")).collect()
    }
}

fn found(name: &str, files: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), files.iter().map(|f| (*f).to_owned()).collect())
}

#[test]
fn libraries_are_found_where_the_loader_finds_them() {
    let world = World::new();
    let (lib, deep) = (world.path("lib"), world.path("deep"));
    let flag = |what: &str, path: &Path| format!("{what}{}", path.display());
    world.build("deep/libwdeep.so", &[]);
    world.build("lib/libwmid.so", &[&flag("-L", &deep), "-lwdeep"]);
    let links = [flag("-L", &lib), "-lwmid".to_owned(), flag("-Wl,-rpath-link,", &deep)];
    let links: Vec<&str> = links.iter().map(String::as_str).collect();

    // Nothing says where they lie.
    let plain = world.build("k/plain.so", &links);
    assert_eq!(world.find(&plain, ""), [found("libwmid.so", &[])]);
    // The environment does.
    let path = format!("relative:{}:{}", lib.display(), deep.display());
    let both =
        [found("libwmid.so", &["lib/libwmid.so"]), found("libwdeep.so", &["deep/libwdeep.so"])];
    assert_eq!(world.find(&plain, &path), both);
    // A run path is for the object's own libraries only, and starts from where it lies.
    let own = ["-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../deep"];
    let run = world.build("k/run.so", &[&links[..], &own].concat());
    let half = [found("libwmid.so", &["lib/libwmid.so"]), found("libwdeep.so", &[])];
    assert_eq!(world.find(&run, ""), half);
    // The older kind of path is for theirs as well, and comes before the environment.
    let own = ["-Wl,--disable-new-dtags", "-Wl,-rpath,${ORIGIN}/../lib:$ORIGIN/../deep"];
    let old = world.build("k/old.so", &[&links[..], &own].concat());
    let other = world.build("other/libwmid.so", &[]);
    let folder = other.parent().expect("a folder").display().to_string();
    assert_eq!(world.find(&old, &folder), both);
    // The newer kind comes after it.
    assert_eq!(world.find(&run, &folder), [found("libwmid.so", &["other/libwmid.so"])]);
    // What is of another machine is passed by.
    std::fs::write(&other, b"\x7fELF\x01\x01 for something else").expect("written");
    assert_eq!(world.find(&run, &folder), half);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the loader itself is asked")]
fn the_system_libraries_are_those_that_the_loader_names() {
    let world = World::new();
    let object = world.build("k.so", &["-lm"]);
    let Ok(told) = Command::new("ldd").arg(&object).output() else { return };
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let libraries = needed(&object, b"").expect("an object");
    assert!(libraries.iter().any(|l| l.name == "libm.so.6"), "{libraries:?}");
    for library in libraries.iter().filter(|l| !l.name.to_string_lossy().starts_with("ld-")) {
        let place = library.files.first().expect("found").display().to_string();
        assert!(told.contains(&place), "{place} is not in\n{told}");
    }
}

#[test]
fn what_is_not_there_is_nothing_and_other_files_need_a_driver() {
    let world = World::new();
    assert_eq!(needed(&world.path("none"), b""), None);
    std::fs::write(world.path("k.cuda"), "a bundle").expect("written");
    let libraries = needed(&world.path("k.cuda"), b"").expect("a file");
    assert_eq!(libraries.iter().map(|l| l.name.clone()).collect::<Vec<_>>(), [CUDA_DRIVER]);
}
