//! `dermatel doctor`: what is wrong between processes apart, as their configuration files and one question to the process that leads the
//! registry can tell: two lead, nobody does, one cannot ask it or has another registry. Each with its fix.
mod ask;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use ingestor::admin::{Diagnosis, Finding};
use registry::Book;

use self::ask::{Answer, Place};
use crate::config::Config;
use crate::influx_command::say_diagnosis;
use crate::{fleet, process};

/// Whom to look at.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration file; give those of several processes of one fleet to compare them
    #[arg(long, short, required = true, num_args = 1..)]
    config: Vec<PathBuf>,
}

/// What one configuration says, and what was answered where it leads to.
#[derive(Debug)]
struct Process {
    name: String,
    stance: Stance,
    /// Its registry as it stands on the disk, or what is wrong with it.
    version: Result<String, String>,
}

#[derive(Debug)]
enum Stance {
    /// It leads; `deaf`: why nobody can ask it. `beside`: the other instance of its group.
    Leads {
        deaf: Option<&'static str>,
        beside: Option<(String, Answer)>,
    },
    Follows {
        url: String,
        answer: Answer,
    },
    /// It has the registry of its files.
    Alone,
    /// There is no broker in its configuration: it is everything.
    Whole,
}

/// Looks and tells; the exit code.
pub(crate) fn run(options: &Doctor) -> Result<i32> {
    let runtime = process::runtime()?;
    let seen = options.config.iter().map(|file| runtime.block_on(look(file)));
    let told = diagnose(&seen.collect::<Result<Vec<_>>>()?);
    say_diagnosis(&told);
    Ok(i32::from(!told.wrong.is_empty()))
}

async fn look(file: &Path) -> Result<Process> {
    let config = Config::read(file)?;
    let version = Book::check(&config.node.registry_dir, &fleet::journal(&config));
    Ok(Process {
        name: file.display().to_string(),
        version: version
            .map(|registry| registry.version().to_string())
            .map_err(|errors| errors.to_string()),
        stance: stance(&config).await?,
    })
}

async fn stance(config: &Config) -> Result<Stance> {
    if config.node.registry_leads {
        let beside = match &config.alerting.upstream {
            Some(upstream) => {
                let place = Place::of_upstream(upstream);
                Some((place.name(), place.ask().await?))
            }
            None => None,
        };
        let deaf = match (&config.http.listen, &config.http.token) {
            (None, _) => Some("http.listen"),
            (_, None) => Some("http.token"),
            _ => None,
        };
        return Ok(Stance::Leads { deaf, beside });
    }
    Ok(match &config.node.registry_from {
        Some(leader) => Stance::Follows {
            url: leader.url.clone(),
            answer: Place::of_leader(leader).ask().await?,
        },
        None if config.uplink.host.is_some() => Stance::Alone,
        None => Stance::Whole,
    })
}

fn diagnose(seen: &[Process]) -> Diagnosis {
    let mut told = Diagnosis::default();
    who_leads(seen, &mut told);
    without_leader(seen, &mut told);
    for process in seen {
        match &process.version {
            Ok(version) => told.fine.push(format!("{}: registry {version}", process.name)),
            Err(errors) => wrong(
                &mut told,
                "registry_unreadable",
                format!("{}: node.registry_dir: {errors}", process.name),
                "correct it where the line says; a running process goes on with the registry it has",
            ),
        }
        match &process.stance {
            Stance::Leads { deaf, beside } => leads(process, *deaf, beside.as_ref(), &mut told),
            Stance::Follows { url, answer } => follows(process, url, answer, &mut told),
            Stance::Alone | Stance::Whole => {}
        }
    }
    told
}

