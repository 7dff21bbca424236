//! One run of a program, bounded in time and in what is kept of its words.
//!
//! Never a shell: the program gets its arguments as they are. It inherits nothing but the process's own user and
//! privileges: no environment, no descriptors, no terminal; it starts in `/`, in a process group of its own, which is
//! killed as a whole when the time is over. When the sidecar is killed, the kernel kills a program that announces.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// Lines that are kept, the last ones.
pub(super) const MOST_LINES: usize = 20;
/// Octets of a line that are kept.
const LONGEST_LINE: usize = 300;
/// Whoever has inherited the output of a program that is gone is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) timeout: Duration,
    pub(super) alone: Alone,
}

/// What becomes of a program when the sidecar is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// The kernel kills it: what it would announce, nobody could take back.
    Ends,
    /// What it withdraws shall be withdrawn all the same.
    GoesOn,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// The last lines of its output.
    pub(super) lines: Vec<String>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    NotStarted(String),
    Exited(ExitStatus),
    TooLong(Duration),
    /// By whoever had sent the order.
    BrokenOff,
}

impl Outcome {
    /// Success, or why not, with the program's last word.
    pub(super) fn result(&self) -> Result<(), String> {
        let how = match &self.end {
            End::Exited(status) if status.success() => return Ok(()),
            End::Exited(status) => status.to_string(),
            End::NotStarted(why) => why.clone(),
            End::TooLong(bound) => format!("killed after {bound:?}"),
            End::BrokenOff => "broken off for a withdrawal".to_owned(),
        };
        Err(match self.lines.last() {
            Some(line) => format!("{how}: {line}"),
            None => how,
        })
    }
}

