//! What could change what a revision's name stands for.

use std::path::{Path, PathBuf};

use super::name::base;
use super::repository::Repository;

/// Every file that git looks at to tell what the name means, there or not.
pub(super) fn watch(repository: &Repository, revision: &str) -> Vec<PathBuf> {
    let base = base(revision);
    if matches!(base.len(), 40 | 64) && base.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Vec::new();
    }
    let (private, common) = (&repository.private, &repository.common);
    let mut names = vec![base.to_owned()];
    for place in ["refs", "refs/tags", "refs/heads", "refs/remotes"] {
        names.push(format!("{place}/{base}"));
    }
    names.push(format!("refs/remotes/{base}/HEAD"));
    let mut next = 0;
    while let Some(name) = names.get(next) {
        next += 1;
        // A symbolic reference leads on.
        let target = repository.reader.stands_for(name);
        if let Some(target) = target.filter(|target| !names.contains(target)) {
            names.push(target);
        }
    }
    let place = |name: &String| {
        let own = !name.starts_with("refs/") || name.starts_with("refs/bisect/");
        if own { private.join(name) } else { common.join(name) }
    };
    let mut files: Vec<PathBuf> = names.iter().map(place).collect();
    files.push(common.join("packed-refs"));
    // References may be kept in tables instead, of which this file is the list.
    let tables = [private, common].map(|folder| folder.join("reftable/tables.list"));
    files.extend(tables.into_iter().filter(|list| list.is_file()));
    if revision.contains("@{") {
        let logs: Vec<_> = files.iter().filter_map(|file| log_of(private, common, file)).collect();
        files.extend(logs);
    }
    files
}

fn log_of(private: &Path, common: &Path, reference: &Path) -> Option<PathBuf> {
    let below =
        |folder: &Path| reference.strip_prefix(folder).ok().map(|n| folder.join("logs").join(n));
    below(private).or_else(|| below(common)).filter(|log| log.is_file())
}
