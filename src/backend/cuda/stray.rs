//! What a device's launch wrote where it must not, in words.

use std::sync::atomic::Ordering::Relaxed;

use super::super::link::control::{STRAY_INPUT, STRAY_NONE, STRAY_OUTPUTS, StrayLine};
use super::super::link::placement::Place;
use super::super::link::{Buffer, Layout};
use super::helpers::ZONE_WORDS;

/// What the latest look for strays found; `None` where all is as it should be.
pub(super) fn words(line: &StrayLine, layout: Option<&Layout>) -> Option<String> {
    let kind = line.kind.load(Relaxed);
    if kind == STRAY_NONE {
        return None;
    }
    let place = line.place.load(Relaxed);
    if kind == STRAY_INPUT {
        return Some(format!("argument {}, which is an input, was changed", place + 1));
    }
    let zone = Zone { number: u64::from(place), word: line.word.load(Relaxed) };
    let count = line.count.load(Relaxed).saturating_mul(8);
    let what = layout.map(|layout| match kind {
        STRAY_OUTPUTS => zone.words(layout, |buffer| buffer.output),
        _ => zone.words(layout, |buffer| buffer.input),
    });
    Some(format!("{count} bytes {}", what.unwrap_or_default()))
}

/// A red zone that was written to.
struct Zone {
    number: u64,
    /// Its first changed word.
    word: u64,
}

impl Zone {
    /// Beside which argument it lies, whose buffers `place` finds.
    fn words(&self, layout: &Layout, place: impl Fn(&Buffer) -> Option<Place>) -> String {
        let sets = u64::from(layout.sets);
        let mut before = 0;
        let mut last = 0;
        for buffer in &layout.buffers {
            let Some(place) = place(buffer) else { continue };
            let regions = place.regions(sets);
            // The zone before the next region is behind the last one; its first half counts so.
            let behind = self.number > 0 && self.word < ZONE_WORDS / 2;
            let region = self.number - u64::from(behind);
            if region < before + regions {
                let side = if behind { "behind" } else { "before" };
                return format!("{side} a buffer of argument {}", buffer.argument);
            }
            before += regions;
            last = buffer.argument;
        }
        format!("behind a buffer of argument {last}")
    }
}