/// What only all of them together show.
fn who_leads(seen: &[Process], told: &mut Diagnosis) {
    let names = |is: fn(&Stance) -> bool| -> Vec<&str> {
        let found = seen.iter().filter(|process| is(&process.stance));
        found.map(|process| process.name.as_str()).collect()
    };
    let leading = names(|stance| matches!(stance, Stance::Leads { .. }));
    let following = names(|stance| matches!(stance, Stance::Follows { .. }));
    if leading.len() > 1 {
        let what = format!("two lead the registry: {}", leading.join(", "));
        wrong(told, "two_leaders", what, ONE_LEADS);
    }
    // One process may have two names; with two journals it is two.
    let heads = seen.iter().filter_map(|process| match &process.stance {
        Stance::Follows {
            url,
            answer: Answer::Leads { head, .. },
        } => Some((head, url)),
        _ => None,
    });
    let heads: BTreeSet<_> = heads.collect();
    let urls: Vec<&str> = heads.iter().map(|(_, url)| url.as_str()).collect();
    if heads.iter().map(|(head, _)| head).collect::<BTreeSet<_>>().len() > 1 {
        let what = format!("two lead the registry, with changes of their own: {}", urls.join(", "));
        wrong(told, "two_leaders", what, ONE_LEADS);
    }
    for name in names(|stance| matches!(stance, Stance::Alone)) {
        if leading.is_empty() && following.is_empty() {
            told.unseen.push(format!(
                "{name}: nobody leads the registry as far as this file says: it is its files alone, the same on every machine"
            ));
        } else {
            let what = format!(
                "{name}: does not follow the registry that others follow: what is changed by command is not known there"
            );
            wrong(
                told,
                "not_following",
                what,
                "give it node.registry_from, as the others have it",
            );
        }
    }
}

/// Where nobody leads, only the files can be the same.
fn without_leader(seen: &[Process], told: &mut Diagnosis) {
    let alone = seen.iter().filter(|process| matches!(process.stance, Stance::Alone));
    let versions = alone.filter_map(|process| Some((process.version.as_ref().ok()?, &process.name)));
    let mut by_version: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (version, name) in versions {
        by_version.entry(version).or_default().push(name);
    }
    if by_version.len() > 1 {
        let each = by_version.iter();
        let each: Vec<String> = each
            .map(|(version, names)| format!("{version} ({})", names.join(", ")))
            .collect();
        let what = format!("the files give different registries: {}", each.join(", "));
        wrong(told, "registry_differs", what, ROLL_OUT);
    }
}

const ROLL_OUT: &str =
    "roll out the same files and `dermatel device reload` at each, ingestors and alerting before gateways";
const ONE_LEADS: &str =
    "let one alerting instance lead (node.registry_leads); all others follow that one (node.registry_from)";

fn leads(process: &Process, deaf: Option<&'static str>, beside: Option<&(String, Answer)>, told: &mut Diagnosis) {
    let name = &process.name;
    match deaf {
        Some(setting) => wrong(
            told,
            "leader_is_deaf",
            format!("{name}: leads the registry, and nobody can follow it: {setting} is missing"),
            "give it http.listen, where the others reach it, and http.token",
        ),
        None => told.fine.push(format!("{name}: leads the registry")),
    }
    match beside {
        Some((place, Answer::Leads { .. })) => wrong(
            told,
            "two_leaders",
            format!("two lead the registry: {name}, and the instance beside it at {place}"),
            ONE_LEADS,
        ),
        Some((place, Answer::Silent(why))) => {
            told.unseen
                .push(format!("whether {place} leads the registry too: {why}"));
        }
        _ => {}
    }
}

fn follows(process: &Process, url: &str, answer: &Answer, told: &mut Diagnosis) {
    let name = &process.name;
    let (kind, what, fix) = match answer {
        Answer::Leads { version, .. } => return compare(process, url, version, told),
        Answer::DoesNotLead => (
            "no_leader",
            format!("{name}: follows {url}, which does not lead the registry: nobody does, or another process"),
            "set node.registry_leads there, if it is an alerting instance and no other one leads; else name the one that does",
        ),
        Answer::NoApi => (
            "no_leader",
            format!("{name}: follows {url}, where there is no such page"),
            "the address must be http.listen of the process that leads, which must have http.token, and end in /v1/registry/lines",
        ),
        Answer::Locked => (
            "leader_refuses",
            format!("{name}: the process that leads the registry ({url}) does not know the token"),
            "node.registry_from.authorization must be \"Bearer \" and http.token of the process that leads",
        ),
        Answer::Silent(why) => (
            "leader_unreachable",
            format!("{name}: cannot reach the process that leads the registry ({url}): {why}"),
            "is it running, does its http.listen name an address that is reached from here, does a firewall or NetworkPolicy let this through? \
             Until then what is known here goes on. If it is gone for good, let another alerting instance lead: docs/scaling.md",
        ),
    };
    wrong(told, kind, what, fix);
}

