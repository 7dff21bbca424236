//! The reference of all options, as text for a terminal and as docs/configuration.md.
//!
//! Both are printed from the tables of [`super::schema`]. `pharos config-reference` calls this.

use super::schema::{DefaultDoc, OptionDoc, all_options};
use std::fmt::Write as _;

/// What docs/configuration.md holds; a test compares.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut section = None;
    for option in all_options() {
        if section != Some(option.section) {
            section = Some(option.section);
            let _ = write!(out, "\n## {}\n", title(option.section));
        }
        let _ = write!(out, "\n### `{}`\n\n", option.key());
        let _ =
            writeln!(out, "{}", option.text.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n"));
        let _ = write!(out, "\n- Write: {}\n- Default: {}\n", option.values, default_words(option));
    }
    out
}

fn title(section: &str) -> String {
    match section {
        "" => "pharos.yaml".to_owned(),
        "site" => "site.yaml".to_owned(),
        other => match other.strip_prefix("site.") {
            Some(inner) => format!("site.yaml: `{inner}`"),
            None => format!("pharos.yaml: `{other}`"),
        },
    }
}

fn default_words(option: &OptionDoc) -> String {
    match option.default {
        DefaultDoc::Required => "none; it must be written".to_owned(),
        DefaultDoc::Value(value) => format!("`{value}`"),
        DefaultDoc::Described(words) => words.to_owned(),
    }
}

const INTRODUCTION: &str = "# Configuration

This page is printed from the code: `pharos config-reference`.

Two files configure a node. `pharos.yaml` is the same everywhere; `site.yaml` holds what differs from node to
node. A key that is not listed here is an error, shown with line, column and the nearest key that exists.
`pharos check-config` reads both files, says everything that is wrong with them, and what they would do.

Lengths of time are a whole number and a unit: `250ms`, `10s`, `2m`, `1h`, `7d`. Addresses with a port stand in
quotes: `\"192.0.2.53:53\"`, `\"[2001:db8:53::53]:53\"`. Relative paths begin at the directory of `pharos.yaml`.
A commented example stands in `deploy/`.
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `PHAROS_BLESS=1` to write the page anew after an option changed.
    #[test]
    fn the_page_in_docs_is_what_the_code_prints() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("PHAROS_BLESS").is_some() {
            std::fs::write(page, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(written == markdown(), "docs/configuration.md is stale: run this test with PHAROS_BLESS=1");
    }

    #[test]
    fn every_option_is_described_in_sentences() {
        for option in all_options() {
            let text = option.text.join(" ");
            assert!(text.trim_end().ends_with('.'), "{}: {text}", option.path());
            assert!(!option.values.is_empty(), "{}", option.path());
        }
    }
}
