//! `alerts.delivery`: why nobody was told, or who was, when.

use crate::Alerts;
use crate::receipts::Receipts;
use crate::routing::{Leg, Routing, seconds};
use crate::silences::alertmanager_failure;
use crate::snapshot::Sight;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{
    AlertState, AlertView, DeliveryLeg, DeliveryView, GetDelivery, Integration, PIPELINE_PATIENCE,
};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Text, keys};
use std::collections::{BTreeSet, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

#[async_trait]
impl Answers<GetDelivery> for Alerts {
    async fn answer(&self, cx: &AskContext, query: GetDelivery) -> Result<DeliveryView, Failure> {
        let episode = self.seen(cx, query.alert).await?;
        let view = &episode.view;
        let status = self
            .alertmanager
            .status()
            .await
            .map_err(|e| alertmanager_failure(&e))?;
        let routing = Routing::read(&status.config.original).map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Alertmanager's configuration cannot be followed"
            );
            Failure::new(
                FailureKind::Unavailable,
                Text::new(keys::DELIVERY_FAILURE_CONFIGURATION),
            )
        })?;
        let counts = self.counted().await;
        let legs = routing.legs(&view.labels);
        let receipts = Receipts::of(&self.db, legs.iter().map(|leg| leg.key.as_str()), cx.now)
            .await
            .map_err(bagua_core::db::failure)?;
        let legs: Vec<DeliveryLeg> = legs
            .into_iter()
            .map(|leg| drawn(leg, &counts, &receipts))
            .collect();
        let held = self.held_back(cx, view).await?;
        let (told, verdict) = self.verdict(view, &legs, held, (receipts.since, cx.now));
        Ok(DeliveryView {
            told,
            verdict,
            legs,
            since: receipts.since,
        })
    }
}

/// Notifications tried and failed in the last minutes, by integration.
struct Counts {
    tried: Option<HashMap<String, f64>>,
    failed: Option<HashMap<String, f64>>,
}

fn drawn(leg: Leg, counts: &Counts, receipts: &Receipts) -> DeliveryLeg {
    let kinds: BTreeSet<&String> = leg.integrations.iter().collect();
    let count = |of: &Option<HashMap<String, f64>>, kind: &String| {
        // An increase over a window is no whole number.
        Some(of.as_ref()?.get(kind)?.round() as u32)
    };
    DeliveryLeg {
        integrations: kinds
            .into_iter()
            .map(|kind| Integration {
                kind: kind.clone(),
                tried: count(&counts.tried, kind),
                failed: count(&counts.failed, kind),
            })
            .collect(),
        received: receipts.last(&leg.key),
        receiver: leg.receiver,
        group: leg.group,
        key: leg.key,
        wait: leg.wait,
        repeat: leg.repeat,
        timed: [leg.muted, leg.active].concat(),
    }
}

impl Alerts {
    /// Alertmanager's own counts, by way of Prometheus: what has failed once long ago says nothing of now.
    async fn counted(&self) -> Counts {
        let over = |metric: &str| format!("sum by (integration) (increase({metric}[15m]))");
        let (tried, failed) = (
            over("alertmanager_notifications_total"),
            over("alertmanager_notifications_failed_total"),
        );
        let (tried, failed) = futures::join!(
            self.prometheus.by_label(&tried, "integration"),
            self.prometheus.by_label(&failed, "integration")
        );
        Counts {
            tried: tried.ok(),
            failed: failed.ok(),
        }
    }

    /// By what it is held back, in words; the first of several.
    async fn held_back(&self, cx: &AskContext, view: &AlertView) -> Result<Option<Text>, Failure> {
        let Some(first) = view.suppressed_by.first() else {
            return Ok(None);
        };
        // Silences have a UUID, alerts a fingerprint.
        if Uuid::try_parse(first).is_err() {
            let sight = Sight::of(&cx.granted, cx.environment);
            let snapshot = self.firing()?;
            let other = snapshot.visible(&sight).find(|v| v.fingerprint == *first);
            return Ok(Some(match other {
                Some(other) => Text::new(keys::DELIVERY_INHIBITED)
                    .with("name", &other.name)
                    .with("where", crate::place_name(other)),
                None => Text::new(keys::DELIVERY_INHIBITED_UNSEEN),
            }));
        }
        let all = self
            .alertmanager
            .silences()
            .await
            .map_err(|e| alertmanager_failure(&e))?;
        let silence = all.into_iter().find(|s| s.id == *first);
        Ok(Some(silence.map_or_else(
            || Text::new(keys::DELIVERY_SILENCED_UNKNOWN).with("id", first),
            |s| {
                Text::new(keys::DELIVERY_SILENCED)
                    .with("by", crate::operations::owner_name(&s.created_by))
                    .with("until", said(s.ends_at))
                    .with("comment", crate::silences::reason(&s.comment))
            },
        )))
    }

