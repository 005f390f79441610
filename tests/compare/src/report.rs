//! What is told: a table for people, JSON for machines, charts for pages.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::measure::{Row, is_limit, is_ours};

/// The rows of one bench, and within it of one case, in order.
fn groups(rows: &[Row], key: impl Fn(&Row) -> &str + Copy) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(move |a, b| key(a) == key(b))
}

pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for bench in groups(rows, |row| &row.bench) {
        let _ = writeln!(
            text,
            "\n{:<55} {:>10} {:>10} {:>10} {:>10}",
            bench[0].bench, "ns, min", "median", "x peer", "x limit"
        );
        for case in groups(bench, |row| &row.case) {
            for (i, row) in case.iter().enumerate() {
                let case = if i == 0 { row.case.as_str() } else { "" };
                let ratio =
                    |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
                let _ = writeln!(
                    text,
                    "  {:<32} {:<20} {:>10.1} {:>10.1} {:>10} {:>10}",
                    case,
                    row.who,
                    row.min,
                    row.median,
                    ratio(row.to_best_peer),
                    ratio(row.to_limit)
                );
            }
        }
    }
    text
}

/// Whether our ratios to the fastest peers reach what is wanted, for the benches and cases for which something is.
pub fn verdicts(rows: &[Row], bar: impl Fn(&str, &str) -> Option<f64>) -> String {
    let mut text = String::new();
    for bench in groups(rows, |row| &row.bench) {
        let mut cells = String::new();
        for row in bench.iter().filter(|row| row.who == "stillwire") {
            let (Some(bar), Some(ratio)) = (bar(&row.bench, &row.case), row.to_best_peer) else { continue };
            // As it is shown: two digits.
            let verdict = if (ratio * 100.0).round() >= bar * 100.0 { "met" } else { "MISSED" };
            let _ = write!(cells, "  {:>6}: {ratio:.2} >= {bar:.2} {verdict:<6}", row.case);
        }
        if !cells.is_empty() {
            let _ = writeln!(text, "  {:<24}{cells}", bench[0].bench);
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\nour speed in relation to the fastest peer's, and what we want it to be\n{text}")
    }
}

/// One object a row. The names and cases are our own words: nothing in them needs an escape.
pub fn json(rows: &[Row]) -> String {
    let number =
        |number: Option<f64>| number.map_or_else(|| "null".to_owned(), |number| format!("{number:.4}"));
    let rows = rows.iter().map(|row| {
        format!(
            "  {{\"bench\": \"{}\", \"case\": \"{}\", \"who\": \"{}\", \"ns_per_op\": {:.2}, \
             \"ns_per_op_median\": {:.2}, \"ratio_to_best_peer\": {}, \"ratio_to_limit\": {}}}",
            row.bench,
            row.case,
            row.who,
            row.min,
            row.median,
            number(row.to_best_peer),
            number(row.to_limit)
        )
    });
    format!("[\n{}\n]\n", rows.collect::<Vec<_>>().join(",\n"))
}

/// One chart a bench, named after it.
pub fn svg(rows: &[Row], folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for bench in groups(rows, |row| &row.bench) {
        let name = bench[0].bench.replace(", ", "-").replace(' ', "-");
        std::fs::write(folder.join(name + ".svg"), chart(bench))?;
    }
    Ok(())
}

/// Bars that are the longer the faster, for each case in relation to the fastest. Greys and colours that can be read on
/// white and on black.
fn chart(bench: &[Row]) -> String {
    const BAR: usize = 18;
    const LEFT: usize = 150;
    const WIDTH: usize = 420;
    let mut body = String::new();
    let mut y = 30;
    for case in groups(bench, |row| &row.case) {
        let fastest =
            case.iter().filter(|row| !is_limit(row.who)).map(|row| row.min).fold(f64::INFINITY, f64::min);
        y += 24;
        let _ = writeln!(body, r#"<text x="0" y="{y}" class="case">{}</text>"#, case[0].case);
        y += 6;
        for row in case.iter().filter(|row| !is_limit(row.who)) {
            let width = (WIDTH as f64 * fastest / row.min).max(1.0);
            let class = if is_ours(row.who) { "ours" } else { "peer" };
            let (text, end) = (y + BAR - 5, LEFT as f64 + width + 6.0);
            let who = row.who.replace('&', "&amp;");
            let _ = writeln!(body, r#"<text x="{}" y="{text}" text-anchor="end">{who}</text>"#, LEFT - 8);
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT}" y="{}" width="{width:.1}" height="{}" rx="2" class="{class}"/>"#,
                y + 2,
                BAR - 4
            );
            let _ = writeln!(body, r#"<text x="{end:.1}" y="{text}">{}</text>"#, duration(row.min));
            y += BAR;
        }
    }
    let (width, height) = (LEFT + WIDTH + 80, y + 8);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{bench}: CPU time per message</title>
<style>text {{ font: 12px system-ui, sans-serif; fill: #808890 }} .title, .case {{ font-weight: 600 }} .title {{ font-size: 14px }} .ours {{ fill: #2f81f7 }} .peer {{ fill: #9aa4ae }}</style>
<text x="0" y="16" class="title">{bench}</text>
<text x="{width}" y="16" text-anchor="end">CPU time per message; longer is faster</text>
{body}</svg>
"##,
        bench = bench[0].bench
    )
}

fn duration(ns: f64) -> String {
    match ns {
        ..100.0 => format!("{ns:.1} ns"),
        ..10_000.0 => format!("{ns:.0} ns"),
        _ => format!("{:.1} µs", ns / 1000.0),
    }
}
