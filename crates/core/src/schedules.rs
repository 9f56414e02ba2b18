//! Schedules: cron expressions that submit.

use crate::actor::Actor;
use crate::console::Console;
use crate::db;
use crate::run::named_uuid;
use crate::store::schedules::{self, Due};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Submission;
use bagua_model::text::{Text, keys};
use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use std::time::Duration;
use time::OffsetDateTime;

/// How long a console may be silent in the middle of a firing before another fires.
const FIRING_LEASE: Duration = Duration::from_secs(30);

impl Console {
    /// Submits what is due; returns how many schedules fired here. Several consoles may call it at the same moment.
    ///
    /// A schedule whose times came round while no console ran fires once, not once for each of them.
    ///
    /// # Errors
    /// `Unavailable` when the database is away; what is due stays due.
    pub async fn fire_due_schedules(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let mut fired = 0;
        for due in schedules::due(&self.db, self.environment, now)
            .await
            .map_err(db::failure)?
        {
            if schedules::claim_firing(&self.db, &due, &self.name, FIRING_LEASE)
                .await
                .map_err(db::failure)?
            {
                self.fire(&due, now).await?;
                fired += 1;
            }
        }
        Ok(fired)
    }

    async fn fire(&self, due: &Due, now: OffsetDateTime) -> Result<(), Failure> {
        let actor = Actor::Schedule {
            name: due.name.clone(),
        };
        let submission = Submission {
            // Whoever takes over after a crash between submission and record submits the same again, and gets the
            // same operation.
            token: Some(named_uuid(&format!(
                "schedule/{}/{}",
                due.id,
                due.due_at.unix_timestamp_nanos()
            ))),
            ..Submission::default()
        };
        let prepared_by: Vec<_> = due.created_by_person.into_iter().collect();
        let submitted = self
            .submit_prepared(&actor, &prepared_by, &due.kind, due.input.clone(), submission)
            .await;
        let (operation, failure) = match submitted {
            Ok(submitted) => (Some(submitted.operation), None),
            // Not refused, only not possible now: the lease runs out and the next round tries again.
            Err(failure) if failure.kind == FailureKind::Unavailable => return Err(failure),
            Err(failure) => {
                tracing::warn!(schedule = due.name, %failure, "a schedule's submission was refused");
                (None, Some(failure.text))
            }
        };
        let next = next_after(&due.cron, now).ok().flatten();
        schedules::finish_firing(&self.db, due, operation, failure.as_ref(), next, now)
            .await
            .map_err(db::failure)
    }
}

/// When a cron expression comes round after `after`; `None` when it never does again.
pub(crate) fn next_after(cron: &str, after: OffsetDateTime) -> Result<Option<OffsetDateTime>, Failure> {
    let cron = parse(cron)?;
    let Some(start) = DateTime::<Utc>::from_timestamp(after.unix_timestamp(), after.nanosecond()) else {
        return Ok(None);
    };
    let Ok(next) = cron.find_next_occurrence(&start, false) else {
        return Ok(None);
    };
    Ok(OffsetDateTime::from_unix_timestamp(next.timestamp()).ok())
}

/// Reads a five-field cron expression.
pub(crate) fn parse(cron: &str) -> Result<Cron, Failure> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser
        .parse(cron)
        .map_err(|error| Failure::field("cron", Text::new(keys::CORE_BAD_CRON).with("detail", error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_next_time_is_after_and_in_utc() -> Result<(), Failure> {
        let at = datetime!(2026-11-22 02:00:00 UTC);
        assert_eq!(
            next_after("0 2 * * *", at)?,
            Some(datetime!(2026-11-23 02:00:00 UTC))
        );
        assert_eq!(
            next_after("*/15 * * * *", datetime!(2026-11-22 02:14:59.5 UTC))?,
            Some(datetime!(2026-11-22 02:15 UTC))
        );
        Ok(())
    }

    #[test]
    fn what_is_no_expression_is_a_field_error() {
        for wrong in ["", "every day", "61 * * * *", "* * * * * *", "0 0 30 2"] {
            let refused = parse(wrong).map(|_| ()).map_err(|f| f.fields);
            assert!(refused.is_err_and(|fields| fields[0].0 == "cron"), "{wrong}");
        }
    }
}
