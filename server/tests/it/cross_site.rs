//! Requests that other sites cause, and redirects that would lead to them.

use crate::support::{Ground, House, Somebody, head, text};
use axum::body::Body;
use bagua_model::access::Role;
use http::{Request, StatusCode, header};

type Outcome = anyhow::Result<()>;

async fn post(
    house: &House,
    path: &str,
    who: &Somebody,
    headers: &[(&str, &str)],
) -> anyhow::Result<StatusCode> {
    let mut request = Request::post(path)
        .header(header::COOKIE, &who.cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(house
        .send(request.body(Body::from("theme=dark"))?)
        .await?
        .status())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_taken_only_from_the_consoles_own_pages() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let forged: [&[(&str, &str)]; 6] = [
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "http://localhost:3000"),
        ],
        &[("sec-fetch-site", "none")],
    ];
    for path in [
        "/preferences",
        "/sign-out",
        "/sign-in",
        "/welcome",
        "/submit/person.create",
        "/rpc/submit",
    ] {
        for headers in forged {
            assert_eq!(
                post(&house, path, &me, headers).await?,
                StatusCode::FORBIDDEN,
                "{path} {headers:?}"
            );
        }
    }
    for headers in [
        &[("origin", "http://localhost:3000")],
        &[("sec-fetch-site", "same-origin")],
    ] {
        assert_eq!(
            post(&house, "/preferences", &me, headers).await?,
            StatusCode::SEE_OTHER,
            "{headers:?}"
        );
    }
    assert!(
        house.somebody(me.token.clone()).await.is_ok(),
        "no forged sign-out ended the session"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_answers_under_its_own_names_only() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    for (host, status) in [
        ("localhost:3000", StatusCode::OK),
        ("LOCALHOST:3000", StatusCode::OK),
        ("127.0.0.1:3000", StatusCode::OK),
        ("[::1]:3000", StatusCode::OK),
        ("localhost", StatusCode::MISDIRECTED_REQUEST),
        ("rebound.example:3000", StatusCode::MISDIRECTED_REQUEST),
        ("localhost:3000.evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        for path in ["/healthz", "/sign-in", "/pkg/bagua.0123456789abcdef.js"] {
            let request = Request::get(path)
                .header(header::HOST, host)
                .body(Body::empty())?;
            assert_eq!(house.send(request).await?.status(), status, "{host} {path}");
        }
    }
    Ok(())
}

const ELSEWHERE: [&str; 9] = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/\u{b}/evil.example",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_leads_to_another_site() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    for next in ELSEWHERE {
        let fields = [
            ("email", "ada@example.org"),
            ("password", crate::support::PASSWORD),
            ("next", next),
        ];
        let response = house.post("/sign-in", &fields, None).await?;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(head(&response, "location"), "/", "next={next:?}");
        let response = house
            .post("/preferences", &[("theme", "dark"), ("back", next)], Some(&me))
            .await?;
        assert_eq!(head(&response, "location"), "/", "back={next:?}");
    }
    let fields = [
        ("email", "ada@example.org"),
        ("password", crate::support::PASSWORD),
        ("next", "/alerts?severity=critical"),
    ];
    assert_eq!(
        head(&house.post("/sign-in", &fields, None).await?, "location"),
        "/alerts?severity=critical"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_an_address_cannot_add_headers_or_markup() -> Outcome {
    let ground = Ground::new().await?;
    let house = ground.house()?;
    let me = house.person("Ada", Role::Administrator, None).await?;
    let back = "/alerts\r\nset-cookie: bagua_session=mine";
    let response = house
        .post("/preferences", &[("theme", "dark"), ("back", back)], Some(&me))
        .await?;
    assert!(crate::support::set_cookie(&response, "bagua_session").is_none());
    // A theme or language that nobody offers does not reach the cookie.
    let odd = [
        ("theme", "dark; Domain=evil.example"),
        ("locale", "en; Domain=evil.example"),
    ];
    let response = house.post("/preferences", &odd, Some(&me)).await?;
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        assert!(!cookie.to_str()?.contains("evil"), "{cookie:?}");
    }
    let path = "/operations/new?kind=%3Cscript%3Ealert(1)%3C%2Fscript%3E&input=%3C%2Fscript%3E%3Cscript%3Ealert(2)%3C%2Fscript%3E";
    let html = text(house.get(path, Some(&me)).await?).await?;
    assert!(
        !html.contains("<script>alert"),
        "markup from the address stands in the page"
    );
    let html = text(
        house
            .get("/sign-in?next=%22%3E%3Cscript%3Ealert(3)%3C/script%3E", None)
            .await?,
    )
    .await?;
    assert!(!html.contains("<script>alert"));
    Ok(())
}
