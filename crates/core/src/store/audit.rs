//! The audit log's rows.

use crate::audit::AuditRecord;
use bagua_model::operation::{AuditView, ListAudit, OperationId};
use bagua_model::region::{Environment, RegionId};
use sqlx::{PgExecutor, PgPool};

pub(crate) async fn insert(db: impl PgExecutor<'_>, record: &AuditRecord) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO audit (at, actor, person, action, kind, environment, region, target, operation, result, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        record.at,
        record.actor,
        record.person,
        record.action,
        record.kind,
        record.environment.map(Environment::as_str),
        record.region.as_ref().map(RegionId::as_str),
        record.target,
        record.operation.map(|id| id.0),
        record.result,
        record.written_detail(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Newest first, after the record `after`.
pub(crate) async fn list(
    db: &PgPool,
    environment: Environment,
    regions: Option<&[String]>,
    filter: &ListAudit,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditView>, sqlx::Error> {
    // What a person types is searched for as it stands.
    let actor = filter.actor.as_deref().map(|part| {
        let part = part.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
        format!("%{part}%")
    });
    let rows = sqlx::query!(
        "SELECT id, at, actor, person, action, kind, environment, region, target, operation, result, detail
         FROM audit
         WHERE (environment IS NULL OR environment = $1)
           AND ($2::text[] IS NULL OR region = ANY ($2))
           AND ($3::text IS NULL OR actor ILIKE $3)
           AND ($4::text IS NULL OR action = $4)
           AND ($5::text IS NULL OR kind = $5)
           AND ($6::text IS NULL OR region = $6)
           AND ($7::text IS NULL OR result = $7)
           AND ($8::uuid IS NULL OR operation = $8)
           AND ($9::timestamptz IS NULL OR at >= $9)
           AND ($10::timestamptz IS NULL OR at < $10)
           AND ($11::bigint IS NULL OR id < $11)
         ORDER BY id DESC LIMIT $12",
        environment.as_str(),
        regions as _,
        actor,
        filter.action,
        filter.kind,
        filter.region.as_ref().map(RegionId::as_str),
        filter.result,
        filter.operation.map(|id| id.0),
        filter.from,
        filter.until,
        after,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AuditView {
            id: row.id,
            at: row.at,
            actor: row.actor,
            person: row.person,
            action: row.action,
            kind: row.kind,
            environment: row.environment.and_then(|e| e.parse().ok()),
            region: row.region.map(RegionId::new),
            target: row.target,
            operation: row.operation.map(OperationId),
            result: row.result,
            detail: row.detail,
        })
        .collect())
}
