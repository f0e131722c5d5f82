//! `optloop devices`.

use super::exit::Exit;
use super::ui::Ui;
use crate::backend::cuda::{CudaProbe, probe};

/// Lists them.
pub(super) fn run(ui: &Ui) -> Exit {
    ui.line(&cuda_in_words());
    Exit::Ok
}

/// What there is of CUDA here, as the end of a sentence.
pub(super) fn cuda_in_words() -> String {
    match probe() {
        CudaProbe::Devices(devices) if !devices.is_empty() => {
            format!("this machine has {}", devices[0].name)
        }
        other => format!("{other:?}"),
    }
}
