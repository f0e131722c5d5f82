//! What there is of CUDA here: libraries and tools.

use crate::backend::cuda::find::{Library, Missing, Places, Tool};
use crate::backend::cuda::nvml;

/// One library or tool.
pub(super) struct Part {
    /// What people call it.
    pub(super) name: &'static str,
    /// What suffers without it.
    pub(super) cost: &'static str,
    /// Where it is and what it is, or what is missing and what to do about that.
    pub(super) found: Result<String, (String, String)>,
}

/// NVRTC, NVML and the tools; the libraries are opened, no CUDA is initialised.
pub(super) fn parts(places: &Places) -> Vec<Part> {
    let missing = |missing: Missing| (missing.to_string(), missing.hint);
    let nvrtc = places.open(Library::Nvrtc).map_err(missing).map(|opened| {
        let path = opened.path.display();
        match opened.nvrtc_version() {
            Some((major, minor)) => format!("{path} ({major}.{minor})"),
            None => path.to_string(),
        }
    });
    let nvml = nvml::management(places)
        .map(|nvml| format!("{} (driver {})", nvml.path.display(), nvml.driver));
    let mut all = vec![
        Part { name: "nvrtc", cost: "CUDA sources are compiled by nvcc alone", found: nvrtc },
        Part {
            name: "nvml",
            cost: "nobody sees when a CUDA device is throttled or at work for others",
            found: nvml,
        },
    ];
    all.extend(Tool::ALL.into_iter().filter(|tool| *tool != Tool::Ptxas).map(|tool| {
        let found = places.tool(tool).map(|found| found.path.display().to_string());
        Part { name: tool.name(), cost: cost(tool), found: found.map_err(missing) }
    }));
    all
}

fn cost(tool: Tool) -> &'static str {
    match tool {
        Tool::Nvcc | Tool::Ptxas => {
            "no CUDA kernels with code for the host; NVRTC compiles the others"
        }
        Tool::Cuobjdump => "`inspect` shows less of built CUDA kernels",
        Tool::Nvdisasm => "`inspect` shows no machine code of CUDA kernels",
        Tool::Ncu => "profiles of CUDA kernels tell occupancy and bound, and count nothing",
        Tool::ComputeSanitizer => {
            "checks do not see accesses out of bounds and races of CUDA kernels"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::MemoryHost;

    #[test]
    fn every_part_that_is_missing_says_what_it_costs_and_what_to_do() {
        let places = Places::under(Path::new("/nowhere"), &MemoryHost::default());
        let parts = parts(&places);
        assert_eq!(parts.len(), 7);
        for Part { name, cost, found } in parts {
            let (why, hint) = found.expect_err("nothing is there");
            assert!(!why.is_empty() && !hint.is_empty() && !cost.is_empty(), "{name}");
        }
    }
}
