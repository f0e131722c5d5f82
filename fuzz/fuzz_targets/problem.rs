//! Any text as a problem: it loads or it is refused, and both can be printed.
#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use optloop::diagnostic::{render, render_in_color};
use optloop::host::Host;
use optloop::problem::load;

/// One text under every path, on a machine with 1 GiB.
struct Anywhere<'a>(&'a str);

impl Host for Anywhere<'_> {
    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
    fn exists(&self, path: &Path) -> bool {
        !path.as_os_str().len().is_multiple_of(5)
    }
    fn memory_bytes(&self) -> u64 {
        1 << 30
    }
}

fuzz_target!(|text: &str| {
    let loaded = load(Path::new("/w/problem.toml"), &Anywhere(text));
    assert!(loaded.problem.is_some() || !loaded.diagnostics.is_empty());
    let few = &loaded.diagnostics[..loaded.diagnostics.len().min(20)];
    let _drawn = (render(few), render_in_color(few));
});
