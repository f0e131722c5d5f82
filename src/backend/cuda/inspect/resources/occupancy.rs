//! How many blocks of a kernel fit on a multiprocessor at once.

use serde::Serialize;

use super::Limits;

/// Threads of a warp, on every architecture.
const WARP: u32 = 32;
/// Most threads of a block.
const THREADS: u32 = 1024;
/// 32-bit registers of a multiprocessor, and the most of a block.
const REGISTERS: u32 = 65_536;
/// Registers are given to warps in multiples of this.
const REGISTER_UNIT: u32 = 256;
/// Parts of a multiprocessor, each with its share of the registers.
const PARTITIONS: u32 = 4;

/// What a block of a kernel needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its threads.
    pub threads: u32,
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory, static and dynamic.
    pub shared_bytes: u32,
    /// Barriers that it uses.
    pub barriers: u32,
}

/// What keeps more blocks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The register file.
    Registers,
    /// Shared memory.
    SharedMemory,
    /// Slots of warps.
    Warps,
    /// Slots of blocks.
    Blocks,
    /// Barriers.
    Barriers,
}

impl Limit {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Registers => "registers",
            Self::SharedMemory => "shared memory",
            Self::Warps => "warps",
            Self::Blocks => "blocks",
            Self::Barriers => "barriers",
        }
    }
}

/// How many fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Occupancy {
    /// Blocks on one multiprocessor; 0 when not even one can be launched.
    pub blocks: u32,
    /// Their warps.
    pub warps: u32,
    /// Warps that it has room for.
    pub most_warps: u32,
    /// Everything that keeps the next block out.
    pub limits: Vec<Limit>,
}

impl Occupancy {
    /// Warps in per cent of those that there is room for.
    pub fn percent(&self) -> f64 {
        100.0 * f64::from(self.warps) / f64::from(self.most_warps)
    }
}

/// The theoretical occupancy: the least of what each limit lets in
/// (`cudaOccMaxActiveBlocksPerMultiprocessor` of NVIDIA's `cuda_occupancy.h`), with as much of the
/// first-level cache turned into shared memory as the architecture can.
pub fn occupancy(limits: &Limits, block: Block) -> Occupancy {
    let warps = block.threads.div_ceil(WARP).max(1);
    let mut fits = vec![
        (Limit::Registers, by_registers(block.registers, warps)),
        (Limit::SharedMemory, by_shared(limits, block.shared_bytes)),
        (Limit::Warps, if block.threads > THREADS { 0 } else { limits.warps / warps }),
        (Limit::Blocks, limits.blocks),
    ];
    if let (Some(all), 1..) = (limits.barriers, block.barriers) {
        fits.push((Limit::Barriers, all / block.barriers));
    }
    let blocks = fits.iter().map(|(_, n)| *n).min().unwrap_or(0);
    let limiting = fits.into_iter().filter(|(_, n)| *n == blocks).map(|(limit, _)| limit);
    Occupancy {
        blocks,
        warps: blocks * warps,
        most_warps: limits.warps,
        limits: limiting.collect(),
    }
}

/// Registers are allocated by the warp, within a partition; whether a block can be launched is
/// decided as if its warps filled all partitions evenly (`cudaOccMaxBlocksPerSMRegsLimit`).
fn by_registers(registers: u32, warps: u32) -> u32 {
    let of_warp = (registers.max(1) * WARP).next_multiple_of(REGISTER_UNIT);
    if of_warp * warps.next_multiple_of(PARTITIONS) > REGISTERS {
        return 0;
    }
    (REGISTERS / PARTITIONS / of_warp) * PARTITIONS / warps
}

fn by_shared(limits: &Limits, bytes: u32) -> u32 {
    let wanted = bytes.saturating_add(limits.reserved_bytes());
    let given = wanted.checked_next_multiple_of(limits.shared_unit_bytes()).unwrap_or(u32::MAX);
    // Without any, it never is what is short.
    limits.shared_bytes().checked_div(given).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Arch;
    use super::*;

    fn of(
        arch: &str,
        (threads, registers, shared_bytes, barriers): (u32, u32, u32, u32),
    ) -> String {
        let arch = Arch::parse(arch).expect("a name");
        let found = occupancy(arch.limits, Block { threads, registers, shared_bytes, barriers });
        let limits: Vec<&str> = found.limits.iter().map(|l| l.word()).collect();
        format!("{} {:.1} % {}", found.blocks, found.percent(), limits.join("+"))
    }

    /// By hand: 40 registers are 1280 a warp, 12 warps in each quarter of 16384, 48 of 64 warps;
    /// the others follow the same way.
    #[test]
    fn the_scarcest_thing_decides() {
        for (arch, block, expected) in [
            ("sm_90a", (256, 40, 9472, 1), "6 75.0 % registers"),
            ("sm_90", (256, 32, 0, 0), "8 100.0 % registers+warps"),
            ("sm_90", (256, 33, 0, 0), "6 75.0 % registers"),
            ("sm_90", (32, 16, 0, 1), "32 50.0 % blocks"),
            ("sm_90", (32, 16, 0, 4), "16 25.0 % barriers"),
            ("sm_90", (1024, 64, 0, 1), "1 50.0 % registers"),
            ("sm_90", (1024, 65, 0, 1), "0 0.0 % registers"),
            ("sm_90", (1025, 16, 0, 1), "0 0.0 % warps"),
            ("sm_90", (128, 32, 227 * 1024, 1), "1 6.2 % shared memory"),
            ("sm_90", (128, 32, 227 * 1024 + 1, 1), "0 0.0 % shared memory"),
            ("sm_90", (128, 32, u32::MAX, 1), "0 0.0 % shared memory"),
            ("sm_75", (64, 16, 0, 1), "16 100.0 % warps+blocks"),
            ("sm_75", (64, 16, 16_384, 1), "4 25.0 % shared memory"),
            ("sm_80", (96, 16, 0, 9), "21 98.4 % warps"),
            ("sm_86", (256, 40, 49_152, 1), "2 33.3 % shared memory"),
            ("sm_89", (32, 16, 0, 1), "24 50.0 % blocks"),
            ("sm_100", (33, 255, 0, 1), "4 12.5 % registers"),
            ("sm_120", (160, 48, 0, 1), "8 83.3 % registers"),
        ] {
            assert_eq!(of(arch, block), expected, "{arch} {block:?}");
        }
    }
}
