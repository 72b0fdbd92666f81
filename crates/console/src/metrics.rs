//! Names of the console's metrics.

/// Pages that could not be shown because something behind them failed.
pub const FAILED: &str = "console_pages_failed_total";

/// What `service` describes: name, kind, meaning with unit.
pub const METRICS: &[(&str, &str, &str)] = &[(
    FAILED,
    "counter",
    "pages of the console that could not be shown because something behind them failed",
)];
