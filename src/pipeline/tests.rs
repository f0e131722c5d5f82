//! Loading whole pipelines from memory.

use std::path::{Path, PathBuf};

use super::{
    BenchWork, CheckWork, CommandWork, ComparisonRule, Cores, DeviceRequest, Direction,
    KernelFiles, Loaded, Overrides, Pipeline, Purpose, Remeasure, Run, Stage, Work, load,
};
use crate::host::MemoryHost;

const KERNEL: &str = "name = 'x'\nkernel = 'k.c'\nproblem = 'p.toml'\n";

fn load_with(text: &str, overrides: &Overrides, more: &[(&str, &str)]) -> Loaded {
    let files = [("/w/k.c", ""), ("/w/p.toml", ""), ("/w/in.txt", ""), ("/w/a.toml", text)];
    let files = files.iter().chain(more).copied();
    let host = MemoryHost::with_files(files).and_var("HOME", "/users/me");
    load(Path::new("/w/a.toml"), overrides, &host)
}

fn good_with(text: &str, overrides: &Overrides, more: &[(&str, &str)]) -> Pipeline {
    let loaded = load_with(text, overrides, more);
    let told = crate::diagnostic::render(&loaded.diagnostics);
    assert!(told.is_empty(), "{told}");
    loaded.pipeline.expect("a good pipeline")
}

fn good(text: &str) -> Pipeline {
    good_with(text, &Overrides::default(), &[])
}

fn messages(text: &str, overrides: &Overrides) -> Vec<String> {
    load_with(text, overrides, &[]).diagnostics.into_iter().map(|found| found.message).collect()
}

fn set(pairs: &[(&str, &str)]) -> Overrides {
    let set = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Overrides { set: set.collect(), ..Overrides::default() }
}

fn command(stage: &Stage, variant: usize) -> &CommandWork {
    match &stage.variants[variant].work {
        Work::Command(command) => command,
        other => panic!("not a command: {other:?}"),
    }
}

fn bench(stage: &Stage, variant: usize) -> &BenchWork {
    match &stage.variants[variant].work {
        Work::Bench(bench) => bench,
        other => panic!("not a bench: {other:?}"),
    }
}

fn check(stage: &Stage) -> &CheckWork {
    match &stage.variants[0].work {
        Work::Check(check) => check,
        other => panic!("not a check: {other:?}"),
    }
}

#[test]
fn stages_take_the_preset_of_their_name_and_defaults_are_filled_in() {
    let pipeline =
        good(&format!("{KERNEL}[stages.smoke]\n[stages.candidate]\nneeds = ['smoke']\n"));
    assert_eq!((pipeline.device, pipeline.dir.as_path()), (DeviceRequest::Auto, Path::new("/w")));
    assert_eq!(pipeline.kernel, ["k.c"]);
    let [smoke, candidate] = pipeline.stages.as_slice() else { panic!("two stages") };
    assert_eq!(smoke.preset.as_deref(), Some("smoke"));
    let check = check(smoke);
    assert_eq!(check.compile.flags, ["-O3", "-march=native"]);
    assert_eq!((check.limits.retries, check.limits.grace_ms), (1, 2000));
    let bench = bench(candidate, 0);
    assert_eq!(bench.repeats, [4, 8, 12, 16, 24, 32, 48, 64]);
    assert_eq!((bench.purpose, bench.limits.timeout_ms), (Purpose::Candidate, 120_000));
    assert_eq!(candidate.best_by, ("median_us".to_owned(), Direction::Lower));
    assert_eq!(candidate.needs[0].0, "smoke");
    assert_eq!(&pipeline.source.text[candidate.needs[0].1.clone()], "'smoke'");
    assert_eq!(&pipeline.source.text[candidate.span.clone()], "candidate");
}

#[test]
fn a_stage_wins_over_its_preset_and_the_projects_preset_over_the_built_in_one() {
    let text = format!("{KERNEL}[stages.a]\nuse = 'candidate'\nrepeats = 5\n");
    let own = "kind = 'bench'\npurpose = 'final'\nrepeats = [1, 2]\nwarmup = 9\n";
    for place in ["/w/stages/candidate.toml", "/w/../stages/candidate.toml"] {
        let pipeline = good_with(&text, &Overrides::default(), &[(place, own)]);
        let bench = bench(&pipeline.stages[0], 0);
        assert_eq!((bench.repeats.as_slice(), bench.warmup), ([5].as_slice(), 9));
        assert_eq!(bench.purpose, Purpose::Final);
        assert_eq!(pipeline.sources, [PathBuf::from("/w/a.toml"), PathBuf::from(place)]);
    }
}

