//! The browser's entry: panic hook and hydration, nothing else.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the page's start script once the module and the messages of the page's language are loaded.
#[wasm_bindgen]
pub fn hydrate(messages: String) {
    console_error_panic_hook::set_once();
    bagua_app::load_messages(messages);
    bagua_app::when_ready(|| leptos::mount::hydrate_body(bagua_app::App));
}
