//! The layouts of a built kernel, drawn for process after process.

use std::fs;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Failure;
use crate::backend::cpu::layouts::Layouts;
use crate::digest::Digest;
use crate::engine::account::SideLayouts;

/// Shared objects of the same code at other addresses. Each is drawn as often as the others: all of
/// them come, in an order drawn anew, before one comes again.
pub(super) struct Deck {
    files: Vec<PathBuf>,
    digests: Vec<String>,
    /// Which come before all come again, the last one first.
    left: Vec<usize>,
    /// Which had each process so far.
    drawn: Vec<usize>,
    rng: ChaCha8Rng,
}

impl Deck {
    /// Those of a built kernel, as files in `folder` where it has several.
    ///
    /// # Errors
    /// When it cannot be read, or its layouts cannot be written.
    pub(super) fn of(kernel: &Path, folder: &Path, seed: u64) -> Result<Self, Failure> {
        let file = fs::read(kernel).map_err(|e| failed("read", kernel, &e))?;
        let layouts = Layouts::of(&file);
        let digests = layouts.parts().iter().map(|part| Digest::of(part).hex()).collect();
        let mut files = vec![kernel.to_owned()];
        if layouts.parts().len() > 1 {
            fs::create_dir_all(folder).map_err(|e| failed("make", folder, &e))?;
            files.clear();
            for (number, part) in layouts.parts().iter().enumerate() {
                let path = folder.join(format!("{number}.so"));
                fs::write(&path, part).map_err(|e| failed("write", &path, &e))?;
                files.push(path);
            }
        }
        let (left, drawn, rng) = (Vec::new(), Vec::new(), ChaCha8Rng::seed_from_u64(seed));
        Ok(Self { files, digests, left, drawn, rng })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// The one for the next process.
    pub(super) fn draw(&mut self) -> &Path {
        if self.left.is_empty() {
            self.left.extend(0..self.files.len());
            self.left.shuffle(&mut self.rng);
        }
        let next = self.left.pop().unwrap_or(0);
        self.drawn.push(next);
        &self.files[next]
    }

    /// What there is, and which process had which.
    pub(super) fn record(&self) -> SideLayouts {
        let (digests, drawn) = (self.digests.clone(), self.drawn.clone());
        SideLayouts { count: self.count(), digests, drawn }
    }
}

/// Whether two built kernels are the very same code, however often either was linked.
///
/// # Errors
/// When one cannot be read.
pub(super) fn are_one(one: &Path, other: &Path) -> Result<bool, Failure> {
    let code = |path: &Path| {
        let file = fs::read(path).map_err(|e| failed("read", path, &e))?;
        Ok(Layouts::of(&file).identity())
    };
    Ok(code(one)? == code(other)?)
}

fn failed(what: &str, path: &Path, why: &std::io::Error) -> Failure {
    Failure::of_io(&format!("cannot {what} {}", path.display()), why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::layouts::join;

    fn deck(dir: &Path, parts: &[Vec<u8>], seed: u64) -> Deck {
        let kernel = dir.join("k.so");
        fs::write(&kernel, join(parts)).unwrap();
        Deck::of(&kernel, &dir.join("layouts"), seed).unwrap()
    }

    #[test]
    fn every_layout_comes_before_one_comes_again_in_an_order_of_the_seed() {
        let dir = tempfile::tempdir().unwrap();
        let parts: Vec<Vec<u8>> = (0..8).map(|n| vec![n; 9]).collect();
        let mut orders = Vec::new();
        for seed in [1, 2, 1] {
            let mut deck = deck(dir.path(), &parts, seed);
            let mut order = Vec::new();
            for _ in 0..24 {
                order.push(fs::read(deck.draw()).unwrap()[0]);
            }
            for round in order.chunks(8) {
                let mut sorted = round.to_vec();
                sorted.sort_unstable();
                assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7]);
            }
            let drawn: Vec<usize> = order.iter().map(|&part| usize::from(part)).collect();
            assert_eq!(deck.record().drawn, drawn);
            orders.push(order);
        }
        assert_eq!(orders[0], orders[2]);
        assert_ne!(orders[0], orders[1]);
    }

    #[test]
    fn a_kernel_that_was_linked_once_more_is_the_same_code() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| dir.path().join(name));
        let file =
            |parts: &[&[u8]]| join(&parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>());
        fs::write(&paths[0], b"code").unwrap();
        fs::write(&paths[1], file(&[b"code", b"moved"])).unwrap();
        fs::write(&paths[2], file(&[b"other", b"moved"])).unwrap();
        assert!(are_one(&paths[0], &paths[1]).unwrap());
        assert!(!are_one(&paths[1], &paths[2]).unwrap());
    }

    #[test]
    fn a_library_is_its_own_only_layout() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("lib.so");
        fs::write(&library, b"as it is").unwrap();
        let mut deck = Deck::of(&library, &dir.path().join("none"), 1).unwrap();
        assert_eq!(deck.count(), 1);
        assert_eq!(deck.draw(), library);
        assert!(!dir.path().join("none").exists());
    }
}
