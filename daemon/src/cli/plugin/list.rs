//! `sluice plugin list`: the plugins of a running daemon.

use std::process::ExitCode;

use comfy_table::{Cell, CellAlignment, Table, presets};
use http::{Method, StatusCode};

use crate::cli::remote::{ask, finish, parse, refused, run};
use crate::plugin::PluginView;

/// Prints every plugin as a table. 0 where the daemon answered, else 1.
pub(super) fn list(admin: &str, token: Option<&str>) -> ExitCode {
    finish(run(|| async {
        match ask(admin, token, Method::GET, "/api/v1/plugins").await? {
            (StatusCode::OK, body) => Ok((table(&parse::<Vec<PluginView>>(&body)?), 0)),
            (status, body) => Err(refused(status, &body)),
        }
    }))
}

fn table(plugins: &[PluginView]) -> String {
    if plugins.is_empty() {
        return "no plugins\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["PLUGIN", "STATE", "KIND", "VERSION", "USES", "CALLS", "FAULTS", "REASON"]);
    for plugin in plugins {
        let number = |number: u64| Cell::new(number).set_alignment(CellAlignment::Right);
        let (kind, version) =
            plugin.program.as_ref().map_or(("", ""), |program| (&program.kind, &program.version));
        table.add_row([
            Cell::new(&plugin.name),
            Cell::new(&plugin.state),
            Cell::new(kind),
            Cell::new(version),
            number(plugin.uses.len() as u64),
            number(plugin.calls),
            number(plugin.faults.values().sum()),
            Cell::new(&plugin.reason),
        ]);
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use crate::api::testing::Running;

    #[tokio::test(flavor = "multi_thread")]
    async fn plugins_are_shown_with_why_they_are_not_called() {
        let running = Running::new().await;
        let address = format!("http://{}", running.admin.local_addr());
        let (_, body) = super::ask(&address, None, http::Method::GET, "/api/v1/plugins").await.unwrap();
        let table = super::table(&serde_json::from_slice::<Vec<_>>(&body).unwrap());
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["webhook", "disabled", "2", "12", "10", "disabled", "after", "10", "faults"]);
        let enabled =
            super::ask(&address, None, http::Method::POST, "/api/v1/plugins/webhook/enable").await.unwrap();
        assert!(String::from_utf8_lossy(&enabled.1).contains("\"state\":\"ready\""));
        let unknown =
            super::ask(&address, None, http::Method::POST, "/api/v1/plugins/other/enable").await.unwrap();
        assert_eq!(unknown.0, http::StatusCode::NOT_FOUND);
    }
}
