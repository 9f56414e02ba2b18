//! Which ports are free, and who has the others.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::error::StackError;
use crate::layout::{LAST_OFFSET, Layout};

/// Whether nobody listens there. Both loopback addresses count: a browser asked for `localhost` may try `::1` first.
pub(crate) fn is_free(port: u16) -> bool {
    // Machines without IPv6 answer with another error, which says nothing about the port.
    !["127.0.0.1", "::1"].iter().any(|host| {
        TcpListener::bind((*host, port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    })
}

/// Refuses when a port is taken. After a crash the last children may need a moment to go.
pub(crate) async fn check(layout: &Layout, patience: Duration) -> Result<(), StackError> {
    let until = Instant::now() + patience;
    loop {
        let taken: Vec<_> = layout
            .ports()
            .into_iter()
            .filter(|(port, _)| !is_free(*port))
            .collect();
        if taken.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(refusal(layout, &taken));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn refusal(layout: &Layout, taken: &[(u16, String)]) -> StackError {
    let shown: Vec<String> = taken
        .iter()
        .take(3)
        .map(|(port, component)| {
            let owner = owner(*port)
                .map(|owner| format!(" by {owner}"))
                .unwrap_or_default();
            format!("port {port} ({component}) is in use{owner}")
        })
        .collect();
    let more = if taken.len() > 3 {
        format!(", and {} more", taken.len() - 3)
    } else {
        String::new()
    };
    let mut text = format!("{}{more}", shown.join(", "));
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    StackError::PortTaken {
        taken: text,
        suggestion: free_base(layout)
            .map(|port| format!(", for example --port {port}"))
            .unwrap_or_default(),
    }
}

/// A base port whose whole range is free.
fn free_base(layout: &Layout) -> Option<u16> {
    (1..20)
        .filter_map(|step| layout.port.checked_add(step * 100))
        .filter(|base| *base <= u16::MAX - LAST_OFFSET)
        .find(|base| (0..=LAST_OFFSET).all(|offset| is_free(base + offset)))
}

/// Name and id of the process that listens on a port, when it can be found out.
pub(crate) fn owner(port: u16) -> Option<String> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(open) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = open.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| sockets.contains(&*target.to_string_lossy()))
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

/// Inodes of sockets that listen on `port`, from the text of `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, local) = fields.get(1)?.rsplit_once(':')?;
            let matches = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == LISTEN;
            matches.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_owner_and_a_way_out() -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        if port > 60000 {
            return Ok(());
        }
        let layout = Layout {
            data: "/x".into(),
            port,
            regions: vec![],
            demo_bots: true,
        };
        let message = check(&layout, Duration::ZERO)
            .await
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            message.contains(&format!("ort {port} (global/console)")),
            "{message}"
        );
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        assert!(message.contains("--port"), "{message}");
        Ok(())
    }
}
