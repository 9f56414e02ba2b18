//! The little servers that the engines talk to: where Alertmanager posts, what Prometheus scrapes, and a cable to the
//! database that can be cut.

use bagua_alerts::Alerts;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The console's side of the webhook, over real HTTP.
#[derive(Clone, Default)]
pub struct Hook {
    room: Arc<Mutex<Option<Arc<Alerts>>>>,
    /// Notifications are answered with 200 and lost.
    pub loses: Arc<AtomicBool>,
    /// Every body that came, lost or not.
    pub posted: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Hook {
    pub async fn listen(&self) -> anyhow::Result<String> {
        let hook = self.clone();
        serve(move |head, body| {
            let hook = hook.clone();
            async move { hook.take(&head, &body).await }
        })
        .await
    }

    pub fn goes_to(&self, room: &Arc<Alerts>) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(room));
    }

    async fn take(&self, head: &HashMap<String, String>, body: &[u8]) -> (u16, String) {
        self.posted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(body.to_vec());
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(room) = room else {
            return (503, String::new());
        };
        if self.loses.load(Ordering::SeqCst) {
            return (200, String::new());
        }
        match room
            .webhook(body, head.get("authorization").map(String::as_str))
            .await
        {
            Ok(_) => (200, String::new()),
            Err(error) => (error.status(), error.to_string()),
        }
    }
}

/// A page of metrics with the one figure that the rule looks at.
pub async fn metrics_page(broken: Arc<AtomicBool>) -> anyhow::Result<String> {
    serve(move |_, _| {
        let value = u8::from(broken.load(Ordering::SeqCst));
        let page = format!("broken{{region=\"eu-west-1\",component=\"gateway\"}} {value}\n");
        async move { (200, page) }
    })
    .await
}

/// Serves HTTP/1.1 on a free port until the runtime ends; one answer per connection.
async fn serve<F, A>(answer: F) -> anyhow::Result<String>
where
    F: Fn(HashMap<String, String>, Vec<u8>) -> A + Clone + Send + 'static,
    A: Future<Output = (u16, String)> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut head = HashMap::new();
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                loop {
                    line.clear();
                    stream.read_line(&mut line).await?;
                    let Some((name, value)) = line.trim_end().split_once(": ") else {
                        break;
                    };
                    head.insert(name.to_ascii_lowercase(), value.to_owned());
                }
                let length = head
                    .get("content-length")
                    .and_then(|l| l.parse().ok())
                    .unwrap_or(0);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await?;
                let (status, text) = answer(head, body).await;
                let reply = format!(
                    "HTTP/1.1 {status} .\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                stream.get_mut().write_all(reply.as_bytes()).await?;
                stream.get_mut().shutdown().await
            });
        }
    });
    Ok(url)
}

/// A cable between the console and the real database.
pub struct Cable {
    pub port: u16,
    to: (String, u16),
    line: AbortHandle,
}

impl Cable {
    pub async fn lay(host: &str, port: u16) -> anyhow::Result<Cable> {
        let to = (host.to_owned(), port);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Cable {
            port: listener.local_addr()?.port(),
            line: carry(listener, to.clone()),
            to,
        })
    }

    /// Cuts every connection and refuses new ones.
    pub fn cut(&self) {
        self.line.abort();
    }

    pub async fn mend(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.line = carry(listener, self.to.clone());
        Ok(())
    }
}

fn carry(listener: TcpListener, to: (String, u16)) -> AbortHandle {
    tokio::spawn(async move {
        // Dropped, and with it every connection, when the line is cut.
        let mut open = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let to = to.clone();
            open.spawn(async move {
                let mut far = TcpStream::connect(to).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    })
    .abort_handle()
}
