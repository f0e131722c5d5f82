//! What a launch cannot beat: the roofline of a machine.
//!
//! It is that of Williams, Waterman & Patterson 2009 ("Roofline: an insightful visual
//! performance model", CACM 52(4)): a launch takes at least its operations over the peak of the
//! arithmetic and at least its bytes over the bandwidth of the memory that they come from. Bytes
//! and peaks must be counted alike: read plus written, as STREAM does.

use serde::{Deserialize, Serialize};

/// A level of the memory hierarchy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// `L1`, `L2`, `L3` or `memory`.
    pub name: String,
    /// How much it holds; `u64::MAX` for memory.
    pub capacity_bytes: u64,
    /// Copy bandwidth: bytes read plus bytes written per second.
    pub bytes_per_s: f64,
}

/// What a machine can do at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// Operations on f32 per second; a fused multiply-add is two.
    pub flops_per_s: f64,
    /// Operations on f64 per second.
    pub flops_f64_per_s: f64,
    /// From the nearest to the farthest.
    pub levels: Vec<Level>,
}

/// What operations are done on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32, and what is narrower.
    Single,
    /// f64.
    Double,
}

/// Where a launch finds its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residence {
    /// In the nearest level that holds all of it.
    Hot,
    /// In memory, whatever its size.
    Cold,
}

/// What one launch has to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Floating-point operations.
    pub flops: Option<f64>,
    /// Bytes read plus bytes written.
    pub bytes: Option<f64>,
    /// The working set: different bytes that are touched.
    pub footprint_bytes: f64,
    /// What the operations are done on.
    pub precision: Precision,
    /// Where the data are.
    pub residence: Residence,
}

/// What keeps a launch from being faster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundBy {
    /// Arithmetic.
    Compute,
    /// The bandwidth of the named level.
    Memory(String),
}

/// The time that a launch takes at least.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The larger of the two.
    pub floor_us: f64,
    /// From its operations.
    pub compute_us: Option<f64>,
    /// From its bytes.
    pub memory_us: Option<f64>,
    /// The level that its bytes come from.
    pub level: Option<String>,
    /// Which of the two it is.
    pub which: BoundBy,
}

/// How a measured time stands against a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Floor over time: 1 is at the bound.
    pub share: f64,
    /// Time less floor; below 0 when the bound was beaten.
    pub headroom_us: f64,
    /// Headroom over floor.
    pub headroom_fraction: f64,
}

/// How far a launch may be above the measured peaks before its time is not believed: peaks are
/// measured too, on a machine that other work may slow down, and reads may be faster than copies.
pub const TRUST: f64 = 1.25;

impl Peaks {
    /// True when every number is finite and above 0 and the levels grow.
    pub fn is_sound(&self) -> bool {
        let good = |x: f64| x.is_finite() && x > 0.0;
        good(self.flops_per_s)
            && good(self.flops_f64_per_s)
            && !self.levels.is_empty()
            && self.levels.iter().all(|l| good(l.bytes_per_s))
            && self.levels.windows(2).all(|pair| pair[0].capacity_bytes < pair[1].capacity_bytes)
    }

    fn flops(&self, precision: Precision) -> f64 {
        match precision {
            Precision::Single => self.flops_per_s,
            Precision::Double => self.flops_f64_per_s,
        }
    }

    /// The level that `work` finds its data in, and its bandwidth.
    fn level_of(&self, work: &Work) -> Option<(&str, f64)> {
        let holds = |level: &Level| work.footprint_bytes <= level.capacity_bytes as f64;
        let last = self.levels.len().checked_sub(1)?;
        let index = match work.residence {
            Residence::Hot => self.levels.iter().position(holds).unwrap_or(last),
            Residence::Cold => last,
        };
        Some((&self.levels[index].name, fastest(&self.levels[index..])))
    }
}

