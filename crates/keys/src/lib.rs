//! Sealing content under data keys that can be destroyed. See the README.

mod envelope;
mod master;
mod store;
mod terms;

pub use envelope::{DataKey, KeyId, SealError, Sealed};
pub use master::{MasterKey, MasterKeyError};
pub use store::{KeyError, KeyStore, Reads, Subject, SubjectKind};
pub use terms::TermKey;

/// How long a process may go on with what it remembers of the key store. A retired key seals nothing new after this
/// time, so destroying it waits that long.
pub const MEMORY: std::time::Duration = std::time::Duration::from_secs(60);
