//! Helper programs that run to their end: the engines' own checkers, `initdb`, `psql`, our migrations.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::engines::Engines;
use crate::error::StackError;
use crate::layout::Layout;
use crate::user::RunAs;

/// One run of a helper program.
#[derive(Debug)]
pub(crate) struct Helper<'a> {
    /// What it does, for the message when it fails.
    pub(crate) what: &'a str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'a str, String)>,
    pub(crate) input: Option<String>,
    pub(crate) run_as: Option<&'a RunAs>,
    pub(crate) patience: Duration,
}

impl Helper<'_> {
    /// Runs it; its standard output is the answer.
    pub(crate) async fn run(self) -> Result<String, StackError> {
        let what = self.what.to_owned();
        let fail = |output: String| StackError::Helper {
            what: what.clone(),
            output,
        };
        let output = self.output().await.map_err(&fail)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(fail(last_words(&output)))
    }

    async fn output(self) -> Result<Output, String> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .current_dir("/")
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is ours to handle.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(user) = self.run_as {
            command.gid(user.gid).uid(user.uid);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", self.program.display()))?;
        if let (Some(input), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // A program that ends early closes its input; its own words say why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        match tokio::time::timeout(self.patience, child.wait_with_output()).await {
            Ok(output) => output.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no end after {} s", self.patience.as_secs())),
        }
    }
}

fn last_words(output: &Output) -> String {
    // amtool gives its reason on one stream and its verdict on the other.
    let text = format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(6)..].join("\n");
    if last.is_empty() {
        output.status.to_string()
    } else {
        last
    }
}

async fn accept(
    tool: &'static str,
    program: &Path,
    arguments: &[&str],
    file: &Path,
) -> Result<(), StackError> {
    let helper = Helper {
        what: tool,
        program: program.to_owned(),
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .chain(std::iter::once(file.display().to_string()))
            .collect(),
        environment: vec![],
        input: None,
        run_as: None,
        patience: Duration::from_secs(20),
    };
    match helper.run().await {
        Ok(_) => Ok(()),
        Err(StackError::Helper { output, .. }) => Err(StackError::Refused {
            tool,
            path: file.to_owned(),
            output,
        }),
        Err(other) => Err(other),
    }
}

/// Lets the engines' own tools read the configurations before the engines do.
pub(crate) async fn configurations(engines: &Engines, layout: &Layout) -> Result<(), StackError> {
    let prometheus = layout.path("etc/prometheus.yml");
    let alertmanager = layout.path("etc/alertmanager.yml");
    // `check config` reads the rule files as well.
    futures::try_join!(
        accept("promtool", &engines.promtool, &["check", "config"], &prometheus),
        accept("amtool", &engines.amtool, &["check-config"], &alertmanager),
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Inputs;
    use crate::secrets::Secrets;

    #[tokio::test]
    async fn the_engines_own_tools_accept_our_files_and_refuse_broken_ones() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let layout = Layout {
            data: folder.path().to_owned(),
            port: 3000,
            regions: vec!["ap-east-1".into()],
            demo_bots: true,
        };
        let secrets = Secrets::load_or_make(&layout)?;
        let inputs = Inputs {
            layout: &layout,
            secrets: &secrets,
            environment: "dev",
            site: None,
            statement_statistics: true,
            webhooks: Vec::new(),
        };
        crate::up::write_files(&inputs, None)?;
        let engines = crate::engines::require(&layout).await?;
        configurations(&engines, &layout).await?;

        let rules = layout.path("prometheus/rules/mine.yml");
        std::fs::write(
            &rules,
            "groups: [{name: mine, rules: [{alert: Broken, expr: 'up =='}]}]",
        )?;
        let refused = configurations(&engines, &layout)
            .await
            .err()
            .map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        assert!(
            refused.starts_with("promtool refuses") && refused.contains("mine.yml"),
            "{refused}"
        );
        std::fs::remove_file(rules)?;

        std::fs::write(layout.path("etc/alertmanager.yml"), "route: {receiver: nobody}")?;
        let refused = configurations(&engines, &layout)
            .await
            .err()
            .map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        assert!(
            refused.starts_with("amtool refuses") && refused.contains("nobody"),
            "{refused}"
        );
        Ok(())
    }
}
