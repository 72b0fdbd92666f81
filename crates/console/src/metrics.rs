//! Names of the console's metrics.

/// Pages that could not be shown because something behind them failed.
pub const FAILED: &str = "console_pages_failed_total";
/// Attempts to sign in.
pub const SIGN_INS: &str = "console_sign_ins_total";
/// Sessions that ended because their time was over, or at the bound.
pub const SESSIONS_ENDED: &str = "console_sessions_ended_total";
/// Forms that were not ours.
pub const FORMS_REFUSED: &str = "console_forms_refused_total";
/// What people did.
pub const ACTIONS: &str = "console_actions_total";
/// Pages that are live now.
pub const LIVE: &str = "console_live_pages";
/// Pages that wanted to be live at the bound.
pub const LIVE_REFUSED: &str = "console_live_refused_total";

/// What `service` describes: name, kind, meaning with unit.
pub const METRICS: &[(&str, &str, &str)] = &[
    (
        FAILED,
        "counter",
        "pages of the console that could not be shown because something behind them failed",
    ),
    (
        SIGN_INS,
        "counter",
        "attempts to sign in to the console, by outcome: fine, wrong, too_often",
    ),
    (
        SESSIONS_ENDED,
        "counter",
        "sessions of the console that ended because their time was over, or as the oldest at the bound",
    ),
    (
        FORMS_REFUSED,
        "counter",
        "forms that did not come from a page of the console, or could not be read",
    ),
    (
        ACTIONS,
        "counter",
        "what people did in the console, by action and outcome: done, stale, refused",
    ),
    (LIVE, "gauge", "pages of the console that are told what is new"),
    (
        LIVE_REFUSED,
        "counter",
        "pages of the console that are read again by themselves, because as many as may be are live already",
    ),
];
