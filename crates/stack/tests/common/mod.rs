//! What the tests of the supervisor share.

use std::future::Future;
use std::time::Duration;

/// Waits for a state, never for a time: fails when it has not come after 20 s.
pub async fn until<F, T>(what: &str, mut look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.map_err(|_| anyhow::anyhow!("never came: {what}"))
}

/// A page as text; `None` when nobody answers.
pub async fn page(url: &str) -> Option<String> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()
        .ok()?;
    client.get(url).send().await.ok()?.text().await.ok()
}

/// Whether a process runs (a zombie does not).
pub fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    })
}

/// A process's state letter: `T` is frozen.
pub fn letter(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
