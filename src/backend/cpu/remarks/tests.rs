//! Excerpts of what GCC 12 and clang 14 said about the shipped kernels with `-O3 -march=native` on
//! a machine with AVX-512; places of sources are shortened.

use super::super::assembly;
use super::RemarkKind::{Missed, Spill, Vectorised};
use super::*;

const GCC: &str = "\
/k/sgemm_fast.c:48:31: missed: couldn't vectorize loop
/k/sgemm_fast.c:48:31: missed: not vectorized: loop nest containing two or more consecutive inner loops cannot be vectorized
/k/sgemm_fast.c:56:39: optimized: loop vectorized using 64 byte vectors
/k/sgemm_fast.c:56:39: optimized: loop vectorized using 32 byte vectors
/k/sgemm_fast.c:31:27: missed: couldn't vectorize loop
/k/sgemm_fast.c:33:23: missed: not vectorized: complicated access pattern.
/k/sgemm_fast.c:32:31: optimized: loop vectorized using 64 byte vectors
/k/sgemm_fast.c:19:33: missed: statement clobbers memory: __builtin_memcpy (_327, _323, _330);
/k/sgemm_fast.c:52:28: missed: not vectorized: vectorization is not profitable.
/k/sgemm_fast.c:52:28: missed: not vectorized: vectorization is not profitable.
/k/softmax.c:18:27: missed: couldn't vectorize loop
/k/softmax.c:19:22: missed: statement clobbers memory: _22 = expf (_21);
/k/reduce_sum.c:6:23: missed: couldn't vectorize loop
/k/reduce_sum.c:7:17: missed: not vectorized: no vectype for stmt: _4 = *_3;
 scalar_type: const float
/k/stencil2d_fast.c:17:16: optimized: basic block part vectorized using 64 byte vectors
";

const CLANG: &str = "\
/k/sgemm.c:8:21: remark: loop not vectorized: cannot prove it is safe to reorder floating-point operations; allow reordering by specifying '#pragma clang loop vectorize(enable)' before the loop or by providing the compiler option '-ffast-math'. [-Rpass-analysis=loop-vectorize]
/k/sgemm.c:7:13: remark: loop not vectorized [-Rpass-missed=loop-vectorize]
/k/sgemm.c:4:5: remark: Cannot SLP vectorize list: vectorization was impossible with available vectorization factors [-Rpass-missed=slp-vectorizer]
/k/sgemm.c:7:13: remark: 1 virtual registers copies 4.045426e+03 total copies cost generated in loop [-Rpass-missed=regalloc]
/k/sgemm.c:4:5: remark: 1 spills 7.888889e+00 total spills cost 3 reloads 1.421852e+02 total reloads cost 3 folded reloads 2.366667e+01 total folded reloads cost 5 virtual registers copies 4.195500e+03 total copies cost generated in loop [-Rpass-missed=regalloc]
/k/sgemm_fast.c:56:21: remark: the cost-model indicates that interleaving is not beneficial [-Rpass-analysis=loop-vectorize]
/k/sgemm_fast.c:56:21: remark: vectorized loop (vectorization width: 16, interleaved count: 1) [-Rpass=loop-vectorize]
/k/sgemm_fast.c:19:33: remark: loop not vectorized: call instruction cannot be vectorized [-Rpass-analysis=loop-vectorize]
/k/sgemm_fast.c:17:5: remark: loop not vectorized: instruction cannot be vectorized [-Rpass-analysis=loop-vectorize]
/k/sgemm_fast.c:17:5: remark: loop not vectorized [-Rpass-missed=loop-vectorize]
/k/sgemm_fast.c:33:27: remark: Stores SLP vectorized with cost -59 and with tree size 5 [-Rpass=slp-vectorizer]
/k/sgemm_fast.c:0:0: remark: List vectorization was possible but not beneficial with cost 0 >= 0 [-Rpass-missed=slp-vectorizer]
/k/sgemm_fast.c:39:6: remark: List vectorization was possible but not beneficial with cost 0 >= 0 [-Rpass-missed=slp-vectorizer]
/k/sgemm_fast.c:39:1: remark: 58 spills 2.206700e+04 total spills cost 4 folded spills 1.720300e+04 total folded spills cost 68 reloads 1.653296e+05 total reloads cost 36 folded reloads 1.360578e+05 total folded reloads cost 52 virtual registers copies 1.478152e+05 total copies cost generated in function [-Rpass-missed=regalloc]
";

