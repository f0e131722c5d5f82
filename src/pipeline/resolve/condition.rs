//! What `when` says about other stages.

use super::draft::Draft;
use super::resolver::Resolver;
use crate::diagnostic::Spanned;
use crate::pipeline::findings::did_you_mean;
use crate::pipeline::upstream::Upstream;
use crate::pipeline::variables::Scope;
use crate::pipeline::when::Condition;

impl Resolver<'_> {
    /// The condition of a stage, checked against what the stages above it give.
    pub(super) fn when(
        &mut self,
        index: usize,
        drafts: &[Draft],
        graph: &Upstream<'_>,
    ) -> Option<String> {
        let draft = &drafts[index];
        let written = draft.when.as_ref()?;
        let scope = Scope { stage: Some(&draft.name), ..Scope::default() };
        let before = self.findings.list.len();
        let text = self.variables.expand(written, scope, &mut self.findings);
        if self.findings.list.len() > before {
            return None;
        }
        let condition = match Condition::parse(&text) {
            Ok(condition) => condition,
            Err(mistake) => {
                let span = self.findings.inside(&written.span, &text, &mistake.span);
                let message = format!("bad condition for `{}`", draft.name.value);
                self.findings
                    .at("bad-when", message, &span, mistake.to_string())
                    .help("a condition is such as `candidate.median_us < 900`");
                return None;
            }
        };
        if self.dashed_name(written, drafts) {
            return None;
        }
        for name in condition.names() {
            let span = self.findings.inside(&written.span, &text, &name.span);
            self.result_name(&Spanned::new(name.text, span), index, drafts, graph);
        }
        (self.findings.list.len() == before).then_some(text)
    }

    /// True when a stage is named with its dash, which reads as a minus; this is reported.
    fn dashed_name(&mut self, written: &Spanned<String>, drafts: &[Draft]) -> bool {
        let dashed = drafts
            .iter()
            .map(|draft| draft.name.value.as_str())
            .find(|name| name.contains('-') && written.contains(&format!("{name}.")));
        let Some(name) = dashed else { return false };
        let span = self.findings.within(&written.span, name);
        let label = format!("reads as a difference: write `{}`", name.replace('-', "_"));
        self.findings
            .at("bad-when", format!("`{name}` has a dash"), &span, label)
            .help("in `when`, a `-` of a stage's name is written as `_`");
        true
    }

    fn result_name(
        &mut self,
        name: &Spanned<&str>,
        index: usize,
        drafts: &[Draft],
        graph: &Upstream<'_>,
    ) {
        let Spanned { value: name, span } = name;
        let (stage_name, result) = name.split_once('.').unwrap_or((*name, ""));
        let plain = |draft: &Draft| draft.name.replace('-', "_");
        let Some(other) = drafts.iter().position(|draft| plain(draft) == stage_name) else {
            let names: Vec<String> = drafts.iter().map(plain).collect();
            let label = did_you_mean(stage_name, names.iter().map(String::as_str), "no such stage");
            self.findings
                .at("unknown-stage", format!("`when` names unknown `{name}`"), span, label)
                .help("a result is STAGE.RESULT; write a `-` of a stage's name as `_`");
            return;
        };
        if !graph.reaches(index, other) {
            let needed = &drafts[other].name.value;
            let message = format!("`when` looks at `{needed}`, which may not have run yet");
            let label = format!("`{}` does not need `{needed}`", drafts[index].name.value);
            let help = format!("add \"{needed}\" to its `needs`");
            self.findings.at("not-upstream", message, span, label).help(help);
            return;
        }
        let Some(stage) = &drafts[other].stage else {
            return;
        };
        let results = stage.results();
        if !results.contains(&result) {
            let label = did_you_mean(result, results.iter().copied(), "no such result");
            let message = format!("stage `{}` has no result `{result}`", stage.name);
            self.findings.at("unknown-result", message, span, label).help(format!(
                "results of `{}`: {}",
                stage.name,
                results.join(", ")
            ));
        }
    }
}
