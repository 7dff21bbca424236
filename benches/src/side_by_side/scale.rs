//! How Pharos grows: time and memory with records, zones, signed names, labels, wildcards, workers and connections.
//!
//! Servers are started and asked as in the comparison. What a longer name or one more wildcard costs is a few
//! nanoseconds, which the kernel's share would hide: that is measured in process, on the query path alone.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use pharos_answer::{Job, Silent, Transport as Via, answer};
use pharos_netio::affinity::{CpuId, pin_current_thread};
use pharos_testkit::{Ask, CLIENT, Served};
use pharos_wire::Rtype;
use pharos_zonedb::ZoneState;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::cases::Tool;
use super::data::{Dice, head, sign};
use super::error::{BenchError, cannot};
use super::load::{self, Dnssec, Transport};
use super::probe::soa_query;
use super::proc;
use super::results::{Begin, Record, Results};
use super::room::Cores;
use super::running::{Files, Running, Site};
use super::servers::{Bounds, Server};
use super::{Scale, machine};

/// How often a start is repeated; the fastest counts, since nothing makes one too fast.
const STARTS: usize = 3;
/// Queries of a core beside others: so many different names that no cache holds what they touch.
const MANY_QUERIES: usize = 500_000;
/// How often one core and all of them are measured in turns.
const TURNS: usize = 9;
/// How often the queries in process are repeated; the fastest counts.
const REPEATS: usize = 7;
/// Queries of one such repeat.
const QUERIES: usize = 20_000;
/// Descriptors for all connections, and for everything else.
const DESCRIPTORS: u64 = 60_000;
const SPARE: u64 = 900;
/// Connections that are asked something when so many are open.
const ASKED: usize = 500;
/// Addresses of the client; a port is one of 55,000 of its address.
const SOURCES: u32 = 50;

/// Measures all families, or those that are asked for.
pub(super) fn run(options: &Scale) -> Result<(), BenchError> {
    let work =
        std::path::absolute(&options.data).map_err(cannot("find the directory of data"))?.join("scale");
    let begin = if options.go_on { Begin::GoOn } else { Begin::Anew };
    let results = Results::open(&options.results, begin)?;
    let cores = Cores { server: options.server_core, load: options.load_core };
    let time = Duration::from_secs(2);
    let mut scale = Growth { work, results, cores, time };
    let circumstances = machine::describe(&[Server::Pharos], (1, time.as_secs(), "scale"));
    scale.results.add(&Record::Run(circumstances))?;
    let most = options.most_records;
    type Family = fn(&mut Growth, u32) -> Result<(), BenchError>;
    let families: [(&str, Family); 7] = [
        ("depth", |scale, _| scale.depth()),
        ("wildcards", Growth::wildcards),
        ("workers", |scale, _| scale.workers()),
        ("connections", |scale, _| scale.connections()),
        ("zones", Growth::zones),
        ("signed", Growth::signed),
        ("records", Growth::records),
    ];
    for (name, measure) in families {
        if options.families.is_empty() || options.families.iter().any(|family| family == name) {
            measure(&mut scale, most)?;
        }
    }
    Ok(())
}

struct Growth {
    work: PathBuf,
    results: Results,
    cores: Cores,
    time: Duration,
}

impl Growth {
    fn add(&mut self, of: &str, panel: &str, line: &str, (x, y): (u32, f64)) -> Result<(), BenchError> {
        println!("{of:12} {x:9} {panel:7} {line:24} {y:.3}");
        let x = f64::from(x);
        self.results.add(&Record::Scale { of: of.into(), panel: panel.into(), line: line.into(), x, y })
    }