fn compare(process: &Process, url: &str, theirs: &str, told: &mut Diagnosis) {
    let name = &process.name;
    match &process.version {
        Ok(ours) if ours == theirs => told
            .fine
            .push(format!("{name}: follows {url} and has the same registry")),
        Ok(ours) => wrong(
            told,
            "registry_differs",
            format!("{name}: its registry is {ours}, and {theirs} at the process that leads ({url})"),
            "if something was changed just now, ask again; the process must run to follow. Else the files differ: roll out the same ones and \
             `dermatel device reload` at each",
        ),
        Err(_) => {}
    }
}

fn wrong(told: &mut Diagnosis, kind: &'static str, what: String, fix: &str) {
    told.wrong.push(Finding {
        kind,
        what,
        fix: fix.to_owned(),
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn process(name: &str, stance: Stance) -> Process {
        Process {
            name: name.to_owned(),
            stance,
            version: Ok("1-aa".to_owned()),
        }
    }

    fn leading(name: &str) -> Process {
        process(
            name,
            Stance::Leads {
                deaf: None,
                beside: None,
            },
        )
    }

    fn following(name: &str, url: &str, answer: Answer) -> Process {
        let url = url.to_owned();
        process(name, Stance::Follows { url, answer })
    }

    fn answers(version: &str, head: &str) -> Answer {
        Answer::Leads {
            version: version.to_owned(),
            head: head.to_owned(),
        }
    }

    fn kinds(seen: &[Process]) -> Vec<&'static str> {
        diagnose(seen).wrong.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn one_that_leads_and_others_that_follow_it_are_fine_under_whatever_name_they_know_it() {
        let seen = [
            leading("a"),
            following("b", "http://a", answers("1-aa", "h")),
            following("c", "http://10.0.0.1", answers("1-aa", "h")),
        ];
        assert_eq!(kinds(&seen), [""; 0]);
        assert_eq!(kinds(&[process("up", Stance::Whole)]), [""; 0]);
    }

    #[test]
    fn two_that_lead_are_named_however_they_are_seen() {
        let by_files = [leading("a"), leading("b")];
        let told = diagnose(&by_files);
        assert!(told.wrong[0].what.contains("a, b"), "{told:?}");
        let by_journals = [
            following("c", "http://a", answers("1-aa", "h")),
            following("d", "http://b", answers("1-aa", "i")),
        ];
        let told = diagnose(&by_journals);
        assert!(told.wrong[0].what.contains("http://a, http://b"), "{told:?}");
        let beside = Stance::Leads {
            deaf: None,
            beside: Some(("b:9464".to_owned(), answers("1-aa", "h"))),
        };
        for seen in [&by_files[..], &by_journals, &[process("a", beside)]] {
            assert_eq!(kinds(seen), ["two_leaders"]);
        }
    }

    #[test]
    fn each_trouble_of_one_that_follows_has_its_name_and_fix() {
        let troubles = [
            (Answer::DoesNotLead, "no_leader"),
            (Answer::NoApi, "no_leader"),
            (Answer::Locked, "leader_refuses"),
            (Answer::Silent("refused".to_owned()), "leader_unreachable"),
            (answers("1-bb", "h"), "registry_differs"),
        ];
        for (answer, kind) in troubles {
            let told = diagnose(&[following("b", "http://a", answer)]);
            assert_eq!(told.wrong.len(), 1, "{told:?}");
            assert_eq!(told.wrong[0].kind, kind);
            assert!(told.wrong[0].what.starts_with("b: ") && !told.wrong[0].fix.is_empty());
        }
    }

    #[test]
    fn one_that_neither_leads_nor_follows_is_wrong_beside_those_that_do_and_told_by_itself() {
        assert_eq!(kinds(&[leading("a"), process("b", Stance::Alone)]), ["not_following"]);
        let told = diagnose(&[process("b", Stance::Alone)]);
        assert!(told.wrong.is_empty() && told.unseen.len() == 1, "{told:?}");
        let mut other = process("c", Stance::Alone);
        other.version = Ok("1-bb".to_owned());
        let told = diagnose(&[process("b", Stance::Alone), other]);
        assert!(told.wrong[0].what.contains("1-aa (b), 1-bb (c)"), "{told:?}");
        let deaf = Stance::Leads {
            deaf: Some("http.token"),
            beside: None,
        };
        assert_eq!(kinds(&[process("a", deaf)]), ["leader_is_deaf"]);
    }
}
