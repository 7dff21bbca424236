//! What signals ask of `pharos serve`, obeyed whatever else goes on.
//!
//! Loading zones may take minutes, and never ends where a disk hangs. So neither the first load nor a reload is ever
//! waited for before the next signal is heard: the end comes when it is asked for. One reload runs at a time; whoever
//! asks meanwhile gets another one after it, which sees what he has pushed.

use pharos_ops::control::Reply;
use pharos_ops::signals::{Signal, Signals};
use tokio::task::JoinHandle;

use crate::service::broke_off;

/// Where signals come from. Dropping the future loses none.
pub(crate) trait Source {
    async fn next(&mut self) -> Signal;
}

impl Source for Signals {
    async fn next(&mut self) -> Signal {
        Self::next(self).await
    }
}

/// Signals, and what they asked for that is still to be done.
pub(crate) struct Orders<S> {
    signals: S,
    reload_wanted: bool,
}

impl<S: Source> Orders<S> {
    pub(crate) fn new(signals: S) -> Self {
        Self { signals, reload_wanted: false }
    }

    /// What comes of a start; nothing, if the end is asked for before. A reload that is asked for follows the start.
    pub(crate) async fn until_started<T>(&mut self, start: impl Future<Output = T>) -> Option<T> {
        let mut start = std::pin::pin!(start);
        loop {
            tokio::select! {
                started = &mut start => return Some(started),
                signal = self.signals.next() => match signal {
                    Signal::Reload => self.reload_wanted = true,
                    Signal::Stop => return None,
                },
            }
        }
    }

    /// Reloads whenever that is asked for, until the end is. A reload that runs then is left alone.
    pub(crate) async fn attend<F>(&mut self, reload: impl Fn() -> F)
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let mut running: Option<JoinHandle<Reply>> = None;
        loop {
            if self.reload_wanted && running.is_none() {
                self.reload_wanted = false;
                running = Some(tokio::spawn(reload()));
            }
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Signal::Reload => self.reload_wanted = true,
                    Signal::Stop => return,
                },
                reply = finished(&mut running) => match reply {
                    Reply::Done(_) => {}
                    Reply::Refused { error, remedy } => tracing::error!("{error}; {remedy}"),
                },
            }
        }
    }

    /// Returns when the end is asked for once more.
    pub(crate) async fn second_stop(&mut self) {
        while self.signals.next().await != Signal::Stop {}
    }
}

/// Waits for the reload that runs, if one does; for ever otherwise.
async fn finished(running: &mut Option<JoinHandle<Reply>>) -> Reply {
    match running {
        Some(reload) => {
            let reply = reload.await.unwrap_or_else(|error| broke_off(&error));
            *running = None;
            reply
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::{mpsc, watch};

    /// Signals that a test sends, and how many of them have been heard.
    struct Script {
        signals: mpsc::UnboundedReceiver<Signal>,
        heard: watch::Sender<usize>,
    }

    impl Source for Script {
        async fn next(&mut self) -> Signal {
            match self.signals.recv().await {
                Some(signal) => {
                    self.heard.send_modify(|heard| *heard += 1);
                    signal
                }
                None => pending().await,
            }
        }
    }

    fn orders(first: &[Signal]) -> (mpsc::UnboundedSender<Signal>, Orders<Script>) {
        let (send, signals) = mpsc::unbounded_channel();
        first.iter().for_each(|&signal| send.send(signal).unwrap());
        (send, Orders::new(Script { signals, heard: watch::Sender::new(0) }))
    }

    #[tokio::test]
    async fn a_stop_ends_a_start_that_would_never_end() {
        let (_send, mut orders) = orders(&[Signal::Reload, Signal::Stop]);
        assert_eq!(orders.until_started(pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_reload_asked_for_during_the_start_follows_it() {
        let (send, mut orders) = orders(&[Signal::Reload]);
        let mut heard = orders.signals.heard.subscribe();
        let started = orders.until_started(async { heard.wait_for(|&heard| heard == 1).await.is_ok() }).await;
        assert_eq!(started, Some(true));
        let reload = || {
            send.send(Signal::Stop).unwrap();
            pending()
        };
        orders.attend(reload).await;
    }

    #[tokio::test]
    async fn a_stop_waits_for_no_reload_and_many_requests_meanwhile_are_one_more() {
        let (send, mut orders) = orders(&[Signal::Reload]);
        let heard = orders.signals.heard.subscribe();
        let begun = AtomicUsize::new(0);
        let reload = || {
            let is_first = begun.fetch_add(1, Ordering::SeqCst) == 0;
            let more: &[Signal] = if is_first { &[Signal::Reload; 3] } else { &[Signal::Stop] };
            more.iter().for_each(|&signal| send.send(signal).unwrap());
            let mut heard = heard.clone();
            async move {
                // The first ends when all that was asked meanwhile has been heard, the second one never.
                let _ = heard.wait_for(|&heard| is_first && heard == 4).await;
                Reply::Done(serde_json::Value::Null)
            }
        };
        orders.attend(reload).await;
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
