//! Schedules: once each time, with the rights of who made them.

use crate::{Bench, second_console};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{
    CreateSchedule, DeleteSchedule, ListOperations, ListSchedules, OperationState, PauseSchedule,
    ScheduleView, Submission,
};
use bagua_testkit::people::{operator, operator_in, system, viewer};
use bagua_testkit::probe::Probe;
use serde_json::json;
use time::Duration;
use time::macros::datetime;

fn hourly(name: &str, probe: &Probe) -> CreateSchedule {
    CreateSchedule {
        name: name.to_owned(),
        cron: "0 * * * *".to_owned(),
        kind: "probe.run".to_owned(),
        input: serde_json::to_value(probe).unwrap_or_default(),
    }
}

async fn only(bench: &Bench) -> anyhow::Result<ScheduleView> {
    let mut all = bench.console.ask(&system(), ListSchedules {}).await?;
    anyhow::ensure!(all.len() == 1, "{all:?}");
    Ok(all.remove(0))
}

async fn submitted(bench: &Bench) -> anyhow::Result<usize> {
    let query = ListOperations {
        kind: Some("probe.run".into()),
        ..Default::default()
    };
    Ok(bench.console.ask(&system(), query).await?.rows.len())
}

#[tokio::test]
async fn it_fires_once_each_time_whatever_the_number_of_consoles() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    bench
        .console
        .submit(
            &operator("Wei"),
            hourly("h", &Probe::new("a", &["effect-1"])),
            Submission::default(),
        )
        .await?;
    assert_eq!(
        only(&bench).await?.next_at,
        Some(datetime!(2026-11-22 21:00:00 UTC))
    );
    assert_eq!(bench.console.fire_due_schedules().await?, 0);
    for round in 1..=3 {
        bench.clock.advance(Duration::hours(1));
        let all = (0..4)
            .flat_map(|_| [&bench.console, &other])
            .map(|console| console.fire_due_schedules());
        let fired = futures::future::join_all(all)
            .await
            .into_iter()
            .sum::<Result<usize, _>>()?;
        assert_eq!((fired, submitted(&bench).await?), (1, round));
        bench.work().await?;
        let schedule = only(&bench).await?;
        let operation = schedule
            .last_operation
            .ok_or_else(|| anyhow::anyhow!("no operation"))?;
        let view = bench.view(operation).await?;
        assert_eq!(
            (view.summary.state, view.summary.submitted_by.as_str()),
            (OperationState::Succeeded, "schedule: h")
        );
        assert_eq!(bench.effects(operation).await?, ["effect-1:do"]);
    }
    Ok(())
}

#[tokio::test]
async fn what_was_missed_while_nobody_ran_fires_once() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    bench
        .console
        .submit(
            &operator("Wei"),
            hourly("h", &Probe::new("a", &["tx-1"])),
            Submission::default(),
        )
        .await?;
    bench.clock.advance(Duration::hours(10) + Duration::minutes(5));
    assert_eq!(bench.console.fire_due_schedules().await?, 1);
    assert_eq!(bench.console.fire_due_schedules().await?, 0);
    assert_eq!(
        only(&bench).await?.next_at,
        Some(datetime!(2026-11-23 07:00:00 UTC))
    );
    Ok(())
}

#[tokio::test]
async fn a_console_that_dies_in_the_middle_of_a_firing_doubles_nothing() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    bench
        .console
        .submit(
            &operator("Wei"),
            hourly("h", &Probe::new("a", &["tx-1"])),
            Submission::default(),
        )
        .await?;
    bench.clock.advance(Duration::hours(1));
    bench.console.fire_due_schedules().await?;
    bench.work().await?;
    // As it stands when the console died after the submission and before it was written down.
    sqlx::query("UPDATE schedules SET next_at = '2026-11-22 21:00Z', last_operation = NULL")
        .execute(&bench.db.owner)
        .await?;
    sqlx::query("UPDATE schedule_firings SET finished_at = NULL, operation = NULL")
        .execute(&bench.db.owner)
        .await?;
    let other = second_console("two", &bench.db, &bench.clock, &bench.outside);
    assert_eq!(
        other.fire_due_schedules().await?,
        0,
        "the first console's lease still runs"
    );
    sqlx::query("UPDATE schedule_firings SET lease_expires_at = now() - interval '1 s'")
        .execute(&bench.db.owner)
        .await?;
    assert_eq!(other.fire_due_schedules().await?, 1);
    assert_eq!(submitted(&bench).await?, 1);
    assert!(only(&bench).await?.last_operation.is_some());
    Ok(())
}

