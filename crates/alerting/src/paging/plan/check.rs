//! Whether a plan as a whole makes sense: nothing names what is not there, nothing goes round in circles, nobody is forgotten.
use std::collections::BTreeSet;

use telemetry::{Priority, UnixMicros};

use super::file::Against;
use super::read::About;
use super::{Plan, Repeat, Tell};
use crate::paging::labels::Labels;
use crate::rules::Kind;

/// Under what "tenant" a gateway's and our own alerts stand.
const OURS: &str = "-";
/// Most faults of one sort.
const MAX_FAULTS: usize = 8;
/// How many days ahead opening hours are tried.
const DAYS: u64 = 8;

type Faults = Vec<(About, String)>;

/// Every fault.
pub(super) fn check(plan: &Plan, against: &Against<'_>) -> Faults {
    let mut faults = Vec::new();
    names(plan, against, &mut faults);
    if faults.is_empty() {
        cycles(plan, &mut faults);
        inhibitions(plan, &mut faults);
    }
    if faults.is_empty() {
        // Only what does not go round in circles can be followed to its end.
        routes(plan, &mut faults);
        too_quiet(plan, &mut faults);
    }
    if faults.is_empty() {
        nobody(plan, against, &mut faults);
    }
    faults
}

/// Whatever is named is there.
fn names(plan: &Plan, against: &Against<'_>, faults: &mut Faults) {
    let missing = |tell: &Tell| match tell {
        Tell::Person(name) => (!plan.people.contains_key(name)).then(|| format!("person {name} is not there")),
        Tell::Rota(name) => (!plan.rotas.contains_key(name)).then(|| format!("rota {name} is not there")),
        Tell::Receiver(name) => {
            let known = plan.receivers.iter().any(|known| known.name == *name);
            (!known).then(|| format!("receiver {name} is not configured"))
        }
    };
    for (name, chain) in &plan.chains {
        let tells = chain.steps.iter().flat_map(|step| &step.tell);
        faults.extend(tells.filter_map(missing).map(|what| (About::Chain(name.clone()), what)));
        if let Some(then) = chain.then.as_ref().filter(|then| !plan.chains.contains_key(*then)) {
            faults.push((About::Chain(name.clone()), format!("chain {then} is not there")));
        }
    }
    for (name, rota) in &plan.rotas {
        faults.extend(
            rota.otherwise
                .iter()
                .filter_map(missing)
                .map(|what| (About::Rota(name.clone()), what)),
        );
    }
    let is_rule = |name: &String| {
        Kind::from_name(name).is_some()
            || Kind::ALL
                .iter()
                .any(|kind| against.rules.head(*kind).is_some_and(|head| *head.id == **name))
    };
    for (n, route) in plan.routes.iter().enumerate() {
        if !plan.chains.contains_key(&route.chain) {
            faults.push((About::Route(n), format!("chain {} is not there", route.chain)));
        }
        if let Some(when) = route.when.as_ref().filter(|when| !plan.hours.contains_key(&when.hours)) {
            faults.push((About::Route(n), format!("hours {} are not there", when.hours)));
        }
        for rule in route.matcher.rules.iter().filter(|rule| !is_rule(rule)) {
            faults.push((
                About::Route(n),
                format!("{rule} is neither the id nor the kind of a rule"),
            ));
        }
        for tenant in &route.matcher.tenants {
            if tenant != OURS && !against.tenants.is_empty() && !against.tenants.contains(tenant) {
                faults.push((About::Route(n), format!("tenant {tenant} is not in the registry")));
            }
        }
    }
    for (n, inhibit) in plan.inhibits.iter().enumerate() {
        for rule in inhibit
            .source
            .iter()
            .chain(&inhibit.target)
            .filter(|rule| !is_rule(rule))
        {
            faults.push((
                About::Inhibit(n),
                format!("{rule} is neither the id nor the kind of a rule"),
            ));
        }
    }
}

/// Chains that go on with one another come to an end, which is one that repeats.
fn cycles(plan: &Plan, faults: &mut Faults) {
    for name in plan.chains.keys() {
        let mut seen = BTreeSet::from([name]);
        let mut at = name;
        while let Some(then) = plan.chains.get(at).and_then(|chain| chain.then.as_ref()) {
            if !seen.insert(then) {
                let what = format!(
                    "chain {name} goes on in a circle by way of {then}: leave `then` out, and its last chain repeats"
                );
                faults.push((About::Chain(name.clone()), what));
                break;
            }
            at = then;
        }
    }
}

