//! Pages: headers, policy, who may see them, and the files beside them.

use crate::support::{Ground, HOME, head, text};
use axum::body::Body;
use bagua_model::access::Role;
use http::{Request, StatusCode, header};

type Outcome = anyhow::Result<()>;

const PAGES: [&str; 13] = [
    "/",
    "/alerts",
    "/operations",
    "/operations/new?kind=component.restart&input=%7B%22component%22%3A%22eu-west-1%2Fgateway%22%7D",
    "/approvals",
    "/schedules",
    "/audit",
    "/access",
    "/access/tokens",
    "/bots",
    "/preferences",
    "/localization?language=zh-CN",
    "/no-such-page",
];

/// The tags of one name, each with its attributes.
fn tags<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let open = format!("<{name}");
    html.match_indices(&open)
        .filter(|(at, _)| html[at + open.len()..].starts_with([' ', '>']))
        .filter_map(|(at, _)| html[at..].split('>').next())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_runs_nothing_that_does_not_carry_its_own_nonce() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let mut nonces = Vec::new();
    for path in PAGES {
        let response = house.get(path, Some(&me)).await?;
        let expected = if path == "/no-such-page" {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        assert_eq!(response.status(), expected, "{path}");
        let policy = head(&response, "content-security-policy");
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or_default()
            .to_owned();
        assert!(nonce.len() >= 16, "{path}: {policy}");
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
            "{path}: {policy}"
        );
        for directive in [
            "default-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        let html = text(response).await?;
        for name in ["script", "style"] {
            for tag in tags(&html, name) {
                assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "{path}: {tag}");
            }
        }
        assert!(!tags(&html, "script").is_empty(), "{path} has no script to judge");
        for inline in [" style=\"", " onclick=", " onload=", "javascript:"] {
            assert!(!html.contains(inline), "{path} has {inline}");
        }
        nonces.push(nonce);
    }
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), PAGES.len(), "a nonce was used twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_one_persons_view_and_is_kept_nowhere() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    for (path, who) in PAGES
        .iter()
        .map(|path| (*path, Some(&me)))
        .chain([("/sign-in", None)])
    {
        let response = house.get(path, who).await?;
        assert_eq!(head(&response, "cache-control"), "no-store", "{path}");
        assert_eq!(head(&response, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(head(&response, "x-frame-options"), "DENY", "{path}");
        assert_eq!(head(&response, "referrer-policy"), "same-origin", "{path}");
        assert_eq!(
            head(&response, "cross-origin-opener-policy"),
            "same-origin",
            "{path}"
        );
        assert!(head(&response, "content-type").starts_with("text/html"), "{path}");
        assert_eq!(
            head(&response, "strict-transport-security"),
            "",
            "over HTTP it would lock the reader out"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_carry_an_id_that_the_client_cannot_choose() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let chosen = Request::get("/healthz").header("x-request-id", "chosen\tby me");
    let first = house.send(chosen.body(Body::empty())?).await?;
    let second = house.get("/healthz", None).await?;
    let (first, second) = (head(&first, "x-request-id"), head(&second, "x-request-id"));
    assert!(
        first.len() == 32 && first.bytes().all(|b| b.is_ascii_hexdigit()),
        "{first}"
    );
    assert_ne!(first, second);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_cookies_and_the_browser_stay_on_https() -> Outcome {
    let mut ground = Ground::new().await?;
    ground.settings.listen.public_url = "https://console.example.org".into();
    let house = ground.house()?;
    house.person("Ada", Role::Viewer, None).await?;
    let sign_in = Request::post("/sign-in")
        .header(header::HOST, "console.example.org")
        .header(header::ORIGIN, "https://console.example.org")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = serde_urlencoded::to_string([
        ("email", "ada@example.org"),
        ("password", crate::support::PASSWORD),
    ])?;
    let response = house.send(sign_in.body(Body::from(form))?).await?;
    assert_eq!(head(&response, "strict-transport-security"), "max-age=31536000");
    let cookie = crate::support::set_cookie(&response, "bagua_session").unwrap();
    for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_is_not_signed_in_is_asked_to_and_comes_back_to_where_they_were_going() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    for (path, to) in [
        ("/", "/sign-in"),
        (
            "/alerts?severity=critical",
            "/sign-in?next=%2Falerts%3Fseverity%3Dcritical",
        ),
        ("/no-such-page", "/sign-in?next=%2Fno-such-page"),
    ] {
        let response = house.get(path, None).await?;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{path}");
        assert_eq!(head(&response, "location"), to);
    }
    for public in ["/sign-in", "/welcome?token=none", "/reset?token=none"] {
        assert_eq!(
            house.get(public, None).await?.status(),
            StatusCode::OK,
            "{public}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_refuses_what_its_reader_may_not_see_and_shows_none_of_it() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    house.person("Grace", Role::Administrator, None).await?;
    let viewer = house.person("Vera", Role::Viewer, Some(HOME)).await?;
    let html = text(house.get("/access", Some(&viewer)).await?).await?;
    assert!(!html.contains("grace@example.org"));
    let html = text(house.get("/audit", Some(&viewer)).await?).await?;
    assert!(
        !html.contains("cli:test"),
        "the audit log's records are not the viewer's"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_compressed_cached_for_ever_under_hashed_names_and_nothing_else_is_served() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let css = "/pkg/bagua.0123456789abcdef.css";
    let brotli = Request::get(css)
        .header(header::ACCEPT_ENCODING, "gzip;q=0.8, br")
        .body(Body::empty())?;
    let response = house.send(brotli).await?;
    assert_eq!(head(&response, "content-encoding"), "br");
    assert_eq!(
        head(&response, "cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert!(head(&response, "vary").contains("accept-encoding"));
    assert_eq!(text(response).await?, "brotli");

    let response = house.get(css, None).await?;
    assert_eq!(head(&response, "content-encoding"), "");
    assert_eq!(head(&response, "content-type"), "text/css; charset=utf-8");
    assert_eq!(text(response).await?, "body{}");

    let response = house.get("/favicon.ico", None).await?;
    assert_eq!(head(&response, "content-type"), "image/svg+xml");
    assert_eq!(head(&response, "cache-control"), "public, max-age=300");

    for absent in [
        "/pkg/other.js",
        "/pkg/../manifest.json",
        "/pkg/..%2fmanifest.json",
        "/assets/%2e%2e/manifest.json",
    ] {
        let response = house.get(absent, None).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{absent}");
        assert_eq!(
            head(&response, "cache-control"),
            "",
            "a file that is missing now may be there after an upgrade"
        );
    }
    Ok(())
}
