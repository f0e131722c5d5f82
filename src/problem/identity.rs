//! What a problem means, as a digest: part of the key of everything that is checked against it.

use std::path::PathBuf;

use super::{Problem, Reference};
use crate::digest::Digest;

/// Counted up when the meaning of a problem changes while its encoding does not.
const VERSION: &[u8] = b"optloop problem 1";

/// The digest of what `problem` means and of its reference's text. Comments and the order of
/// tables in the file do not count, nor does where the reference lies.
///
/// # Panics
/// Never: the encoding takes any plain data.
pub fn canonical_digest(problem: &Problem, reference_text: &str) -> Digest {
    let meaning = Problem { reference: PathBuf::new(), ..problem.clone() };
    let encoded = postcard::to_stdvec(&meaning).expect("a problem holds plain data only");
    Digest::of_parts([VERSION, &encoded, reference_text.as_bytes()])
}

/// The digest of what a kernel is asked: arguments, cases, inputs, tolerance and what the reference
/// computes. `[work]` does not count, for it only says how near a bound a time is.
///
/// # Panics
/// As [`canonical_digest`].
pub fn asked_digest(problem: &Problem, reference: &Reference) -> Digest {
    let asked = Problem { flops: None, bytes: None, ..problem.clone() };
    canonical_digest(&asked, &reference.digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{ArgKind, case};

    #[test]
    fn every_part_of_the_meaning_counts_and_the_place_of_the_reference_does_not() {
        let problem = case::tests::problem();
        let base = canonical_digest(&problem, "text");
        let changed = |change: fn(&mut Problem)| {
            let mut other = problem.clone();
            change(&mut other);
            canonical_digest(&other, "text")
        };
        assert_eq!(base, changed(|p| p.reference = "/elsewhere/reference.c".into()));
        assert_ne!(base, canonical_digest(&problem, "other text"));
        let every_change: [fn(&mut Problem); 8] = [
            |p| p.entry.push('x'),
            |p| p.tolerance.atol = 0.5,
            |p| p.tolerance.rtol = 0.5,
            |p| p.cases.truncate(1),
            |p| p.args.swap(0, 1),
            |p| p.flops = None,
            |p| p.holdout = None,
            |p| p.args[2].kind = ArgKind::Scalar("cols".into()),
        ];
        for (i, change) in every_change.into_iter().enumerate() {
            assert_ne!(base, changed(change), "change {i}");
        }
    }

    #[test]
    fn what_is_asked_is_all_but_the_work_of_a_launch() {
        let reference = Reference { digest: Digest::of(b"code"), files: Vec::new() };
        let problem = case::tests::problem();
        let asked = |change: fn(&mut Problem)| {
            let mut other = problem.clone();
            change(&mut other);
            asked_digest(&other, &reference)
        };
        let base = asked_digest(&problem, &reference);
        assert_eq!(base, asked(|p| p.flops = Some("n".into())));
        assert_eq!(base, asked(|p| p.bytes = None));
        let counts: [fn(&mut Problem); 4] = [
            |p| p.tolerance.rtol = 0.5,
            |p| p.cases.truncate(1),
            |p| p.args.swap(0, 1),
            |p| p.holdout = None,
        ];
        for (i, change) in counts.into_iter().enumerate() {
            assert_ne!(base, asked(change), "change {i}");
        }
        let other = Reference { digest: Digest::of(b"other"), files: Vec::new() };
        assert_ne!(base, asked_digest(&problem, &other));
    }
}
