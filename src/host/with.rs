//! A host with a variable more, or whose commands run elsewhere.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{DeviceIdentity, Host, Launcher};

/// Another host, with what is set here.
pub struct With<'a> {
    /// The other one.
    pub host: &'a dyn Host,
    /// One more variable of the environment: its name and value.
    pub variable: Option<Variable<'a>>,
    /// What commands of stages are run through.
    pub launcher: Option<&'a Launcher>,
}

/// A variable.
pub struct Variable<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: OsString,
}

impl Host for With<'_> {
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
        let own = self.variable.as_ref().filter(|own| own.name == name);
        own.map(|own| own.value.clone()).or_else(|| self.host.var(name))
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        let mut all = self.host.vars();
        if let Some(own) = &self.variable {
            all.retain(|(name, _)| name != own.name);
            all.push((own.name.into(), own.value.clone()));
        }
        all
    }

    fn launcher(&self) -> Option<&Launcher> {
        self.launcher.or_else(|| self.host.launcher())
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
