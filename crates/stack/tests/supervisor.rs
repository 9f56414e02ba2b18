//! The supervisor with real processes, asked over its real socket.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bagua_model::supervisor::{
    Action, ComponentStatus, ControlRequest, Desired, ProcessState, Refusal, RefusalReason, RequestOutcome,
    RequestStatus,
};
use bagua_stack::{ProcessSpec, Ready, Spawner, StateFile, Supervisor, Timing};
use common::{letter, lives, page, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use uuid::Uuid;

struct House {
    supervisor: Arc<Supervisor>,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

fn shell(folder: &Path, service: &str, script: &str) -> ProcessSpec {
    ProcessSpec {
        region: "ap-east-1".into(),
        service: service.into(),
        port: 1,
        critical: false,
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![],
        inherit_environment: false,
        folder: folder.to_owned(),
        log: folder.join(format!("{service}.log")),
        run_as: None,
        death_signal: Signal::SIGKILL,
        stop_signal: Signal::SIGTERM,
        ready: Ready::Spawned,
        data: None,
        timing: Timing {
            grace: Duration::from_millis(500),
            first_wait: Duration::from_millis(20),
            ready_within: Duration::from_millis(500),
            ..Timing::default()
        },
    }
}

impl House {
    fn build(make: impl FnOnce(&Path) -> Vec<ProcessSpec>) -> anyhow::Result<Self> {
        Self::build_in(tempfile::tempdir()?, make)
    }

    fn build_in(
        folder: tempfile::TempDir,
        make: impl FnOnce(&Path) -> Vec<ProcessSpec>,
    ) -> anyhow::Result<Self> {
        let state = StateFile::load(&folder.path().join("desired.json"))?;
        let specs = make(folder.path());
        let ids: Vec<String> = specs.iter().map(ProcessSpec::id).collect();
        let supervisor = Supervisor::new(specs, &Spawner::new()?, state);
        for id in ids {
            supervisor.launch(&id);
        }
        let socket = folder.path().join("supervisor.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = tokio::net::UnixListener::bind(&socket)?;
        let router = bagua_stack::serve::control_router(Arc::clone(&supervisor));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = reqwest::Client::builder()
            .unix_socket(socket)
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            supervisor,
            client,
            folder,
        })
    }

    async fn status(&self, service: &str) -> anyhow::Result<ComponentStatus> {
        let url = format!("http://supervisor/components/ap-east-1/{service}");
        Ok(self
            .client
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    async fn post(
        &self,
        service: &str,
        action: Action,
        body: &ControlRequest,
    ) -> anyhow::Result<reqwest::Response> {
        let url = format!(
            "http://supervisor/components/ap-east-1/{service}/{}",
            action.as_str()
        );
        Ok(self.client.post(url).json(body).send().await?)
    }

    async fn ask(&self, service: &str, action: Action) -> anyhow::Result<RequestStatus> {
        Ok(self
            .post(service, action, &wish())
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    async fn running(&self, service: &str) -> anyhow::Result<(u32, u64)> {
        until("running", || async {
            let status = self.status(service).await.ok()?;
            (status.state == ProcessState::Running).then_some((status.pid?, status.generation))
        })
        .await
    }
}

fn wish() -> ControlRequest {
    ControlRequest {
        request: Uuid::now_v7(),
        expect_generation: None,
        no_wait: false,
    }
}

fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_gets_rid_of_a_frozen_process() -> anyhow::Result<()> {
    let house = House::build(|folder| vec![shell(folder, "runner", "exec sleep 1000")])?;
    let (pid, generation) = house.running("runner").await?;
    signal(pid, Signal::SIGSTOP)?;
    until("frozen", || async { (letter(pid) == Some('T')).then_some(()) }).await?;
    let done = house.ask("runner", Action::Restart).await?;
    assert_eq!(done.outcome, RequestOutcome::Done);
    assert_eq!(done.removed_pid, Some(pid));
    assert_eq!(done.generation_before, generation);
    assert!(!lives(pid), "the frozen process is still there");
    let (new, after) = house.running("runner").await?;
    assert_ne!(new, pid);
    assert_eq!(Some(after), done.generation_after);
    assert_eq!(letter(new), Some('S'));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ignores_the_request_is_killed_with_its_children() -> anyhow::Result<()> {
    let house = House::build(|folder| {
        vec![shell(
            folder,
            "runner",
            "trap '' TERM; sleep 1000 & echo $! > child; while :; do sleep 1000; done",
        )]
    })?;
    let (pid, _) = house.running("runner").await?;
    let child: u32 = until("the child's id", || async {
        std::fs::read_to_string(house.folder.path().join("child"))
            .ok()?
            .trim()
            .parse()
            .ok()
    })
    .await?;
    assert!(lives(child));
    let done = house.ask("runner", Action::Stop).await?;
    assert!(done.killed, "it ignores SIGTERM, so it must have been killed");
    assert!(!lives(pid));
    until("the child's end", || async { (!lives(child)).then_some(()) }).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_does_nothing_also_after_a_restart_of_the_supervisor() -> anyhow::Result<()> {
    let make = |folder: &Path| vec![shell(folder, "runner", "exec sleep 1000")];
    let house = House::build(make)?;
    house.running("runner").await?;
    let body = wish();
    let first: RequestStatus = house.post("runner", Action::Restart, &body).await?.json().await?;
    let (pid, generation) = house.running("runner").await?;
    let again: RequestStatus = house.post("runner", Action::Restart, &body).await?.json().await?;
    assert_eq!(again, first);
    assert_eq!(
        house.running("runner").await?,
        (pid, generation),
        "it was restarted twice"
    );
    let url = format!("http://supervisor/requests/{}", body.request);
    let seen: RequestStatus = house.client.get(&url).send().await?.json().await?;
    assert_eq!(seen, first);

    let other = house.post("runner", Action::Stop, &body).await?;
    assert_eq!(other.status(), 409);
    assert_eq!(
        other.json::<Refusal>().await?.reason,
        RefusalReason::RequestReused
    );

    house.supervisor.shut_down(&["ap-east-1/runner".into()]).await;
    let later = House::build_in(house.folder, make)?;
    let (_, new_generation) = later.running("runner").await?;
    assert!(new_generation > generation, "generations go on over a restart");
    let repeated: RequestStatus = later.post("runner", Action::Restart, &body).await?.json().await?;
    assert_eq!(repeated, first);
    assert_eq!(later.running("runner").await?.1, new_generation);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stopped_on_purpose_stays_stopped_also_after_a_restart() -> anyhow::Result<()> {
    let make = |folder: &Path| {
        vec![
            shell(folder, "runner", "exec sleep 1000"),
            shell(folder, "gateway", "exec sleep 1000"),
        ]
    };
    let house = House::build(make)?;
    let (pid, _) = house.running("runner").await?;
    house.running("gateway").await?;
    let done = house.ask("runner", Action::Stop).await?;
    assert_eq!(
        (done.outcome, done.removed_pid),
        (RequestOutcome::Done, Some(pid))
    );
    let status = house.status("runner").await?;
    assert_eq!(
        (status.state, status.desired, status.pid),
        (ProcessState::Stopped, Desired::Stopped, None)
    );
    let exit = status.last_exit.ok_or_else(|| anyhow::anyhow!("no exit noted"))?;
    assert_eq!((exit.signal, exit.asked), (Some(15), true));

    house
        .supervisor
        .shut_down(&["ap-east-1/runner".into(), "ap-east-1/gateway".into()])
        .await;
    let later = House::build_in(house.folder, make)?;
    later.running("gateway").await?;
    assert_eq!(later.status("runner").await?.state, ProcessState::Stopped);
    let done = later.ask("runner", Action::Start).await?;
    assert_eq!(done.outcome, RequestOutcome::Done);
    later.running("runner").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_process_comes_back_and_a_crash_loop_is_shown_until_somebody_mends_it() -> anyhow::Result<()>
{
    let house = House::build(|folder| {
        vec![
            shell(folder, "gateway", "exec sleep 1000"),
            shell(
                folder,
                "runner",
                "test -e mended && exec sleep 1000; echo broken >&2; exit 7",
            ),
        ]
    })?;
    let (pid, generation) = house.running("gateway").await?;
    signal(pid, Signal::SIGKILL)?;
    until("a new process", || async {
        let status = house.status("gateway").await.ok()?;
        (status.state == ProcessState::Running && status.generation == generation + 1).then_some(())
    })
    .await?;
    let status = house.status("gateway").await?;
    assert_eq!((status.crashes, status.restarts), (1, 1));
    assert_eq!(status.last_exit.and_then(|exit| exit.signal), Some(9));

    let looping = until("the crash loop", || async {
        house
            .status("runner")
            .await
            .ok()
            .filter(|status| status.state == ProcessState::CrashLooping)
    })
    .await?;
    assert!(looping.crashes >= 5, "{looping:?}");
    assert_eq!(looping.last_exit.and_then(|exit| exit.code), Some(7));
    assert!(looping.next_start.is_some(), "a loop is still tried");
    std::fs::write(house.folder.path().join("mended"), "")?;
    assert_eq!(
        house.ask("runner", Action::Start).await?.outcome,
        RequestOutcome::Done
    );
    house.running("runner").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_does_not_come_up_says_so() -> anyhow::Result<()> {
    let house = House::build(|folder| {
        let gone = shell(
            folder,
            "gateway",
            "test -e broken && { echo the disk is on fire; exit 3; }; exec sleep 1000",
        );
        // Nobody listens there, so it never answers.
        let mute = ProcessSpec {
            ready: Ready::Http("/".into()),
            ..shell(folder, "runner", "exec sleep 1000")
        };
        let answering = ProcessSpec {
            ready: Ready::Http("/".into()),
            ..gone
        };
        vec![answering, mute]
    })?;
    std::fs::write(house.folder.path().join("broken"), "")?;
    let failed = house.ask("gateway", Action::Restart).await?;
    assert_eq!(failed.outcome, RequestOutcome::Failed);
    let why = failed.failure.unwrap_or_default();
    assert!(why.contains("the disk is on fire") && why.contains('3'), "{why}");

    let failed = house.ask("runner", Action::Restart).await?;
    assert_eq!(failed.outcome, RequestOutcome::Failed);
    assert!(failed.failure.unwrap_or_default().contains("did not answer"));
    assert_eq!(house.status("runner").await?.state, ProcessState::Starting);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_change_nothing_and_say_why() -> anyhow::Result<()> {
    let house = House::build(|folder| {
        let critical = ProcessSpec {
            critical: true,
            ..shell(folder, "postgres", "exec sleep 1000")
        };
        vec![
            critical,
            shell(folder, "runner", "trap '' TERM; while :; do sleep 1; done"),
        ]
    })?;
    let (pid, generation) = house.running("postgres").await?;
    house.running("runner").await?;
    let reason = async |response: reqwest::Response| -> anyhow::Result<(u16, RefusalReason)> {
        Ok((
            response.status().as_u16(),
            response.json::<Refusal>().await?.reason,
        ))
    };
    let refused = house.post("postgres", Action::Stop, &wish()).await?;
    assert_eq!(reason(refused).await?, (409, RefusalReason::Critical));
    let late = ControlRequest {
        expect_generation: Some(generation + 1),
        ..wish()
    };
    let refused = house.post("postgres", Action::Restart, &late).await?;
    assert_eq!(reason(refused).await?, (409, RefusalReason::GenerationChanged));
    let refused = house.post("nobody", Action::Restart, &wish()).await?;
    assert_eq!(reason(refused).await?, (404, RefusalReason::UnknownComponent));
    assert_eq!(house.running("postgres").await?, (pid, generation));

    // The runner ignores SIGTERM, so its restart takes the whole grace.
    let slow = ControlRequest {
        no_wait: true,
        ..wish()
    };
    let accepted = house.post("runner", Action::Restart, &slow).await?;
    assert_eq!(accepted.status(), 202);
    let refused = house.post("runner", Action::Stop, &wish()).await?;
    assert_eq!(reason(refused).await?, (409, RefusalReason::Busy));

    house.supervisor.close();
    let refused = house.post("postgres", Action::Restart, &wish()).await?;
    assert_eq!(reason(refused).await?, (503, RefusalReason::ShuttingDown));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_page_measures_the_real_processes() -> anyhow::Result<()> {
    let house = House::build(|folder| {
        let busy = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; touch busy-done; exec sleep 1000";
        std::fs::write(folder.join("three"), vec![0; 300_000]).ok();
        let data = ProcessSpec {
            data: Some(folder.to_owned()),
            ..shell(folder, "runner", busy)
        };
        vec![data, shell(folder, "gateway", "exec sleep 1000")]
    })?;
    house.running("runner").await?;
    house.running("gateway").await?;
    house.ask("gateway", Action::Stop).await?;
    let done = house.folder.path().join("busy-done");
    until("the work's end", || async { done.exists().then_some(()) }).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/metrics", listener.local_addr()?);
    let router = bagua_stack::serve::metrics_router(Arc::clone(&house.supervisor), "dev");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let page = until("the folder's size", || async {
        let page = page(&url).await?;
        page.contains("component_data_bytes{").then_some(page)
    })
    .await?;
    let value = |name: &str, service: &str, more: &str| -> Option<f64> {
        let labels = format!(r#"{{environment="dev",region="ap-east-1",component="{service}"{more}}} "#);
        page.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(&labels)?.parse().ok())
    };
    assert_eq!(value("component_up", "runner", ""), Some(1.0), "{page}");
    assert_eq!(value("component_up", "gateway", ""), Some(0.0));
    assert_eq!(
        value("component_state", "gateway", r#",state="stopped""#),
        Some(1.0)
    );
    assert_eq!(
        value("component_state", "gateway", r#",state="running""#),
        Some(0.0)
    );
    assert!(
        value("component_cpu_seconds_total", "runner", "").is_some_and(|cpu| cpu > 0.02),
        "{page}"
    );
    assert_eq!(
        value("component_cpu_seconds_total", "gateway", ""),
        None,
        "no process, no figure"
    );
    assert!(value("component_data_bytes", "runner", "").is_some_and(|bytes| bytes >= 300_000.0));
    assert!(value("component_resident_memory_bytes", "runner", "").is_some_and(|bytes| bytes > 100_000.0));
    Ok(())
}