#[tokio::test]
async fn a_refused_submission_is_shown_and_the_next_time_comes() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let probe = Probe::new("a", &["tx-1"]);
    bench
        .console
        .submit(&operator("Wei"), hourly("h", &probe), Submission::default())
        .await?;
    bench.submit(probe).await?;
    bench.clock.advance(Duration::hours(1));
    assert_eq!(bench.console.fire_due_schedules().await?, 1);
    let schedule = only(&bench).await?;
    assert!(schedule.last_failure.is_some() && schedule.last_operation.is_none());
    bench.work().await?;
    bench.clock.advance(Duration::hours(1));
    bench.console.fire_due_schedules().await?;
    let schedule = only(&bench).await?;
    assert!(schedule.last_failure.is_none() && schedule.last_operation.is_some());
    Ok(())
}

#[tokio::test]
async fn paused_schedules_submit_nothing_and_do_not_catch_up() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let wei = operator("Wei");
    bench
        .console
        .submit(
            &wei,
            hourly("h", &Probe::new("a", &["tx-1"])),
            Submission::default(),
        )
        .await?;
    let pause = |paused| PauseSchedule {
        name: "h".to_owned(),
        paused,
    };
    bench
        .console
        .submit(&wei, pause(true), Submission::default())
        .await?;
    let again = bench
        .console
        .submit(&wei, pause(true), Submission::default())
        .await;
    assert_eq!(again.err().map(|f| f.kind), Some(FailureKind::Conflict));
    bench.clock.advance(Duration::hours(5));
    assert_eq!(bench.console.fire_due_schedules().await?, 0);
    assert!(only(&bench).await?.paused);
    bench
        .console
        .submit(&wei, pause(false), Submission::default())
        .await?;
    assert_eq!(bench.console.fire_due_schedules().await?, 0);
    assert_eq!(
        only(&bench).await?.next_at,
        Some(datetime!(2026-11-23 02:00:00 UTC))
    );
    bench
        .console
        .submit(
            &wei,
            DeleteSchedule { name: "h".to_owned() },
            Submission::default(),
        )
        .await?;
    assert!(bench.console.ask(&system(), ListSchedules {}).await?.is_empty());
    let gone = bench
        .console
        .submit(&wei, pause(true), Submission::default())
        .await;
    assert_eq!(gone.err().map(|f| f.kind), Some(FailureKind::NotFound));
    Ok(())
}

#[tokio::test]
async fn nobody_schedules_what_they_may_not_do() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let refuse = |actor, schedule: CreateSchedule| {
        let console = bench.console.clone();
        async move {
            console
                .submit(&actor, schedule, Submission::default())
                .await
                .err()
                .map(|f| (f.kind, f.fields))
        }
    };
    let hong_kong = || hourly("h", &Probe::new("a", &["tx-1"]));
    let refused = refuse(viewer("Vi"), hong_kong()).await;
    assert_eq!(refused.map(|(kind, _)| kind), Some(FailureKind::Forbidden));
    let refused = refuse(operator_in("Aoife", "eu-west-1"), hong_kong()).await;
    assert_eq!(refused.map(|(kind, _)| kind), Some(FailureKind::Forbidden));
    let wrong = [
        (
            "cron",
            CreateSchedule {
                cron: "whenever".into(),
                ..hong_kong()
            },
        ),
        (
            "cron",
            CreateSchedule {
                cron: "0 0 31 2 *".into(),
                ..hong_kong()
            },
        ),
        (
            "name",
            CreateSchedule {
                name: String::new(),
                ..hong_kong()
            },
        ),
        (
            "name",
            CreateSchedule {
                name: " h".into(),
                ..hong_kong()
            },
        ),
        (
            "kind",
            CreateSchedule {
                kind: "no.such".into(),
                ..hong_kong()
            },
        ),
        (
            "kind",
            CreateSchedule {
                kind: "operations.list".into(),
                input: json!({}),
                ..hong_kong()
            },
        ),
        (
            "kind",
            CreateSchedule {
                kind: "operation.approve".into(),
                input: json!({}),
                ..hong_kong()
            },
        ),
    ];
    for (field, schedule) in wrong {
        let words = format!("{schedule:?}");
        let (kind, fields) = refuse(operator("Wei"), schedule)
            .await
            .ok_or_else(|| anyhow::anyhow!("{words}"))?;
        assert_eq!(
            (kind, fields.first().map(|f| f.0.as_str())),
            (FailureKind::Invalid, Some(field)),
            "{words}"
        );
    }
    bench
        .console
        .submit(&operator("Wei"), hong_kong(), Submission::default())
        .await?;
    let taken = refuse(operator("Wei"), hong_kong()).await;
    assert_eq!(
        taken.map(|(_, fields)| fields[0].0.clone()).as_deref(),
        Some("name")
    );
    // A schedule is where its operation is.
    let lists = bench
        .console
        .ask(&operator_in("Aoife", "eu-west-1"), ListSchedules {})
        .await?;
    assert!(lists.is_empty());
    let refused = bench
        .console
        .submit(
            &operator_in("Aoife", "eu-west-1"),
            DeleteSchedule { name: "h".into() },
            Submission::default(),
        )
        .await;
    assert_eq!(refused.err().map(|f| f.kind), Some(FailureKind::Forbidden));
    Ok(())
}
