//! The shipped rules against Prometheus's own checker and unit tests.

use std::path::Path;
use std::process::{Command, Output};

fn promtool(arguments: &[&str], folder: &Path) -> anyhow::Result<Output> {
    Ok(Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()?)
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn promtool_accepts_the_rules_and_their_unit_tests_pass() -> anyhow::Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let checked = promtool(&["check", "rules", "bagua.rules.yml"], &rules)?;
    assert!(checked.status.success(), "{}", said(&checked));
    for file in ["tests/alerts.yml", "tests/figures.yml"] {
        let tested = promtool(&["test", "rules", file], &rules)?;
        assert!(tested.status.success(), "{file}: {}", said(&tested));
    }
    Ok(())
}

#[test]
fn the_unit_tests_notice_a_changed_rule() -> anyhow::Result<()> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let text = std::fs::read_to_string(rules.join("bagua.rules.yml"))?;
    let tests = std::fs::read_to_string(rules.join("tests/alerts.yml"))?;
    for (from, to) in [
        (
            "up{probe=\"\"} == 0)\n        for: 1m",
            "up == 0)\n        for: 1m",
        ),
        ("pg_up == 0)\n        for: 30s", "pg_up == 0)\n        for: 3m"),
        ("cpu_usage_percent > 80", "cpu_usage_percent > 95"),
        (
            "compliance_violations_open) > 0",
            "compliance_violations_open) > 5",
        ),
        ("status=~\"5..\"}[5m])) > 0.1", "}[5m])) > 0.1"),
        ("tg_bots{state=\"invalid\"}", "tg_bots"),
        ("tg_bots_unowned) > 0\n        for: 1m", "tg_bots_unowned) > 0"),
        ("retrying|conflict", "conflict"),
        ("tg_lag_seconds) > 60\n        for: 2m", "tg_lag_seconds) > 60"),
        ("< 6 * 3600", "< 8 * 3600"),
        ("[10m])) > 5", "[10m])) > 1"),
        ("delta(tg_quarantine_rows[15m])", "(tg_quarantine_rows"),
    ] {
        anyhow::ensure!(text.contains(from), "the rule file no longer says {from:?}");
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("tests"))?;
        std::fs::write(folder.path().join("bagua.rules.yml"), text.replace(from, to))?;
        std::fs::write(folder.path().join("tests/alerts.yml"), &tests)?;
        let tested = promtool(&["test", "rules", "tests/alerts.yml"], folder.path())?;
        assert!(
            !tested.status.success(),
            "{from:?} became {to:?} and no unit test noticed"
        );
    }
    Ok(())
}

#[test]
fn every_alert_says_what_and_how_bad() -> anyhow::Result<()> {
    let text = include_str!("../rules/bagua.rules.yml");
    let alerts: Vec<&str> = text.split("      - alert: ").skip(1).collect();
    assert_eq!(alerts.len(), 20);
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
    }
    Ok(())
}
