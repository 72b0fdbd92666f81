//! The pages, one file each: what is asked for, a view model made by a pure function, a template. The view model is also the
//! page's JSON below `/v1/console`.
mod act;
mod alert;
mod clinic;
mod device;
mod fleet;
mod hygiene;
mod inbox;
mod need;
mod pipeline;
mod row;
mod session;
mod silence;
#[cfg(test)]
mod testing;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::{Asker, Person};
use crate::answer::{Refusal, only_looking};
use crate::console::Console;
use crate::render::{Shown, Svg};
use crate::text::Texts;

pub use silence::{silence_scopes, silence_spans};

/// What stands in the head of every page: key of its text, where it is.
pub(crate) const NAV: &[(&str, &str)] = &[
    ("alerts", "/"),
    ("silences", "/silences"),
    ("fleet", "/fleet"),
    ("sterilization", "/sterilization"),
    ("pipeline", "/pipeline"),
];

/// Where the pages are as JSON.
const API: &str = "/v1/console";

/// Where the JSON of a page is: the same address below [`API`], without what was just done, and for whoever belongs to one tenant
/// without a choice of tenants.
fn json_address(page: &Uri, who: &Person, also: &str) -> String {
    let path = match page.path() {
        "/" => "/inbox",
        path => path,
    };
    let asked = page.query().unwrap_or_default().split('&');
    let of_one = who.tenant.is_some();
    let is_message = |pair: &str| pair.starts_with("done=") || pair.starts_with("recorded=");
    let asked = asked.filter(|pair| !(is_message(pair) || of_one && pair.starts_with("tenant=")));
    let asked: Vec<&str> = asked.chain([also]).filter(|pair| !pair.is_empty()).collect();
    match asked.is_empty() {
        true => format!("{API}{path}"),
        false => format!("{API}{path}?{}", asked.join("&")),
    }
}

/// A page.
pub(crate) trait Page: Send + Sync + 'static {
    /// Its template.
    const TEMPLATE: &'static str;
    /// Its entry in [`NAV`].
    const SECTION: &'static str;
    /// What stands in its address: `()` for nothing.
    type Path: DeserializeOwned + Send;
    /// What stands behind the question mark.
    type Query: DeserializeOwned + Send;
    /// What it shows.
    type View: Serialize + JsonSchema + Send + Sync;

    /// Asks, and makes the view model. Must show nothing that is not for `who`: [`Person::sees`].
    fn view(
        console: &Console,
        who: &Person,
        path: Self::Path,
        query: Self::Query,
    ) -> impl Future<Output = Result<Self::View, Refusal>> + Send;

    /// It is also JSON, below [`API`], and its foot says where.
    const IN_JSON: bool = true;

    /// What its JSON has to be asked for beside what stands in its own address, so that both show the same.
    fn also_asked(_view: &Self::View) -> &'static str {
        ""
    }

    /// What is drawn for it, by the name under which the template shows it.
    fn pictures(_view: &Self::View, _texts: &Texts) -> Vec<(&'static str, Svg)> {
        Vec::new()
    }
}

/// The routes of the pages.
pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/", html::<inbox::Inbox>())
        .route("/alerts/{id}", html::<alert::OneAlert>())
        .route("/alerts/{id}/treatment", get(alert::treatment))
        .route("/alerts/{id}/silence", html::<silence::MakeSilence>())
        .route("/silences", html::<silence::Silences>())
        .merge(act::routes())
        .route("/fleet", html::<fleet::Fleet>())
        .route("/clinics/{tenant}/{clinic}", html::<clinic::Clinic>())
        .route("/devices/{tenant}/{device}", html::<device::Device>())
        .route("/sessions/{tenant}/{device}/{session}", html::<session::Treatment>())
        .route("/sterilization", html::<hygiene::Board>())
        .route("/sterilization/scan", html::<hygiene::scan::Scan>())
        .route("/sterilization/record", post(hygiene::record::take))
        .route("/pipeline", html::<pipeline::Pipeline>())
        .route("/pipeline/replay", post(pipeline::replay::take))
}

