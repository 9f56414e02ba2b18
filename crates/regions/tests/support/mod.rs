//! A stand-in for the supervisor's socket, only to make faults that a real supervisor cannot be asked for: lost
//! replies, 500s, silence. The real supervisor is exercised in the server's end-to-end tests.

use bagua_core::Clock;
use bagua_model::supervisor::{
    Action, ComponentStatus, ControlRequest, Desired, ProcessState, Refusal, RefusalReason, RequestOutcome,
    RequestStatus,
};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

/// What goes wrong with the next wish.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is carried out, and the connection ends without an answer.
    ReplyLost,
    /// It is answered with a 500 and not carried out.
    Error500,
    /// It is carried out; the answer comes after the asker has given up.
    Late,
    /// It is accepted, and fails.
    Fails,
    /// It is accepted, and the component never becomes ready.
    NeverReady,
}

#[derive(Default)]
struct State {
    components: BTreeMap<String, ComponentStatus>,
    requests: HashMap<Uuid, RequestStatus>,
    effects: Vec<(String, Action)>,
    faults: VecDeque<Fault>,
}

/// The stand-in.
#[derive(Clone)]
pub struct Supervisor {
    state: Arc<Mutex<State>>,
    socket: PathBuf,
}

impl Supervisor {
    /// Listens in `folder`, with these components running.
    pub fn start(folder: &Path, components: &[&str]) -> std::io::Result<Supervisor> {
        let socket = folder.join("supervisor.sock");
        let listener = UnixListener::bind(&socket)?;
        let mut state = State::default();
        for id in components {
            state.components.insert((*id).to_owned(), running(id, 1));
        }
        let supervisor = Supervisor {
            state: Arc::new(Mutex::new(state)),
            socket,
        };
        let serving = supervisor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        Ok(supervisor)
    }

    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// What happened to processes, in order.
    pub fn effects(&self) -> Vec<(String, Action)> {
        self.lock().effects.clone()
    }

    pub fn fault(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// Changes a component behind the console's back.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut ComponentStatus)) {
        if let Some(status) = self.lock().components.get_mut(id) {
            change(status);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, mut stream: UnixStream) -> Option<()> {
        let (path, body) = read_request(&mut stream).await?;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (status, answer) = match parts.as_slice() {
            ["components"] => {
                let all: Vec<_> = self.lock().components.values().cloned().collect();
                (200, serde_json::to_value(all).ok()?)
            }
            ["components", region, service] => {
                match self.lock().components.get(&format!("{region}/{service}")) {
                    Some(status) => (200, serde_json::to_value(status).ok()?),
                    None => refusal(RefusalReason::UnknownComponent)?,
                }
            }
            ["requests", id] => match self.lock().requests.get(&id.parse().ok()?) {
                Some(status) => (200, serde_json::to_value(status).ok()?),
                None => refusal(RefusalReason::UnknownRequest)?,
            },
            ["components", region, service, action] => {
                let action = match *action {
                    "start" => Action::Start,
                    "stop" => Action::Stop,
                    _ => Action::Restart,
                };
                let wish: ControlRequest = serde_json::from_slice(&body).ok()?;
                let fault = self.lock().faults.pop_front();
                if matches!(fault, Some(Fault::Error500)) {
                    (500, serde_json::Value::String("a fault".into()))
                } else {
                    let status = self.carry_out(&format!("{region}/{service}"), action, &wish, fault)?;
                    match fault {
                        Some(Fault::ReplyLost) => return None,
                        Some(Fault::Late) => tokio::time::sleep(Duration::from_secs(5)).await,
                        _ => {}
                    }
                    (202, serde_json::to_value(status).ok()?)
                }
            }
            _ => refusal(RefusalReason::Malformed)?,
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(answer.as_bytes()).await.ok()
    }

    fn carry_out(
        &self,
        id: &str,
        action: Action,
        wish: &ControlRequest,
        fault: Option<Fault>,
    ) -> Option<RequestStatus> {
        let mut state = self.lock();
        if let Some(known) = state.requests.get(&wish.request) {
            return Some(known.clone());
        }
        state.effects.push((id.to_owned(), action));
        let component = state.components.get_mut(id)?;
        let before = component.generation;
        let removed_pid = component.pid;
        match action {
            Action::Stop => {
                component.state = ProcessState::Stopped;
                component.desired = Desired::Stopped;
                component.pid = None;
            }
            Action::Start | Action::Restart => {
                *component = running(id, before + 1);
                if matches!(fault, Some(Fault::NeverReady)) {
                    component.state = ProcessState::CrashLooping;
                    component.pid = None;
                }
            }
        }
        let failed = matches!(fault, Some(Fault::Fails));
        let status = RequestStatus {
            request: wish.request,
            component: id.to_owned(),
            action,
            outcome: if failed {
                RequestOutcome::Failed
            } else {
                RequestOutcome::Done
            },
            received: Clock::system().now(),
            generation_before: before,
            generation_after: Some(component.generation),
            removed_pid,
            killed: false,
            failure: failed.then(|| "it ended by itself (exit status: 1)".to_owned()),
        };
        state.requests.insert(wish.request, status.clone());
        Some(status)
    }
}

fn running(id: &str, generation: u64) -> ComponentStatus {
    let (region, service) = id.split_once('/').unwrap_or((id, ""));
    ComponentStatus {
        component: id.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        state: ProcessState::Running,
        desired: Desired::Running,
        pid: u32::try_from(1_000 + generation).ok(),
        since: Clock::system().now(),
        restarts: generation - 1,
        crashes: 0,
        last_exit: None,
        next_start: None,
        port: 1,
        generation,
        critical: id == "global/postgres",
        cpu_seconds: None,
        memory_bytes: None,
    }
}

fn refusal(reason: RefusalReason) -> Option<(u16, serde_json::Value)> {
    let refusal = Refusal {
        reason,
        message: "no".into(),
        generation: None,
    };
    Some((404, serde_json::to_value(refusal).ok()?))
}

async fn read_request(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut heard = Vec::new();
    let head = loop {
        let mut part = [0; 1024];
        let n = stream.read(&mut part).await.ok()?;
        if n == 0 {
            return None;
        }
        heard.extend_from_slice(&part[..n]);
        if let Some(end) = heard.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8_lossy(&heard[..head]).to_ascii_lowercase();
    let length: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|n| n.trim().parse().ok())
        .unwrap_or(0);
    let mut body = heard.split_off(head + 4);
    while body.len() < length {
        let mut part = [0; 1024];
        let n = stream.read(&mut part).await.ok()?;
        if n == 0 {
            return None;
        }
        body.extend_from_slice(&part[..n]);
    }
    let path = text.lines().next()?.split(' ').nth(1)?.to_owned();
    Some((path, body))
}