/// The best bandwidth of a level and those beyond it: what is nearer is never slower, whatever the
/// noise of a measurement says.
fn fastest(levels: &[Level]) -> f64 {
    levels.iter().map(|l| l.bytes_per_s).fold(0.0, f64::max)
}

/// Microseconds that `amount` takes at `rate` per second; `None` when either makes no sense.
fn time_us(amount: Option<f64>, rate: f64) -> Option<f64> {
    let amount = amount.filter(|a| a.is_finite() && *a >= 0.0)?;
    let us = amount / rate * 1e6;
    (rate > 0.0 && us.is_finite()).then_some(us)
}

/// The time that `work` takes at least; `None` when nothing is known of what it does.
pub fn bound(peaks: &Peaks, work: &Work) -> Option<Bound> {
    let compute_us = time_us(work.flops, peaks.flops(work.precision));
    let level = peaks.level_of(work);
    let memory_us = level.and_then(|(_, rate)| time_us(work.bytes, rate));
    let name = level.filter(|_| memory_us.is_some()).map(|(name, _)| name.to_owned());
    let (floor_us, which) = match (compute_us, memory_us, &name) {
        (Some(compute), Some(memory), Some(name)) if memory >= compute => {
            (memory, BoundBy::Memory(name.clone()))
        }
        (Some(compute), _, _) => (compute, BoundBy::Compute),
        (None, Some(memory), Some(name)) => (memory, BoundBy::Memory(name.clone())),
        _ => return None,
    };
    (floor_us > 0.0).then_some(Bound { floor_us, compute_us, memory_us, level: name, which })
}

impl Bound {
    /// How `time_us` stands against it; `None` when that is no time.
    pub fn standing(&self, time_us: f64) -> Option<Standing> {
        let headroom_us = time_us - self.floor_us;
        let standing = Standing {
            share: self.floor_us / time_us,
            headroom_us,
            headroom_fraction: headroom_us / self.floor_us,
        };
        let finite = standing.share.is_finite() && standing.headroom_fraction.is_finite();
        (time_us > 0.0 && finite).then_some(standing)
    }

    /// True when no launch that does the same work can reach `target_us`: it must do less.
    pub fn rules_out(&self, target_us: f64) -> bool {
        target_us <= self.floor_us
    }
}

