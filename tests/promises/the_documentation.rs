//! What the documentation names is there: commands with their flags, settings, metrics, files. That each link leads somewhere and the
//! runbook is whole are tests of their own.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Stack, StackSpec, Webhook, dermatel, workspace_root};

fn files_below(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

/// Every page: where it is below the root, and its text.
fn pages() -> Vec<(String, String)> {
    let root = workspace_root();
    let mut files = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    files_below(&root.join("docs"), ".md", &mut files);
    let name = |file: &Path| file.strip_prefix(&root).unwrap().display().to_string();
    files
        .iter()
        .map(|file| (name(file), std::fs::read_to_string(file).unwrap()))
        .collect()
}

/// The help of a command, `None` where there is no such command.
struct Help(BTreeMap<String, Option<String>>);

impl Help {
    fn of(&mut self, path: &[&str]) -> Option<String> {
        let ask = || {
            let out = Command::new(dermatel()).args(path).arg("--help").output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            out.status.success().then_some(text)
        };
        self.0.entry(path.join(" ")).or_insert_with(ask).clone()
    }
}

/// What follows `dermatel ` on a line or within back quotes, up to where it ends.
fn commands(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (at, _) in line.match_indices("dermatel ") {
            let before = line[..at].chars().next_back();
            if before.is_none_or(|c| matches!(c, '`' | '|' | ' ' | '(')) {
                let rest = &line[at + "dermatel ".len()..];
                // Where a person would stop typing; in a sentence it is not known where that is.
                let quoted = before == Some('`') || line.starts_with("dermatel ") || line.starts_with("    dermatel ");
                let end = rest.find(['`', '#', '>', '|', ')']).unwrap_or(rest.len());
                if quoted {
                    found.push(rest[..end].trim());
                }
            }
        }
    }
    found
}

#[test]
fn every_command_and_flag_that_a_page_names_is_there() {
    let (mut help, mut checked, mut wrong) = (Help(BTreeMap::new()), 0, Vec::new());
    // A decision also tells of what was not built.
    for (page, text) in pages()
        .into_iter()
        .filter(|(page, _)| !page.starts_with("docs/decisions/"))
    {
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let is_name =
                |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            let mut path: Vec<&str> = Vec::new();
            for word in words.iter().take_while(is_name) {
                let more = [path.as_slice(), &[*word]].concat();
                if help.of(&more).is_none() {
                    break;
                }
                path = more;
            }
            let Some(text) = help.of(&path).filter(|_| !path.is_empty()) else {
                if words.first().is_some_and(|word| is_name(&word)) {
                    wrong.push(format!("{page}: `dermatel {command}` is no command"));
                }
                continue;
            };
            checked += 1;
            let more = words.get(path.len()).filter(|word| is_name(word));
            if let Some(more) = more.filter(|_| text.contains("\nCommands:\n")) {
                wrong.push(format!("{page}: `dermatel {}` has no {more}", path.join(" ")));
            }
            for word in &words {
                let flag = word.trim_matches(['[', ']', ',', '.', ';', '…']);
                let flag = flag.split('=').next().unwrap_or_default();
                if flag.starts_with("--") && flag.len() > 2 && !text.contains(flag) {
                    wrong.push(format!("{page}: `dermatel {}` has no {flag}", path.join(" ")));
                }
            }
        }
    }
    assert!(checked > 60, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words of a text that begin with one of these.
fn words_with<'t>(text: &'t str, starts: &[&str]) -> BTreeSet<&'t str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| starts.iter().any(|start| word.starts_with(start)))
        .collect()
}