    /// The first reason that holds. What comes first hides what comes after it: an alert that is silenced is told to
    /// nobody, whatever its receiver does.
    fn verdict(
        &self,
        view: &AlertView,
        legs: &[DeliveryLeg],
        held: Option<Text>,
        (since, now): (OffsetDateTime, OffsetDateTime),
    ) -> (bool, Text) {
        // The group was told while this alert was in it.
        let told = legs
            .iter()
            .filter_map(|leg| Some((leg, leg.received.filter(|at| *at >= view.started_at)?)))
            .max_by_key(|(_, at)| *at);
        let told_text = |key, (leg, at): (&DeliveryLeg, OffsetDateTime)| {
            Text::new(key)
                .with("receiver", &leg.receiver)
                .with("at", said(at))
        };
        if view.state == AlertState::Resolved {
            return match told {
                Some(told) => (true, told_text(keys::DELIVERY_TOLD_ENDED, told)),
                None => (false, Text::new(keys::DELIVERY_ENDED)),
            };
        }
        if let Some(held) = held {
            return (false, held);
        }
        if let Some(told) = told {
            return (true, told_text(keys::DELIVERY_TOLD, told));
        }
        if legs.iter().all(|leg| leg.integrations.is_empty()) {
            let receivers: Vec<_> = legs.iter().map(|l| l.receiver.as_str()).collect();
            return (
                false,
                Text::new(keys::DELIVERY_NO_RECEIVER).with("receiver", receivers.join(", ")),
            );
        }
        if let Some(last) = self
            .watchdog_last_seen()
            .filter(|last| now - *last > PIPELINE_PATIENCE)
        {
            return (
                false,
                Text::new(keys::DELIVERY_PIPELINE_DEAD).with("at", said(last)),
            );
        }
        let age = (now - view.received_at.max(view.started_at)).whole_seconds();
        let waits = legs.iter().find(|leg| {
            seconds(&leg.wait).is_some_and(|wait| u64::try_from(age).is_ok_and(|age| age < wait))
        });
        if let Some(leg) = waits {
            let text = Text::new(keys::DELIVERY_WAITS)
                .with("receiver", &leg.receiver)
                .with("wait", &leg.wait);
            return (false, text);
        }
        let failing = legs.iter().find_map(|leg| {
            let bad = leg
                .integrations
                .iter()
                .find(|i| i.failed.is_some_and(|n| n > 0))?;
            Some((leg, bad))
        });
        if let Some((leg, bad)) = failing {
            let text = Text::new(keys::DELIVERY_FAILING)
                .with("receiver", &leg.receiver)
                .with("integration", &bad.kind)
                .with("failed", bad.failed.unwrap_or_default())
                .with("tried", bad.tried.unwrap_or_default());
            return (false, text);
        }
        if let Some(leg) = legs.iter().find(|leg| !leg.timed.is_empty()) {
            let text = Text::new(keys::DELIVERY_TIMED)
                .with("receiver", &leg.receiver)
                .with("intervals", leg.timed.join(", "));
            return (false, text);
        }
        let receivers: Vec<_> = legs.iter().map(|l| l.receiver.as_str()).collect();
        let text = Text::new(keys::DELIVERY_NOT_KNOWN)
            .with("receivers", receivers.join(", "))
            .with("since", said(since));
        (false, text)
    }
}

/// A time inside a sentence that is made on the server, which does not know the reader's zone.
fn said(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!(
        "{} {:02}:{:02}:{:02} UTC",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
