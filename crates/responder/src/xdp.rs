//! Keeps the queues of AF_XDP: makes them, hands them to the workers, notices when an interface goes and comes.
//!
//! For every interface that is to be used the [`Keeper`] is in one of three states:
//!
//! - **sockets**: it cannot be used, for a reason that the status has; tried again as soon as an interface of that name
//!   appears, and every [`RETRY`] otherwise. Meanwhile queries come by the kernel's sockets, which are there anyway;
//! - **attached**: its packets go to queues that workers serve, queue *i* to worker *i* modulo their number;
//! - **down**: the same, but the interface is down; nothing needs to be done when it is up again.
//!
//! An interface that goes, that is replaced by another of the same name, or that has other queues or another MTU
//! than before, is detached and begins anew. Changes are told by netlink, and looked for every [`LOOK`] besides: those of
//! the host's addresses too, for which a wildcard stands.
//!
//! What hangs on the workers is elsewhere: the XDP program gives packets to the kernel by itself when the worker of
//! their queue did not turn for a second, and the watchdog ends the process when it stays so.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pharos_netio::xdp::{
    Attachment, Beats, Changed, Changes, Event, Health, Mode, Options, Queue, QueueCounts,
};
use pharos_netio::{Inbox, NetError};

use crate::config::StartError;
use crate::hush::Hush;
use crate::status::{XdpLife, XdpQueueStatus, XdpStatus};

/// The longest wait for word from netlink, and so for the stop flag.
const TURN: Duration = Duration::from_millis(100);
/// Interfaces are looked at so often without word that something changed: word may be lost.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two tries on an interface that is there and refuses: each makes and frees some megabytes.
const RETRY: Duration = Duration::from_secs(10);

/// Where a worker finds what is to become of its queues.
#[derive(Default)]
pub(crate) struct Mailbox {
    is_full: AtomicBool,
    orders: Mutex<Vec<Order>>,
    /// The worker could not wait for its queues, and let go of all of them.
    has_refused: AtomicBool,
}

/// What is to become of a worker's queues.
enum Order {
    /// It serves this one, too.
    Add(Box<Queue>),
    /// It lets go of those of the interface with this number.
    Drop(u32),
}

impl Mailbox {
    fn put(&self, order: Order) {
        lock(&self.orders).push(order);
        self.is_full.store(true, Ordering::Release);
    }

    /// Does what was ordered; one load where nothing was, which is nearly always.
    #[inline]
    pub(crate) fn deliver(&self, inbox: &mut Inbox) {
        if self.is_full.load(Ordering::Relaxed) {
            self.empty(inbox);
        }
    }

