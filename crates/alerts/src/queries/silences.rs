use crate::Alerts;
use crate::matching::Conditions;
use crate::silences::alertmanager_failure;
use crate::snapshot::Sight;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::failure::Failure;
use bagua_model::silences::{
    ListSilences, PreviewSilence, SilencePreview, SilenceState, SilenceView, region_of,
};

/// Rows of a preview.
const FIRST: usize = 10;

#[async_trait]
impl Answers<ListSilences> for Alerts {
    async fn answer(&self, cx: &AskContext, query: ListSilences) -> Result<Vec<SilenceView>, Failure> {
        let sight = Sight::of(&cx.granted, cx.environment);
        let all = self
            .alertmanager
            .silences()
            .await
            .map_err(|e| alertmanager_failure(&e))?;
        let snapshot = self.firing()?;
        let holds = crate::silences::holdings(&snapshot, &sight);
        let mut rows: Vec<SilenceView> = all
            .into_iter()
            .filter(|s| match query.state {
                Some(state) => s.state() == state,
                None => s.state() != SilenceState::Expired,
            })
            .map(|s| crate::silences::view(s, &holds))
            // What is limited to no region may hold alerts of the reader's region too.
            .filter(|s| region_of(&s.matchers).is_none_or(|r| sight.reaches(Some(&r))))
            .collect();
        rows.sort_by(|a, b| {
            let ended = a.state == SilenceState::Expired && b.state == SilenceState::Expired;
            let by_end = if ended {
                b.ends_at.cmp(&a.ends_at)
            } else {
                a.ends_at.cmp(&b.ends_at)
            };
            a.state
                .cmp(&b.state)
                .then(by_end)
                .then_with(|| a.silence.cmp(&b.silence))
        });
        Ok(rows)
    }
}

#[async_trait]
impl Answers<PreviewSilence> for Alerts {
    async fn answer(&self, cx: &AskContext, query: PreviewSilence) -> Result<SilencePreview, Failure> {
        let conditions = Conditions::new(&query.matchers)?;
        let sight = Sight::of(&cx.granted, cx.environment);
        let snapshot = self.firing()?;
        let mut preview = SilencePreview {
            count: 0,
            rows: Vec::new(),
        };
        for view in snapshot.visible(&sight).filter(|v| conditions.hold(&v.labels)) {
            preview.count += 1;
            if preview.rows.len() < FIRST {
                preview.rows.push(view.clone());
            }
        }
        Ok(preview)
    }
}
