//! What must survive a restart of the supervisor: what is wished of each component, how many processes it has had,
//! and which requests were received. One small file, replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bagua_model::supervisor::{Desired, RequestOutcome, RequestStatus};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::StackError;
use crate::files;

/// This many requests are remembered; an operation that repeats a step does so long before.
const REQUESTS_KEPT: usize = 256;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    desired: Desired,
    generation: u64,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            desired: Desired::Running,
            generation: 0,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    components: BTreeMap<String, Remembered>,
    /// Oldest first.
    requests: Vec<RequestStatus>,
}

/// The file, in memory and on disk.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    content: Mutex<Content>,
    /// Grows whenever a request changed, so that waiters look again.
    changes: watch::Sender<u64>,
}

impl StateFile {
    /// Reads the file; a missing one means that everything should run.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn load(path: &Path) -> Result<Self, StackError> {
        let mut content: Content = match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| StackError::State {
                path: path.to_owned(),
                detail: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(StackError::file("Reading", path, error)),
        };
        for request in &mut content.requests {
            if request.outcome == RequestOutcome::Pending {
                // What it wished was written down with it; the old process died with the old supervisor, and the new
                // one starts what should run. So it has come true.
                request.outcome = RequestOutcome::Done;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            content: Mutex::new(content),
            changes: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, content: &Content) -> Result<(), StackError> {
        let text = serde_json::to_string(content).map_err(|error| StackError::State {
            path: self.path.clone(),
            detail: error.to_string(),
        })?;
        files::write(&self.path, &text, 0o600, None)
    }

    /// What a component should do.
    pub(crate) fn desired(&self, component: &str) -> Desired {
        self.lock()
            .components
            .get(component)
            .copied()
            .unwrap_or_default()
            .desired
    }

    /// How many processes a component has had.
    pub(crate) fn generation(&self, component: &str) -> u64 {
        self.lock()
            .components
            .get(component)
            .copied()
            .unwrap_or_default()
            .generation
    }

    /// Counts a new process.
    pub(crate) fn next_generation(&self, component: &str) -> u64 {
        let mut content = self.lock();
        let remembered = content.components.entry(component.to_owned()).or_default();
        remembered.generation += 1;
        let generation = remembered.generation;
        if let Err(error) = self.save(&content) {
            // A component that runs uncounted is better than one that does not run.
            tracing::warn!(%error, component, "the generation could not be written down");
        }
        generation
    }

    /// A request that was received before.
    pub(crate) fn request(&self, id: Uuid) -> Option<RequestStatus> {
        self.lock()
            .requests
            .iter()
            .rev()
            .find(|request| request.request == id)
            .cloned()
    }

    /// The request that is under way for a component.
    pub(crate) fn pending(&self, component: &str) -> Option<RequestStatus> {
        let content = self.lock();
        content
            .requests
            .iter()
            .find(|request| request.component == component && request.outcome == RequestOutcome::Pending)
            .cloned()
    }

    /// Writes down a request together with what it wishes, before anything is done for it.
    pub(crate) fn accept(&self, request: RequestStatus, desired: Desired) -> Result<(), StackError> {
        let mut content = self.lock();
        let component = request.component.clone();
        let before = content.components.get(&component).copied();
        content.components.entry(component.clone()).or_default().desired = desired;
        content.requests.push(request);
        if let Err(error) = self.save(&content) {
            content.requests.pop();
            match before {
                Some(before) => content.components.insert(component, before),
                None => content.components.remove(&component),
            };
            return Err(error);
        }
        while content.requests.len() > REQUESTS_KEPT {
            let Some(oldest) = content
                .requests
                .iter()
                .position(|old| old.outcome != RequestOutcome::Pending)
            else {
                break;
            };
            content.requests.remove(oldest);
        }
        Ok(())
    }

    /// Changes a request that is under way.
    pub(crate) fn update(&self, id: Uuid, change: impl FnOnce(&mut RequestStatus)) {
        let mut content = self.lock();
        if let Some(request) = content
            .requests
            .iter_mut()
            .rev()
            .find(|request| request.request == id)
        {
            change(request);
        }
        if let Err(error) = self.save(&content) {
            tracing::warn!(%error, "the end of a request could not be written down");
        }
        drop(content);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Sees every change of a request.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
