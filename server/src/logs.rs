//! Logs: JSON lines for collectors, plain lines for people, both on standard error.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging. `BAGUA_LOG` sets the filter (`info` when absent), in the syntax of `tracing`'s `EnvFilter`.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_env("BAGUA_LOG")
        .unwrap_or_else(|_| EnvFilter::new(if json { "info,sqlx::query=warn" } else { "warn" }));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder
            .without_time()
            .with_ansi(std::io::stderr().is_terminal())
            .init();
    }
}
