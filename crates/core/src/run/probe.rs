//! The crash harness's way into a run.

use bagua_model::operation::OperationId;
use std::sync::Arc;

/// A moment at which the crash harness may step in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// The step is about to be written down as started.
    BeforeStep,
    /// It is written down as started; nothing has happened yet.
    Started,
    /// The effect has happened (or the transaction's rows are written, not committed); the memo is not.
    Acted,
    /// The memo is committed.
    Remembered,
    /// An undo is about to run.
    BeforeUndo,
    /// The undo has run; that is not yet written down.
    UndoActed,
    /// The undo is written down.
    Undone,
    /// Everything has run; the end is about to be written.
    BeforeFinish,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The operation.
    pub operation: OperationId,
    /// Its kind.
    pub kind: String,
    /// The worker's attempt.
    pub attempt: i32,
    /// The step; empty at [`Moment::BeforeFinish`].
    pub step: String,
    /// The moment.
    pub moment: Moment,
}

/// What the harness makes of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    GoOn,
    /// The worker stops here as if killed: it writes nothing more and does not give its lease back.
    Vanish,
    /// The step fails here for good.
    Fail,
}

/// The crash harness's way in; no configuration leads to it.
pub type Probe = Arc<dyn Fn(&Point) -> Fate + Send + Sync>;
