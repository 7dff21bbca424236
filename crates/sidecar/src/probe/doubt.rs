//! Silence is doubted before it is told: a flood that has just begun sounds like the end of the responder.
//!
//! Overload explains what goes unanswered, but only once it is known. So between the first query in a row that nobody
//! answers and the one that would be believed, the responder's status is asked for and awaited: until a fetch that began
//! after the first has ended, well or not, and not for long, since one that hangs tells nothing more by being waited for.
//! And since a flood may keep the status away as well, and other name servers have none, this host's own counters are looked
//! at: if they have risen from one unanswered query to the next as they do in a flood, and in no other case (`counts.rs`),
//! that is told as overload; and it is told whether anybody is answered. Their counts from before the first say nothing: a responder that is frozen has been busy until then.
//!
//! What was refused is certain, and does not come here.
//!
//! | unanswered in a row | before it is told |
//! |---|---|
//! | the first | the status is asked for |
//! | fewer than `fall` | the same, and the counters are compared with those of the one before |
//! | `fall` | the status is awaited, then the counters are compared |
//! | more | the status is asked for, unless it has just been read, and the counters are compared: an excuse that is used has to hold now, and a second ago is long for a thread that has just stopped |
//! | any, of zones that take turns | the status is awaited, unless it has just been read, then the counters are compared: the turn before may have been in another flood |
//!
//! What the host counts of drops is told only where the status does not come, or tells of none, as where connection tracking
//! drops before any socket: it is the sum of all workers and of other programs, and does not tell few drops from many
//! (`pharos_policy::load`).
//!
//! Called by the loops of probes, once for rounds without any answer and once for those in which some zone had none.

use std::cmp::Ordering;
use std::time::Duration;

use pharos_policy::Fall;

use crate::counts::Look;
use crate::keeper::Keeper;
use crate::responder::Serials;

/// So long after the first unanswered query the status is awaited. By the defaults the first is known 0.46 s after a
/// responder has stopped, at the latest: so its route goes within a second all the same.
const HEARING: Duration = Duration::from_millis(450);
/// And no longer than that from the one that counts, however soon it came.
const MOST: Duration = Duration::from_millis(300);

/// A status that was asked for so lately tells what is now.
const RECENT: Duration = Duration::from_millis(200);
/// And one of so long ago is still believed of drops, where none came since: its interval.
const TOLD: Duration = Duration::from_secs(1);

/// Which unanswered query is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Believed {
    /// The one after so many in a row: each is for the same.
    InARow(Fall),
    /// Any: what it is for was asked for a turn ago, and perhaps not answered then.
    Each,
}

/// What went unanswered without a break.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    rounds: u32,
    /// When the first of them was over, in the keeper's time.
    since: Duration,
    /// What the host had counted when the last of them was over.
    look: Look,
}

impl Doubt {
    /// There was an answer.
    pub(super) fn end(&mut self) {
        self.rounds = 0;
    }

    /// One more went unanswered; returns when it may be told.
    pub(super) async fn go_on(&mut self, believed: Believed, keeper: &Keeper, serials: &mut Serials) {
        let now = keeper.clock.now();
        if self.rounds == 0 {
            (self.since, self.look) = (now, Look::now(keeper));
        }
        self.rounds = self.rounds.saturating_add(1);
        let just_read = serials.read_after(now.saturating_sub(RECENT));
        match believed {
            Believed::InARow(fall) => match self.rounds.cmp(&fall.count()) {
                Ordering::Less => serials.refresh(),
                Ordering::Greater if !just_read => serials.refresh(),
                Ordering::Greater => {}
                Ordering::Equal => {
                    let most = self.since.saturating_add(HEARING).saturating_sub(now).min(MOST);
                    serials.heard_after(self.since, most).await;
                }
            },
            Believed::Each if self.rounds > 1 && just_read => {}
            Believed::Each => {
                serials.heard_after(now, MOST).await;
                if self.rounds == 1 && !serials.read_after(now) {
                    // Then the host's counts have to tell, and need time to rise.
                    let heard = keeper.clock.now().saturating_sub(now);
                    tokio::time::sleep(MOST.saturating_sub(heard)).await;
                }
            }
        }
        if self.rounds == 1 && believed != Believed::Each {
            return;
        }
        let before = std::mem::replace(&mut self.look, Look::now(keeper));
        // Of its drops the responder knows more, as long as it tells.
        if serials.told_of_drops_after(self.since.max(keeper.clock.now().saturating_sub(TOLD))) {
            self.look.tell_answers_since(&before, keeper);
        } else {
            self.look.tell_since(&before, keeper);
        }
    }
}
