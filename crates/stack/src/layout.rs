//! Where everything is: folders, ports and components, all derived from the data folder and one port.

use std::path::{Path, PathBuf};

use bagua_model::region::{KNOWN_REGIONS, RegionId};

/// The highest port is the base port plus this.
pub(crate) const LAST_OFFSET: u16 = 26;
/// Offset of the supervisor's own metrics page.
const SUPERVISOR_OFFSET: u16 = 9;

/// One component of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) region: String,
    pub(crate) service: &'static str,
    pub(crate) port: u16,
    /// Nobody could start it again from the screen.
    pub(crate) critical: bool,
}

impl Part {
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.region, self.service)
    }

    pub(crate) fn url(&self) -> String {
        let scheme = match self.service {
            "postgres" => "postgres",
            "redis" => "redis",
            _ => "http",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// Folders, ports and components.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The base port, which is the console's.
    pub port: u16,
    /// Regions in their fixed order.
    pub regions: Vec<String>,
    /// Whether a stand-in for Telegram runs, with bots to look at.
    pub demo_bots: bool,
}

/// The stand-in for Telegram and its port offset.
const SIMULATOR: (&str, u16) = ("telegram-sim", 20);

/// Shared services, their port offset, and whether the console cannot work without them.
const SHARED: [(&str, u16, bool); 10] = [
    ("console", 0, true),
    ("postgres", 1, true),
    ("redis", 2, false),
    ("prometheus", 3, false),
    ("alertmanager", 4, false),
    ("node-exporter", 5, false),
    ("postgres-exporter", 6, false),
    ("redis-exporter", 7, false),
    ("blackbox-exporter", 8, false),
    ("traffic", 10, false),
];

impl Layout {
    /// The port of a shared service, by its offset.
    pub(crate) fn port_of(&self, service: &str) -> u16 {
        SHARED
            .iter()
            .find(|(name, ..)| *name == service)
            .map_or(self.port, |(_, offset, _)| self.port + offset)
    }

    /// The address of a region's gateway.
    pub(crate) fn gateway_url(&self, region: &str) -> String {
        let mut parts = self.parts().into_iter();
        let gateway = parts.find(|part| part.region == region && part.service == "gateway");
        gateway.map(|part| part.url()).unwrap_or_default()
    }

    /// The address of the stand-in for Telegram.
    pub(crate) fn simulator_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port + SIMULATOR.1)
    }

    /// Where the supervisor's metrics page is.
    pub(crate) fn supervisor_port(&self) -> u16 {
        self.port + SUPERVISOR_OFFSET
    }

    /// Every component.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let shared = SHARED.iter().map(|(service, offset, critical)| Part {
            region: RegionId::GLOBAL.to_owned(),
            service,
            port: self.port + offset,
            critical: *critical,
        });
        let simulator = self.demo_bots.then(|| Part {
            region: RegionId::GLOBAL.to_owned(),
            service: SIMULATOR.0,
            port: self.port + SIMULATOR.1,
            critical: false,
        });
        let regional = self.regions.iter().flat_map(|region| {
            // The place in the full list decides the port, so that a region keeps it when others are left out.
            let place = KNOWN_REGIONS
                .iter()
                .position(|known| known.code == region)
                .unwrap_or(0);
            let place = u16::try_from(place).unwrap_or(0);
            [("gateway", 11), ("runner", 21)].map(|(service, offset)| Part {
                region: region.clone(),
                service,
                port: self.port + offset + place,
                critical: false,
            })
        });
        shared.chain(simulator).chain(regional).collect()
    }

    /// Every port in use with what for, the supervisor's included.
    pub(crate) fn ports(&self) -> Vec<(u16, String)> {
        let mut ports: Vec<_> = self
            .parts()
            .into_iter()
            .map(|part| (part.port, part.id()))
            .collect();
        ports.push((self.supervisor_port(), "global/supervisor".to_owned()));
        ports.sort();
        ports
    }

    /// What people type.
    pub(crate) fn public_url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// A path below the data folder.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.data.join(below)
    }

    /// The configuration of our own roles.
    pub(crate) fn console_config(&self) -> PathBuf {
        self.path("console.toml")
    }

    /// The supervisor's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("supervisor.sock")
    }

    /// The log file of a component.
    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.path("log").join(format!("{}.log", id.replace('/', "-")))
    }
}

/// The data folder when none is named: `/var/lib/bagua` for root, else `~/.local/share/bagua`.
#[must_use]
pub fn default_data_folder() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/bagua");
    }
    let share = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    share
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("bagua")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(regions: &[&str]) -> Layout {
        Layout {
            data: "/x".into(),
            port: 3000,
            regions: regions.iter().map(|region| (*region).to_owned()).collect(),
            demo_bots: true,
        }
    }

    #[test]
    fn ports_are_as_documented_and_never_shared() {
        let all: Vec<&str> = KNOWN_REGIONS.iter().map(|region| region.code).collect();
        let ports = layout(&all).ports();
        let of = |id: &str| ports.iter().find(|(_, name)| name == id).map(|(port, _)| *port);
        assert_eq!(of("global/console"), Some(3000));
        assert_eq!(of("global/blackbox-exporter"), Some(3008));
        assert_eq!(of("global/supervisor"), Some(3009));
        assert_eq!(of("global/traffic"), Some(3010));
        assert_eq!(of("global/telegram-sim"), Some(3020));
        assert_eq!(of("ap-east-1/gateway"), Some(3011));
        assert_eq!(of("us-west-2/gateway"), Some(3016));
        assert_eq!(of("us-west-2/runner"), Some(3026));
        let mut numbers: Vec<u16> = ports.iter().map(|(port, _)| *port).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 24, "two components share a port");
        assert!(numbers.iter().all(|port| *port <= 3000 + LAST_OFFSET));
    }

    #[test]
    fn a_region_keeps_its_port_when_others_are_left_out() {
        let ports = layout(&["us-east-1"]).ports();
        assert!(ports.contains(&(3015, "us-east-1/gateway".to_owned())));
    }
}
