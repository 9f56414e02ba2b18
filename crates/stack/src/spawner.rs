//! The one thread that spawns every child.
//!
//! A death signal (`PR_SET_PDEATHSIG`) follows the *thread* that spawned the child, not the process. A worker thread
//! of the async runtime may end any time and would take its children with it; this thread lives as long as we do.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::prctl;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::getppid;
use tokio::sync::oneshot;

use crate::process::{ProcessSpec, pid};

type Order = (Box<ProcessSpec>, oneshot::Sender<io::Result<Spawned>>);

/// Spawns children; clones share the thread.
#[derive(Debug, Clone)]
pub struct Spawner {
    orders: mpsc::Sender<Order>,
}

/// A child that has been spawned and not yet reaped: its id cannot be used again before [`Spawned::reap`].
#[derive(Debug)]
pub(crate) struct Spawned {
    child: Child,
    /// Resolves when the process has ended.
    pub(crate) ended: oneshot::Receiver<()>,
}

impl Spawned {
    /// Process id, also that of its group.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended. Call it after `ended` resolved; it frees the process id.
    pub(crate) fn reap(mut self) -> ExitStatus {
        self.child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0))
    }
}

impl Spawner {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new().name("spawner".into()).spawn(move || {
            for (spec, answer) in inbox {
                // A waiter that went away gets no child: nobody would look after it.
                if let Err(Ok(mut orphan)) = answer.send(spawn(&spec)) {
                    let _ = orphan.child.kill();
                    let _ = orphan.child.wait();
                }
            }
        })?;
        Ok(Self { orders })
    }

    /// Spawns one child.
    pub(crate) async fn spawn(&self, spec: ProcessSpec) -> io::Result<Spawned> {
        let (answer, result) = oneshot::channel();
        let gone = || io::Error::other("the spawning thread has ended");
        self.orders.send((Box::new(spec), answer)).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

fn open_log(spec: &ProcessSpec) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(&spec.log)?;
    if let Some(user) = &spec.run_as {
        // Some engines reopen /dev/stderr, which checks the file's permissions again.
        let _ = chown(&spec.log, Some(user.uid), None);
    }
    Ok(file)
}

fn spawn(spec: &ProcessSpec) -> io::Result<Spawned> {
    let log = open_log(spec)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.arguments)
        .current_dir(&spec.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    if !spec.inherit_environment {
        command.env_clear();
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command.env("LANG", "C.UTF-8");
        command.env("TZ", "UTC");
    }
    command.envs(spec.environment.iter().map(|(name, value)| (name, value)));
    if let Some(user) = &spec.run_as {
        // As root this also drops every supplementary group.
        command.gid(user.gid).uid(user.uid);
    }
    let parent = nix::unistd::getpid();
    let death_signal = spec.death_signal;
    // Runs after the change of user, which would clear the death signal.
    let before_exec = move || {
        prctl::set_pdeathsig(death_signal)?;
        // We may have died before the call; then the signal will never come.
        if getppid() != parent {
            return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "pre_exec is the only door to prctl; the closure calls prctl and getppid, both async-signal-safe, and allocates nothing"
    )]
    // SAFETY: between fork and exec only async-signal-safe calls are made, see above.
    unsafe {
        command.pre_exec(before_exec);
    }
    let mut child = command.spawn()?;
    let (told, ended) = oneshot::channel();
    let number = child.id();
    let waiter = thread::Builder::new()
        .name(format!("wait-{number}"))
        .stack_size(64 * 1024)
        .spawn(move || {
            if let Some(pid) = pid(number) {
                // NOWAIT leaves the zombie, so its id stays taken until its keeper reaps it and stops sending signals.
                while let Err(nix::errno::Errno::EINTR) =
                    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
                {}
            }
            let _ = told.send(());
        });
    if let Err(error) = waiter {
        // Nobody would notice its end.
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(Spawned { child, ended })
}