#[test]
fn variables_are_put_in_where_they_stand() {
    let pipeline = good(
        "name = 'x'\nkernel = ['k.c', './k.c']\nproblem = 'p.toml'\n\
         [vars]\nn = 4\nname = 'n${n}'\nhome = '${env.HOME}'\n\
         [stages.a-b]\nrun = ['${kernel}', 'k=${kernel}', '${name}.${stage}', '$$${dir}', '$x']\n\
         inputs = ['${kernel}']\noutputs = ['${stage}.out']\nenv = { H = '${home}', N = 2, B = true }\n\
         [stages.sh]\nrun = 'cat ${kernel} ${problem} > ${n}'\n",
    );
    let list = command(&pipeline.stages[0], 0);
    let want = ["k.c", "./k.c", "k=k.c ./k.c", "n4.a-b", "$/w", "$x"];
    assert_eq!(list.run, Run::Argv(want.map(str::to_owned).to_vec()));
    assert_eq!(list.inputs, ["k.c", "./k.c"]);
    assert_eq!(list.outputs, ["a-b.out"]);
    let env: Vec<_> = list.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, [("B", "true"), ("H", "/users/me"), ("N", "2")]);
    assert_eq!(
        command(&pipeline.stages[1], 0).run,
        Run::Shell("cat k.c ./k.c p.toml > 4".to_owned())
    );
    assert_eq!(pipeline.env_read, ["HOME"]);
}

#[test]
fn paths_with_spaces_are_quoted_for_the_shell_only() {
    let text = "name = 'x'\nkernel = 'a k.c'\n[stages.s]\nrun = 'cat ${kernel}'\n\
                [stages.l]\nrun = ['cat', '${kernel}']\n";
    let pipeline = good_with(text, &Overrides::default(), &[("/w/a k.c", "")]);
    assert_eq!(command(&pipeline.stages[0], 0).run, Run::Shell("cat 'a k.c'".to_owned()));
    let argv = ["cat", "a k.c"].map(str::to_owned).to_vec();
    assert_eq!(command(&pipeline.stages[1], 0).run, Run::Argv(argv));
}

#[test]
fn a_matrix_makes_one_variant_for_each_combination() {
    let pipeline = good(&format!(
        "{KERNEL}[vars]\nx = 0\n[compile]\ndefines = {{ A = true, BLOCK = 1 }}\nflags = ['-O2']\n\
         [stages.sweep]\nuse = 'candidate'\ncompile.defines.X = '${{x}}'\n\
         matrix = {{ define.BLOCK = [64, 128], vars.x = [7, 8], flags = ['-g'] }}\n\
         [stages.gen]\nrun = 'gen ${{x}} ${{matrix.define.N}}'\n\
         outputs = ['o/${{matrix.vars.x}}']\nmatrix = {{ vars.x = ['a', 'b'] }}\n"
    )
    .replace(" ${matrix.define.N}", ""));
    let sweep = &pipeline.stages[0];
    assert_eq!(sweep.variants.len(), 4);
    assert_eq!(sweep.variants[2].label, "define.BLOCK=128,vars.x=7,flags=-g");
    let compile = &bench(sweep, 2).compile;
    assert_eq!(compile.flags, ["-O2", "-g"]);
    let defines: Vec<_> = compile.defines.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(defines, ["A=1", "BLOCK=128", "X=7"]);
    let generate = &pipeline.stages[1];
    assert_eq!(command(generate, 1).run, Run::Shell("gen b".to_owned()));
    assert_eq!(command(generate, 1).outputs, ["o/b"]);
}

#[test]
fn set_changes_variables_and_paths_of_the_file() {
    let text = format!(
        "{KERNEL}[vars]\nn = 4\n[stages.smoke]\n[stages.candidate]\nrepeats = [8]\n\
         [stages.c]\nrun = 'run ${{n}}'\n"
    );
    let over = set(&[
        ("n", "5"),
        ("stages.candidate.repeats", "[4, 8]"),
        ("stages.smoke.timeout", "5s"),
        ("device", "cpu:1"),
    ]);
    let pipeline = good_with(&text, &over, &[]);
    assert_eq!(pipeline.device, DeviceRequest::Cpu(Cores::One(1)));
    assert_eq!(check(&pipeline.stages[0]).limits.timeout_ms, 5000);
    assert_eq!(bench(&pipeline.stages[1], 0).repeats, [4, 8]);
    assert_eq!(command(&pipeline.stages[2], 0).run, Run::Shell("run 5".to_owned()));
}

#[test]
fn a_wrong_set_is_an_error() {
    let text = format!("{KERNEL}[vars]\nblock = 4\n[stages.smoke]\n");
    for (key, value, want) in [
        ("blok", "1", "`--set blok=…` names no variable"),
        ("stages.smok.timeout", "1s", "`--set stages.smok.timeout=…` names no stage"),
        ("stages.smoke.tiemout", "1s", "unknown key `tiemout`"),
        ("stages.smoke.timeout", "1", "wrong type for `timeout`"),
        ("stages.smoke.timeout", "1x", "bad duration `1x` for `timeout`"),
        ("kernel", "no.c", "the kernel source `no.c` is not there"),
        ("a..b", "1", "`--set a..b=…` is not a path"),
    ] {
        assert_eq!(messages(&text, &set(&[(key, value)])), [want], "{key}={value}");
    }
}

