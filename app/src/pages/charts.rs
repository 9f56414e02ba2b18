//! What the pages with charts ask: the figures, what happened meanwhile, and the options by which ECharts draws them.
//!
//! Asked as one question, because the options are made on the server: the browser would need the whole of it twice.

use crate::asked::Payload;
use crate::rpc::Answered;
use bagua_model::platform::PlatformView;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
pub use server::charts;

/// Which page's charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChartsOf {
    /// One component's. The key: its id, and the range.
    Component,
    /// API, database, cache and queues. The key: the range.
    Performance,
    /// What users do. The key: the range.
    Business,
}

/// The option of each chart, in their order. On the page they stand in the markup already, so they do not travel in
/// the page's data once more; the browser's own questions bring them along.
pub type Options = Vec<String>;

/// A component's trends, what happened to it and to its region meanwhile.
#[derive(Clone, Serialize, Deserialize)]
pub struct ComponentCharts {
    /// The trends.
    pub trends: Payload,
    /// The event log of that time, twice: the component's own, and its region's.
    pub events: [Answered<Payload>; 2],
    /// For ECharts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Options,
}

/// A page of the platform.
#[derive(Clone, Serialize, Deserialize)]
pub struct PlatformCharts {
    /// The figures.
    pub view: PlatformView,
    /// For ECharts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Options,
}

#[cfg(feature = "ssr")]
mod server {
    use super::{ChartsOf, ComponentCharts, PlatformCharts};
    use crate::asked::{Payload, Typed};
    use crate::i18n::Ui;
    use crate::pages::{component, platform};
    use crate::rpc::{Answered, AppError, ask_payload};
    use crate::ui::chart::{Plot, option};
    use crate::ui::range::Range;
    use bagua_model::failure::{Failure, FailureKind};
    use bagua_model::operation::RecentEvents;
    use bagua_model::platform::{GetBusiness, GetPerformance, PlatformView};
    use bagua_model::regions::{ComponentId, GetTrends, TrendsView};
    use bagua_model::text::{Text, keys};
    use bagua_model::verbs::Query;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::value::{RawValue, to_raw_value};
    use std::any::Any;
    use std::sync::Arc;
    use time::OffsetDateTime;

    /// What happened to a component that explains a turn of its lines.
    const ITS_OWN: [&str; 4] = [
        "component",
        "operation.succeeded",
        "operation.failed",
        "operation.cancelled",
    ];
    /// What happens to a whole region.
    const OF_THE_REGION: [&str; 2] = ["deployment", "incident"];

    /// An answer whose options stay out of the page's data.
    struct OnPage<T>(T, fn(&T) -> T);

    impl<T: Serialize + Send + Sync + 'static> Typed for OnPage<T> {
        fn raw(&self) -> serde_json::Result<Box<RawValue>> {
            to_raw_value(&(self.1)(&self.0))
        }

        fn value(&self) -> &dyn Any {
            &self.0
        }
    }

    /// Asks. `travels`: the answer goes to the browser by itself, and not inside a page whose markup has the options.
    pub async fn charts(of: ChartsOf, key: String, travels: bool) -> Answered<Payload> {
        // Before the first await: the context is gone after it.
        let ui = Ui::here();
        match of {
            ChartsOf::Component => {
                let (component, range) = read::<(ComponentId, Range)>(&key)?;
                let drawn = of_component(ui, component, range).await?;
                Ok(answer(drawn, travels, |all| ComponentCharts {
                    options: Vec::new(),
                    ..all.clone()
                }))
            }
            ChartsOf::Performance => {
                let Range {
                    minutes, from, until, ..
                } = read(&key)?;
                of_platform(ui, GetPerformance { minutes, from, until }, travels).await
            }
            ChartsOf::Business => {
                let Range {
                    minutes, from, until, ..
                } = read(&key)?;
                of_platform(ui, GetBusiness { minutes, from, until }, travels).await
            }
        }
    }

    fn answer<T: Serialize + Send + Sync + 'static>(drawn: T, travels: bool, bare: fn(&T) -> T) -> Payload {
        if travels {
            Payload::typed(drawn)
        } else {
            Payload::Typed(Arc::new(OnPage(drawn, bare)))
        }
    }

    fn read<T: DeserializeOwned>(key: &str) -> Answered<T> {
        serde_json::from_str(key).map_err(|_| {
            AppError(Failure::new(
                FailureKind::Invalid,
                Text::new(keys::UI_ERROR_OTHER_VERSION),
            ))
        })
    }

    /// Reads the trends, then the event log for just the time that they cover.
    async fn of_component(ui: Ui, component: ComponentId, range: Range) -> Answered<ComponentCharts> {
        let asked = ask_payload(GetTrends {
            component: component.clone(),
            minutes: range.minutes,
            from: range.from,
            until: range.until,
        });
        let trends = asked.await?;
        let (since, before) = trends.read(|t: &TrendsView| (t.from, t.until + t.step))?;
        let time = |unix| OffsetDateTime::from_unix_timestamp(unix).ok();
        let events = |kinds: &[&str], subject, region| {
            ask_payload(RecentEvents {
                subject,
                region,
                kinds: kinds.iter().map(|k| (*k).to_owned()).collect(),
                since: time(since),
                before: time(before),
                limit: 200,
            })
        };
        let own = events(&ITS_OWN, Some(format!("component:{component}")), None);
        let around = events(&OF_THE_REGION, None, Some(component.region.clone()));
        let (own, around) = futures::join!(own, around);
        let events = [own, around];
        let (marks, _) = component::marks(ui, &events);
        let options = trends.read(|view: &TrendsView| {
            let option = |t| option::option(ui, view.into(), &Plot::of(ui, t), &marks);
            view.trends.iter().map(option).collect()
        })?;
        Ok(ComponentCharts {
            trends,
            events,
            options,
        })
    }

    async fn of_platform<Q>(ui: Ui, query: Q, travels: bool) -> Answered<Payload>
    where
        Q: Query<Answer = PlatformView>,
    {
        let view = ask_payload(query).await?.read(PlatformView::clone)?;
        let options = view
            .trends
            .iter()
            .map(|trend| {
                platform::with_plot(ui, &view, trend, |window, plot| {
                    option::option(ui, window, plot, &[])
                })
            })
            .collect();
        Ok(answer(PlatformCharts { view, options }, travels, |all| {
            PlatformCharts {
                options: Vec::new(),
                ..all.clone()
            }
        }))
    }
}
