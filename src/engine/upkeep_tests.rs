use super::*;
use crate::cache::Output;
use crate::cache::index::Node;

/// A project with a result of a state's node, one of no state, and one that shares a content
/// with the first.
struct Kept {
    dir: tempfile::TempDir,
    keys: [Digest; 3],
}

fn action(store: &Store, field: &str, content: &str) -> (Digest, Action) {
    let fields = vec![
        ("run".to_owned(), field.to_owned()),
        ("input:found.h".to_owned(), "absent".to_owned()),
    ];
    let digest = store.put_bytes(content.as_bytes()).expect("put");
    let action = Action {
        version: ACTION_VERSION,
        node: field.to_owned(),
        outputs: vec![Output { path: "out".to_owned(), digest, mode: 0o644, link: None }],
        log: store.put_bytes(format!("log of {field}").as_bytes()).expect("put"),
        metrics: crate::stats::Metrics::default(),
        detail: serde_json::Value::Null,
        discovered: vec!["found.h".to_owned()],
        finished_ms: 1000,
        duration_us: 1,
        artifact: String::new(),
        fields,
    };
    let key = walk(&action.fields);
    store.put_action(&key, &action).expect("put");
    store.put_discovery(&declared(&action), &action.discovered).expect("put");
    (key, action)
}

fn kept() -> Kept {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = Store::new(dir.path());
    let keys =
        [("needed", "one"), ("old", "two"), ("twin", "one")].map(|(f, c)| action(&store, f, c).0);
    let own = dir.path().join("state/s");
    std::fs::create_dir_all(&own).expect("folder");
    std::fs::write(dir.path().join("p.toml"), "").expect("write");
    let mut index = Index::default();
    let from = index.add_entry(Kind::File, "p.toml");
    index.plan_inputs = index.add_entries(&[from]);
    index.nodes.push(Node { key: keys[0], ..Node::default() });
    index.write(&own.join("index")).expect("written");
    Kept { dir, keys }
}

const LATER: i64 = 1000 + 2 * 3_600_000;

#[test]
fn what_a_state_refers_to_stays_whole_and_the_rest_goes_when_it_is_old() {
    let Kept { dir, keys } = kept();
    let freed = collect(dir.path(), dir.path(), 1000).expect("collected");
    assert_eq!((freed.results, freed.blobs), (0, 0), "all are young");
    let freed = collect(dir.path(), dir.path(), LATER).expect("collected");
    assert_eq!((freed.results, freed.blobs, freed.states), (2, 3, 0));
    assert!(freed.bytes > 0);
    let store = Store::new(dir.path());
    let needed = store.action(&keys[0]).expect("kept");
    assert_eq!(store.discoveries(&declared(&needed)), [["found.h"]]);
    assert_eq!(store.bytes(&needed.outputs[0].digest).as_deref(), Some(&b"one"[..]));
    assert_eq!(store.action(&keys[1]), None);
    assert_eq!(verify(dir.path()).findings, []);
}

#[test]
fn the_state_of_a_pipeline_that_is_gone_goes_with_its_results() {
    let Kept { dir, .. } = kept();
    std::fs::remove_file(dir.path().join("p.toml")).expect("removed");
    let freed = collect(dir.path(), dir.path(), LATER).expect("collected");
    assert_eq!((freed.states, freed.results), (1, 3));
}

#[test]
fn a_result_whose_fields_do_not_make_its_key_is_found() {
    let Kept { dir, keys } = kept();
    let store = Store::new(dir.path());
    let mut wrong = store.action(&keys[0]).expect("kept");
    wrong.fields[0].1 = "other".to_owned();
    store.put_action(&keys[0], &wrong).expect("put");
    let findings = verify(dir.path()).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].wrong.contains("do not make its key"), "{findings:?}");
}

#[test]
fn results_of_another_version_and_a_missing_state_are_no_damage() {
    let Kept { dir, keys } = kept();
    let store = Store::new(dir.path());
    let other = Action { version: ACTION_VERSION + 1, ..store.action(&keys[0]).expect("kept") };
    store.put_action(&keys[0], &other).expect("put");
    std::fs::create_dir_all(dir.path().join("state/empty")).expect("folder");
    assert_eq!(verify(dir.path()).findings, []);
    assert_eq!(verify(&dir.path().join("nowhere")), Verified::default());
}

#[test]
fn statistics_of_nothing_are_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    assert_eq!(stats(dir.path()), Stats::default());
    let Kept { dir, .. } = kept();
    let stats = stats(dir.path());
    assert_eq!((stats.results, stats.blobs, stats.states), (3, 5, 1));
    assert_eq!((stats.oldest_ms, stats.newest_ms), (Some(1000), Some(1000)));
}
