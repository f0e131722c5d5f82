//! Kernels that can be given more to do, and the same code in other files.

use std::fs;
use std::path::PathBuf;

use optloop::problem::{PROTOTYPE_INCLUDES, prototype};

use optloop::backend::cpu::layouts::{self, Layouts};
use optloop::pipeline::CompileWork;

use crate::accuracy;
use crate::world::{Kernel, World, compile_work, own_source, shipped_source};

/// Each problem with the size that its work grows with in the smallest steps.
const PROBLEMS: [(&str, &str); 5] = [
    ("softmax", "rows"),
    ("sgemm", "k"),
    ("stencil2d", "h"),
    ("reduce_sum", "n"),
    ("vector_add", "n"),
];

/// Nanoseconds of the cases of the kernel whose time is exact.
const SPIN_NS: [i64; 2] = [20_000, 200_000];

/// A kernel that can be given more to do.
pub(crate) struct Subject {
    pub(crate) kernel: Kernel,
    source: PathBuf,
    scaled: &'static str,
    macros: Vec<(&'static str, String)>,
}

impl Subject {
    /// The shipped kernels, each as it comes and in its faster form.
    pub(crate) fn all_shipped(world: &World) -> Vec<Self> {
        let both = |(name, scaled): &(&str, &'static str)| {
            [(*name).to_owned(), format!("{name}_fast")].map(|name| (name, *scaled))
        };
        let names = PROBLEMS.iter().flat_map(both);
        names.map(|(name, scaled)| Self::shipped(world, &name, scaled)).collect()
    }

    fn shipped(world: &World, name: &str, scaled: &'static str) -> Self {
        let mut kernel = world.shipped(name);
        // Calibrations are filed by problem.
        name.clone_into(&mut kernel.problem.name);
        Self { kernel, source: shipped_source(name), scaled, macros: Vec::new() }
    }

    /// The one whose time is exact.
    pub(crate) fn spin(world: &World) -> Self {
        let (kernel, ticks) = accuracy::spin(world, &SPIN_NS);
        let macros = vec![("TICKS_PER_US", ticks)];
        Self { kernel, source: own_source("spin.c"), scaled: "n", macros }
    }

    /// The object with a byte changed that nobody looks at (the last of `e_ident`), in every layout:
    /// not the same file, but the same code.
    pub(crate) fn altered(&self, world: &World) -> PathBuf {
        let path = world.path(&format!("{}-altered.so", self.kernel.name));
        let bytes = fs::read(&self.kernel.object).expect("it was just built");
        let kernel = Layouts::of(&bytes);
        let parts = kernel.parts().iter().map(|part| {
            let mut part = part.to_vec();
            part[15] = 1;
            part
        });
        let file = layouts::join(&parts.collect::<Vec<_>>());
        fs::write(&path, file).expect("a folder of this study's own");
        path
    }

    /// The same code at another place in memory.
    pub(crate) fn moved(&self, world: &World) -> PathBuf {
        let text = format!(
            "__attribute__((used)) static float unused(float x) {{ return x * x + 1.0f; }}\n\
             #include \"{}\"\n",
            self.source.display()
        );
        self.build(world, "moved", (&text, 0.0))
    }

    /// The kernel, which does this share of its work once more before. Of any two of these only a
    /// number in memory differs.
    pub(crate) fn with_more(&self, world: &World, share: f64) -> PathBuf {
        let problem = &self.kernel.problem;
        let (entry, scaled) = (&problem.entry, self.scaled);
        let values = |of: &dyn Fn(&str) -> String| {
            problem.args.iter().map(|arg| of(&arg.name)).collect::<Vec<_>>().join(", ")
        };
        let part = values(&|name| if name == scaled { "part".into() } else { name.into() });
        let text = format!(
            "{PROTOTYPE_INCLUDES}#define {entry} {entry}_work\n#include \"{}\"\n#undef {entry}\n\
             static const volatile double share = SHARE;\n\
             {}\n{{\n    __typeof__(&{entry}_work) volatile work = {entry}_work;\n    \
             int part = (int)({scaled} * share + 0.5);\n    \
             if (part > 0)\n        work({part});\n    work({});\n}}\n",
            self.source.display(),
            prototype(problem),
            values(&str::to_owned),
        );
        self.build(world, &format!("{share:.5}"), (&text, share))
    }

    /// The kernel below (and above) other text, by other flags after the usual ones.
    pub(crate) fn within(
        &self,
        world: &World,
        what: &str,
        ([above, below], flags, count): ([&str; 2], &[&str], u32),
    ) -> PathBuf {
        let name = format!("{}-{what}", self.kernel.name);
        let source = world.path(&format!("{name}.c"));
        let text = format!("{above}\n#include \"{}\"\n{below}\n", self.source.display());
        fs::write(&source, text).expect("a folder of this study's own");
        let mut work = CompileWork { layouts: count, ..compile_work(&[]) };
        work.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        world.compiled_by(&name, &self.kernel.problem, &source, work)
    }

    fn build(&self, world: &World, what: &str, (text, share): (&str, f64)) -> PathBuf {
        let name = format!("{}-{what}", self.kernel.name);
        let source = world.path(&format!("{name}.c"));
        fs::write(&source, text).expect("a folder of this study's own");
        let mut macros = self.macros.clone();
        macros.push(("SHARE", share.to_string()));
        world.compiled(&name, &self.kernel.problem, &source, &macros)
    }

    /// The same with another object.
    pub(crate) fn with_object(&self, object: PathBuf) -> Kernel {
        Kernel { object, ..self.kernel.clone() }
    }
}
