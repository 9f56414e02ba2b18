//! Who really calls when a proxy stands before the console: the limit of sign-in attempts and the list of sessions go by
//! the client's address, and without this every client would have the proxy's.

use anyhow::Context as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bagua_model::settings::{ClientHeader, Listen};
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The proxies whose word on the client's address is taken, and the header in which they say it.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: Arc<[IpNet]>,
    header: ClientHeader,
}

impl Proxies {
    /// Reads `listen.trusted_proxies`.
    ///
    /// # Errors
    /// When an entry is neither an address nor a network.
    pub fn new(listen: &Listen) -> anyhow::Result<Proxies> {
        let network = |text: &String| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .with_context(|| {
                    format!(
                        "the value of `listen.trusted_proxies` cannot be used: `{text}` is neither an address (10.0.0.7) nor \
                         a network (10.0.0.0/24)"
                    )
                })
        };
        Ok(Proxies {
            trusted: listen
                .trusted_proxies
                .iter()
                .map(network)
                .collect::<Result<_, _>>()?,
            header: listen.client_header,
        })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The nearest address that is no trusted proxy's. Whatever stands further from us in the header was written by
    /// somebody whom nobody vouches for: a client that sends the header itself changes nothing.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for hop in self.hops(headers).iter().rev() {
            // A name that hides the client (`unknown`, `_hidden`): the last proxy is all that is known.
            let Some(address) = address_of(hop) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// What the proxies wrote, the farthest first. A header that stands twice is one list.
    fn hops(&self, headers: &HeaderMap) -> Vec<String> {
        let name = match self.header {
            ClientHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ClientHeader::Forwarded => header::FORWARDED,
        };
        let lines = headers.get_all(name);
        let entries = lines
            .iter()
            // What is no text is nobody's address, and must not join its neighbours.
            .map(|line| line.to_str().unwrap_or("unknown"))
            .flat_map(|line| line.split(','));
        match self.header {
            ClientHeader::XForwardedFor => entries.map(|entry| entry.trim().to_owned()).collect(),
            ClientHeader::Forwarded => entries.map(forwarded_for).collect(),
        }
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239), `unknown` without one.
fn forwarded_for(element: &str) -> String {
    element
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
        .map_or("unknown", |(_, value)| value.trim().trim_matches('"'))
        .to_owned()
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address_of(hop: &str) -> Option<IpAddr> {
    let whole = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    whole()
        .or_else(with_port)
        .or_else(in_brackets)
        .map(|address: IpAddr| address.to_canonical())
}

/// Puts the client's address in place of the proxy's, for every handler.
pub async fn address(State(proxies): State<Proxies>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let client = proxies.client(peer.ip(), request.headers());
        if client != peer.ip() {
            // Its port is not known, and nobody asks for it.
            let client = ConnectInfo(SocketAddr::new(client, 0));
            request.extensions_mut().insert(client);
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn proxies(trusted: &[&str], header: ClientHeader) -> Proxies {
        let listen = Listen {
            address: ([127, 0, 0, 1], 3000).into(),
            public_url: "http://localhost:3000".into(),
            trusted_proxies: trusted.iter().map(|&text| text.to_owned()).collect(),
            client_header: header,
        };
        Proxies::new(&listen).unwrap_or_else(|fault| panic!("{fault:#}"))
    }

    fn client(proxies: &Proxies, peer: &str, lines: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let peer = peer.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        proxies.client(peer, &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_the_address_that_it_saw() {
        let proxies = proxies(&["127.0.0.1", "10.0.0.0/8"], ClientHeader::XForwardedFor);
        let of = |peer, line| client(&proxies, peer, &[("x-forwarded-for", line)]);
        assert_eq!(of("127.0.0.1", "192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:127.0.0.1", "192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(of("127.0.0.1", "192.0.2.7, 10.1.2.3"), "192.0.2.7", "two proxies");
        assert_eq!(
            of("198.51.100.1", "192.0.2.7"),
            "198.51.100.1",
            "no proxy of ours"
        );
        assert_eq!(
            of("127.0.0.1", "1.1.1.1, 192.0.2.7"),
            "192.0.2.7",
            "made up by the client"
        );
        assert_eq!(of("127.0.0.1", "1.1.1.1, unknown"), "127.0.0.1");
        assert_eq!(
            of("127.0.0.1", "10.0.0.1"),
            "10.0.0.1",
            "a client in the proxies' own network"
        );
        assert_eq!(of("127.0.0.1", "2001:db8::1"), "2001:db8::1");
        let twice = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(client(&proxies, "127.0.0.1", &twice), "192.0.2.7");
        assert_eq!(client(&proxies, "127.0.0.1", &[]), "127.0.0.1");
        let other = [("forwarded", "for=1.1.1.1")];
        assert_eq!(
            client(&proxies, "127.0.0.1", &other),
            "127.0.0.1",
            "a header that nobody vouches for"
        );
    }

    #[test]
    fn the_standard_header_is_read_in_all_its_spellings() {
        let proxies = proxies(&["127.0.0.1"], ClientHeader::Forwarded);
        let of = |line| client(&proxies, "127.0.0.1", &[("forwarded", line)]);
        assert_eq!(of("for=192.0.2.7"), "192.0.2.7");
        assert_eq!(
            of("for=1.1.1.1, proto=https; For=\"[2001:db8::1]:4711\";by=_x"),
            "2001:db8::1"
        );
        assert_eq!(of("for=\"[2001:db8::1]\""), "2001:db8::1");
        assert_eq!(of("for=_hidden"), "127.0.0.1");
        assert_eq!(of("proto=https"), "127.0.0.1");
    }

    #[test]
    fn without_the_setting_nobody_is_believed() {
        let proxies = proxies(&[], ClientHeader::XForwardedFor);
        let told = client(&proxies, "127.0.0.1", &[("x-forwarded-for", "192.0.2.7")]);
        assert_eq!(told, "127.0.0.1");
    }
}
