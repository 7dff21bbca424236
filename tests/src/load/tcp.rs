//! Clients on TCP: one that keeps its connections and pipelines, and one that opens a new one for each query.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::control::{Asked, Control, Flow, Pace, Tally};
use super::judge::Judge;
use super::query::Query;
use super::world::World;

/// Queries sent before their replies are read.
const PIPELINED: usize = 16;
/// Connections that stay open.
const CONNECTIONS: usize = 3;
/// New connections per second, at most: each leaves a port in TIME_WAIT for a minute, and there are 28,000.
const MAX_NEW: u64 = 150;
/// Longer than any server that works needs for a reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a TCP client needs: whom to ask, and what it shares.
type Parts<'t> = (&'t Control, &'t Tally, &'t World);

/// Asks on connections that stay, many queries at once on each in turn.
pub fn pipeline(server: SocketAddr, first_number: u64, parts: Parts<'_>) {
    let (control, tally, world) = parts;
    let mut number = first_number;
    let mut exchange = || -> io::Result<()> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push((connect(server)?, Flow::default()));
        }
        let (mut judge, mut pace, mut last) = (Judge::default(), Pace::new(), Instant::now());
        while !control.stopped() {
            for (stream, flow) in &mut connections {
                let mut due = 0;
                while due < PIPELINED && !control.stopped() {
                    let more = pace.due(tally.wanted_rate(), PIPELINED - due);
                    due += more;
                    if more == 0 {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
                let asked: Vec<Asked> = (number..number + due as u64)
                    .map(|number| Asked { query: Query::new(number, world), in_force: control.in_force() })
                    .collect();
                number += due as u64;
                ask(stream, flow, &asked, &mut judge, parts)?;
                tally.note_gap(control.running_reload(), last.elapsed());
                last = Instant::now();
            }
            let seen = connections.iter().map(|(_, flow)| flow.newest).min();
            tally.seen.store(seen.unwrap_or_default(), SeqCst);
        }
        Ok(())
    };
    if let Err(error) = exchange() {
        control.fault(format!("{}: {error}", tally.name));
    }
    tally.lost.store(tally.queries.load(SeqCst) - tally.answers.load(SeqCst), SeqCst);
}

/// Asks each query on a connection of its own.
pub fn ask_with_new_connections(server: SocketAddr, first_number: u64, parts: Parts<'_>) {
    let (control, tally, world) = parts;
    let (mut judge, mut flow, mut pace, mut number) =
        (Judge::default(), Flow::default(), Pace::new(), first_number);
    while !control.stopped() {
        if pace.due(Some(tally.wanted_rate().unwrap_or(MAX_NEW).min(MAX_NEW)), 1) == 0 {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let asked = Asked { query: Query::new(number, world), in_force: control.in_force() };
        number += 1;
        let outcome =
            connect(server).and_then(|mut stream| ask(&mut stream, &mut flow, &[asked], &mut judge, parts));
        if let Err(error) = outcome {
            control.fault(format!("{}: {error}", tally.name));
        }
        tally.seen.store(flow.newest, SeqCst);
    }
    tally.lost.store(tally.queries.load(SeqCst) - tally.answers.load(SeqCst), SeqCst);
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends all queries, then reads their replies, which come in order.
fn ask(
    stream: &mut TcpStream,
    flow: &mut Flow,
    all: &[Asked],
    judge: &mut Judge,
    (control, tally, _): Parts<'_>,
) -> io::Result<()> {
    let mut octets = Vec::new();
    let mut message = Vec::new();
    for (id, asked) in (0..).zip(all) {
        message.clear();
        asked.query.write(id, &mut message);
        octets.extend((message.len() as u16).to_be_bytes());
        octets.extend(&message);
    }
    tally.queries.fetch_add(all.len() as u64, SeqCst);
    stream.write_all(&octets)?;
    for (id, asked) in (0..).zip(all) {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        message.resize(usize::from(u16::from_be_bytes(length)), 0);
        stream.read_exact(&mut message)?;
        flow.take(control, tally, judge, asked, (id, &message));
    }
    Ok(())
}
