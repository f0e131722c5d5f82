//! Which cores the judge may wait on without disturbing the worker.

use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of judge and worker.
#[derive(Debug)]
pub(super) struct Cores {
    /// Those that this thread may run on.
    allowed: CpuSet,
    /// Those of them that are neither the worker's nor share its units; where there is no such,
    /// those that are not the worker's.
    aside: Option<CpuSet>,
    apart: bool,
}

impl Cores {
    /// For a worker on core `cpu`, or on all.
    pub(super) fn of(cpu: Option<u32>) -> Self {
        let allowed = sched_getaffinity(None).unwrap_or_default();
        let Some(cpu) = cpu else {
            // Two that can move find a core each where there are two.
            return Self { allowed, aside: None, apart: allowed.count() > 1 };
        };
        let without = |cores: &[usize]| {
            let mut left = allowed;
            cores.iter().filter(|&&core| core < CpuSet::MAX_CPU).for_each(|&core| left.unset(core));
            (left.count() > 0).then_some(left)
        };
        let aside = without(&siblings(cpu)).or_else(|| without(&[cpu as usize]));
        Self { allowed, aside, apart: aside.is_some() }
    }

    /// Whether both can run at the same time.
    pub(super) fn apart(&self) -> bool {
        self.apart
    }

    /// Whether the judge has a core that no kernel uses: where a kernel may use all, a judge that
    /// spins would take one from it.
    pub(super) fn has_own(&self) -> bool {
        self.aside.is_some()
    }

    /// Keeps this thread off the worker's core until the answer is dropped.
    pub(super) fn stand_aside(&self) -> Aside {
        // Without it the system keeps them apart, later and less surely.
        let moved = self.aside.is_some_and(|aside| sched_setaffinity(None, &aside).is_ok());
        Aside(moved.then_some(self.allowed))
    }
}

/// This thread is off the worker's core while this lives. Not for longer than a launch: threads
/// and commands that are started meanwhile would inherit it.
#[derive(Debug)]
pub(super) struct Aside(Option<CpuSet>);

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(allowed) = &self.0 {
            // Was allowed a moment ago; if it is not now, what is left is what is allowed.
            let _back = sched_setaffinity(None, allowed);
        }
    }
}

/// The core and those that share its units.
fn siblings(cpu: u32) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    let mut cores = parse_list(&list);
    cores.push(cpu as usize);
    cores
}

/// Reads `0-2,5`.
fn parse_list(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_read_as_the_system_writes_them() {
        for (list, cores) in
            [("0\n", vec![0]), ("0-2,5\n", vec![0, 1, 2, 5]), ("", vec![]), ("x", vec![])]
        {
            assert_eq!(parse_list(list), cores, "{list:?}");
        }
    }

    #[test]
    fn this_thread_steps_aside_and_comes_back() {
        let before = sched_getaffinity(None).unwrap();
        let last = (0..CpuSet::MAX_CPU).rfind(|&core| before.is_set(core)).unwrap();
        let cores = Cores::of(Some(last as u32));
        let aside = cores.stand_aside();
        let meanwhile = sched_getaffinity(None).unwrap();
        assert_eq!(meanwhile.is_set(last), !cores.apart());
        drop(aside);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
