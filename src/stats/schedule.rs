//! Lower bounds of a schedule from counted resources: its busiest resource, and its longest chain
//! of dependent tasks.

use serde::{Deserialize, Serialize};

/// A kind of slot that tasks occupy for one step each: a port, an engine, a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Tasks that need it.
    pub tasks: u64,
    /// Tasks it takes in one step.
    pub slots: u64,
    /// How many of the tasks lie on one longest chain of dependent tasks.
    pub on_critical_path: u64,
}

/// Lower bounds of a schedule, in steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResourceBounds {
    /// Each resource with its own bound, the largest first; resources without tasks left out.
    pub each: Vec<(String, u64)>,
    /// The largest of them.
    pub resource: u64,
    /// The longest chain of dependent tasks.
    pub critical_path: u64,
    /// The larger of the two.
    pub tight: u64,
    /// The part of the longest chain that needs the first of `each`; 0 without a chain.
    pub dominant_fraction: f64,
}

/// The bounds of `resources` and of a longest chain; `None` when a resource has tasks and no slot
/// for them, for such a schedule never ends.
pub fn resource_bounds(resources: &[Resource], critical_path: u64) -> Option<ResourceBounds> {
    let mut busy: Vec<(&Resource, u64)> = Vec::new();
    for resource in resources.iter().filter(|r| r.tasks > 0) {
        let steps = (resource.slots > 0).then(|| resource.tasks.div_ceil(resource.slots))?;
        busy.push((resource, steps));
    }
    // Stable, so that of equals the first named stays first.
    busy.sort_by_key(|(_, steps)| std::cmp::Reverse(*steps));
    let largest = busy.first().map_or(0, |(_, steps)| *steps);
    let on_path = busy.first().map_or(0, |(r, _)| r.on_critical_path.min(critical_path));
    Some(ResourceBounds {
        each: busy.iter().map(|(r, steps)| (r.name.clone(), *steps)).collect(),
        resource: largest,
        critical_path,
        tight: largest.max(critical_path),
        dominant_fraction: on_path as f64 / critical_path.max(1) as f64,
    })
}

/// How far a schedule is above its tight bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Headroom {
    /// In steps; below 0 when the bound was beaten, and so is wrong.
    pub steps: f64,
    /// Over the bound.
    pub fraction: f64,
}

impl ResourceBounds {
    /// The up to three resources that limit most.
    pub fn limiting(&self) -> &[(String, u64)] {
        &self.each[..self.each.len().min(3)]
    }

    /// How far `steps` is above the tight bound: headroom for the best that was measured, slack
    /// for a schedule's own estimate. `None` without a bound.
    pub fn above(&self, steps: f64) -> Option<Headroom> {
        let above = steps - self.tight as f64;
        let headroom = Headroom { steps: above, fraction: above / self.tight as f64 };
        headroom.fraction.is_finite().then_some(headroom)
    }

    /// True when no schedule of these tasks can reach `target`: the plan must lower the bound.
    pub fn rules_out(&self, target: f64) -> bool {
        target <= self.tight as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resource(name: &str, tasks: u64, slots: u64, on_critical_path: u64) -> Resource {
        Resource { name: name.into(), tasks, slots, on_critical_path }
    }

    #[test]
    fn a_schedule_is_bounded_by_its_busiest_resource_and_its_longest_chain() {
        let resources = [
            resource("store", 10, 2, 1),
            resource("vector", 61, 6, 4),
            resource("idle", 0, 0, 0),
            resource("scalar", 24, 12, 0),
            resource("load", 20, 2, 3),
        ];
        let bounds = resource_bounds(&resources, 8).unwrap();
        let names: Vec<_> = bounds.limiting().iter().map(|(n, s)| (n.as_str(), *s)).collect();
        assert_eq!(names, [("vector", 11), ("load", 10), ("store", 5)]);
        assert_eq!((bounds.resource, bounds.critical_path, bounds.tight), (11, 8, 11));
        assert!((bounds.dominant_fraction - 0.5).abs() < 1e-12, "{bounds:?}");
        assert_eq!(bounds.above(22.0), Some(Headroom { steps: 11.0, fraction: 1.0 }));
        assert!(bounds.rules_out(11.0) && !bounds.rules_out(12.0));
        assert_eq!(resource_bounds(&resources, 40).unwrap().tight, 40);
    }

    #[test]
    fn tasks_without_a_slot_have_no_bound_and_no_tasks_no_headroom() {
        assert_eq!(resource_bounds(&[resource("alu", 1, 0, 0)], 3), None);
        let empty = resource_bounds(&[], 0).unwrap();
        assert_eq!((empty.tight, empty.limiting().len(), empty.above(5.0)), (0, 0, None));
    }

    proptest! {
        #[test]
        fn no_schedule_beats_its_bounds(parts in prop::collection::vec((0..500_u64, 1..9_u64), 0..6), chain in 0..500_u64) {
            let resources: Vec<_> = parts.iter().map(|&(tasks, slots)| resource("r", tasks, slots, 0)).collect();
            let b = resource_bounds(&resources, chain).unwrap();
            for r in &resources {
                // One step less could not take all its tasks, were it the tight bound.
                prop_assert!(b.tight * r.slots >= r.tasks);
            }
            prop_assert!(b.tight >= chain);
            let reached = resources.iter().any(|r| b.tight > 0 && (b.tight - 1) * r.slots < r.tasks);
            prop_assert!(b.tight == 0 || b.tight == chain || reached);
            prop_assert!(b.each.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }
    }
}
