//! A host with one variable more.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{DeviceIdentity, Host};

/// Another host, in whose environment one more variable is set.
pub struct WithVariable<'a> {
    /// The other one.
    pub host: &'a dyn Host,
    /// The variable's name.
    pub name: &'a str,
    /// Its value.
    pub value: OsString,
}

impl Host for WithVariable<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.host.read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.host.exists(path)
    }

    fn list(&self, dir: &Path) -> Vec<String> {
        self.host.list(dir)
    }

    fn real(&self, path: &Path) -> PathBuf {
        self.host.real(path)
    }

    fn var(&self, name: &str) -> Option<OsString> {
        if name == self.name { Some(self.value.clone()) } else { self.host.var(name) }
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        let mut all = self.host.vars();
        all.retain(|(name, _)| name != self.name);
        all.push((self.name.into(), self.value.clone()));
        all
    }

    fn memory_bytes(&self) -> u64 {
        self.host.memory_bytes()
    }

    fn device(&self, name: &str) -> DeviceIdentity {
        self.host.device(name)
    }

    fn sandbox(&self) -> String {
        self.host.sandbox()
    }

    fn tool_version(&self, path: &Path) -> String {
        self.host.tool_version(path)
    }

    fn loads(&self, object: &Path, root: &Path) -> Option<String> {
        self.host.loads(object, root)
    }

    fn now_ms(&self) -> i64 {
        self.host.now_ms()
    }

    fn program(&self) -> &Path {
        self.host.program()
    }
}