    fn records(&mut self, most: u32) -> Result<(), BenchError> {
        let counts = [10_000, 100_000, 1_000_000, 10_000_000];
        for count in counts.into_iter().filter(|count| *count <= most) {
            let hosts = |out: &mut dyn io::Write| {
                (0..count).try_for_each(|host| {
                    let [a, b, c, d] = host.to_be_bytes();
                    writeln!(out, "h{host} A {}.{b}.{c}.{d}", 10 + a)
                })
            };
            self.fresh(&[("grown.test".into(), &hosts)])?;
            self.queries(|line, dice| {
                let _ = write!(line, "h{}.grown.test A", dice.below(count));
            })?;
            self.family("records", count, vec!["grown.test".into()], Dnssec::Plain)?;
        }
        Ok(())
    }

    fn zones(&mut self, most: u32) -> Result<(), BenchError> {
        let counts = [1, 10, 100, 1000, 10_000, 100_000];
        for count in counts.into_iter().filter(|count| *count <= most / 10) {
            let names: Vec<String> = (0..count).map(|number| format!("z{number}.test")).collect();
            let hosts = |out: &mut dyn io::Write| {
                (0..6).try_for_each(|host| writeln!(out, "h{host} A 192.0.2.{host}"))
            };
            let zones: Vec<(String, Records<'_>)> =
                names.iter().map(|name| (name.clone(), &hosts as Records<'_>)).collect();
            self.fresh(&zones)?;
            self.queries(|line, dice| {
                let _ = write!(line, "h{}.z{}.test A", dice.below(6), dice.below(count));
            })?;
            self.family("zones", count, names, Dnssec::Plain)?;
        }
        Ok(())
    }

    fn signed(&mut self, most: u32) -> Result<(), BenchError> {
        let counts = [1000, 10_000, 100_000];
        for count in counts.into_iter().filter(|count| *count <= most / 10) {
            let hosts = |out: &mut dyn io::Write| {
                (0..count).try_for_each(|host| writeln!(out, "h{host} A 192.0.2.1"))
            };
            self.fresh(&[("grown.test".into(), &hosts)])?;
            let zone = self.work.join("zones/grown.test.zone");
            let unsigned = self.work.join("unsigned");
            fs::rename(&zone, &unsigned).map_err(cannot("move a zone"))?;
            sign("grown.test", &unsigned, &self.work, &["-3", "-", "-H", "0"], &zone)?;
            self.queries(|line, dice| {
                let _ = write!(line, "n{}.grown.test A", dice.below(1 << 30));
            })?;
            self.family("signed", count, vec!["grown.test".into()], Dnssec::Ok)?;
        }
        Ok(())
    }

    /// Starts a server and asks it: time, memory, CPU per answer.
    fn family(&mut self, of: &str, x: u32, names: Vec<String>, dnssec: Dnssec) -> Result<(), BenchError> {
        let mut running = self.server(names, Bounds::SHIPPED)?;
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            running.stop();
            starts.push(running.start()?);
        }
        let fastest = starts.iter().map(|start| start.seconds).fold(f64::INFINITY, f64::min);
        let least = starts.iter().map(|start| start.proportional_mib).fold(f64::INFINITY, f64::min);
        self.add(of, "start", "", (x, fastest))?;
        self.add(of, "memory", "", (x, least))?;
        let processes = running.processes();
        let used = || (proc::cpu(&processes), proc::cpu(&running.room.receivers));
        let mut cheapest = f64::INFINITY;
        for _ in 0..STARTS {
            let before = used();
            let tool = Tool::Dnsperf(Transport::Udp, dnssec);
            let answered =
                load::run(tool, &self.work.join("queries"), &running.room, (self.cores, self.time))?;
            let after = used();
            let time = (after.0 - before.0).total() + (after.1 - before.1).total();
            cheapest = cheapest.min(time.as_secs_f64() * 1e9 / answered.answered.max(1) as f64);
        }
        let line = if dnssec == Dnssec::Ok { "NXDOMAIN, DO" } else { "A" };
        self.add(of, "cpu", line, (x, cheapest))
    }

    fn depth(&mut self) -> Result<(), BenchError> {
        const FLAT: &str = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n";
        let mut deep = String::from(FLAT);
        for labels in 1..=100 {
            let _ = writeln!(deep, "{}deep A 192.0.2.3", "a.".repeat(labels - 1));
        }
        let zones = Served::new().zone("flat.test.", FLAT).zone("deep.test.", &deep);
        for labels in [1_u32, 2, 5, 10, 20, 40, 60, 80, 100] {
            let below = "a.".repeat(labels as usize - 1);
            for (line, name) in [
                ("NXDOMAIN, flat zone", format!("{below}none.flat.test.")),
                ("found, names at all depths", format!("{below}deep.deep.test.")),
                ("NXDOMAIN, names at all depths", format!("none.{below}deep.deep.test.")),
            ] {
                let time = query_time(&zones, &[Ask::new(&name, Rtype::A)]);
                self.add("depth", "query", line, (labels, time))?;
            }
            // Each name has all of its labels to itself, and so all that is between it and the apex.
            const ALIKE: u32 = 1000;
            let mut text = String::from("$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
            for number in 0..ALIKE {
                let _ = writeln!(text, "{below}h{number} A 192.0.2.3");
            }
            let octets = image_octets(&Served::one("alike.test.", &text)) / f64::from(ALIKE);
            self.add("depth", "image", "", (labels, octets))?;
        }
        Ok(())
    }

    fn wildcards(&mut self, most: u32) -> Result<(), BenchError> {
        let counts = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
        for count in counts.into_iter().filter(|count| *count <= most) {
            let mut text = String::from("$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
            for number in 0..count {
                let _ = writeln!(text, "*.w{number} A 192.0.2.2\nh{number} A 192.0.2.3");
            }
            let zones = Served::one("wild.test.", &text);
            self.add("wildcards", "image", "", (count, image_octets(&zones) / f64::from(1 << 20)))?;
            let mut dice = Dice(1);
            for (line, before) in [("from a wildcard", "some.w"), ("a name that exists", "h")] {
                let asks: Vec<Ask> = (0..QUERIES)
                    .map(|_| Ask::new(&format!("{before}{}.wild.test.", dice.below(count)), Rtype::A))
                    .collect();
                let time = query_time(&zones, &asks);
                self.add("wildcards", "query", line, (count, time))?;
            }
        }
        Ok(())
    }

    fn workers(&mut self) -> Result<(), BenchError> {
        let host = |out: &mut dyn io::Write| writeln!(out, "www A 192.0.2.1");
        self.fresh(&[("grown.test".into(), &host)])?;
        for workers in [1_u16, 2, 4, 8, 16, 32] {
            let bounds = Bounds { workers, ..Bounds::SHIPPED };
            let mut running = self.server(vec!["grown.test".into()], bounds)?;
            let memory = running.start()?.proportional_mib;
            self.add("workers", "memory", "", (workers.into(), memory))?;
        }
        self.threads()
    }

    /// What workers cannot do for each other: the query path on as many cores as there are, over one zone that no cache holds.
    fn threads(&mut self) -> Result<(), BenchError> {
        const NAMES: u32 = 2_000_000;
        let mut text = String::from("$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
        for number in 0..NAMES {
            let _ = writeln!(text, "h{number} A 192.0.2.2");
        }
        let zones = Served::one("wide.test.", &text);
        drop(text);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
        let asked = |core: u16| -> Vec<Vec<u8>> {
            let mut dice = Dice(1 + u64::from(core));
            let name = |_| Ask::new(&format!("h{}.wide.test.", dice.below(NAMES)), Rtype::A).octets();
            (0..MANY_QUERIES).map(name).collect()
        };
        let asked: Vec<Vec<Vec<u8>>> = (0..cores).map(asked).collect();
        let counts: Vec<u16> =
            (2..=cores).filter(|threads| *threads == cores || threads.is_power_of_two()).collect();
        // In turns: how far memory is depends on what other machines do meanwhile, which changes within seconds. What is told
        // is the turn whose gain by all cores is the median.
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            // Cores need not be alike: one at a time is the mean of each alone.
            let each = (0..cores).map(|core| queries_a_second(&zones, &asked, core..core + 1));
            let alone = each.sum::<Result<f64, _>>()? / f64::from(cores);
            let together = counts.iter().map(|threads| queries_a_second(&zones, &asked, 0..*threads));
            turns.push((alone, together.collect::<Result<Vec<_>, _>>()?));
        }
        let gain = |(alone, together): &(f64, Vec<f64>)| together.last().map_or(1.0, |all| all / alone);
        turns.sort_by(|one, other| gain(one).total_cmp(&gain(other)));
        let (least, most) = (turns.first().map_or(1.0, gain), turns.last().map_or(1.0, gain));
        println!("all cores at once: {least:.2} to {most:.2} times one");
        let (alone, together) = turns.swap_remove(TURNS / 2);
        self.add("workers", "query", "", (1_u32, alone / 1e6))?;
        for (threads, rate) in counts.into_iter().zip(together) {
            self.add("workers", "query", "", (u32::from(threads), rate / 1e6))?;
        }
        Ok(())
    }

    fn connections(&mut self) -> Result<(), BenchError> {
        let host = |out: &mut dyn io::Write| writeln!(out, "www A 192.0.2.1");
        self.fresh(&[("grown.test".into(), &host)])?;
        // The server inherits the limit: each connection is a descriptor on either side.
        let limit = raise_limit();
        let counts = [1_u32, 1000, 2500, 5000, 10_000, 15_000, 19_000, 30_000, 40_000, 50_000];
        let counts: Vec<u32> =
            counts.into_iter().filter(|count| u64::from(*count) + SPARE <= limit).collect();
        if counts.last() != Some(&50_000) {
            println!(
                "connections: this system lets a process have {limit} descriptors, so not all are opened"
            );
        }
        let bounds = Bounds { connections: Some(60_000), ..Bounds::SHIPPED };
        let mut running = self.server(vec!["grown.test".into()], bounds)?;
        running.start()?;
        for source in 0..SOURCES {
            let address = format!("10.53.1.{}/24", 100 + source);
            running
                .room
                .client
                .sh(&format!("ip address add {address} dev {}", running.room.client_interface))?;
        }
        let mut open: Vec<TcpStream> = Vec::new();
        for count in counts {
            let address = running.room.address.clone();
            let more = || -> io::Result<Vec<TcpStream>> {
                (open.len() as u32..count).map(|number| connect(&address, number)).collect()
            };
            let more =
                running.room.client.enter(more)?.map_err(cannot(format!("open {count} connections")))?;
            open.extend(more);
            running.settle();
            let memory = proc::memory(&running.processes()).proportional;
            self.add("connections", "memory", "", (count, memory))?;
            let median = answer_time(&mut open).map_err(cannot("ask on an open connection"))?;
            self.add("connections", "answer", "", (count, median.as_secs_f64() * 1e6))?;
        }
        Ok(())
    }

    fn server(&self, names: Vec<String>, bounds: Bounds) -> Result<Running, BenchError> {
        let (run, zones) = (self.work.join("run"), self.work.join("zones"));
        let site = Site { run, zones, names, files: Files::Shared, bounds };
        Running::new(Server::Pharos, 1, &site, self.cores)
    }

    /// Writes these zones and no others.
    fn fresh(&self, zones: &[(String, Records<'_>)]) -> Result<(), BenchError> {
        let directory = self.work.join("zones");
        let _ = fs::remove_dir_all(&directory);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&directory)?;
            for (name, records) in zones {
                let file = File::create(directory.join(format!("{name}.zone")))?;
                let mut out = BufWriter::with_capacity(1 << 16, file);
                head(&mut out)?;
                records(&mut out)?;
                out.flush()?;
            }
            Ok(())
        };
        write().map_err(cannot("write zones"))
    }

    fn queries(&self, mut next: impl FnMut(&mut String, &mut Dice)) -> Result<(), BenchError> {
        let (mut text, mut dice) = (String::new(), Dice(2));
        for _ in 0..300_000 {
            next(&mut text, &mut dice);
            text.push('\n');
        }
        fs::write(self.work.join("queries"), text).map_err(cannot("write queries"))
    }
}

/// Raises the limit of descriptors as far as the system lets us; says how far that was.
fn raise_limit() -> u64 {
    let all = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    if setrlimit(Resource::Nofile, all).is_ok() {
        return DESCRIPTORS;
    }
    let maximum = getrlimit(Resource::Nofile).maximum;
    // If even that is refused, there are too few descriptors, and opening connections says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    maximum.unwrap_or(DESCRIPTORS)
}

/// Writes the records of a zone behind its head.
type Records<'r> = &'r dyn Fn(&mut dyn io::Write) -> io::Result<()>;

/// Octets of the images of all zones.
fn image_octets(zones: &Served) -> f64 {
    let images = zones.set().zones().filter_map(|(_, state)| match state {
        ZoneState::Live(image) => Some(image.octets()),
        ZoneState::NotLoaded => None,
    });
    images.sum::<usize>() as f64
}

/// Time of a query in process, in nanoseconds, when they come one after the other.
fn query_time(zones: &Served, asks: &[Ask]) -> f64 {
    let messages: Vec<Vec<u8>> = asks.iter().map(Ask::octets).collect();
    let mut fastest = Duration::MAX;
    for _ in 0..REPEATS {
        fastest = fastest.min(round_time(zones, messages.iter().cycle().take(QUERIES)));
    }
    fastest.as_secs_f64() * 1e9 / QUERIES as f64
}

/// How long these take in process.
fn round_time<'m>(zones: &Served, messages: impl Iterator<Item = &'m Vec<u8>>) -> Duration {
    let (context, mut job, mut out) = (zones.context(Via::Udp), Job::default(), vec![0; 4096]);
    let begin = Instant::now();
    for message in messages {
        let message = black_box(&message[..]);
        black_box(answer(&mut job, zones.set(), &context, CLIENT, message, &mut out, &mut Silent));
    }
    begin.elapsed()
}

/// Queries a second in process, on these cores at once, each with what it is asked.
fn queries_a_second(zones: &Served, asked: &[Vec<Vec<u8>>], cores: Range<u16>) -> Result<f64, BenchError> {
    let begin = Barrier::new(cores.len());
    let each = &|core: u16| -> Result<f64, BenchError> {
        let messages = asked.get(usize::from(core)).map_or(&[][..], |messages| &messages[..]);
        let pinned = pin_current_thread(CpuId::new(core));
        begin.wait();
        pinned.map_err(|error| BenchError::Usage(error.to_string()))?;
        Ok(messages.len() as f64 / round_time(zones, messages.iter()).as_secs_f64())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = cores.map(|core| scope.spawn(move || each(core))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

fn connect(address: &str, number: u32) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let source: std::net::IpAddr = [10, 53, 1, (100 + number % SOURCES) as u8].into();
    socket.bind(&std::net::SocketAddr::new(source, 0).into())?;
    let to: std::net::IpAddr = address.parse().map_err(io::Error::other)?;
    socket.connect(&std::net::SocketAddr::new(to, 53).into())?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// The median time of a query on some of these connections, one after the other.
fn answer_time(open: &mut [TcpStream]) -> io::Result<Duration> {
    let query = soa_query(7, "grown.test");
    let mut message = (query.len() as u16).to_be_bytes().to_vec();
    message.extend(query);
    let step = (open.len() / ASKED).max(1);
    let mut times = Vec::new();
    for stream in open.iter_mut().step_by(step) {
        let begin = Instant::now();
        stream.write_all(&message)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply)?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
