//! The HTML document around the app.

use crate::App;
use crate::assets::SiteAssets;
use crate::context::AppContext;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::MetaTags;
use std::fmt::Write as _;
use std::sync::Arc;

/// The whole document. Language and theme come from [`AppContext`], which the server provides.
pub fn shell(site: Arc<SiteAssets>) -> impl IntoView {
    let (locale, theme) = use_context::<AppContext>()
        .map(|cx| (cx.locale, cx.theme))
        .unwrap_or_default();
    let nonce = use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
    // Hydration starts when the document is parsed (module scripts are deferred), which is after the data that the
    // server put at its end.
    let messages = site.messages(locale).to_owned();
    let mut start = format!(
        "import init,{{hydrate}} from '{}';\
         const m=fetch('{messages}').then(r=>r.ok?r.text():Promise.reject(r.status));\
         await init({{module_or_path:'{}'}});hydrate(await m);",
        site.js, site.wasm
    );
    // Charts are drawn by a script of their own, which is loaded when the first of them stands in the page.
    if let Some(charts) = &site.charts {
        let _ = write!(
            start,
            "const s=()=>document.querySelector('[data-chart]')&&(o.disconnect(),import('{charts}')),o=new MutationObserver(s);\
             o.observe(document.body,{{childList:true,subtree:true}});s()"
        );
    }
    view! {
        <!DOCTYPE html>
        <html lang=locale.tag() data-theme=theme.as_str()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="stylesheet" href=site.css.clone()/>
                <link rel="icon" id="icon" type="image/svg+xml" href=site.asset("icon.svg")/>
                <link rel="modulepreload" href=site.js.clone() nonce=nonce.clone()/>
                <link rel="preload" href=site.wasm.clone() r#as="fetch" type="application/wasm" crossorigin="anonymous"/>
                <link rel="preload" href=messages r#as="fetch" type="text/plain" crossorigin="anonymous"/>
                <MetaTags/>
                <script type="module" nonce=nonce inner_html=start></script>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}
