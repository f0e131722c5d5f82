//! `optloop replay`: decisions again from their recorded pairs.

mod line;
mod overrides;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

use rayon::prelude::*;

use super::args::ReplayArgs;
use super::exit::{self, Exit};
use super::refusal::Refusal;
use super::ui::Ui;
use super::verdict::Replayed;
use crate::engine::StageRecord;
use crate::measure::pairs::Comparison;
use crate::record::Artifact;

/// Read at once: hundreds of decisions, enough for every core.
const BUFFER: usize = 1 << 20;

/// Runs it.
pub(super) fn run(args: &ReplayArgs, ui: &Ui) -> Exit {
    let done =
        if args.jsonl { lines(args.file.as_deref()) } else { artifact(args.file.as_deref(), ui) };
    done.unwrap_or_else(|refusal| ui.refuse(&refusal))
}

/// Decides an artifact's comparison again.
fn artifact(file: Option<&str>, ui: &Ui) -> Result<Exit, Refusal> {
    let name = file.unwrap_or("last");
    let help = "to decide JSON lines, say --jsonl".to_owned();
    let refused = |what: String| Refusal::Words(what, Some(help.clone()), Exit::User);
    let path = super::artifact::find(name)?;
    let artifact = Artifact::read(&path).map_err(|e| refused(e.to_string()))?;
    let Some(recorded) = artifact.result.as_ref().and_then(launches) else {
        return Err(refused(format!("{name} is not an artifact with a comparison")));
    };
    let again = recorded
        .again()
        .map_err(|why| refused(format!("the launches of {name} make no comparison: {why}")))?;
    let same = recorded.holds(&again);
    ui.replayed(&Replayed { artifact: &artifact, again: &again, same });
    if !same {
        let what = format!("{name} holds another verdict than its launches give");
        let help = "it was altered after it was measured: measure again".to_owned();
        return Err(Refusal::Words(what, Some(help), Exit::User));
    }
    Ok(exit::of_decision(again.decided.decision))
}

/// All launches of a comparison or a calibration.
fn launches(record: &StageRecord) -> Option<&Comparison> {
    let compared = record.comparison().map(|comparison| &comparison.record);
    compared.or_else(|| record.calibration().map(|calibration| &calibration.record))
}

/// Decides lines of a file or of standard input.
fn lines(file: Option<&str>) -> Result<Exit, Refusal> {
    let out = io::stdout().lock();
    let answered = match file {
        None | Some("-") => jsonl(BufReader::with_capacity(BUFFER, io::stdin().lock()), out),
        Some(path) => {
            let opened = File::open(path);
            let file = opened.map_err(|e| {
                Refusal::Words(format!("cannot read {path}: {e}"), None, Exit::User)
            })?;
            jsonl(BufReader::with_capacity(BUFFER, file), out)
        }
    };
    match answered {
        Ok(answered) if answered.refused > 0 => Ok(Exit::User),
        Ok(_) => Ok(Exit::Ok),
        // Whoever read the answers has enough of them.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Unread),
        Err(e) => Err(Refusal::Words(format!("cannot go on: {e}"), None, Exit::Infrastructure)),
    }
}

/// How many lines there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Answered {
    /// All that were not empty.
    pub(super) lines: usize,
    /// Those that were answered with an error.
    pub(super) refused: usize,
}

/// Answers each line of `input` with one line of `out`, in order. What has arrived is answered
/// before more is waited for, so that a program may ask and read in turn.
///
/// # Errors
/// When reading or writing fails. A line that makes no sense is answered with an error.
pub(super) fn jsonl(mut input: impl BufRead, mut out: impl Write) -> io::Result<Answered> {
    let mut answered = Answered::default();
    let mut begun = Vec::new();
    let mut number = 0;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        let read = bytes.len();
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        if whole > 0 {
            begun.extend_from_slice(&bytes[..whole]);
            number = answer(&begun, number, &mut out, &mut answered)?;
            begun.clear();
        }
        begun.extend_from_slice(&bytes[whole..]);
        input.consume(read);
    }
    answer(&begun, number, &mut out, &mut answered)?;
    Ok(answered)
}

/// Answers whole lines on every core; returns how many lines there have been.
fn answer(
    text: &[u8],
    before: usize,
    out: &mut impl Write,
    answered: &mut Answered,
) -> io::Result<usize> {
    let lines: Vec<&[u8]> =
        text.strip_suffix(b"\n").unwrap_or(text).split(|&b| b == b'\n').collect();
    let answers: Vec<line::Answer> = lines
        .par_iter()
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(at, line)| line::answer(line, before + at + 1))
        .collect();
    for answer in &answers {
        answered.lines += 1;
        answered.refused += usize::from(answer.is_refused());
        serde_json::to_writer(&mut *out, answer)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(before + if text.is_empty() { 0 } else { lines.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(input: &str) -> (Vec<serde_json::Value>, Answered) {
        let mut out = Vec::new();
        let answered = jsonl(input.as_bytes(), &mut out).unwrap();
        let lines = std::str::from_utf8(&out).unwrap().lines();
        (lines.map(|line| serde_json::from_str(line).unwrap()).collect(), answered)
    }

    #[test]
    fn lines_keep_their_order_and_number_whatever_the_buffer() {
        let mut text = String::new();
        for id in 0..300 {
            text += &format!("{{\"id\":{id},\"d\":[0.001,-0.002,0.0,0.001]}}\n\n");
        }
        text += "oops";
        for capacity in [1, 7, 100, 1 << 20] {
            let mut out = Vec::new();
            let input = BufReader::with_capacity(capacity, text.as_bytes());
            assert_eq!(jsonl(input, &mut out).unwrap(), Answered { lines: 301, refused: 1 });
            let lines: Vec<serde_json::Value> = std::str::from_utf8(&out)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!((0..300).all(|id| lines[id]["id"] == id), "{capacity}");
            assert_eq!(lines[300]["line"], 601, "{capacity}");
        }
    }

    #[test]
    fn nothing_is_answered_with_nothing() {
        assert_eq!(answers("").1, Answered::default());
        assert_eq!(answers("\n \r\n").1, Answered::default());
    }

    #[test]
    fn what_has_arrived_is_answered_before_more_is_waited_for() {
        /// Gives a line, and then fails the test unless it was answered.
        struct Talk<'a> {
            asked: usize,
            heard: &'a std::cell::RefCell<Vec<u8>>,
            pending: &'static [u8],
        }
        impl io::Read for Talk<'_> {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                unreachable!("lines are read from the buffer")
            }
        }
        impl BufRead for Talk<'_> {
            fn fill_buf(&mut self) -> io::Result<&[u8]> {
                let heard = self.heard.borrow().split(|&b| b == b'\n').count() - 1;
                assert_eq!(heard, self.asked);
                self.pending = if self.asked < 3 { b"{\"d\":[0.1]}\n" } else { b"" };
                self.asked += usize::from(self.asked < 3);
                Ok(self.pending)
            }
            fn consume(&mut self, _: usize) {}
        }
        struct Heard<'a>(&'a std::cell::RefCell<Vec<u8>>);
        impl Write for Heard<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let heard = std::cell::RefCell::new(Vec::new());
        let talk = Talk { asked: 0, heard: &heard, pending: b"" };
        assert_eq!(jsonl(talk, Heard(&heard)).unwrap().lines, 3);
    }
}
