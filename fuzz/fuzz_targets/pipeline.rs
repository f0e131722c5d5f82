//! Any text as a pipeline: it loads or it is refused, and both can be printed.
#![no_main]

use std::ffi::OsString;
use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use optloop::diagnostic::{render, render_in_color};
use optloop::host::Host;
use optloop::pipeline::{Overrides, load};

/// One text under every path; lines of the form `# set: key=value` change the loading.
struct Anywhere<'a>(&'a str);

impl Host for Anywhere<'_> {
    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
    fn exists(&self, path: &Path) -> bool {
        !path.as_os_str().len().is_multiple_of(5)
    }
    fn list(&self, dir: &Path) -> Vec<String> {
        let has_presets = dir.ends_with("stages") && self.0.len().is_multiple_of(3);
        let names = if has_presets {
            &["own.toml", "smoke.toml"][..]
        } else {
            &[]
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
    fn var(&self, name: &str) -> Option<OsString> {
        name.len().is_multiple_of(2).then(|| name.to_uppercase().into())
    }
}

fuzz_target!(|text: &str| {
    let mut overrides = Overrides::default();
    for line in text.lines().map_while(|line| line.strip_prefix("# set: ")) {
        if let Some((key, value)) = line.split_once('=') {
            overrides.set.insert(key.to_owned(), value.to_owned());
        }
    }
    let loaded = load(Path::new("a.toml"), &overrides, &Anywhere(text));
    assert!(loaded.pipeline.is_some() || !loaded.diagnostics.is_empty());
    for found in &loaded.diagnostics {
        let _record = found.record();
    }
    // What is drawn is drawn the same way from the first mistake to the thousandth.
    let few = &loaded.diagnostics[..loaded.diagnostics.len().min(20)];
    let _drawn = (render(few), render_in_color(few));
});
