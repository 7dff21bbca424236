//! A responder and nothing else: `serve DIR IP:PORT`.
use pharos_responder::{Config, Responder, ZoneSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let directory = args.next().ok_or("usage: serve DIR IP:PORT")?;
    let address = args.next().ok_or("usage: serve DIR IP:PORT")?.parse()?;
    let responder = Responder::start(Config::new(vec![address], ZoneSource::Directory(directory.into())))?;
    let status = responder.handle().status(&Default::default());
    println!("{}", serde_json::to_string_pretty(&status)?);
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
