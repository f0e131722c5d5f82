//! The table of a problem's ranked kernels, shown after a leaderboard stage.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::words;
use crate::engine::StageRecord;
use crate::engine::event::StageFinished;
use crate::pipeline::Purpose;
use crate::record::Board;
use crate::record::board::{Entry, Ranked};

/// The boards of all ranked stages among `stages`; empty when there are none. The second part is
/// what could not be read, in words.
pub(super) fn tables(stages: &[&StageFinished], state_dir: &Path) -> (String, Vec<String>) {
    let (mut text, mut complaints) = (String::new(), Vec::new());
    for stage in stages.iter().filter(|s| s.outcome.passed()) {
        let Some(StageRecord::Bench(bench)) = &stage.detail else { continue };
        if bench.purpose != Purpose::Leaderboard {
            continue;
        }
        let problem = &bench.problem;
        match Board::read(state_dir, problem) {
            Ok(board) => {
                let unreadable = board.unreadable.iter();
                complaints.extend(unreadable.map(|n| {
                    format!("line {n} of the board of {problem} cannot be read and is left out")
                }));
                let own = board.entries.iter().rev().find(|e| {
                    e.kernel_digest == bench.kernel_digest
                        && e.harness_digest == bench.harness_digest
                });
                if let Some(own) = own {
                    text.push_str(&table(&board, own));
                }
            }
            Err(e) => complaints.push(format!("the board of {problem} cannot be read: {e}")),
        }
    }
    (text, complaints)
}

fn table(board: &Board, own: &Entry) -> String {
    let (rows, left_out) = board.table(own);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["rank", "kernel", "time", "gain", "runs", "latest", "digest"]);
    for column in [0, 2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in &rows {
        table.add_row(cells(row, own));
    }
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_owned()).collect();
    let mut text = format!(
        "\nboard of {}, by {}, harness {}\n{}\n",
        own.problem,
        own.metric,
        &own.harness_digest[..own.harness_digest.len().min(12)],
        lines.join("\n")
    );
    if left_out > 0 {
        text.push_str(&format!(
            "{left_out} more of another device or harness, which cannot be compared\n"
        ));
    }
    text
}

fn cells(row: &Ranked<'_>, own: &Entry) -> [String; 7] {
    let entry = row.entry;
    let mark = if entry.kernel_digest == own.kernel_digest { " <" } else { "" };
    let at: Option<jiff::Timestamp> = entry.at.parse().ok();
    let kernel = entry.kernel.first().map_or("", |k| k.rsplit('/').next().unwrap_or(k));
    [
        row.rank.to_string(),
        format!("{kernel}{mark}"),
        words::duration_us(entry.value_us),
        format!("{:.2}x", row.gain),
        row.runs.to_string(),
        at.map_or_else(|| entry.at.clone(), |at| words::age(at.as_millisecond())),
        entry.kernel_digest.chars().take(12).collect(),
    ]
}
