//! The program as people run it, on projects in folders of their own. One binary, so that it
//! links once.

mod artifact;
mod best;
mod cache;
mod campaign;
mod campaign_agents;
mod campaign_compute;
mod campaign_init;
mod campaign_log;
mod campaign_preconditions;
mod campaign_publish;
mod campaign_trees;
mod clocks;
mod codes;
mod command;
mod compare;
mod cuda;
mod cuda_tools;
mod demonstration;
mod depends;
#[path = "../cuda/mod.rs"]
mod driver;
mod embed;
mod exercise;
mod explain;
mod graph;
mod inspect;
mod judged;
mod keep;
mod kernel;
mod kills;
mod machine;
mod number;
#[path = "../peaks/mod.rs"]
mod peaks;
mod reads;
mod replay;
mod schema;
mod support;
mod trace;
mod trials;
mod users;
