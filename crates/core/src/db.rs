//! The control database: the pool and the one place where its errors become failures.

use bagua_model::failure::Failure;
use bagua_model::text::{Text, keys};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::time::Duration;

/// How long a caller waits for a connection before the database counts as away.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool for the control database, made without connecting: the console starts and shows what it can while the
/// database is away.
///
/// Every connection has time-outs of its own, so that no statement and no forgotten transaction can hold a target
/// for ever: 60 s for a statement, 10 s for a lock, 60 s idle inside a transaction.
pub fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    let options = options.application_name("bagua").options([
        ("statement_timeout", "60s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "60s"),
    ]);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(true)
        .connect_lazy_with(options)
}

/// Whether the database is away, rather than our statement wrong.
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // Class 08: connection; 53: too many connections, out of memory or disk; 57P: the server stops or starts.
        sqlx::Error::Database(e) => e
            .code()
            .is_some_and(|code| code.starts_with("08") || code.starts_with("53") || code.starts_with("57P")),
        _ => false,
    }
}

/// Whether the same transaction may well succeed when it is tried again: a deadlock, a lock or statement time-out.
pub fn is_transient(error: &sqlx::Error) -> bool {
    is_away(error)
        || matches!(error, sqlx::Error::Database(e)
            if e.code().is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03" | "57014")))
}

/// The constraint or index that a statement broke, if that was it.
pub fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(e) => e.constraint(),
        _ => None,
    }
}

/// What the reader is told when the database refuses or is away. The chain goes to the log.
pub fn failure(error: sqlx::Error) -> Failure {
    if is_transient(&error) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the control database does not answer"
        );
        return Failure::unavailable(format!("@{}", keys::CORE_DATABASE));
    }
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a statement failed in the control database"
    );
    Failure::internal()
}

/// A value in a row that this version cannot read.
pub(crate) fn unreadable(what: &str, error: impl std::fmt::Display) -> Failure {
    tracing::error!(what, %error, "a row of the control database cannot be read");
    Failure::internal()
}

/// The sentence for a step that failed by our fault.
pub(crate) fn internal_text() -> Text {
    Text::new(keys::FAILURE_INTERNAL)
}
