//! What a policy heard, line by line: the form in which signals are recorded and replayed.
//!
//! A trace is a sequence of [`Line`]s, each one JSON object on one line of a file. It holds every input that
//! could move a level, with its time; ticks are left out, because a [replay](crate::replay) ticks by itself.
//! Most inputs are passes of the same few signals, so a signal is named once and then goes by its number, and
//! a pass has no text: a quarter of an hour of a small node is a megabyte.
//!
//! ```text
//! {"begin":{"version":2,"node":"a.ams","life":1795812345000000,"at_us":0,"unix_us":1795812345000000}}
//! {"state":[0,{"plain":[[{"kind":"probe","address":"192.0.2.53:53","transport":"udp"},"unseen",0]],"memory":{…}}]}
//! {"signal":[1,{"kind":"probe","address":"192.0.2.53:53","transport":"udp"}]}
//! {"pass":[250123,1]}
//! {"saw":[500377,1,{"unanswered":"no answer within 200ms"}]}
//! {"input":[612000,{"input":"drain","text":"new disks","author":"ada","within":null,"expires":null}]}
//! {"moved":[612000,"192.0.2.0/24","draining"]}
//! ```
//!
//! Times are microseconds of the policy's own clock; `begin` ties it to the wall clock. A trace may begin in
//! the middle of a node's life, where older lines were let go: then `state` says how things stood, [in
//! full](crate::policy::Standing), so that a replay goes on as the node did. At the beginning of a life it has what the process
//! has read of those before: the operator's words, falls and returns. A process that
//! took another's place without anybody noticing says which life it goes on from (`"goes_on_from":1795812345000000` in
//! its `begin`), by the clock of that life; its first lines may be of the time of the last lines before. Whoever
//! reads a line that it does not know leaves it out; another `version` means that even known lines may mean
//! something else.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kind::SignalId;
use crate::level::Level;
use crate::policy::Input;
pub use crate::policy::Standing;
use crate::prefix::Prefix;
use crate::signal::Observation;

/// The form described here. In form 1 a state had levels and verdicts alone, from which no replay could go on as the node did.
pub const VERSION: u32 = 2;

/// Microseconds of the policy's clock.
type Micros = u64;

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A process began to record, or a file was begun.
    Begin(Begin),
    /// How things stood when the file was begun.
    State(Micros, Box<Standing>),
    /// From here on, a signal goes by this number.
    Signal(u32, SignalId),
    /// A signal was observed to be as it should.
    Pass(Micros, u32),
    /// A signal was observed.
    Saw(Micros, u32, Observation),
    /// Any other input.
    Input(Micros, Input),
    /// What the recording node's own policy made of it.
    Moved(Micros, Prefix, Level),
    /// So many inputs could not be recorded.
    Gap(Micros, u64),
}

impl Line {
    /// When it was, by the policy's clock; `None` for a name, which has no time.
    pub fn at(&self) -> Option<Duration> {
        let at = match self {
            Self::Begin(begin) => begin.at_us,
            Self::Signal(..) => return None,
            Self::State(at, _) | Self::Pass(at, _) | Self::Saw(at, ..) | Self::Input(at, _) => *at,
            Self::Moved(at, ..) | Self::Gap(at, _) => *at,
        };
        Some(Duration::from_micros(at))
    }
}

/// Where a trace or a file of it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The form of the lines.
    pub version: u32,
    /// Who records: `a.ams`.
    pub node: String,
    /// The same for all files of one process, and for no other process.
    pub life: u64,
    /// This moment by the policy's clock.
    pub at_us: Micros,
    /// The same moment by the wall clock, since 1970.
    pub unix_us: u64,
    /// The life whose place this one took in a planned restart: levels, sessions and clock went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on_from: Option<u64>,
}

/// Turns inputs into lines.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    numbers: HashMap<SignalId, u32>,
}

impl Writer {
    /// A writer for a file that has no lines yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines for one input; none for a tick.
    pub fn lines(&mut self, at: Duration, input: &Input) -> Vec<Line> {
        let at = micros(at);
        let Input::Observe { signal, observation } = input else {
            return match input {
                Input::Tick => Vec::new(),
                other => vec![Line::Input(at, other.clone())],
            };
        };
        let mut lines = Vec::new();
        let number = match self.numbers.get(signal) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.numbers.len() + 1).unwrap_or(u32::MAX);
                self.numbers.insert(signal.clone(), number);
                lines.push(Line::Signal(number, signal.clone()));
                number
            }
        };
        lines.push(match observation {
            Observation::Pass(_) => Line::Pass(at, number),
            other => Line::Saw(at, number, other.clone()),
        });
        lines
    }
}

/// Turns lines back into inputs.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    signals: HashMap<u32, SignalId>,
}

impl Reader {
    /// The input of a line, with its time; `None` for lines that are none, and for numbers that stand for
    /// nothing because the line that named them is lost.
    pub fn input(&mut self, line: Line) -> Option<(Duration, Input)> {
        let (at, number, observation) = match line {
            Line::Begin(_) => {
                self.signals.clear();
                return None;
            }
            Line::Signal(number, signal) => {
                self.signals.insert(number, signal);
                return None;
            }
            Line::State(..) | Line::Moved(..) | Line::Gap(..) => return None,
            Line::Input(at, input) => return Some((Duration::from_micros(at), input)),
            Line::Pass(at, number) => (at, number, Observation::Pass("good".to_owned())),
            Line::Saw(at, number, observation) => (at, number, observation),
        };
        let signal = self.signals.get(&number)?.clone();
        Some((Duration::from_micros(at), Input::Observe { signal, observation }))
    }
}

/// A time as lines have it.
pub fn micros(at: Duration) -> Micros {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Transport;

    fn probe() -> SignalId {
        SignalId::Probe { address: "192.0.2.53:53".parse().unwrap(), transport: Transport::Udp }
    }

    #[test]
    fn inputs_come_back_from_their_lines_and_passes_without_their_text() {
        let observe = |observation| Input::Observe { signal: probe(), observation };
        let inputs = [
            observe(Observation::Pass("serial 7".into())),
            Input::Undrain { text: "done".into(), author: "ada".into() },
            Input::Tick,
            observe(Observation::Unanswered("no answer".into())),
        ];
        let (mut writer, mut reader) = (Writer::new(), Reader::default());
        let mut read = Vec::new();
        let mut text = String::new();
        for (at, input) in inputs.iter().enumerate() {
            for line in writer.lines(Duration::from_secs(at as u64), input) {
                let json = serde_json::to_string(&line).unwrap();
                text = text + &json + "\n";
                read.extend(reader.input(serde_json::from_str(&json).unwrap()));
            }
        }
        assert_eq!(
            text,
            "{\"signal\":[1,{\"kind\":\"probe\",\"address\":\"192.0.2.53:53\",\"transport\":\"udp\"}]}\n\
             {\"pass\":[0,1]}\n\
             {\"input\":[1000000,{\"input\":\"undrain\",\"text\":\"done\",\"author\":\"ada\"}]}\n\
             {\"saw\":[3000000,1,{\"unanswered\":\"no answer\"}]}\n"
        );
        let pass = observe(Observation::Pass("good".into()));
        let expected = [(0, pass), (1, inputs[1].clone()), (3, inputs[3].clone())];
        assert_eq!(read, expected.map(|(at, input)| (Duration::from_secs(at), input)));
    }

    #[test]
    fn a_number_whose_name_is_lost_is_left_out() {
        assert_eq!(Reader::default().input(Line::Pass(7, 3)), None);
    }
}