fn shown(remarks: &[Remark]) -> String {
    let line = |r: &Remark| {
        let kind = match r.kind {
            Vectorised { bytes: Some(bytes) } => format!("vectorised {bytes}"),
            Vectorised { bytes: None } => "vectorised".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        let name = r.file.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}:{}:{} {kind}: {}", r.line, r.column, r.text)
    };
    remarks.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn gcc_reasons_stand_at_their_loops() {
    insta::assert_snapshot!(shown(&parse(Family::Gcc, GCC)), @r"
    reduce_sum.c:6:23 missed: not vectorised: no vectype for stmt: _4 = *_3 (line 7)
    sgemm_fast.c:19:33 note: statement clobbers memory: __builtin_memcpy (_327, _323, _330);
    sgemm_fast.c:31:27 missed: not vectorised: complicated access pattern (line 33)
    sgemm_fast.c:32:31 vectorised 64: loop vectorized using 64 byte vectors
    sgemm_fast.c:48:31 missed: not vectorised: loop nest containing two or more consecutive inner loops cannot be vectorized
    sgemm_fast.c:52:28 note: not vectorized: vectorization is not profitable.
    sgemm_fast.c:56:39 vectorised 64: loop vectorized using 64 byte vectors
    softmax.c:18:27 missed: not vectorised: statement clobbers memory: _22 = expf (_21) (line 19)
    stencil2d_fast.c:17:16 vectorised 64: basic block part vectorized using 64 byte vectors
    ");
}

#[test]
fn clang_reasons_stand_at_their_loops() {
    insta::assert_snapshot!(shown(&parse(Family::Clang, CLANG)), @r"
    sgemm.c:4:5 spill: 1 spilled, 6 reloaded in this loop
    sgemm.c:7:13 missed: not vectorised: cannot prove it is safe to reorder floating-point operations (line 8)
    sgemm_fast.c:17:5 missed: not vectorised: call instruction cannot be vectorized (line 19)
    sgemm_fast.c:33:27 vectorised: Stores SLP vectorized with cost -59 and with tree size 5
    sgemm_fast.c:39:1 spill: 62 spilled, 104 reloaded in this function
    sgemm_fast.c:56:21 vectorised: vectorized loop (vectorization width: 16, interleaved count: 1)
    ");
}

#[test]
fn a_loop_without_a_reason_is_still_told() {
    let text = "/k/a.c:3:5: missed: couldn't vectorize loop\n";
    let twice = format!("{text}/k/a.c:9:5: missed: couldn't vectorize loop\n");
    assert_eq!(parse(Family::Gcc, text).len(), 1);
    assert_eq!(parse(Family::Gcc, &twice).len(), 2);
    for text in ["", "noise\n", "a.c:1: warning: x\n", "a.c:0:0: missed: not vectorized: x\n"] {
        assert_eq!(parse(Family::Gcc, text), [], "{text}");
        assert_eq!(parse(Family::Clang, text), [], "{text}");
    }
}

#[test]
fn advice_is_given_for_words_that_are_hard_to_read() {
    let advice = |family, text, line: u32| {
        let found = parse(family, text);
        found.iter().find(|r| r.line == line).and_then(Remark::advice)
    };
    assert_eq!(advice(Family::Clang, CLANG, 7), Some(REDUCTION));
    assert!(advice(Family::Gcc, GCC, 18).is_some_and(|a| a.contains("a call")));
    assert_eq!(advice(Family::Gcc, GCC, 32), None);
}

/// A function with an outer loop (line 2) that reloads and an inner one (line 3) that spills.
const PRESSED: &str = "\
\t.type\tf, @function
f:
\t.file 1 \"/k/a.c\"
\t.loc 1 1 1
\tmovl\t%ecx, 16(%rsp)\t# n, %sfp
.L2:
\t.loc 1 2 5
\tmovl\t16(%rsp), %eax\t# %sfp, n
.L3:
\t.loc 1 3 5
\tmovl\t%eax, 20(%rsp)\t# i, %sfp
\taddl\t24(%rsp), %eax\t# %sfp, i
\tmovl\t%eax, 512(%rsp)\t# i, tile
\tjne\t.L3\t#,
\t.loc 1 2 5
\tjne\t.L2\t#,
\tret
\t.size\tf, .-f
";

#[test]
fn spills_are_counted_by_source_line() {
    insta::assert_snapshot!(shown(&spills(&assembly::parse(PRESSED))), @r"
    a.c:1:0 spill: 1 spilled, 0 reloaded
    a.c:2:0 spill: 0 spilled, 1 reloaded
    a.c:3:0 spill: 1 spilled, 1 reloaded, 2 of them in an innermost loop
    ");
}

#[test]
fn what_costs_most_comes_first() {
    let assembly = assembly::parse(PRESSED);
    let inner = innermost(&assembly);
    assert_eq!(inner, BTreeSet::from([("/k/a.c".into(), 3)]));
    let said = "\
/k/a.c:2:5: missed: couldn't vectorize loop
/k/a.c:2:5: missed: not vectorized: multiple nested loops.
/k/a.c:9:5: optimized: loop vectorized using 64 byte vectors
/k/a.c:3:5: missed: couldn't vectorize loop
/k/a.c:3:9: missed: not vectorized: unsupported use in stmt.
";
    let all = parse(Family::Gcc, said).into_iter().chain(spills(&assembly)).collect();
    let ranked = rank(all, &inner);
    let lines: Vec<(u32, RemarkKind)> = ranked.iter().map(|r| (r.line, r.kind)).collect();
    let wide = Vectorised { bytes: Some(64) };
    assert_eq!(lines, [(3, Missed), (3, Spill), (1, Spill), (2, Spill), (9, wide), (2, Missed)]);
}

#[test]
fn families_are_told_by_their_version() {
    for (version, family) in [
        (
            "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.",
            Some(Family::Gcc),
        ),
        (
            "cc (Debian 12.2.0) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.",
            Some(Family::Gcc),
        ),
        ("Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu", Some(Family::Clang)),
        ("nvc 23.7", None),
    ] {
        assert_eq!(Family::of(version), family, "{version}");
    }
}
