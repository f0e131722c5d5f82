//! Campaigns: an agent proposes one change at a time, and the engine decides whether it stays.
//!
//! - [`event`], [`proposal`], [`judgement`], [`history`]: what happened, and what is known from it;
//! - [`inbox`], [`steering`]: what people ask of one that runs;
//! - [`step`]: what is done next, decided from nothing but that; [`keep`]: which candidates stay;
//! - [`scope`], [`collect`]: what an agent may change, and what it changed;
//! - [`file`], [`settings`]: the file that people write, and what it means;
//! - [`report`], [`standing`], [`summary`], [`diary`], [`export`]: what is made of it, for people and programs;
//!   [`derived`], [`lint`]: the files that hold that;
//! - [`agent`]: who proposes; [`judge`], [`pipeline_judge`]: who decides; [`compute`]: where; [`trees`]: where the project's files lie
//!   meanwhile; [`publish`], [`announce`]: what follows a new best; [`driver`]: all of it, one step after another.
//!
//! Not for: measuring, or printing.

pub mod agent;
pub mod anchored;
pub mod announce;
mod begun;
pub mod collect;
pub mod compute;
pub mod derived;
pub mod diary;
pub mod driver;
pub mod end;
mod epoch;
pub mod event;
pub mod export;
pub mod file;
pub mod guards;
pub mod history;
pub mod hold;
pub mod inbox;
pub mod judge;
pub mod judgement;
pub mod keep;
pub mod lint;
pub mod log;
pub mod misplaced;
pub mod pipeline_judge;
pub mod prompt;
pub mod proposal;
pub mod publish;
pub mod report;
#[cfg(test)]
mod samples;
pub mod scope;
pub mod secrets;
pub mod settings;
pub mod spent;
pub mod standing;
pub mod steering;
pub mod step;
pub mod store;
pub mod summary;
pub mod tail;
pub mod trees;

use serde_json::Value;

/// JSON schemas of the file that people write, and of what is recorded.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("campaign", schemars::schema_for!(file::CampaignFile).to_value()),
        ("campaign_event", schemars::schema_for!(event::Entry).to_value()),
        ("experiment", schemars::schema_for!(report::Record).to_value()),
        ("campaign_state", schemars::schema_for!(standing::Standing).to_value()),
    ];
    for (name, schema) in &mut all {
        schema["title"] = format!("optloop {}", name.replace('_', " ")).into();
    }
    all
}
