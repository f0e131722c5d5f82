//! Which files of a project an agent may change.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::event::Rule;

/// What agents read as their own settings and instructions: one that changed them would direct the
/// agent of the next iteration.
const OF_AGENTS: [&str; 16] = [
    "**/.claude",
    "**/.mcp.json",
    "**/.codex",
    "**/AGENTS.md",
    "**/CLAUDE.md",
    "**/CLAUDE.local.md",
    "**/GEMINI.md",
    "**/.gemini",
    "**/.qwen",
    "**/opencode.json",
    "**/.opencode",
    "**/.cursor",
    "**/.cursorrules",
    "**/.crush",
    "**/.aider.conf.yml",
    "**/.github/copilot*",
];

/// Patterns over paths below the project's root.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    edit: GlobSet,
    protect: GlobSet,
    approve: GlobSet,
    approved: GlobSet,
    of_agents: GlobSet,
}

/// The patterns of a scope, as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// What may be changed.
    pub edit: Vec<String>,
    /// What may not, whatever `edit` says.
    pub protect: Vec<String>,
    /// What may be changed with an approval.
    pub approve: Vec<String>,
    /// The approvals.
    pub approved: Vec<String>,
}

/// Whether the project had a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is the project's.
    Project,
    /// It was made.
    New,
}

/// What a change of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It is part of the proposal.
    Proposed,
    /// It makes the proposal invalid.
    Forbidden(Rule),
    /// It is left behind.
    Stray,
}

impl Scope {
    /// Understands the patterns.
    ///
    /// # Errors
    /// The first that is malformed, with globset's words.
    pub fn new(patterns: &Patterns) -> Result<Self, globset::Error> {
        Ok(Self {
            edit: set(&patterns.edit)?,
            protect: set(&patterns.protect)?,
            approve: set(&patterns.approve)?,
            approved: set(&patterns.approved)?,
            of_agents: set(&OF_AGENTS.map(str::to_owned))?,
        })
    }

    /// What it means that the file at `path` was changed, made or removed.
    pub fn meaning(&self, path: &str, origin: Origin) -> Meaning {
        if self.protect.is_match(path) {
            return Meaning::Forbidden(Rule::Protected);
        }
        if self.of_agents.is_match(path) {
            // Many make them while they work.
            let is_new = origin == Origin::New;
            return if is_new { Meaning::Stray } else { Meaning::Forbidden(Rule::Protected) };
        }
        if self.approve.is_match(path) {
            let is_approved = self.approved.is_match(path);
            let refused = Meaning::Forbidden(Rule::NeedsApproval);
            return if is_approved { Meaning::Proposed } else { refused };
        }
        match origin {
            _ if self.edit.is_match(path) => Meaning::Proposed,
            Origin::Project => Meaning::Forbidden(Rule::OutsideScope),
            Origin::New => Meaning::Stray,
        }
    }
}

/// A pattern without a `*` at its end means the file, and all below a folder of that name.
fn set(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let one = |text: &str| GlobBuilder::new(text).literal_separator(true).build();
        set.add(one(pattern)?);
        if !pattern.rsplit('/').next().unwrap_or_default().contains('*') {
            set.add(one(&format!("{pattern}/**"))?);
        }
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_is_stronger_than_permission_and_new_files_elsewhere_are_strays() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let scope = Scope::new(&Patterns {
            edit: words(&["kernels/**", "./k.c"]),
            protect: words(&["**/tests/**", "kernels/problem.toml", "lib/*"]),
            approve: words(&["bench.py", "data/"]),
            approved: words(&["data/small"]),
        });
        let scope = scope.expect("patterns");
        let forbidden = |rule| Meaning::Forbidden(rule);
        for (path, origin, meaning) in [
            ("k.c", Origin::Project, Meaning::Proposed),
            ("kernels/a/b.c", Origin::New, Meaning::Proposed),
            ("kernels/problem.toml", Origin::Project, forbidden(Rule::Protected)),
            ("kernels/tests/t.c", Origin::New, forbidden(Rule::Protected)),
            ("a/b/tests/deep/t.py", Origin::Project, forbidden(Rule::Protected)),
            ("Makefile", Origin::Project, forbidden(Rule::OutsideScope)),
            ("lib/a.c", Origin::Project, forbidden(Rule::Protected)),
            ("lib/deep/a.c", Origin::Project, forbidden(Rule::OutsideScope)),
            ("notes.md", Origin::New, Meaning::Stray),
            ("sub/k.c", Origin::Project, forbidden(Rule::OutsideScope)),
            ("bench.py", Origin::Project, forbidden(Rule::NeedsApproval)),
            ("data/large", Origin::New, forbidden(Rule::NeedsApproval)),
            ("data/small", Origin::Project, Meaning::Proposed),
            ("kernels/AGENTS.md", Origin::Project, forbidden(Rule::Protected)),
            ("kernels/AGENTS.md", Origin::New, Meaning::Stray),
            ("kernels/.claude/settings.json", Origin::New, Meaning::Stray),
            (".mcp.json", Origin::Project, forbidden(Rule::Protected)),
            (".github/copilot-instructions.md", Origin::New, Meaning::Stray),
            ("kernels/agents.c", Origin::New, Meaning::Proposed),
        ] {
            assert_eq!(scope.meaning(path, origin), meaning, "{path}");
        }
        assert!(
            Scope::new(&Patterns { edit: words(&["a[", "b"]), ..Patterns::default() }).is_err()
        );
    }
}
