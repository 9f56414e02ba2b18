//! Whether every language has every text: `/localization/health`, and what a deployment checks.

use crate::Localization;
use crate::queries::catalogues;
use bagua_model::failure::Failure;
use serde::Serialize;

/// A catalogue that lacks texts or has wrong ones.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Wanting {
    /// The language.
    pub language: String,
    /// The region, or null for every region.
    pub region: Option<String>,
    /// Keys without a text.
    pub missing: u32,
    /// Texts with other placeholders than the English one, or without one.
    pub faulty: u32,
}

/// The answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `healthy`; `degraded` when something is missing or faulty; `empty` when there is no text at all, which is no health.
    pub status: &'static str,
    /// How many catalogues there are.
    pub catalogues: usize,
    /// How many texts there are.
    pub messages: u64,
    /// The catalogues that are not complete.
    pub wanting: Vec<Wanting>,
}

impl Localization {
    /// Looks through all catalogues.
    ///
    /// # Errors
    /// When the control database does not answer.
    pub async fn health(&self) -> Result<Health, Failure> {
        let all = catalogues(&self.db).await?.list();
        let messages = all.iter().map(|c| u64::from(c.messages)).sum();
        let catalogues = all.len();
        let wanting: Vec<_> = all
            .into_iter()
            .filter(|c| c.missing > 0 || c.faulty > 0)
            .map(|c| Wanting {
                language: c.language,
                region: c.region.map(|r| r.as_str().to_owned()),
                missing: c.missing,
                faulty: c.faulty,
            })
            .collect();
        let status = match (messages, wanting.is_empty()) {
            (0, _) => "empty",
            (_, true) => "healthy",
            (_, false) => "degraded",
        };
        Ok(Health {
            status,
            catalogues,
            messages,
            wanting,
        })
    }
}
