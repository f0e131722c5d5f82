//! What a kernel takes of a device, by the word of the driver that has loaded it.

use serde::Serialize;

use super::Block;
use crate::backend::Grid;

/// What a loaded kernel takes. Of PTX only the driver knows, which compiles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: u32,
    /// Shared memory of a block that the code declares.
    pub static_shared_bytes: u32,
    /// Local memory of a thread: what has no room in registers, and what is indexed.
    pub local_bytes: u32,
}

impl Resources {
    /// A block of a launch. Barriers are not known, and one or two of a block are never what is
    /// short.
    pub fn block(&self, grid: &Grid) -> Block {
        Block {
            threads: grid.threads.iter().fold(1, |all, &axis| all.saturating_mul(axis)),
            registers: self.registers,
            shared_bytes: self.static_shared_bytes.saturating_add(grid.shared_bytes),
            barriers: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_threads_of_all_axes_and_both_kinds_of_shared_memory() {
        let resources = Resources { registers: 40, static_shared_bytes: 1000, local_bytes: 16 };
        let grid = Grid { blocks: [9; 3], threads: [32, 4, 2], shared_bytes: 24 };
        let block = resources.block(&grid);
        assert_eq!((block.threads, block.registers, block.shared_bytes), (256, 40, 1024));
        let absurd = Grid { threads: [u32::MAX; 3], shared_bytes: u32::MAX, ..grid };
        assert_eq!(resources.block(&absurd).threads, u32::MAX);
    }
}
