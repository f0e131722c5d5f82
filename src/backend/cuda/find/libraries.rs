//! Looking for libraries, and opening them.

use std::path::Path;

use super::candidate::{Candidate, Library, Missing, Opened, Origin, load};
use super::places::Places;
use super::sight::Sight;

/// What to do where there is no NVRTC.
pub const NVRTC_HINT: &str = "pip install nvidia-cuda-nvrtc (for drivers of CUDA 12: \
                              nvidia-cuda-nvrtc-cu12), or point CUDA_HOME at a CUDA toolkit";

impl Places {
    /// Every file that would be taken for this library, in order, there or not.
    pub fn candidates(&self, library: Library, sight: Sight<'_>) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = Vec::new();
        for (folder, from) in self.library_folders(sight) {
            for name in library.names() {
                let path = folder.join(name);
                if all.iter().all(|earlier| earlier.path != path) {
                    all.push(Candidate { path, from });
                }
            }
        }
        all
    }

    /// The first file for this library that is there; nothing is opened.
    pub fn find(&self, library: Library) -> Option<Candidate> {
        self.find_seen(library, Sight::DISK)
    }

    /// As [`Places::find`], for those who see the machine only through questions.
    pub fn find_seen(&self, library: Library, sight: Sight<'_>) -> Option<Candidate> {
        self.candidates(library, sight).into_iter().find(|c| (sight.exists)(&c.path))
    }

    /// Loads the first file for this library that can be, or else what the dynamic loader knows by
    /// the bare name. Of NVRTC that is what [`Places::find`] finds or nothing, since who plans
    /// with it can open none. It stays loaded until this process ends, and its names are seen by all.
    ///
    /// # Errors
    /// Where it was looked for in vain, and what to do.
    pub fn open(&self, library: Library) -> Result<Opened, Missing> {
        let candidates = self.candidates(library, Sight::DISK);
        let mut broken = None;
        let there = candidates.iter().filter(|c| c.path.exists()).cloned();
        let most = if library == Library::Nvrtc { 1 } else { usize::MAX };
        let there = there.take(most);
        for Candidate { path, from } in there.chain(self.by_name(library)) {
            match load(&path) {
                Ok(library) => return Ok(Opened { path, from, library }),
                // Of what the loader does not know by name nothing is to be said.
                Err(why) if from != Origin::Loader => {
                    broken.get_or_insert(why);
                }
                Err(_) => {}
            }
        }
        let tried = candidates.into_iter().map(|c| c.path).collect();
        let what = format!("{} ({})", library.title(), library.names()[0]);
        let hint = match &broken {
            Some(_) => {
                "it may be of another architecture, or unfinished: install it anew".to_owned()
            }
            None => self.hint(library),
        };
        Err(Missing { what, tried, broken, hint })
    }

    /// What the loader would be asked for; a made-up root has no loader.
    fn by_name(&self, library: Library) -> impl Iterator<Item = Candidate> {
        let is_asked = self.root == Path::new("/") && library != Library::Nvrtc;
        let names = if is_asked { library.names() } else { &[] };
        names.iter().map(|name| Candidate { path: (*name).into(), from: Origin::Loader })
    }

    /// What to do where a library is missing.
    pub fn hint(&self, library: Library) -> String {
        let text = match library {
            Library::Nvrtc => NVRTC_HINT,
            Library::Driver | Library::Nvml if self.has_kernel_module() => {
                "the kernel module is loaded, but the library is not in sight: start the container \
                 with --gpus all (NVIDIA_DRIVER_CAPABILITIES=compute,utility), or run ldconfig"
            }
            Library::Driver | Library::Nvml => {
                "with an NVIDIA device, install its driver (on Debian: apt install nvidia-driver \
                 libcuda1); in a container, start it with --gpus all"
            }
        };
        text.to_owned()
    }
}
