//! State is never colour alone: a shape, a colour and the word.

use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::alerts::Severity;
use bagua_model::bots::BotCondition;
use bagua_model::operation::{OperationState, StepState};
use bagua_model::regions::Health;
use bagua_model::text::keys;

/// The class that gives shape and colour, and the word.
fn badge(class: &'static str, word: &'static str) -> Node {
    html! { <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{word}</span> }
}

/// The class of a health.
pub const fn health_class(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Stopped => "stopped",
        Health::Unknown => "unknown",
        Health::Warning => "warning",
        Health::Critical => "critical",
    }
}

/// The word of a health.
pub fn health_word(ui: Ui, health: Health) -> &'static str {
    ui.t(match health {
        Health::Healthy => keys::UI_HEALTH_HEALTHY,
        Health::Stopped => keys::UI_HEALTH_STOPPED,
        Health::Unknown => keys::UI_HEALTH_UNKNOWN,
        Health::Warning => keys::UI_HEALTH_WARNING,
        Health::Critical => keys::UI_HEALTH_CRITICAL,
    })
}

/// Shape and word of a region's or component's state.
pub fn health(ui: Ui, health: Health) -> Node {
    badge(health_class(health), health_word(ui, health))
}

/// The class of what a bot is doing.
pub const fn condition_class(condition: BotCondition) -> &'static str {
    match condition {
        BotCondition::Invalid | BotCondition::Failed => "critical",
        BotCondition::Conflict | BotCondition::Retrying => "warning",
        BotCondition::Unowned => "unknown",
        BotCondition::Starting | BotCondition::Draining => "info",
        BotCondition::Running => "healthy",
        BotCondition::Stopped => "stopped",
    }
}

/// Shape and word of what a bot is doing.
pub fn condition(ui: Ui, condition: BotCondition) -> Node {
    let class = condition_class(condition);
    let word = ui.key(&format!("bot.condition.{condition}"));
    html! { <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{word}</span> }
}

/// The class of a severity.
pub const fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// The word of a severity.
pub fn severity_word(ui: Ui, severity: Severity) -> &'static str {
    ui.t(match severity {
        Severity::Critical => keys::UI_SEVERITY_CRITICAL,
        Severity::Warning => keys::UI_SEVERITY_WARNING,
        Severity::Info => keys::UI_SEVERITY_INFO,
    })
}

/// Shape and word of an alert's severity.
pub fn severity(ui: Ui, severity: Severity) -> Node {
    badge(severity_class(severity), severity_word(ui, severity))
}

/// The word of an operation's state.
pub fn operation_word(ui: Ui, state: OperationState) -> &'static str {
    ui.t(match state {
        OperationState::AwaitingApproval => keys::UI_OPERATION_AWAITING_APPROVAL,
        OperationState::Queued => keys::UI_OPERATION_QUEUED,
        OperationState::Running => keys::UI_OPERATION_RUNNING,
        OperationState::Unwinding => keys::UI_OPERATION_UNWINDING,
        OperationState::NeedsOperator => keys::UI_OPERATION_NEEDS_OPERATOR,
        OperationState::Succeeded => keys::UI_OPERATION_SUCCEEDED,
        OperationState::Failed => keys::UI_OPERATION_FAILED,
        OperationState::Cancelled => keys::UI_OPERATION_CANCELLED,
    })
}

/// Shape and word of an operation's state.
pub fn operation(ui: Ui, state: OperationState) -> Node {
    let class = match state {
        OperationState::AwaitingApproval | OperationState::Unwinding => "warning",
        OperationState::Queued | OperationState::Running => "info",
        OperationState::NeedsOperator | OperationState::Failed => "critical",
        OperationState::Succeeded => "healthy",
        OperationState::Cancelled => "stopped",
    };
    badge(class, operation_word(ui, state))
}

/// Shape and word of a step's state; `None` is a step that has not begun.
pub fn step(ui: Ui, state: Option<StepState>) -> Node {
    match state {
        None => badge("unknown", ui.t(keys::UI_STEP_WAITING)),
        Some(StepState::Started) => badge("info", ui.t(keys::UI_STEP_STARTED)),
        Some(StepState::Done) => badge("healthy", ui.t(keys::UI_STEP_DONE)),
        Some(StepState::Failed) => badge("critical", ui.t(keys::UI_STEP_FAILED)),
        Some(StepState::Undone) => badge("stopped", ui.t(keys::UI_STEP_UNDONE)),
        Some(StepState::UndoFailed) => badge("critical", ui.t(keys::UI_STEP_UNDO_FAILED)),
    }
}
