//! Keeping one thing as it is wanted, by actions that may fail. Pure.
//!
//! A [`Reconciler`] holds what is wanted and what was seen, and asks for one action at a time until both are the
//! same. Its owner carries the actions out (a program that is run, a command on a socket, an address that is set) and
//! tells what became of them. What was done counts as seen until somebody looks; what failed is unknown.
//!
//! | wanted is seen | in action | input | then |
//! |---|---|---|---|
//! | no | no | anything, and the pause is over | act |
//! | no | no | hurry | act, also during the pause |
//! | no | no | anything else, during the pause | nothing; [`Reconciler::next_deadline`] says when |
//! | yes | no | anything | nothing; after [`CALM`] the pauses begin anew |
//! | | yes | want what is being done | nothing |
//! | | yes | want something else that cannot wait | abandon the action; act when it has ended |
//! | | yes | want something else | wait for its end, then act |
//! | | yes | saw anything | remembered, judged at the action's end |
//!
//! Whatever is newly wanted is acted on at once: a pause follows actions that did not help, and it is bounded. An
//! action that succeeds and does not last, because somebody else wants it otherwise, pauses too, so that two who
//! disagree do not turn the route over without end.

use std::time::Duration;

/// The first pause doubles with each action in vain, up to this: a daemon that comes back is told within half a
/// minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The same for what cannot wait: a withdrawal that fails is tried again this often at least.
const LONGEST_URGENT_PAUSE: Duration = Duration::from_secs(2);

/// What has lasted so long is no longer suspected of being undone by somebody.
const CALM: Duration = Duration::from_secs(60);

/// Whether something may wait for what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It comes after it.
    Patient,
    /// What is under way is abandoned: a withdrawal.
    Urgent,
}