#[test]
fn an_anchor_measures_anew_by_its_own_rule_whatever_file_and_command_line_say() {
    let text = format!(
        "{KERNEL}[stages.candidate]\nrepeats = [8, 16]\n[stages.candidate.rule]\ngross = 1.1\n\
         [stages.other]\nuse = 'candidate'\n"
    );
    let remeasure = |rule| Some(Remeasure { stage: "candidate".to_owned(), rule });
    let set = set(&[("stages.candidate.cache", "true"), ("stages.candidate.warmup", "7")]);
    let of = |rule| {
        let over = Overrides { remeasure: remeasure(rule), ..set.clone() };
        good_with(&text, &over, &[])
    };
    let (stage, anchor) = (of(ComparisonRule::Stage), of(ComparisonRule::Anchor));
    let (stage, other) = (bench(&stage.stages[0], 0).clone(), bench(&anchor.stages[1], 0));
    let anchor = bench(&anchor.stages[0], 0);
    assert!(!stage.cache && !anchor.cache && other.cache);
    assert_eq!((stage.warmup, anchor.warmup), (7, 7));
    assert_eq!((stage.repeats.as_slice(), stage.rule.gross), ([8, 16].as_slice(), 1.1));
    assert_eq!((anchor.repeats.as_slice(), anchor.rule.gross), ([64].as_slice(), 0.0));
    assert_eq!((anchor.rule.pairs_per_process, anchor.rule.confirm), (Some(8), false));
    assert_eq!(anchor.rule.upper_levels, [0.1]);
    assert_eq!(anchor.rule.lower_levels, [0.004]);
}

#[test]
fn flags_reach_every_stage_they_fit() {
    let text = format!("{KERNEL}[stages.smoke]\n[stages.candidate]\n[stages.c]\nrun = 'x'\n");
    let over = Overrides {
        kernel: Some(KernelFiles::One("in.cpp".to_owned())),
        device: Some("cpu".to_owned()),
        repeats: Some(vec![3]),
        early_stop_us: Some(7.5),
        timeout_s: Some(1.5),
        ..Overrides::default()
    };
    let pipeline = good_with(&text, &over, &[("/w/in.cpp", "")]);
    assert_eq!(
        (pipeline.kernel, pipeline.device),
        (vec!["in.cpp".to_owned()], DeviceRequest::Cpu(Cores::Picked))
    );
    assert_eq!(check(&pipeline.stages[0]).limits.timeout_ms, 1500);
    let measured = bench(&pipeline.stages[1], 0);
    assert_eq!((measured.repeats.as_slice(), measured.early_stop_us), ([3].as_slice(), Some(7.5)));
    assert_eq!(command(&pipeline.stages[2], 0).limits.timeout_ms, 1500);
    let wrong = Overrides {
        repeats: Some(vec![8, 8]),
        early_stop_us: Some(-1.0),
        timeout_s: Some(f64::NAN),
        ..Overrides::default()
    };
    let found = messages(&text, &wrong);
    let want = [
        "`repeats` must rise",
        "`early_stop_us` is out of range",
        "bad duration `NaNms` for `timeout`",
    ];
    assert_eq!(found, want);
}

#[test]
fn mistakes_do_not_keep_later_rooms_from_looking() {
    let text = format!(
        "{KERNEL}[stages.smoke]\nneeds = ['candidate', 'nope']\n[stages.candidate]\nneeds = ['smoke']\n"
    );
    let loaded = load_with(&text, &Overrides::default(), &[]);
    assert_eq!(loaded.diagnostics.len(), 1);
    let pipeline = loaded.pipeline.expect("enough for a graph");
    let needs: Vec<_> = pipeline.stages.iter().map(|stage| stage.needs[0].0.as_str()).collect();
    assert_eq!(needs, ["candidate", "smoke"], "the cycle is there, the unknown need is not");
}

#[test]
fn an_unreadable_pipeline_is_told_without_a_place() {
    let loaded = load(Path::new("/none.toml"), &Overrides::default(), &MemoryHost::default());
    assert!(loaded.pipeline.is_none());
    assert_eq!(loaded.diagnostics[0].code, "unreadable");
    assert!(loaded.diagnostics[0].location().is_none());
}

#[test]
fn results_follow_the_kind() {
    let pipeline = good(&format!(
        "{KERNEL}[stages.smoke]\n[stages.candidate]\n[stages.c]\nrun = 'x'\n\
         metric = {{ name = 'score', regex = 'x', better = 'higher' }}\n"
    ));
    let results: Vec<_> =
        pipeline.stages.iter().map(|stage| stage.results()[2..].join(" ")).collect();
    assert_eq!(
        results,
        [
            "cases mismatches max_error",
            "median_us mean_us min_us p90_us launches processes stopped_early unstable \
             median_lower_us median_upper_us gain gain_lower gain_upper pairs",
            "score"
        ]
    );
    assert_eq!(pipeline.stages[2].best_by, ("score".to_owned(), Direction::Higher));
}