/// Runs a program to its end, to its bound, or until `killed` is dropped or said.
pub(super) async fn run(order: Order, killed: Option<oneshot::Receiver<()>>) -> Outcome {
    let mut child = match start(&order) {
        Ok(child) => child,
        Err(error) => {
            let why = format!("cannot start {}: {error}", order.program.display());
            return Outcome { end: End::NotStarted(why), lines: Vec::new() };
        }
    };
    // One line may wait in the channel; a program that writes more than we read waits, or is killed in time.
    let (line, mut lines) = mpsc::channel(1);
    let readers = [
        child.stdout.take().map(|out| tokio::spawn(read(out, line.clone()))),
        child.stderr.take().map(|err| tokio::spawn(read(err, line))),
    ];
    let mut kept = Vec::new();
    let end = {
        let mut keep = |line| {
            if kept.len() == MOST_LINES {
                kept.remove(0);
            }
            kept.push(line);
        };
        let end = wait(&mut child, &order, killed, &mut lines, &mut keep).await;
        let last_words = async {
            while let Some(line) = lines.recv().await {
                keep(line);
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        end
    };
    for reader in readers.into_iter().flatten() {
        reader.abort();
    }
    Outcome { end, lines: kept }
}

fn start(order: &Order) -> std::io::Result<Child> {
    let mut command = Command::new(&order.program);
    command
        .args(&order.arguments)
        .env_clear()
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if order.alone == Alone::Ends {
        pharos_netio::process::end_with_us(command.as_std_mut());
    }
    command.spawn()
}

/// Waits for the end and hears the lines meanwhile.
async fn wait(
    child: &mut Child,
    order: &Order,
    killed: Option<oneshot::Receiver<()>>,
    lines: &mut mpsc::Receiver<String>,
    keep: &mut impl FnMut(String),
) -> End {
    let group = child.id();
    let killed = async {
        match killed {
            // It is dropped to say so.
            Some(killed) => drop(killed.await),
            None => std::future::pending().await,
        }
    };
    let mut killed = std::pin::pin!(killed);
    let mut bound = std::pin::pin!(tokio::time::sleep(order.timeout));
    let mut silent = Silent::No;
    let why = loop {
        tokio::select! {
            ended = child.wait() => match ended {
                Ok(status) => return End::Exited(status),
                Err(error) => break End::NotStarted(format!("its end cannot be waited for: {error}")),
            },
            line = lines.recv(), if silent == Silent::No => match line {
                Some(line) => keep(line),
                None => silent = Silent::Yes,
            },
            () = &mut bound => break End::TooLong(order.timeout),
            () = &mut killed => break End::BrokenOff,
        }
    };
    if let Some(group) = group {
        pharos_netio::process::kill_group(group);
    }
    // Killed, so it ends; the kernel alone can delay that.
    let _ = child.wait().await;
    why
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silent {
    No,
    Yes,
}

/// Cuts what comes into lines and hands on those that are not empty.
async fn read(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<String>) {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = from.read(&mut chunk).await.unwrap_or(0);
        for &octet in chunk.get(..count).unwrap_or_default() {
            if octet != b'\n' {
                if line.len() < LONGEST_LINE {
                    line.push(octet);
                }
            } else if hand_on(&mut line, &to).await.is_err() {
                return;
            }
        }
        if count == 0 {
            let _ = hand_on(&mut line, &to).await;
            return;
        }
    }
}

async fn hand_on(
    line: &mut Vec<u8>,
    to: &mpsc::Sender<String>,
) -> Result<(), mpsc::error::SendError<String>> {
    let text = super::printable(String::from_utf8_lossy(line).trim());
    line.clear();
    match text.is_empty() {
        true => Ok(()),
        false => to.send(text).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(script: &str, timeout: Duration) -> Order {
        Order {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PATH", "/usr/bin:/bin".into()), ("GIVEN", "this".into())],
            timeout,
            alone: Alone::Ends,
        }
    }

    const AMPLE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_last_lines_are_kept_of_both_outputs_and_the_exit_code_decides() {
        let good = run(order("seq 1 100; echo", AMPLE), None).await;
        assert_eq!(good.result(), Ok(()));
        assert_eq!((good.lines.len(), good.lines[19].as_str()), (MOST_LINES, "100"));
        let bad = run(order("echo 'no such neighbour' >&2; exit 3", AMPLE), None).await;
        assert_eq!(bad.result(), Err("exit status: 3: no such neighbour".to_owned()));
    }

    #[tokio::test]
    async fn nothing_is_inherited() {
        let outcome = run(order("env; pwd; readlink /proc/self/fd/*", AMPLE), None).await;
        let lines = outcome.lines.join("\n");
        assert!(lines.contains("GIVEN=this") && !lines.contains("HOME="), "{lines}");
        assert!(outcome.lines.iter().any(|line| line == "/"), "{lines}");
        assert!(lines.contains("/dev/null") && !lines.contains("socket:"), "{lines}");
    }

    #[tokio::test]
    async fn a_program_that_never_ends_is_killed_with_its_children() {
        let script = "sleep 1000 & echo $!; wait";
        let outcome = run(order(script, Duration::from_millis(300)), None).await;
        assert!(matches!(outcome.end, End::TooLong(_)), "{outcome:?}");
        let child = format!("/proc/{}/stat", outcome.lines[0]);
        // Somebody adopts it and may be slow to see that it has died.
        let gone = || std::fs::read_to_string(&child).map_or(true, |stat| stat.contains(") Z "));
        while !gone() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_order_to_break_off_is_obeyed() {
        let (kill, killed) = oneshot::channel();
        drop(kill);
        let outcome = run(order("exec sleep 1000", AMPLE), Some(killed)).await;
        assert!(matches!(outcome.end, End::BrokenOff), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_flood_of_words_without_lines_costs_no_memory() {
        let outcome = run(order("head -c 5000000 /dev/zero | tr '\\0' x", AMPLE), None).await;
        assert_eq!(outcome.result(), Ok(()));
        assert_eq!(outcome.lines.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE]);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_so() {
        let nowhere = Order { program: "/nowhere/route".into(), ..order("", AMPLE) };
        let why = run(nowhere, None).await.result().unwrap_err();
        assert_eq!(why, "cannot start /nowhere/route: No such file or directory (os error 2)");
    }
}
