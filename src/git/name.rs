//! What a revision's name stands for, and what could change that.

use std::path::{Path, PathBuf};

use git2::{Commit, ErrorCode, Repository};

use super::Error;
use crate::diagnostic::nearest;

/// Refuses what names no commit, or several, in any repository.
pub(super) fn vet(revision: &str) -> Result<(), Error> {
    let nothing = revision.trim().is_empty() || revision.starts_with([':', '-']);
    let why = if nothing {
        format!("`{revision}` does not name a commit: give a branch, a tag or a commit's id")
    } else if revision.contains("..") {
        format!("`{revision}` is a range: name one commit")
    } else {
        return Ok(());
    };
    Err(refused(revision, why))
}

fn refused(revision: &str, why: String) -> Error {
    Error::NoRevision { revision: revision.to_owned(), why }
}

/// The commit that `revision` names.
pub(super) fn find<'r>(repository: &'r Repository, revision: &str) -> Result<Commit<'r>, Error> {
    vet(revision)?;
    let object = repository.revparse_single(revision).map_err(|error| {
        let why = match error.code() {
            ErrorCode::Ambiguous => {
                format!("`{revision}` is the beginning of several ids: give more of its digits")
            }
            ErrorCode::NotFound => unknown(repository, revision),
            _ => format!("`{revision}` is no revision that git understands: {}", error.message()),
        };
        refused(revision, why)
    })?;
    let kind = object.kind().map_or("object", |kind| kind.str());
    object.peel_to_commit().map_err(|_| {
        let why = format!(
            "`{revision}` names a {kind} and not a commit: give a branch, a tag or a commit"
        );
        refused(revision, why)
    })
}

fn unknown(repository: &Repository, revision: &str) -> String {
    let base = base(revision);
    let references = repository.references().into_iter().flatten().flatten();
    let names: Vec<String> =
        references.filter_map(|r| r.shorthand().ok().map(str::to_owned)).collect();
    let near = nearest(base, names.iter().map(String::as_str));
    if let Some(near) = near.filter(|near| *near != base) {
        return format!("there is no revision `{revision}`: did you mean `{near}`?");
    }
    match repository.head().ok().and_then(|h| h.shorthand().ok().map(str::to_owned)) {
        None => format!("there is no revision `{revision}`: nothing has been committed yet"),
        Some(head) => format!(
            "there is no revision `{revision}` (`{head}` is checked out; `git log --oneline` lists \
             its commits)"
        ),
    }
}

/// The name that a revision begins with: `main` of `main~2`.
fn base(revision: &str) -> &str {
    let end = revision.find(['~', '^', ':']).unwrap_or(revision.len());
    let end = revision.find("@{").unwrap_or(end).min(end);
    match &revision[..end] {
        "" | "@" => "HEAD",
        name => name,
    }
}

/// Every file that git looks at to tell what the name means, there or not.
pub(super) fn watch(repository: &super::repository::Repository, revision: &str) -> Vec<PathBuf> {
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