/// Every chain that can follow, the first included.
fn reachable<'p>(plan: &'p Plan, first: &'p str) -> Vec<&'p super::Chain> {
    let mut chains = Vec::new();
    let mut at = Some(first);
    while let Some(chain) = at.and_then(|name| plan.chains.get(name)) {
        chains.push(chain);
        at = chain.then.as_deref();
    }
    chains
}

/// Every receiver that a chain can reach, at any time.
fn receivers<'p>(plan: &'p Plan, first: &'p str) -> BTreeSet<&'p str> {
    let mut found = BTreeSet::new();
    let mut people: Vec<&str> = Vec::new();
    let steps = reachable(plan, first).into_iter().flat_map(|chain| &chain.steps);
    let mut tells: Vec<&Tell> = steps.flat_map(|step| &step.tell).collect();
    while let Some(tell) = tells.pop() {
        match tell {
            Tell::Receiver(name) => {
                found.insert(name.as_str());
            }
            Tell::Person(name) => people.push(name),
            Tell::Rota(name) => {
                if let Some(rota) = plan.rotas.get(name) {
                    // Otherwise never names another rota.
                    tells.extend(&rota.otherwise);
                    let events = rota.events.iter().chain(&rota.overrides);
                    people.extend(events.flat_map(|event| &event.people).map(String::as_str));
                }
            }
        }
    }
    found.extend(
        people
            .into_iter()
            .filter_map(|name| plan.people.get(name))
            .flatten()
            .map(String::as_str),
    );
    found
}

/// What a route must not do.
fn routes(plan: &Plan, faults: &mut Faults) {
    for (n, route) in plan.routes.iter().enumerate() {
        let high = route.matcher.priorities.contains(&Priority::High);
        if high && route.group.is_some() {
            let what = "a high priority page never waits for others: give high a route of its own, without group";
            faults.push((About::Route(n), what.to_owned()));
        }
        let urgent = route
            .matcher
            .priorities
            .iter()
            .any(|priority| *priority >= Priority::Medium);
        let ends = reachable(plan, &route.chain)
            .into_iter()
            .any(|c| c.then.is_none() && c.repeat == Repeat::Never);
        if urgent && ends {
            let what = format!(
                "chain {} ends although a person may still be needed: `once` is for low and info",
                route.chain
            );
            faults.push((About::Route(n), what));
        }
        for name in receivers(plan, &route.chain) {
            let limited = plan
                .receivers
                .iter()
                .find(|known| known.name == name && !known.tenants.is_empty());
            let Some(known) = limited else { continue };
            let within = !route.matcher.tenants.is_empty() && route.matcher.tenants.iter().all(|t| known.admits(t));
            if !within {
                let what = format!(
                    "receiver {name} is for tenants {:?} only, and this route for others too",
                    known.tenants
                );
                faults.push((About::Route(n), what));
            }
        }
    }
}

/// Whether a receiver of this name is meant for what is so urgent.
fn wants(plan: &Plan, receiver: &str, priority: Priority) -> bool {
    let known = plan.receivers.iter().find(|known| known.name == receiver);
    known.is_none_or(|known| known.wants(priority))
}

/// Whether somebody hears of what is so urgent, whoever is on call.
fn is_heard(plan: &Plan, tell: &Tell, priority: Priority) -> bool {
    let person = |name: &String| {
        let own = plan.people.get(name);
        own.is_some_and(|own| own.iter().any(|receiver| wants(plan, receiver, priority)))
    };
    match tell {
        Tell::Receiver(name) => wants(plan, name, priority),
        Tell::Person(name) => person(name),
        Tell::Rota(name) => plan.rotas.get(name).is_some_and(|rota| {
            let events = rota.events.iter().chain(&rota.overrides);
            // Otherwise never names another rota.
            let mut otherwise = rota.otherwise.iter();
            events.flat_map(|event| &event.people).all(person) && otherwise.any(|tell| is_heard(plan, tell, priority))
        }),
    }
}

