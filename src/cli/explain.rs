//! `optloop explain` and `pipeline --dry-run`.

use super::exit::Exit;
use super::session::{Refusal, Session};
use super::ui::Ui;

/// Says what a run would do.
pub(super) fn dry_run(_session: &Session, _selected: &[usize], _ui: &Ui) -> Result<Exit, Refusal> {
    Ok(Exit::Ok)
}
