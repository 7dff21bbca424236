//! The account of what the kernel did with the replies of a batch.

use std::io;

/// What became of the replies of one batch. The counts add up to the replies that were set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendReport {
    /// Handed to the network.
    pub sent: usize,
    /// Dropped because the send buffer stayed full for the socket's send wait, or the device's queue was full
    /// (EAGAIN, ENOBUFS, ENOMEM).
    pub no_room: usize,
    /// Refused by a local firewall (EPERM, EACCES).
    pub forbidden: usize,
    /// No route back to the sender, or our address has gone (ENETUNREACH, EHOSTUNREACH, ENETDOWN,
    /// EADDRNOTAVAIL).
    pub unreachable: usize,
    /// Anything else, such as a sender with port 0 (EINVAL).
    pub other: usize,
    last_errno: i32,
}

impl SendReport {
    /// All that was not sent.
    pub fn dropped(&self) -> usize {
        self.no_room + self.forbidden + self.unreachable + self.other
    }

    /// The kernel's last refusal in this batch.
    pub fn last_error(&self) -> Option<io::Error> {
        (self.last_errno != 0).then(|| io::Error::from_raw_os_error(self.last_errno))
    }

    /// Counts messages that were sent, and says how many they are.
    pub(crate) fn count_sent(&mut self, sent: usize) -> usize {
        self.sent += sent;
        sent
    }

    /// Counts a refusal of the first of `left` messages, and says how many of them are to be passed over.
    pub(crate) fn count_refused(&mut self, error: &io::Error, left: usize) -> usize {
        self.last_errno = error.raw_os_error().unwrap_or(libc::EIO);
        let (counter, passed) = match self.last_errno {
            // The buffer stayed full for the whole send wait; each further message would wait as long again.
            libc::EAGAIN => (&mut self.no_room, left),
            libc::ENOBUFS | libc::ENOMEM => (&mut self.no_room, 1),
            libc::EPERM | libc::EACCES => (&mut self.forbidden, 1),
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL => {
                (&mut self.unreachable, 1)
            }
            _ => (&mut self.other, 1),
        };
        *counter += passed;
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(errno: i32, left: usize) -> (SendReport, usize) {
        let mut report = SendReport::default();
        let passed = report.count_refused(&io::Error::from_raw_os_error(errno), left);
        (report, passed)
    }

    #[test]
    fn a_send_buffer_that_stays_full_ends_the_batch() {
        let (report, passed) = counted(libc::EAGAIN, 40);
        assert_eq!((report.no_room, passed, report.dropped()), (40, 40, 40));
    }

    #[test]
    fn any_other_refusal_costs_one_reply() {
        for errno in
            [libc::ENOBUFS, libc::EPERM, libc::ENETUNREACH, libc::EINVAL, libc::EMSGSIZE, libc::EINTR]
        {
            let (report, passed) = counted(errno, 40);
            assert_eq!((report.dropped(), passed), (1, 1));
            assert_eq!(report.last_error().unwrap().raw_os_error(), Some(errno));
        }
    }
}
