//! The table that `ncu --csv --page raw` prints: a row of names, a row of units, a row for each
//! kernel. Every field is quoted, a quote in it is doubled, and numbers have commas at thousands.

use std::collections::BTreeMap;

/// A kernel's row.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) kernel: String,
    /// By metric, in ns, bytes and percent; what is no number is left out.
    pub(super) values: BTreeMap<String, f64>,
}

/// Reads a table, whatever was printed before it.
pub(super) fn table(printed: &str) -> Result<Vec<Row>, String> {
    let start = printed
        .lines()
        .position(|line| line.starts_with("\"ID\","))
        .ok_or("ncu printed no table of metrics")?;
    let text: Vec<&str> = printed.lines().skip(start).collect();
    let mut lines = records(&text.join("\n")).into_iter();
    let names = lines.next().unwrap_or_default();
    let kernel = names.iter().position(|name| name == "Kernel Name");
    let kernel = kernel.ok_or("ncu's table has no column of kernel names")?;
    let mut columns = Columns { units: vec![String::new(); names.len()], names, kernel };
    let mut rows = Vec::new();
    for line in lines {
        match line.first().map(String::as_str) {
            // Nothing is numbered "" but the row of units.
            Some("") if line.len() == columns.names.len() => columns.units = line,
            Some(number) if !number.is_empty() && line.len() == columns.names.len() => {
                rows.push(columns.row(&line));
            }
            _ => {}
        }
    }
    Ok(rows)
}

/// What the first two rows say.
struct Columns {
    names: Vec<String>,
    units: Vec<String>,
    /// Where the kernel's name stands.
    kernel: usize,
}

impl Columns {
    fn row(&self, line: &[String]) -> Row {
        let metrics = self.names.iter().zip(&self.units).zip(line);
        let metrics = metrics.filter(|((name, _), _)| name.contains("__"));
        let values = metrics.filter_map(|((name, unit), field)| {
            let number: f64 = field.replace(',', "").parse().ok()?;
            number.is_finite().then(|| (name.clone(), number * factor(unit)))
        });
        Row { kernel: line[self.kernel].clone(), values: values.collect() }
    }
}

/// From a unit to ns or bytes; others stay. Prefixes are powers of ten.
fn factor(unit: &str) -> f64 {
    const SCALES: [(&[&str], f64); 4] = [
        (&["us", "usecond", "Kbyte", "Kbyte/block"], 1e3),
        (&["ms", "msecond", "Mbyte", "Mbyte/block"], 1e6),
        (&["s", "sec", "second", "Gbyte"], 1e9),
        (&["Tbyte"], 1e12),
    ];
    SCALES.iter().find(|(units, _)| units.contains(&unit)).map_or(1.0, |(_, factor)| *factor)
}

/// Fields of comma-separated values (RFC 4180).
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut line, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                line.push(std::mem::take(&mut field));
                all.push(std::mem::take(&mut line));
            }
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    line.push(field);
    all.push(line);
    all
}