/// Makes the schema of an answer.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The same as JSON: where, who answers, and what that looks like.
fn api() -> [(&'static str, MethodRouter<Console>, Shape); 10] {
    [
        json::<inbox::Listed>("/v1/console/inbox"),
        json::<alert::OneAlert>("/v1/console/alerts/{id}"),
        json::<silence::MakeSilence>("/v1/console/alerts/{id}/silence"),
        json::<silence::Silences>("/v1/console/silences"),
        json::<fleet::Fleet>("/v1/console/fleet"),
        json::<clinic::Clinic>("/v1/console/clinics/{tenant}/{clinic}"),
        json::<device::Device>("/v1/console/devices/{tenant}/{device}"),
        json::<session::Treatment>("/v1/console/sessions/{tenant}/{device}/{session}"),
        json::<hygiene::Board>("/v1/console/sterilization"),
        json::<pipeline::Pipeline>("/v1/console/pipeline"),
    ]
}

/// Its routes.
pub(crate) fn api_routes() -> Router<Console> {
    let routes = api().into_iter();
    routes
        .fold(Router::new(), |router, (path, answer, _)| router.route(path, answer))
        .method_not_allowed_fallback(only_looking)
}

/// What each of its routes answers.
pub fn api_shapes() -> impl Iterator<Item = (&'static str, Shape)> {
    api().into_iter().map(|(path, _, shape)| (path, shape))
}

type Asked<P> = (
    Result<Path<<P as Page>::Path>, PathRejection>,
    Result<Query<<P as Page>::Query>, QueryRejection>,
);

async fn view<P: Page>(console: &Console, who: &Person, (path, query): Asked<P>) -> Result<P::View, Refusal> {
    let Path(path) = path.map_err(|_| Refusal::NotFound)?;
    let Query(query) = query.map_err(|error| Refusal::Asked(error.body_text()))?;
    P::view(console, who, path, query).await
}

fn html<P: Page>() -> MethodRouter<Console> {
    get(
        |State(console): State<Console>,
         who: Person,
         uri: Uri,
         path: Result<Path<P::Path>, PathRejection>,
         query: Result<Query<P::Query>, QueryRejection>| async move {
            match view::<P>(&console, &who, (path, query)).await {
                Ok(view) => {
                    let json = P::IN_JSON.then(|| json_address(&uri, &who, P::also_asked(&view)));
                    let shown = Shown {
                        template: P::TEMPLATE,
                        section: P::SECTION,
                        json: json.as_deref(),
                    };
                    let pictures = P::pictures(&view, console.templates.texts());
                    console.templates.page(&console, shown, Some(&who), &view, &pictures)
                }
                Err(refusal) => refusal.page(&console, Some(&who)),
            }
        },
    )
}

fn json<P: Page>(path: &'static str) -> (&'static str, MethodRouter<Console>, Shape) {
    let answer = get(
        |State(console): State<Console>,
         Asker(who): Asker,
         path: Result<Path<P::Path>, PathRejection>,
         query: Result<Query<P::Query>, QueryRejection>| async move {
            let answer: Response = match view::<P>(&console, &who, (path, query)).await {
                Ok(view) => axum::Json(view).into_response(),
                Err(refusal) => refusal.json(&console),
            };
            answer
        },
    );
    (path, answer, SchemaGenerator::subschema_for::<P::View>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_a_page_is_at_its_own_address_below_the_api_with_what_it_was_asked_for() {
        let whole = Person::of_api();
        let at = |page: &'static str, also| json_address(&Uri::from_static(page), &whole, also);
        assert_eq!(at("/", ""), "/v1/console/inbox");
        assert_eq!(
            at("/?state=firing&done=acknowledged", "by=device"),
            "/v1/console/inbox?state=firing&by=device"
        );
        assert_eq!(at("/alerts/00ff?done=assigned", ""), "/v1/console/alerts/00ff");
        assert_eq!(
            at("/sterilization?done=wipe&recorded=pen-1", ""),
            "/v1/console/sterilization"
        );
        assert_eq!(at("/fleet?tenant=other", ""), "/v1/console/fleet?tenant=other");
        let of_one = Person {
            tenant: "acme".parse().ok(),
            ..whole.clone()
        };
        let page = Uri::from_static("/sterilization?tenant=other&clinic=north");
        assert_eq!(
            json_address(&page, &of_one, ""),
            "/v1/console/sterilization?clinic=north"
        );
    }
}