    #[cold]
    fn empty(&self, inbox: &mut Inbox) {
        self.is_full.store(false, Ordering::Relaxed);
        let orders = std::mem::take(&mut *lock(&self.orders));
        let mut queues = inbox.take_queues();
        for order in orders {
            match order {
                Order::Add(queue) => queues.push(*queue),
                Order::Drop(interface) => queues.retain(|queue| queue.interface() != interface),
            }
        }
        let count = queues.len();
        match inbox.set_queues(queues) {
            Ok(()) => tracing::info!(queues = count, "a worker has its queues of AF_XDP"),
            Err(error) => {
                tracing::error!(%error, "queues of AF_XDP cannot be waited for, so packets go to the kernel");
                self.has_refused.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// An interface as those see it who ask.
pub(crate) struct Face {
    options: Options,
    /// Counts of every queue that there ever was, by number; they go on when it comes back.
    counts: Mutex<Vec<Arc<QueueCounts>>>,
    standing: Mutex<Standing>,
}

struct Standing {
    life: XdpLife,
    why: Option<String>,
    mode: Option<Mode>,
    addresses: Vec<SocketAddr>,
    /// The queues' numbers with their workers, and whether the device does without copying.
    queues: Vec<(u32, usize, Copied)>,
    beats: Option<Beats>,
}

impl Standing {
    /// Nothing is attached.
    fn sockets() -> Self {
        Self {
            life: XdpLife::Sockets,
            why: None,
            mode: None,
            addresses: Vec::new(),
            queues: Vec::new(),
            beats: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    Yes,
    No,
}

impl Face {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, counts: Mutex::default(), standing: Mutex::new(Standing::sockets()) }
    }

    fn counts(&self, queue: u32) -> Arc<QueueCounts> {
        let mut all = lock(&self.counts);
        while all.len() <= queue as usize {
            all.push(Arc::default());
        }
        all[queue as usize].clone()
    }

    /// Queries and replies that were lost at its queues.
    pub(crate) fn lost(&self) -> u64 {
        lock(&self.counts).iter().map(|counts| counts.lost()).sum()
    }

    pub(crate) fn status(&self) -> XdpStatus {
        let standing = lock(&self.standing);
        let queues = standing.queues.iter().map(|&(queue, worker, copied)| {
            let counts = self.counts(queue);
            let age = standing.beats.as_ref().map_or(Duration::MAX, |beats| beats.age(queue));
            XdpQueueStatus {
                queue,
                worker,
                zero_copy: copied == Copied::No,
                heartbeat_age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                lost: counts.lost(),
                events: Event::ALL.iter().map(|&event| (event.label(), counts.get(event))).collect(),
            }
        });
        XdpStatus {
            interface: self.options.interface.clone(),
            state: standing.life,
            why: standing.why.clone(),
            mode: standing.mode.map(|mode| if mode == Mode::Generic { "generic" } else { "native" }),
            addresses: standing.addresses.iter().map(ToString::to_string).collect(),
            queues: queues.collect(),
        }
    }

    /// Remembers why queries come by sockets, and says so if it is news.
    fn falls_back(&self, error: &NetError) {
        let why = error.to_string();
        let mut standing = lock(&self.standing);
        if standing.why.as_ref() != Some(&why) {
            let remedy = error.remedy();
            tracing::warn!(
                interface = self.options.interface,
                why,
                remedy,
                "AF_XDP cannot be used here: queries come by the kernel's sockets"
            );
        }
        *standing = Standing { why: Some(why), ..Standing::sockets() };
    }
}

/// Looks after all interfaces; runs on a thread of its own.
pub(crate) struct Keeper {
    posts: Vec<Post>,
    targets: Vec<SocketAddr>,
    mailboxes: Vec<Arc<Mailbox>>,
}

/// One interface as the keeper has it.
struct Post {
    face: Arc<Face>,
    attachment: Option<Attachment>,
    /// When an interface that is there is tried again.
    next_try: Option<Instant>,
    complaints: Complaints,
}

/// What goes wrong at each look and would be said as often.
struct Complaints {
    began: Instant,
    health: Hush,
    addresses: Hush,
}

impl Default for Complaints {
    fn default() -> Self {
        Self { began: Instant::now(), health: Hush::default(), addresses: Hush::default() }
    }
}

impl Keeper {
    pub(crate) fn new(faces: Vec<Arc<Face>>, targets: Vec<SocketAddr>, mailboxes: Vec<Arc<Mailbox>>) -> Self {
        let posts = faces.into_iter().map(|face| Post {
            face,
            attachment: None,
            next_try: None,
            complaints: Complaints::default(),
        });
        Self { posts: posts.collect(), targets, mailboxes }
    }

    /// Uses what can be used now, and starts the thread that keeps it so; none where nothing is to be kept.
    pub(crate) fn spawn(mut self, stop: Arc<AtomicBool>) -> Result<Option<JoinHandle<()>>, StartError> {
        if self.posts.is_empty() {
            return Ok(None);
        }
        // Before the first look, so that nothing is missed in between.
        let changes = Changes::watch();
        if let Err(error) = &changes {
            tracing::warn!(%error, "changes of interfaces are seen a second late: netlink cannot be used");
        }
        self.look();
        let thread = std::thread::Builder::new().name("xdp".into());
        let failed = |source| StartError::System { what: "the keeper of AF_XDP cannot be started", source };
        thread.spawn(move || self.run(changes.ok().as_ref(), &stop)).map(Some).map_err(failed)
    }

    fn run(mut self, changes: Option<&Changes>, stop: &AtomicBool) {
        let mut looked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let changed = match changes {
                Some(changes) => changes.wait(TURN),
                None => {
                    std::thread::sleep(TURN);
                    Changed::Nothing
                }
            };
            if changed == Changed::Something || looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
        }
        // The programs go first: what comes now is the kernel's, and the workers answer what they have.
    }

    fn look(&mut self) {
        let refused = |mailbox: &Arc<Mailbox>| mailbox.has_refused.swap(false, Ordering::Relaxed);
        let refused: Vec<bool> = self.mailboxes.iter().map(refused).collect();
        for post in &mut self.posts {
            if post.is_served_by(&refused) {
                const WHY: &str = "a worker could not wait for its queues: see the log";
                post.detach(WHY, RETRY, &self.mailboxes);
            }
            post.look(&self.targets, &self.mailboxes);
        }
    }
}

impl Post {
    fn look(&mut self, targets: &[SocketAddr], mailboxes: &[Arc<Mailbox>]) {
        match &mut self.attachment {
            None => self.attach(targets, mailboxes),
            Some(attachment) => match attachment.look() {
                Ok(Health::Gone) => {
                    const WHY: &str = "the interface has gone, or is another one than before";
                    // A queue of the same interface can be had again once its worker has let go of it.
                    self.detach(WHY, TURN + TURN, mailboxes);
                }
                Ok(health) => self.note(health, targets),
                Err(error) => {
                    let now = self.complaints.began.elapsed();
                    if let Some(hidden) = self.complaints.health.ask(now) {
                        tracing::error!(%error, hidden, "the state of an interface under AF_XDP is not known");
                    }
                }
            },
        }
    }

    fn attach(&mut self, targets: &[SocketAddr], mailboxes: &[Arc<Mailbox>]) {
        let now = Instant::now();
        if self.next_try.is_some_and(|next| now < next) {
            return;
        }
        let face = &self.face;
        match Attachment::open(&face.options, targets, |queue| face.counts(queue)) {
            Ok((attachment, queues)) => {
                self.next_try = None;
                self.hand_out(attachment, queues, mailboxes);
            }
            Err(error) => {
                // One that is not there is looked for at every turn, which costs nothing.
                let absent = error.kernel_error().and_then(std::io::Error::raw_os_error) == Some(ENODEV);
                self.next_try = (!absent).then(|| now + RETRY);
                face.falls_back(&error);
            }
        }
    }

    /// Gives each queue to its worker.
    fn hand_out(&mut self, attachment: Attachment, queues: Vec<Queue>, mailboxes: &[Arc<Mailbox>]) {
        let mut known = Vec::new();
        for queue in queues {
            let worker = queue.number() as usize % mailboxes.len().max(1);
            let copied = if queue.is_zero_copy() { Copied::No } else { Copied::Yes };
            known.push((queue.number(), worker, copied));
            if let Some(mailbox) = mailboxes.get(worker) {
                mailbox.put(Order::Add(Box::new(queue)));
            }
        }
        let zero_copy = known.iter().all(|&(_, _, copied)| copied == Copied::No);
        tracing::info!(
            interface = self.face.options.interface,
            mode = if attachment.mode() == Mode::Generic { "generic" } else { "native" },
            queues = known.len(),
            copy = if zero_copy { "zero-copy" } else { "copy" },
            addresses = attachment.targets().len(),
            "AF_XDP attached"
        );
        *lock(&self.face.standing) = Standing {
            life: XdpLife::Attached,
            why: None,
            mode: Some(attachment.mode()),
            addresses: attachment.targets().to_vec(),
            queues: known,
            beats: Some(attachment.beats()),
        };
        self.attachment = Some(attachment);
    }

    /// Whether some of these workers has a queue of it.
    fn is_served_by(&self, workers: &[bool]) -> bool {
        let standing = lock(&self.face.standing);
        standing.queues.iter().any(|&(_, worker, _)| workers.get(worker) == Some(&true))
    }

    fn detach(&mut self, why: &str, pause: Duration, mailboxes: &[Arc<Mailbox>]) {
        let Some(attachment) = self.attachment.take() else { return };
        tracing::warn!(interface = self.face.options.interface, why, "AF_XDP detached");
        for mailbox in mailboxes {
            mailbox.put(Order::Drop(attachment.interface()));
        }
        self.next_try = Some(Instant::now() + pause);
        *lock(&self.face.standing) = Standing { why: Some(why.to_owned()), ..Standing::sockets() };
    }

    /// What is to be told of an interface that stays attached, and what its addresses are now.
    fn note(&mut self, health: Health, targets: &[SocketAddr]) {
        let Some(attachment) = &mut self.attachment else { return };
        if let Err(error) = attachment.retarget(targets)
            && let Some(hidden) = self.complaints.addresses.ask(self.complaints.began.elapsed())
        {
            tracing::error!(%error, hidden, "the addresses served by AF_XDP stay as they were");
        }
        let (life, why) = match health {
            Health::Down => (XdpLife::Down, Some("the interface is down".to_owned())),
            Health::Good | Health::Gone => (XdpLife::Attached, None),
        };
        let mut standing = lock(&self.face.standing);
        standing.addresses.clear();
        standing.addresses.extend_from_slice(attachment.targets());
        if standing.life != life {
            tracing::warn!(
                interface = self.face.options.interface,
                state = life.label(),
                "an interface under AF_XDP went down or up"
            );
            (standing.life, standing.why) = (life, why);
        }
    }
}

/// What the kernel says of an interface that is not there.
const ENODEV: i32 = 19;

/// A panic elsewhere leaves whole values here, so poison is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
