//! The one recipe of keys.
//!
//! A key is the BLAKE3 digest of a walk over named fields, each written as tag, length and bytes,
//! so that no two different lists of fields feed the hasher the same bytes. The same walk yields
//! the readable record that `explain` compares, so the explanation cannot drift from the key.
//!
//! | enters | as |
//! |---|---|
//! | this recipe's version | `format` |
//! | kind and every field of the definition that says what comes out, presets and variables put in | `definition.…` |
//! | how a comparison is made, for stages that make one | `definition.…` |
//! | flags that every C and C++ kernel is compiled with before its own | `definition.align` |
//! | operating system and processor architecture | `platform` |
//! | folder of a command | `dir` |
//! | declared outputs of a command | `output:NAME` |
//! | content of every file read or missed, declared or discovered; the compiled binaries of kernel stages | `input:NAME` |
//! | names in every folder that was listed | `listing:NAME` |
//! | named environment variables, as digests; absent differs from empty | `env:NAME` |
//! | tools: content, and for compilers also their version text | `tool:NAME` |
//! | device identity, for what is measured or compiled for this device | `device:NAME` |
//! | which libraries the loader takes with a built kernel, and from where | `loads:NAME` |
//!
//! What does not: root folder, number of jobs, timeouts, retries, grace, cache policy, the name
//! of the stage, and keys of upstream stages (what is *read* from them counts, so an unchanged
//! output stops the wave).

mod fields;
mod problem;
mod walk;

use fields::{Fields, KeyFields as _};
pub use walk::Walk;

use super::{Definition, StoredNode, cuda};
use crate::backend::cpu::compiler::ALIGNED;

/// Rises with any change to the recipe: old results then count as unknown.
pub const KEY_VERSION: u32 = 7;

impl Walk {
    /// Starts with what a node declares.
    pub fn declared(node: &StoredNode, outputs: &[&str]) -> Self {
        let mut walk = Self::default();
        walk.field("format", &KEY_VERSION.to_string());
        walk.field("platform", &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
        walk.field("kind", node.definition.kind().word());
        walk.definition(&node.definition);
        if matches!(node.definition, Definition::Command(_)) {
            walk.field("dir", &node.dir);
            for output in outputs {
                walk.field(&format!("output:{output}"), "declared");
            }
        }
        walk
    }

    fn definition(&mut self, definition: &Definition) {
        if let Definition::Compile(compile) = definition
            && !cuda::are_cuda(&compile.sources)
        {
            self.field("definition.align", &ALIGNED.join(" "));
        }
        definition.walk(&mut Fields::new(self, "definition"));
    }
}

/// One field that differs between two records.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Change {
    /// Its name.
    pub field: String,
    /// What it was; `None` when it is new.
    pub old: Option<String>,
    /// What it is; `None` when it is gone.
    pub new: Option<String>,
}

