//! An address that leads nowhere.

use crate::i18n::Ui;
use crate::rpc::AppError;
use crate::ui::node::Node;
use crate::ui::page_failed;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Text, keys};

/// The page, with status 404.
pub fn page() -> Node {
    page_failed(
        Ui::get(),
        &AppError(Failure::new(
            FailureKind::NotFound,
            Text::new(keys::UI_ERROR_NO_PAGE),
        )),
    )
}