#[test]
fn every_metric_that_a_page_names_is_one_of_ours() {
    const CRATES: [&str; 7] = [
        "gateway_",
        "ingestor_",
        "alerting_",
        "spool_",
        "service_",
        "uplink_",
        "console_",
    ];
    let root = workspace_root();
    let mut sources = Vec::new();
    files_below(&root.join("crates"), ".rs", &mut sources);
    let code: String = sources
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        for name in words_with(&text, &CRATES) {
            // Rules about ourselves have names of the same kind; a histogram has its parts.
            let base = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name);
            let rule = alerting::rules::Kind::ALL.iter().any(|kind| kind.to_string() == name);
            checked += 1;
            if !rule && !code.contains(&format!("\"{base}\"")) && !code.contains(&format!("\"{name}\"")) {
                wrong.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(checked > 30, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A dotted name in back quotes whose first part is a section of the configuration.
fn settings(text: &str) -> BTreeSet<&str> {
    const SECTIONS: [&str; 8] = [
        "node", "http", "gateway", "spool", "ingestor", "alerting", "console", "uplink",
    ];
    let quoted = text.split('`').skip(1).step_by(2);
    let name = |said: &'_ str| -> bool {
        let mut parts = said.split('.');
        let known = parts.next().is_some_and(|first| SECTIONS.contains(&first));
        let rest: Vec<&str> = parts.collect();
        let is_key = |part: &&str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        };
        known && !rest.is_empty() && rest.iter().all(is_key)
    };
    let said = quoted.map(|said| said.split([' ', '=']).next().unwrap_or_default());
    said.filter(|said| name(said)).collect()
}

#[test]
fn every_setting_that_a_page_names_stands_in_the_printed_configuration() {
    let out = Command::new(dermatel()).args(["config", "print"]).output().unwrap();
    let printed = String::from_utf8(out.stdout).unwrap();
    // Keys below their section, commented out or not; a table in a line has its keys in braces.
    let (mut section, mut known) = (String::new(), BTreeSet::new());
    for line in printed.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name.trim_matches('[').to_owned();
            known.insert(section.clone());
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let key = key.trim();
        if key
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        {
            known.insert(format!("{section}.{key}"));
            for (inner, _) in value.match_indices('=') {
                let before = value[..inner].trim_end();
                let inner = before.rsplit([' ', '{', ',']).next().unwrap_or_default();
                known.insert(format!("{section}.{key}.{inner}"));
            }
        }
    }
    let (mut checked, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        for said in settings(&text) {
            // Files are called alike: `alerting.sqlite`.
            let file = [".sqlite", ".toml", ".db", ".rs", ".md", ".proto", ".token"]
                .iter()
                .any(|ending| said.ends_with(ending));
            checked += usize::from(!file);
            let begins = known.iter().any(|key| key.starts_with(&format!("{said}.")));
            if !file && !known.contains(said) && !begins {
                wrong.push(format!("{page}: {said}"));
            }
        }
    }
    assert!(checked > 40, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_versions_of_files_that_the_page_about_upgrades_names_are_those_of_todays_program() {
    let webhook = Webhook::start();
    let mut stack = Stack::start(&StackSpec::plain(&webhook));
    assert_eq!(stack.stop(), Some(0));
    let page = std::fs::read_to_string(workspace_root().join("docs/upgrade.md")).unwrap();
    for file in [
        "alerting.sqlite",
        "ingestor/store.sqlite",
        "ingestor/ledger.sqlite",
        "gateway/quarantine.db",
    ] {
        let version = stack.rows_of(file, "PRAGMA user_version").unwrap()[0][0].clone();
        let row = format!("| `{file}` | {version} |");
        assert!(page.contains(&row), "docs/upgrade.md lacks {row}");
        if file == "alerting.sqlite" {
            let next = version.parse::<u32>().unwrap() + 1;
            assert!(page.contains(&format!("version {next}, this program knows {version};")));
        }
    }
}

#[test]
fn every_file_of_ours_that_a_page_names_is_there() {
    let root = workspace_root();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (page, text) in pages() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        for word in text.split(|c| !is_part(c)) {
            let name = word.trim_end_matches(['.', '/', '-']);
            let ours = ["crates/", "tests/", "deploy/", "docs/", "xtask/", "proto/"];
            if ours.iter().any(|start| name.starts_with(start)) && !name.contains("..") {
                checked += 1;
                // From the root, or from where the page is.
                let beside = root.join(&page).with_file_name(name);
                if !root.join(name).exists() && !beside.exists() {
                    wrong.push(format!("{page}: {name}"));
                }
            }
        }
    }
    assert!(checked > 80, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
