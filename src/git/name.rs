//! What a revision's name stands for.

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
pub(super) fn base(revision: &str) -> &str {
    let end = revision.find(['~', '^', ':']).unwrap_or(revision.len());
    let end = revision.find("@{").unwrap_or(end).min(end);
    match &revision[..end] {
        "" | "@" => "HEAD",
        name => name,
    }
}
