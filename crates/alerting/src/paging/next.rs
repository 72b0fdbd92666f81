//! What comes next in the telling of an alert if nobody does anything, and who would be told then.
use schemars::JsonSchema;
use serde::Serialize;
use telemetry::{Priority, UnixMicros};

use super::course::{Course, Line, Stage};
use super::plan::{Addressee, Plan};

/// What comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coming {
    /// The next step of the plan, if nobody acknowledges before.
    Step,
    /// What holds the first page back ends.
    HoldEnds,
    /// It is told with the next digest.
    Digest,
    /// The acknowledgement ends, and it pages again.
    AcknowledgementEnds,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PageNext")]
pub struct Next {
    /// What.
    pub what: Coming,
    /// When, at the latest; `null`: with the next digest.
    #[schemars(with = "Option<i64>")]
    pub at: Option<UnixMicros>,
    /// The plan's chain, of a step.
    pub chain: Option<String>,
    /// Its step, from 1.
    pub step: Option<u16>,
    /// Who is told by a step, as the plan and the rotas stand now.
    pub whom: Vec<Whom>,
}

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Whom {
    /// Its name.
    pub receiver: String,
    /// Why it is told.
    pub because: String,
}

/// What comes next for a tenant's alert of this priority, the soonest first.
pub fn next(plan: &Plan, course: &Course, tenant: &str, priority: Priority) -> Vec<Next> {
    let alone = |what, at| {
        vec![Next {
            what,
            at,
            chain: None,
            step: None,
            whom: Vec::new(),
        }]
    };
    match &course.stage {
        Stage::Held { until, .. } => alone(Coming::HoldEnds, Some(*until)),
        Stage::Digest => alone(Coming::Digest, None),
        Stage::Known { until: Some(until), .. } => alone(Coming::AcknowledgementEnds, Some(*until)),
        Stage::Known { until: None, .. } => Vec::new(),
        Stage::Running { lines } => {
            let mut steps: Vec<Next> = lines.iter().map(|line| step(plan, line, tenant, priority)).collect();
            steps.sort_by_key(|step| step.at);
            steps
        }
    }
}

fn step(plan: &Plan, line: &Line, tenant: &str, priority: Priority) -> Next {
    let here = plan.chains.get(&line.chain);
    let tells = here.and_then(|chain| chain.steps.get(usize::from(line.step)));
    let meant = tells.into_iter().flat_map(|step| &step.tell);
    let mut whom: Vec<Addressee> = meant
        .flat_map(|tell| plan.addressees(tell, line.due))
        .filter(|one| plan.admits(&one.receiver, tenant, priority))
        .collect();
    if whom.is_empty() {
        whom = plan.everybody(tenant);
    }
    let named = |one: Addressee| Whom {
        receiver: one.receiver,
        because: one.because,
    };
    Next {
        what: Coming::Step,
        at: Some(line.due),
        chain: Some(line.chain.clone()),
        step: Some(line.step.saturating_add(1)),
        whom: whom.into_iter().map(named).collect(),
    }
}
