//! Which files may be changed by now.

use crate::campaign::history::History;
use crate::campaign::scope::Scope;
use crate::campaign::settings::Settings;

/// Which files may be changed, with what was approved since.
pub(super) fn scope(settings: &Settings, history: &History) -> Result<Scope, globset::Error> {
    let mut patterns = settings.patterns.clone();
    patterns.approved.extend(history.steering.approve.iter().cloned());
    Scope::new(&patterns)
}