/// The fields in which two records differ, in the order of the new one, removed ones last.
pub fn changes(old: &[(String, String)], new: &[(String, String)]) -> Vec<Change> {
    let find = |list: &[(String, String)], name: &str| {
        list.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    };
    let mut found: Vec<Change> = new
        .iter()
        .map(|(n, v)| Change { field: n.clone(), old: find(old, n), new: Some(v.clone()) })
        .filter(|c| c.old != c.new)
        .collect();
    found.extend(old.iter().filter(|(n, _)| find(new, n).is_none()).map(|(n, v)| Change {
        field: n.clone(),
        old: Some(v.clone()),
        new: None,
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Kind;
    use crate::digest::Digest;
    use crate::pipeline::{
        CommandMetric, CommandWork, Cores, Direction, Incumbent, Limits, MetricScale, MetricSource,
        MetricStream, Purpose, Reuse, RuleWork, Run, Target,
    };
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn command() -> CommandWork {
        CommandWork {
            run: Run::Shell("echo hi".to_owned()),
            inputs: vec!["a".to_owned()],
            outputs: vec!["b".to_owned()],
            env: BTreeMap::from([("X".to_owned(), "1".to_owned())]),
            pass_env: vec!["HOME".to_owned()],
            depfile: None,
            metric: None,
            limits: Limits { timeout_ms: 0, grace_ms: 1, retries: 1 },
            cache: Reuse::Yes,
            exclusive: false,
            salt: String::new(),
            purpose: Purpose::Candidate,
            incumbent: Incumbent::None,
            repeats: Vec::new(),
            rule: RuleWork::default(),
            carry: Vec::new(),
            kernel: Vec::new(),
            opponent: None,
        }
    }

    fn metric() -> CommandMetric {
        CommandMetric {
            name: "cycles".to_owned(),
            from: MetricSource::Regex(r"(\d+)".to_owned()),
            stream: MetricStream::Stdout,
            unit: None,
            better: Direction::Lower,
            scale: MetricScale::Ratio,
            deterministic: None,
        }
    }

    fn node(work: CommandWork) -> StoredNode {
        StoredNode {
            stage: "s".to_owned(),
            dir: "d".to_owned(),
            when: None,
            definition: Definition::Command(work),
            question: None,
        }
    }

    fn record(node: &StoredNode) -> Vec<(String, String)> {
        Walk::declared(node, &["b"]).finish().1
    }

    fn changed(edit: impl FnOnce(&mut CommandWork)) -> Vec<String> {
        let mut work = command();
        edit(&mut work);
        let (old, new) = (node(command()), node(work));
        let names: Vec<String> =
            changes(&record(&old), &record(&new)).into_iter().map(|c| c.field).collect();
        let differs =
            Walk::declared(&old, &["b"]).digest() != Walk::declared(&new, &["b"]).digest();
        assert_eq!(differs, !names.is_empty(), "key and record must agree");
        names
    }

    #[test]
    fn every_field_of_a_command_that_counts_is_named_when_it_changes() {
        assert_eq!(changed(|w| w.run = Run::Shell("echo ho".to_owned())), ["definition.run.Shell"]);
        assert_eq!(changed(|w| w.inputs.push("c".to_owned())), ["definition.inputs"]);
        assert_eq!(changed(|w| w.outputs.push("c".to_owned())), ["definition.outputs"]);
        assert_eq!(
            changed(|w| drop(w.env.insert("X".to_owned(), "2".to_owned()))),
            ["definition.env.X"]
        );
        assert_eq!(changed(|w| w.pass_env.clear()), ["definition.pass_env"]);
        assert_eq!(changed(|w| w.depfile = Some("d".to_owned())), ["definition.depfile"]);
        assert_eq!(changed(|w| w.salt = "x".to_owned()), ["definition.salt"]);
        assert_eq!(changed(|w| w.purpose = Purpose::Final), ["definition.purpose"]);
        assert_eq!(changed(|w| w.metric = Some(metric())).len(), 7);
    }

    #[test]
    fn what_only_changes_how_a_stage_runs_does_not_count() {
        assert!(changed(|w| w.limits.timeout_ms = 9).is_empty());
        assert!(changed(|w| w.limits.retries = 9).is_empty());
        assert!(changed(|w| w.cache = Reuse::No).is_empty());
        assert!(changed(|w| w.exclusive = true).is_empty());
    }

    #[test]
    fn a_processors_target_is_called_cores_and_a_cuda_device_by_its_name() {
        let fields = |target: Target| {
            let mut walk = Walk::default();
            target.walk(&mut Fields::new(&mut walk, "definition"));
            let fields = walk.finish().1;
            fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        for (target, expected) in [
            (Target::Cpu(Cores::Picked), "cores=Picked"),
            (Target::Cpu(Cores::One(3)), "cores.One=3"),
            (Target::Cuda("0".into()), "target.Cuda=0"),
        ] {
            assert_eq!(fields(target), [format!("definition.{expected}")]);
        }
    }

    #[test]
    fn how_a_comparison_is_made_counts_where_one_is_made() {
        let compares = |work: &mut CommandWork| {
            work.metric = Some(metric());
            work.incumbent = Incumbent::Best;
        };
        let alone = record(&node(command()));
        assert!(!alone.iter().any(|(name, _)| name.starts_with("definition.rule")), "{alone:?}");
        let mut work = command();
        compares(&mut work);
        let fields = record(&node(work.clone()));
        let other = |edit: fn(&mut CommandWork)| {
            let mut changed = work.clone();
            edit(&mut changed);
            let found = changes(&fields, &record(&node(changed)));
            found.into_iter().map(|change| change.field).collect::<Vec<_>>()
        };
        assert_eq!(other(|w| w.carry.push("data".to_owned())), ["definition.carry"]);
        assert_eq!(other(|w| w.repeats.push(8)), ["definition.repeats"]);
        assert_eq!(other(|w| w.rule.timed = 9), ["definition.rule.timed"]);
    }

    #[test]
    fn an_absent_entry_differs_from_an_empty_one() {
        let key = |digest: Digest| {
            let mut walk = Walk::declared(&node(command()), &[]);
            walk.entry(Kind::Env, "X", &digest);
            walk.digest()
        };
        assert_ne!(key(Digest::default()), key(Digest::of(b"")));
    }

    #[test]
    fn a_removed_field_is_a_change() {
        let old = [("input:a".to_owned(), "1".to_owned())];
        let change = Change { field: "input:a".to_owned(), old: Some("1".to_owned()), new: None };
        assert_eq!(changes(&old, &[]), [change]);
    }

    proptest! {
        #[test]
        fn different_field_lists_never_share_a_key(
            a in prop::collection::vec(("[ab]{0,3}", "[ab]{0,3}"), 0..4),
            b in prop::collection::vec(("[ab]{0,3}", "[ab]{0,3}"), 0..4),
        ) {
            let key = |fields: &[(String, String)]| {
                let mut walk = Walk::default();
                for (n, v) in fields { walk.field(n, v); }
                walk.digest()
            };
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }
    }
}
