//! What is recorded of a compile, and of the layouts of a built kernel.

use serde::{Deserialize, Serialize};

/// How a kernel was built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CompileRecord {
    /// The compiler, or NVRTC's library; none where nothing was compiled.
    pub compiler: Option<String>,
    /// Its commands, in order.
    pub commands: Vec<String>,
    /// At how many places the kernel was linked, where more than one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layouts: Option<CompiledLayouts>,
    /// The architecture that a CUDA kernel was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
}

/// The layouts that one kernel was linked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CompiledLayouts {
    /// How many differ.
    pub count: usize,
    /// BLAKE3 of each.
    pub digests: Vec<String>,
    /// Why there are fewer than were asked for.
    pub why: Option<String>,
}

/// The layouts that processes were started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LayoutsRecord {
    /// Of the candidate.
    pub candidate: SideLayouts,
    /// Of the incumbent, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<SideLayouts>,
}

/// The layouts of one side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SideLayouts {
    /// How many there are.
    pub count: usize,
    /// BLAKE3 of each; none for commands, whose code lies where they put it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// Which had each process, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<usize>,
}
