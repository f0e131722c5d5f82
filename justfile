# Recipes for developers: `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

# List the recipes.
default:
    @just --list --unsorted

# What to run before a commit: format, lints, the quick tests.
[group('everyday')]
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test --lib
    cargo test --test tidy

# All tests; ARGS go to cargo, such as `--test tidy` or a test's name.
[group('everyday')]
test *ARGS:
    cargo test {{ ARGS }}

# Rewrite rendered text (snapshots, command tours), then show what changed.
[group('everyday')]
snap:
    -INSTA_UPDATE=always TRYCMD=overwrite cargo test
    git status --short

# The benchmarks of the hot paths; ARGS go to criterion.
[group('measure')]
bench *ARGS:
    cargo bench -- {{ ARGS }}

# The tests that need a CUDA device; without one that is a failure.
[group('measure')]
gpu-test *ARGS:
    OPTLOOP_REQUIRE=gpu cargo test --test gpu -- {{ ARGS }}

# Prove everything on a machine with a CUDA device; ARGS go to tools/gpu-accept, such as `--quick`.
[group('measure')]
gpu-accept *ARGS:
    test -x "${OPTLOOP:-target/release/optloop}" || cargo build --release
    tools/gpu-accept {{ ARGS }}

# Fuzz one target for a number of seconds (needs cargo-fuzz and a nightly toolchain).
[group('measure')]
fuzz TARGET='pipeline' SECONDS='60':
    cargo +nightly fuzz run {{ TARGET }} -- -max_total_time={{ SECONDS }}

# The API documentation, broken links being errors.
[group('publish')]
docs:
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items

# The JSON schemas of the files that users write.
[group('publish')]
schema:
    cargo run --quiet -- schema

# Licences, bans and sources of the dependencies (needs cargo-deny).
[group('publish')]
deny:
    cargo deny check licenses bans sources

# The very script that CI runs.
[group('publish')]
ci:
    .ci/run
