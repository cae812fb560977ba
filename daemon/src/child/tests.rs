use nix::sys::signal::kill;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::time::Instant;

use super::*;

type Output = Lines<BufReader<Box<dyn tokio::io::AsyncRead + Send + Unpin>>>;

fn shell(script: &str) -> Program {
    let arguments = vec!["-c".to_owned(), script.to_owned()];
    Program {
        name: "sh".into(),
        arguments,
        environment: vec![("WORD".into(), "x y".into())],
        directory: None,
    }
}

/// Starts a script that first prints its own number, which is its group's.
async fn group(processes: &Processes, script: &str) -> (Child, Output, Pid) {
    let mut child = processes.start(shell(&format!("echo $$; {script}"))).await.unwrap();
    let output = std::mem::replace(&mut child.output, Box::new(tokio::io::empty()));
    let mut lines = BufReader::new(output).lines();
    let number = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    (child, lines, Pid::from_raw(number))
}

fn is_there(group: Pid) -> bool {
    killpg(group, None) != Err(Errno::ESRCH)
}

async fn gone_within(processes: &Processes, group: Pid, limit: Duration) -> Duration {
    let began = Instant::now();
    let mut living = processes.living.subscribe();
    tokio::time::timeout(limit, living.wait_for(|living| *living == 0))
        .await
        .expect("it is still there")
        .unwrap();
    // the kernel may still be taking the last ones apart
    while is_there(group) {
        assert!(began.elapsed() < limit, "something of the group is left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn what_a_program_writes_and_how_it_ends_is_told() {
    let processes = Processes::new();
    let mut child = processes.start(shell("echo \"$WORD\"; echo bad >&2; exit 3")).await.unwrap();
    let (mut output, mut complaints) = (String::new(), String::new());
    child.output.read_to_string(&mut output).await.unwrap();
    child.complaints.read_to_string(&mut complaints).await.unwrap();
    assert_eq!((&*output, &*complaints, &*child.ending.await), ("x y\n", "bad\n", "exit code 3"));
    let child = processes.start(shell("kill -9 $$")).await.unwrap();
    assert_eq!(child.ending.await, "signal 9 (SIGKILL)");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let program = Program { name: "no-such-program-7".into(), ..shell("") };
    let fault = Processes::new().start(program).await.err().unwrap();
    assert!(fault.to_string().starts_with("cannot start no-such-program-7: No such file"), "{fault}");
}

#[tokio::test]
async fn the_whole_group_ends_with_its_life() {
    let processes = Processes::new();
    let (child, _output, group) = group(&processes, "sleep 1000 & sleep 1000").await;
    assert!(is_there(group));
    drop(child.life);
    let took = gone_within(&processes, group, Duration::from_secs(10)).await;
    assert!(took < GRACE, "SIGTERM was enough, after {took:?}");
}

#[tokio::test]
async fn a_group_that_does_not_heed_is_killed() {
    let processes = Processes::new();
    let (child, mut output, group) =
        group(&processes, "trap '' TERM; echo armed; while true; do sleep 0.1; done").await;
    assert_eq!(output.next_line().await.unwrap().unwrap(), "armed");
    drop(child.life);
    let took = gone_within(&processes, group, Duration::from_secs(10)).await;
    assert!(took >= GRACE, "it was not waited for: {took:?}");
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let processes = Processes::new();
    let (child, _output, group) = group(&processes, "sleep 1000 & exit 0").await;
    assert_eq!(child.ending.await, "exit code 0");
    gone_within(&processes, group, Duration::from_secs(10)).await;
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_start_leaves_nothing_behind() {
    let processes = Processes::new();
    drop(processes.start(shell("sleep 1000")));
    processes.gone().await;
    assert_eq!(*processes.living.borrow(), 0);
}

#[tokio::test]
async fn a_program_is_killed_with_the_thread_that_minds_it() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let child = spawn(&shell("exec sleep 1000")).unwrap();
        sender.send(child).unwrap();
    });
    let mut child = receiver.recv().unwrap();
    thread.join().unwrap();
    assert_eq!(words(child.wait().unwrap()), "signal 9 (SIGKILL)");
    assert!(kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), None).is_err());
}