/// A step whose receivers are all for more urgent alerts than its route brings would tell nobody.
fn too_quiet(plan: &Plan, faults: &mut Faults) {
    for (n, route) in plan.routes.iter().enumerate() {
        for chain in reachable(plan, &route.chain) {
            for step in &chain.steps {
                let mut priorities = route.matcher.priorities.iter();
                let unheard =
                    priorities.find(|priority| !step.tell.iter().any(|tell| is_heard(plan, tell, **priority)));
                let Some(priority) = unheard else { continue };
                let whom: Vec<String> = step.tell.iter().map(ToString::to_string).collect();
                let what = format!(
                    "would tell nobody of {} priority: min_priority of the receivers of {} is higher",
                    priority.as_str(),
                    whom.join(", ")
                );
                if !faults.contains(&(About::Route(n), what.clone())) {
                    faults.push((About::Route(n), what));
                }
            }
        }
    }
}

fn inhibitions(plan: &Plan, faults: &mut Faults) {
    use super::Equal;
    let meets = |a: &[String], b: &[String]| a.iter().any(|name| b.contains(name));
    for (n, inhibit) in plan.inhibits.iter().enumerate() {
        let place = [
            Equal::Clinic,
            Equal::Gateway,
            Equal::Device,
            Equal::Visit,
            Equal::Session,
            Equal::Reading,
        ];
        if !inhibit.equal.iter().any(|equal| place.contains(equal)) {
            faults.push((
                About::Inhibit(n),
                "equal must hold clinic, gateway, device, visit, session or reading".to_owned(),
            ));
        }
        if inhibit.at_most.is_zero() || inhibit.at_most > super::inhibit::AT_MOST * 2 {
            faults.push((
                About::Inhibit(n),
                "at_most must be longer than nothing and at most 1d".to_owned(),
            ));
        }
        // Follow what its targets hold back in turn.
        let mut held: Vec<String> = inhibit.target.clone();
        let mut grew = true;
        while grew {
            grew = false;
            for other in &plan.inhibits {
                if meets(&other.source, &held) {
                    for target in &other.target {
                        if !held.contains(target) {
                            held.push(target.clone());
                            grew = true;
                        }
                    }
                }
            }
        }
        if meets(&held, &inhibit.source) {
            faults.push((
                About::Inhibit(n),
                "inhibitions go round in a circle: both would be held back".to_owned(),
            ));
        }
    }
}

/// Every rule that matters reaches somebody, of every tenant, at every time.
fn nobody(plan: &Plan, against: &Against<'_>, faults: &mut Faults) {
    let mut tenants: BTreeSet<&str> = plan
        .routes
        .iter()
        .flat_map(|r| &r.matcher.tenants)
        .map(String::as_str)
        .collect();
    // One that no route names stands for all such.
    let unnamed = against.tenants.iter().find(|tenant| !tenants.contains(tenant.as_str()));
    tenants.extend(unnamed.map(String::as_str));
    tenants.insert(OURS);
    let mut clinics: BTreeSet<&str> = plan
        .routes
        .iter()
        .flat_map(|r| &r.matcher.clinics)
        .map(String::as_str)
        .collect();
    clinics.insert("any other clinic");
    let mut times: BTreeSet<UnixMicros> = plan.hours.values().flat_map(|h| h.edges(against.now, DAYS)).collect();
    times.insert(against.now);
    let heads = || Kind::ALL.iter().filter_map(|kind| against.rules.head(*kind));
    for head in heads().filter(|head| head.priority >= Priority::Medium) {
        for tenant in &tenants {
            for clinic in &clinics {
                let labels = Labels {
                    tenant: (*tenant).to_owned(),
                    clinic: if *tenant == OURS {
                        String::new()
                    } else {
                        (*clinic).to_owned()
                    },
                    device: "any device".to_owned(),
                    rule: head.id.to_string(),
                    kind: head.kind.as_str().to_owned(),
                    priority: head.priority,
                };
                if let Some(at) = times.iter().find(|at| plan.ways(&labels, **at).is_empty()) {
                    let at = crate::notify::rfc3339(*at);
                    let what = format!(
                        "would page nobody: rule {} ({:?}) of tenant {tenant}, {clinic}, at {at} matches no route",
                        head.id, head.priority
                    );
                    faults.push((About::Plan, what));
                    break;
                }
            }
            if faults.len() >= MAX_FAULTS {
                return;
            }
        }
    }
}
