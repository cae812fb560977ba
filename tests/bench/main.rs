//! Measures the daemon beside its peers in one run: nginx with proxy_cache, and a bare hyper server and client.
//!
//! `SLUICE_FIGURES` names some of the figures instead of all. `SLUICE_ROUNDS` sets how often each figure is taken (7), `SLUICE_ROUND_SECONDS` how long a load lasts (3).
//! The table goes to the standard output and to `bench.md` in the target directory.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark ends where it cannot go on"
)]

mod bare;
mod bare_fanout;
mod blocking;
mod cost;
mod fanout;
mod load;
mod plugins;
mod publishing;
mod report;
mod segmenting;
mod serving;

use std::path::Path;

use report::Report;

/// What every measurement is made with.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    seconds: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.get(1).map(String::as_str) {
        Some("bare-server") => runtime.block_on(bare::serve()),
        Some("bare-client") => runtime.block_on(bare::fetch(&arguments[2..])),
        Some("bare-fanout") => runtime.block_on(bare_fanout::serve(&arguments[2])),
        _ => runtime.block_on(measure()),
    }
}

/// A crowd needs a descriptor for each of its connections, here and in the server.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}

async fn measure() {
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let effort =
        Effort { rounds: number("SLUICE_ROUNDS", 7), seconds: number("SLUICE_ROUND_SECONDS", 3) as u64 };
    let mut report = Report::default();
    let wanted = std::env::var("SLUICE_FIGURES").unwrap_or_else(|_| {
        "serving saving memory relaying segmenting blocking viewers fanning joining \
         scoring scored kept publishing"
            .to_owned()
    });
    for figure in wanted.split_whitespace() {
        match figure {
            "blocking" => blocking::measure(effort, &mut report).await,
            "serving" => serving::measure(effort, &mut report).await,
            "saving" => cost::saving(effort, &mut report).await,
            "memory" => cost::memory(effort, &mut report).await,
            "relaying" => cost::relaying(effort, &mut report).await,
            "segmenting" => segmenting::measure(effort, &mut report),
            "viewers" => fanout::viewers(&mut report).await,
            "fanning" => fanout::fanning(effort, &mut report).await,
            "joining" => fanout::joining(effort, &mut report).await,
            "scoring" => plugins::scoring(effort, &mut report).await,
            "scored" => plugins::many(effort, &mut report).await,
            "kept" => plugins::kept(effort, &mut report).await,
            "publishing" => publishing::measure(effort, &mut report).await,
            other => panic!("no figure is called {other}"),
        }
    }
    let table = report.table();
    let target = std::env::current_exe().unwrap();
    let target = target.ancestors().nth(3).map(Path::to_owned).unwrap();
    std::fs::write(target.join("bench.md"), &table).unwrap();
    print!("{table}");
}