/// The time under which a result is not believed: the larger of its operations over [`TRUST`]
/// times the peak and its bytes over [`TRUST`] times the fastest level's bandwidth, for nothing
/// proves which level the data lay in.
pub fn hard_floor_us(peaks: &Peaks, work: &Work) -> Option<f64> {
    let compute = time_us(work.flops, TRUST * peaks.flops(work.precision));
    let memory = time_us(work.bytes, TRUST * fastest(&peaks.levels));
    match (compute, memory) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// The hard floor that a time is surely below, `upper_us` being the upper end of its interval.
pub fn implausible(peaks: &Peaks, work: &Work, upper_us: f64) -> Option<f64> {
    hard_floor_us(peaks, work).filter(|floor| upper_us < *floor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(name: &str, capacity_bytes: u64, bytes_per_s: f64) -> Level {
        Level { name: name.into(), capacity_bytes, bytes_per_s }
    }

    /// 100 Gflop/s in f32, half of it in f64; 400, 100 and 10 GB/s.
    fn machine() -> Peaks {
        Peaks {
            flops_per_s: 1e11,
            flops_f64_per_s: 5e10,
            levels: vec![
                level("L1", 32 << 10, 4e11),
                level("L2", 1 << 20, 1e11),
                level("memory", u64::MAX, 1e10),
            ],
        }
    }

    fn work(flops: impl Into<Option<f64>>, bytes: impl Into<Option<f64>>, footprint: f64) -> Work {
        Work {
            flops: flops.into(),
            bytes: bytes.into(),
            footprint_bytes: footprint,
            precision: Precision::Single,
            residence: Residence::Hot,
        }
    }

    fn memory(name: &str) -> BoundBy {
        BoundBy::Memory(name.into())
    }

    #[test]
    fn the_bound_is_the_larger_of_arithmetic_and_the_level_that_holds_the_data() {
        let cold = |w: Work| Work { residence: Residence::Cold, ..w };
        let double = |w: Work| Work { precision: Precision::Double, ..w };
        for (work, floor_us, which) in [
            (work(1e6, 4e3, 4e3), 10.0, BoundBy::Compute),
            (double(work(1e6, 4e3, 4e3)), 20.0, BoundBy::Compute),
            (work(1e2, 4e3, 4e3), 0.01, memory("L1")),
            (work(1e2, 4e4, 4e4), 0.4, memory("L2")),
            (work(None, 4e6, 4e6), 400.0, memory("memory")),
            (cold(work(1e2, 4e3, 4e3)), 0.4, memory("memory")),
            (work(1e6, None, 4e3), 10.0, BoundBy::Compute),
            (work(1e5, 4e5, 32768.0), 1.0, memory("L1")),
        ] {
            let bound = bound(&machine(), &work).unwrap();
            assert!((bound.floor_us - floor_us).abs() < 1e-9, "{work:?}: {bound:?}");
            assert_eq!(bound.which, which, "{work:?}");
        }
    }

    #[test]
    fn work_that_says_nothing_has_no_bound() {
        for (flops, bytes) in
            [(None, None), (Some(0.0), Some(0.0)), (Some(f64::NAN), None), (None, Some(-1.0))]
        {
            assert_eq!(bound(&machine(), &work(flops, bytes, 1.0)), None);
        }
        let mut dead = machine();
        (dead.flops_per_s, dead.levels) = (0.0, Vec::new());
        assert_eq!(bound(&dead, &work(1.0, 1.0, 1.0)), None);
    }

    #[test]
    fn a_time_stands_by_its_share_and_its_headroom() {
        let bound = bound(&machine(), &work(1e6, None, 0.0)).unwrap();
        let at = |us| bound.standing(us).unwrap();
        assert_eq!(at(40.0), Standing { share: 0.25, headroom_us: 30.0, headroom_fraction: 3.0 });
        assert!(at(8.0).headroom_us < 0.0);
        assert_eq!((bound.standing(0.0), bound.standing(f64::NAN)), (None, None));
        assert!(bound.rules_out(10.0) && !bound.rules_out(10.1));
    }

    #[test]
    fn only_a_time_wholly_below_the_hard_floor_is_implausible() {
        // 10 us of arithmetic, 0.1 us of bytes at the fastest level: 8 us with the trust.
        let both = work(1e6, 4e4, 4e9);
        assert_eq!(implausible(&machine(), &both, 7.9), Some(8.0));
        assert_eq!(implausible(&machine(), &both, 8.0), None);
        // From memory this would take 400 us, but it may have lain in a nearer level.
        let bytes = work(None, 4e6, 4e9);
        assert_eq!(implausible(&machine(), &bytes, 7.9), Some(8.0));
        assert_eq!(implausible(&machine(), &bytes, 9.0), None);
        assert_eq!(implausible(&machine(), &work(None, None, 1.0), 0.0), None);
        assert_eq!(implausible(&machine(), &both, f64::NAN), None);
    }

    #[test]
    fn peaks_without_sense_are_not_sound() {
        assert!(machine().is_sound());
        let spoilt: [fn(&mut Peaks); 5] = [
            |p| p.flops_per_s = 0.0,
            |p| p.flops_f64_per_s = f64::INFINITY,
            |p| p.levels[1].bytes_per_s = f64::NAN,
            |p| p.levels.swap(0, 1),
            |p| p.levels.clear(),
        ];
        for spoil in spoilt {
            let mut peaks = machine();
            spoil(&mut peaks);
            assert!(!peaks.is_sound(), "{peaks:?}");
        }
    }

    #[test]
    fn peaks_survive_being_written_and_read() {
        let text = serde_json::to_string(&machine()).unwrap();
        assert_eq!(serde_json::from_str::<Peaks>(&text).unwrap(), machine());
    }

    fn any_peaks() -> impl Strategy<Value = Peaks> {
        let rate = || 1e6..1e14_f64;
        (rate(), rate(), prop::collection::vec((1..40_u32, rate()), 1..5)).prop_map(
            |(flops_per_s, flops_f64_per_s, mut levels)| {
                levels.sort_by_key(|(bits, _)| *bits);
                levels.dedup_by_key(|(bits, _)| *bits);
                let named = |(bits, rate): (u32, f64)| level(&bits.to_string(), 1 << bits, rate);
                let levels = levels.into_iter().map(named).collect();
                Peaks { flops_per_s, flops_f64_per_s, levels }
            },
        )
    }

    fn any_work() -> impl Strategy<Value = Work> {
        let amount = || prop::option::of(0.0..1e12_f64);
        (amount(), amount(), 0.0..1e12_f64, any::<bool>(), any::<bool>()).prop_map(
            |(flops, bytes, footprint, double, cold)| Work {
                precision: if double { Precision::Double } else { Precision::Single },
                residence: if cold { Residence::Cold } else { Residence::Hot },
                ..work(flops, bytes, footprint)
            },
        )
    }

    fn floor(peaks: &Peaks, work: &Work) -> f64 {
        bound(peaks, work).map_or(0.0, |b| b.floor_us)
    }

    proptest! {
        #[test]
        fn the_floor_is_the_larger_part_and_scales_with_the_work(p in any_peaks(), w in any_work(), k in 1.0..100.0_f64) {
            prop_assert!(p.is_sound());
            if let Some(b) = bound(&p, &w) {
                let larger = b.compute_us.unwrap_or(0.0).max(b.memory_us.unwrap_or(0.0));
                prop_assert!((b.floor_us - larger).abs() <= 0.0, "{b:?}");
                prop_assert_eq!(b.level.is_some(), b.memory_us.is_some());
            }
            let more = Work { flops: w.flops.map(|x| x * k), bytes: w.bytes.map(|x| x * k), ..w };
            prop_assert!((floor(&p, &more) - k * floor(&p, &w)).abs() <= 1e-9 * floor(&p, &more));
        }

        #[test]
        fn farther_data_and_slower_machines_never_lower_the_floor(p in any_peaks(), w in any_work(), k in 1.0..100.0_f64) {
            let wider = Work { footprint_bytes: w.footprint_bytes * k, ..w };
            let cold = Work { residence: Residence::Cold, ..w };
            prop_assert!(floor(&p, &w) <= floor(&p, &wider));
            prop_assert!(floor(&p, &wider) <= floor(&p, &cold));
            let mut slow = p.clone();
            slow.flops_per_s /= k;
            slow.flops_f64_per_s /= k;
            slow.levels.iter_mut().for_each(|l| l.bytes_per_s /= k);
            prop_assert!(floor(&p, &w) <= floor(&slow, &w));
        }

        #[test]
        fn the_hard_floor_lies_below_the_floor(p in any_peaks(), w in any_work()) {
            let hard = hard_floor_us(&p, &w).unwrap_or(0.0);
            prop_assert!(hard * TRUST <= floor(&p, &w) * (1.0 + 1e-12));
            if let Some(b) = bound(&p, &w) {
                prop_assert_eq!(implausible(&p, &w, b.floor_us), None);
            }
        }

        #[test]
        fn share_and_headroom_tell_the_same(p in any_peaks(), w in any_work(), us in 1e-3..1e9_f64) {
            if let Some((b, s)) = bound(&p, &w).and_then(|b| b.standing(us).map(|s| (b, s))) {
                prop_assert_eq!(s.share > 1.0, b.floor_us > us);
                prop_assert!((s.share * (1.0 + s.headroom_fraction) - 1.0).abs() <= 1e-6 * (1.0 + s.share));
            }
        }
    }
}
