use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::fault::{Fault, FaultKind, Phase};
use sluice_core::pipeline::{Around, End, Shared};
use sluice_core::port::{Child, Children};
use tokio::io::AsyncRead;
use tokio::task::JoinHandle;

use super::super::testing::{
    assert_refused, assert_shown_alike, demo, pipeline_around, read, scripted, start, window,
};
use super::*;

#[test]
fn a_node_is_read_and_shown_the_same() {
    assert_shown_alike(
        &EXEC,
        &[
            r#"source "exec" "/opt/streamlink" segment="2s""#,
            "source \"exec\" \"ffmpeg\" \"-i\" \"\" \"a b\" segment=\"4s\" program=2 cwd=\"var\" {\n    env A=\"1\"\n    env B=\"\"\n}",
        ],
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_words() {
    assert_refused(
        &EXEC,
        &[
            (r#"source "exec""#, "PROGRAM"),
            (r#"source "exec" """#, "the program has no name"),
            (r#"source "exec" "ffmpeg" 25"#, "quote it"),
            ("source \"exec\" \"ffmpeg\" {\n    env\n}", "names no variable"),
            ("source \"exec\" \"ffmpeg\" {\n    env \"A=1\"\n}", "names no variable"),
            (r#"source "exec" "ffmpeg" segment="1ms""#, "out of bounds"),
        ],
    );
}

#[test]
fn what_may_be_a_secret_does_not_show() {
    let text = "source \"exec\" \"ffmpeg\" \"-headers\" \"Authorization: x\" \"-i\" \"https://bob:pw@h.example/pw\" \"-key=pw\" {\n    env KEY=\"pw\"\n}";
    let shown = read(&EXEC, text).0.unwrap().show(Reveal::Hidden).to_string();
    assert!(!shown.contains("pw") && !shown.contains("Authorization: x"), "{shown}");
    assert!(shown.contains("-headers") && shown.contains("https://h.example/"), "{shown}");
}

/// What it writes, what it says, how it ends.
type Act = (Box<dyn AsyncRead + Send + Unpin>, &'static str, &'static str);

/// A program by script. Counts who was let go.
struct Scripted {
    script: Mutex<Option<Act>>,
    ended: Arc<()>,
}

impl Children for Scripted {
    fn start(&self, program: Program) -> BoxFuture<'static, Result<Child, Fault>> {
        assert_eq!((&*program.name, &*program.arguments[0]), ("camera", "-x"));
        let next = self.script.lock().unwrap().take();
        let life = Box::new(self.ended.clone());
        async move {
            let (output, says, ending) = next.ok_or(FaultKind::File("cannot start camera".into()))?;
            let ending = async move { ending.to_owned() }.boxed();
            Ok(Child { output, complaints: Box::new(says.as_bytes()), ending, life })
        }
        .boxed()
    }
}

fn run(
    output: impl AsyncRead + Send + Unpin + 'static,
    says: &'static str,
    ending: &'static str,
) -> (Arc<Shared>, Arc<()>, JoinHandle<Result<End, Fault>>) {
    let ended = Arc::new(());
    let script = Mutex::new(Some((Box::new(output) as Box<_>, says, ending)));
    let children = Arc::new(Scripted { script, ended: ended.clone() });
    let shared = pipeline_around("news", Around { children, ..Around::default() });
    let spec = read(&EXEC, "source \"exec\" \"camera\" \"-x\" {\n    env KEY=\"hunter2\"\n}").0.unwrap();
    let task = start(&*spec, &shared, scripted(Vec::new()), 1);
    (shared, ended, task)
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ends_leaves_what_it_wrote_and_its_last_words() {
    let output = std::io::Cursor::new(demo());
    let (shared, ended, task) = run(output, "opening\nlost hunter2\n", "exit code 1");
    let fault = task.await.unwrap().unwrap_err();
    assert_eq!(fault.to_string(), "`camera` ended with exit code 1: lost ***");
    let snapshot = window(&shared, |_| true).await;
    assert_eq!(snapshot.duration().as_secs(), 12, "the last segment too");
    assert_eq!(Arc::strong_count(&ended), 2, "the test's and the script's: the program's is gone");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_writes_nothing_is_ended() {
    let (silent, _kept) = tokio::io::duplex(1);
    let (_shared, ended, task) = run(silent, "", "exit code 0");
    assert_eq!(task.await.unwrap().unwrap_err().kind, FaultKind::Timeout(Phase::Read));
    assert_eq!(Arc::strong_count(&ended), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_lets_its_program_go() {
    let (silent, _kept) = tokio::io::duplex(1);
    let (_shared, ended, task) = run(silent, "", "exit code 0");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&ended), 3);
    task.abort();
    assert!(task.await.is_err());
    assert_eq!(Arc::strong_count(&ended), 2);
}