/// What is known of the thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen<T> {
    /// It is so.
    Known(T),
    /// It is something that cannot be wanted, in words.
    Odd(String),
    /// Nobody knows, and why.
    Unknown(String),
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input<T> {
    /// It shall be so from now on.
    Want(T, Urgency),
    /// The action has ended and did what was asked.
    Done,
    /// The action has ended and did not, for this reason.
    Failed(String),
    /// Somebody has looked.
    Saw(Seen<T>),
    /// Its keeper is about to go: the pause that is running is over. Later ones are as ever.
    Hurry,
    /// Time passed.
    Tick,
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output<T> {
    /// Make it so, and say how it ended.
    Act(T),
    /// Break the action off, and say that it has ended.
    Abandon,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// As wanted.
    AsWanted,
    /// On the way there, and nothing went wrong so far.
    OnTheWay,
    /// Not as wanted, although it was once, or although it was tried.
    Astray,
}

/// One thing and its keeper.
#[derive(Clone, Debug)]
pub(super) struct Reconciler<T> {
    wanted: T,
    urgency: Urgency,
    seen: Seen<T>,
    acting: Option<Acting<T>>,
    first_pause: Duration,
    /// Actions for what is wanted now.
    attempts: u32,
    not_before: Duration,
    /// Since when it has been as wanted.
    calm_since: Option<Duration>,
    /// Why the last action failed, if it did.
    failure: Option<String>,
}

#[derive(Clone, Debug)]
struct Acting<T> {
    aim: T,
    abandoned: Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abandoned {
    No,
    Yes,
}

impl<T: Clone + PartialEq> Reconciler<T> {
    /// Something of which nothing is known yet; the first pause after an action in vain is `pause`.
    pub(super) fn new(wanted: T, urgency: Urgency, pause: Duration) -> Self {
        Self {
            wanted,
            urgency,
            seen: Seen::Unknown("not looked at yet".to_owned()),
            acting: None,
            first_pause: pause,
            attempts: 0,
            not_before: Duration::ZERO,
            calm_since: None,
            failure: None,
        }
    }

    /// Takes what happened; gives what to do about it.
    pub(super) fn step(&mut self, now: Duration, input: Input<T>) -> Option<Output<T>> {
        match input {
            Input::Want(wanted, urgency) => {
                if wanted != self.wanted {
                    self.attempts = 0;
                    self.not_before = Duration::ZERO;
                    self.calm_since = None;
                }
                self.wanted = wanted;
                self.urgency = urgency;
            }
            Input::Done => self.ended(now, None),
            Input::Failed(why) => self.ended(now, Some(why)),
            Input::Saw(seen) => self.seen = seen,
            Input::Hurry => self.not_before = Duration::ZERO,
            Input::Tick => {}
        }
        self.settle(now);
        self.act(now)
    }

    /// When time alone may ask for an action.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        (self.acting.is_none() && !self.is_as_wanted()).then_some(self.not_before)
    }

    /// What is wanted.
    pub(super) fn wanted(&self) -> &T {
        &self.wanted
    }

    /// What is known.
    pub(super) fn seen(&self) -> &Seen<T> {
        &self.seen
    }

    /// Why the last action failed, until one succeeds: an alarm does not flicker because something else is wanted.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How many actions there were for what is wanted now.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        match (self.is_as_wanted(), self.attempts, &self.acting, &self.failure) {
            (true, ..) => Standing::AsWanted,
            (false, 0, ..) => Standing::OnTheWay,
            (false, 1, Some(_), None) => Standing::OnTheWay,
            _ => Standing::Astray,
        }
    }

    fn is_as_wanted(&self) -> bool {
        matches!(&self.seen, Seen::Known(seen) if *seen == self.wanted)
    }

    fn ended(&mut self, now: Duration, failure: Option<String>) {
        let Some(Acting { aim, abandoned }) = self.acting.take() else { return };
        if abandoned == Abandoned::Yes {
            // It may have come any far.
            self.seen = Seen::Unknown("the last action was broken off".to_owned());
            return;
        }
        if aim == self.wanted {
            self.not_before = now + self.pause();
        }
        match failure {
            None => {
                self.failure = None;
                self.seen = Seen::Known(aim);
            }
            Some(why) => {
                self.seen = Seen::Unknown("the last action failed".to_owned());
                if aim == self.wanted {
                    self.failure = Some(why);
                }
            }
        }
    }

    fn pause(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(16);
        let longest = match self.urgency {
            Urgency::Patient => LONGEST_PAUSE,
            Urgency::Urgent => LONGEST_URGENT_PAUSE,
        };
        self.first_pause.saturating_mul(1 << doublings).min(longest)
    }

    fn settle(&mut self, now: Duration) {
        if !self.is_as_wanted() {
            self.calm_since = None;
            return;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_sub(since) >= CALM {
            // Still more than none: what goes astray later has been as wanted before.
            self.attempts = self.attempts.min(1);
        }
    }

    fn act(&mut self, now: Duration) -> Option<Output<T>> {
        if let Some(acting) = &mut self.acting {
            let in_the_way = acting.aim != self.wanted && self.urgency == Urgency::Urgent;
            if in_the_way && acting.abandoned == Abandoned::No {
                acting.abandoned = Abandoned::Yes;
                return Some(Output::Abandon);
            }
            return None;
        }
        if self.is_as_wanted() {
            self.failure = None;
            self.attempts = self.attempts.max(1);
            return None;
        }
        if now < self.not_before {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.acting = Some(Acting { aim: self.wanted.clone(), abandoned: Abandoned::No });
        Some(Output::Act(self.wanted.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn kept(wanted: u8) -> Reconciler<u8> {
        Reconciler::new(wanted, Urgency::Patient, S(1))
    }

    fn failed() -> Input<u8> {
        Input::Failed("no".to_owned())
    }

    #[test]
    fn what_nobody_has_seen_is_made_so_at_the_start() {
        let mut it = kept(4);
        assert_eq!(it.standing(), Standing::OnTheWay);
        assert_eq!(it.step(S(0), Input::Tick), Some(Output::Act(4)));
        assert_eq!(it.step(S(0), Input::Tick), None, "one action at a time");
        assert_eq!(it.standing(), Standing::OnTheWay);
        assert_eq!(it.step(S(0), Input::Done), None);
        assert_eq!((it.standing(), it.next_deadline()), (Standing::AsWanted, None));
    }

    #[test]
    fn what_is_seen_as_wanted_needs_no_action() {
        let mut it = kept(4);
        assert_eq!(it.step(S(0), Input::Saw(Seen::Known(4))), None);
        assert_eq!(it.standing(), Standing::AsWanted);
    }

    #[test]
    fn pauses_after_failures_double_up_to_their_bound() {
        let mut it = kept(0);
        let mut now = S(0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(it.step(now, Input::Tick), Some(Output::Act(0)));
            assert_eq!(it.step(now, failed()), None);
            assert_eq!((it.standing(), it.failure()), (Standing::Astray, Some("no")));
            let next = it.next_deadline().unwrap();
            assert_eq!(it.step(next - Duration::from_millis(1), Input::Tick), None);
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_withdrawal_that_fails_is_tried_again_every_two_seconds() {
        let mut it = Reconciler::new(9, Urgency::Urgent, S(1));
        let mut now = S(0);
        for _ in 0..8 {
            it.step(now, Input::Tick);
            it.step(now, failed());
            let next = it.next_deadline().unwrap();
            assert!(next - now <= S(2));
            now = next;
        }
    }

    #[test]
    fn in_a_hurry_a_pause_is_cut_short_and_nothing_is_done_twice() {
        let mut it = Reconciler::new(9, Urgency::Urgent, S(1));
        it.step(S(0), Input::Tick);
        it.step(S(0), failed());
        assert_eq!(it.step(S(0), Input::Want(9, Urgency::Urgent)), None, "that is nothing new");
        assert_eq!(it.step(S(0), Input::Hurry), Some(Output::Act(9)));
        assert_eq!(it.step(S(0), Input::Hurry), None, "it is under way");
        assert_eq!(it.standing(), Standing::Astray, "it has failed before");
        it.step(S(0), failed());
        assert_eq!(it.next_deadline(), Some(S(2)), "it pauses again");
        it.step(S(2), Input::Tick);
        it.step(S(2), Input::Done);
        assert_eq!(it.step(S(2), Input::Hurry), None, "it is as wanted");
    }

    #[test]
    fn something_newly_wanted_waits_for_no_pause() {
        let mut it = kept(0);
        it.step(S(0), Input::Tick);
        it.step(S(0), failed());
        assert_eq!(it.step(S(0), Input::Want(1, Urgency::Patient)), Some(Output::Act(1)));
        assert_eq!(
            (it.standing(), it.failure()),
            (Standing::Astray, Some("no")),
            "nothing has succeeded since"
        );
        it.step(S(0), Input::Done);
        assert_eq!((it.standing(), it.failure()), (Standing::AsWanted, None));
    }

    #[test]
    fn the_patient_wait_for_an_action_and_the_urgent_break_it_off() {
        let mut it = kept(0);
        it.step(S(0), Input::Tick);
        assert_eq!(it.step(S(1), Input::Want(1, Urgency::Patient)), None);
        assert_eq!(it.step(S(2), Input::Want(4, Urgency::Urgent)), Some(Output::Abandon));
        assert_eq!(it.step(S(3), Input::Tick), None, "it is told once");
        assert_eq!(it.step(S(3), failed()), Some(Output::Act(4)));
        assert_eq!(it.step(S(4), Input::Done), None);
        assert_eq!(it.standing(), Standing::AsWanted);
    }

    #[test]
    fn an_action_that_ends_well_although_it_was_broken_off_is_not_believed() {
        let mut it = kept(0);
        it.step(S(0), Input::Tick);
        it.step(S(0), Input::Want(4, Urgency::Urgent));
        assert_eq!(it.step(S(0), Input::Want(0, Urgency::Patient)), None);
        assert_eq!(it.step(S(1), Input::Done), Some(Output::Act(0)));
    }

    #[test]
    fn what_somebody_undoes_is_done_again_with_longer_and_longer_pauses() {
        let mut it = kept(0);
        it.step(S(0), Input::Tick);
        it.step(S(0), Input::Done);
        let mut now = S(0);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            assert_eq!(it.step(now, Input::Saw(Seen::Known(7))), None, "it waits out the pause");
            assert_eq!(it.standing(), Standing::Astray);
            let next = it.next_deadline().unwrap();
            pauses.push((next - now).as_secs());
            now = next;
            assert_eq!(it.step(now, Input::Tick), Some(Output::Act(0)));
            it.step(now, Input::Done);
        }
        assert_eq!(pauses, [1, 2, 4, 8]);
    }

    #[test]
    fn after_a_calm_the_pauses_begin_anew_and_the_first_repair_is_at_once() {
        let mut it = kept(0);
        for _ in 0..5 {
            let now = it.next_deadline().unwrap_or_default();
            it.step(now, Input::Saw(Seen::Known(7)));
            it.step(now, Input::Done);
        }
        it.step(S(100), Input::Saw(Seen::Known(0)));
        it.step(S(160), Input::Saw(Seen::Known(0)));
        assert_eq!(it.step(S(161), Input::Saw(Seen::Known(7))), Some(Output::Act(0)));
        assert_eq!(it.standing(), Standing::Astray, "it has been as wanted before");
        it.step(S(161), Input::Done);
        it.step(S(161), Input::Saw(Seen::Known(7)));
        assert_eq!(it.next_deadline(), Some(S(163)));
    }

    #[test]
    fn what_is_seen_during_an_action_does_not_begin_another() {
        let mut it = kept(0);
        it.step(S(0), Input::Tick);
        assert_eq!(it.step(S(0), Input::Saw(Seen::Odd("half".to_owned()))), None);
        assert_eq!(it.standing(), Standing::OnTheWay);
    }

    #[test]
    fn time_going_backwards_acts_on_nothing() {
        let mut it = kept(0);
        it.step(S(10), Input::Tick);
        it.step(S(10), failed());
        assert_eq!(it.step(S(0), Input::Tick), None);
        assert_eq!(it.next_deadline(), Some(S(11)));
    }
}
