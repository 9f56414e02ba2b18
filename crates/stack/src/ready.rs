//! One look whether a process answers. Every look has a time-out; none of them sleeps.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::Ready;

/// One look may take this long: a frozen process accepts connections and then says nothing.
const LOOK: Duration = Duration::from_secs(2);

/// Whether it answers now.
pub(crate) async fn look(ready: &Ready, port: u16) -> bool {
    let answer = async {
        match ready {
            Ready::Spawned => Some(true),
            Ready::Http(path) => http(port, path).await,
            Ready::Postgres => postgres(port).await,
            Ready::Redis(password) => redis(port, password.expose()).await,
        }
    };
    tokio::time::timeout(LOOK, answer)
        .await
        .ok()
        .flatten()
        .unwrap_or(false)
}

async fn exchange(port: u16, say: &[u8], want: usize) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(say).await.ok()?;
    let mut heard = Vec::with_capacity(want);
    while heard.len() < want {
        let mut part = [0; 64];
        match stream.read(&mut part).await.ok()? {
            0 => break,
            count => heard.extend_from_slice(part.get(..count)?),
        }
    }
    Some(heard)
}

/// The status line is enough, so no HTTP client is needed.
async fn http(port: u16, path: &str) -> Option<bool> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bagua-supervisor\r\nConnection: close\r\n\r\n"
    );
    let answer = exchange(port, request.as_bytes(), 12).await?;
    Some(answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200"))
}

/// A start-up message: PostgreSQL answers `R` (asks for a password) when it is ready and `E` while it is not.
async fn postgres(port: u16) -> Option<bool> {
    let body = b"user\0bagua_monitor\0database\0postgres\0\0";
    let mut message = Vec::new();
    message.extend_from_slice(&u32::try_from(body.len() + 8).ok()?.to_be_bytes());
    message.extend_from_slice(&196_608_u32.to_be_bytes());
    message.extend_from_slice(body);
    Some(exchange(port, &message, 1).await?.first() == Some(&b'R'))
}

async fn redis(port: u16, password: &str) -> Option<bool> {
    let say = format!("AUTH {password}\r\nPING\r\n");
    let answer = exchange(port, say.as_bytes(), b"+OK\r\n+PONG\r\n".len()).await?;
    Some(answer.ends_with(b"+PONG\r\n"))
}
