//! `sec-replay`: yesterday's traffic through today's rules, before anything is enforced.
//!
//! A program of its own (`src/bin/sec-replay.rs`), which an operator runs on a capture. It puts the
//! module's tables together in its own memory and runs `check.rs` and `offences.rs` over them in the
//! time of the packets: there is no second set of rules. It needs no Kamailio; the linker sees to it
//! that nothing here reaches one. It changes nothing, and asks neither Redis nor a name server.
#![forbid(unsafe_code)]

mod calendar;
mod capture;
mod configuration;
mod findings;
mod frame;
mod options;
mod server;
mod sip;
mod survey;
mod table;
mod timeline;
mod tokens;
mod unknown;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use calendar::{counted, grouped, length, second};
use capture::Capture;
use configuration::Configuration;
use frame::{Datagram, Frame};
use options::{Asked, Options};
use server::Server;
use sip::Message;
use survey::Survey;

use crate::engine::verdict::Decision;
use crate::request::Request as _;

/// Bytes read from a file at once.
const BUFFER: usize = 1 << 20;

/// Runs the program: `arguments` are those after its name. It succeeds if everything that was asked
/// for could be read and written; a capture that is cut off is a failure, after the report.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let complain = |code: u8, error: &str| {
        eprintln!("sec-replay: {error}");
        ExitCode::from(code)
    };
    let options = match options::read(arguments) {
        Ok(Asked::Replay(options)) => options,
        Ok(Asked::Text(text)) => return printed(&text),
        Err(error) => return complain(2, &error),
    };
    match replay(&options) {
        Ok((text, None)) => printed(&text),
        Ok((text, Some(complaint))) => {
            let _ = printed(&text);
            complain(1, &complaint)
        }
        Err(error) => complain(1, &error),
    }
}

/// Prints; whoever stops reading has read enough.
fn printed(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// The report, and what is wrong with the capture.
fn replay(options: &Options) -> Result<(String, Option<String>), String> {
    let configuration = Configuration::read(&options.config, &options.defines)?;
    let (config, warnings) = configuration.apply()?;
    let survey = Survey::of(open(&options.capture)?);
    let complaint = survey.complaint.as_ref();
    let complaint = complaint.map(|text| format!("{} {text}", options.capture.display()));
    if survey.first_ns == 0 {
        let what = unknown::contents(&survey);
        let why = complaint
            .map(|text| format!("; {text}"))
            .unwrap_or_default();
        return Err(format!(
            "{} has no SIP over UDP: {what}{why}",
            options.capture.display()
        ));
    }
    let own = match options.local.is_empty() {
        true => survey.busiest(),
        false => options.local.clone(),
    };
    let mut server = Server::new(&config, own.clone(), survey.first_ns, survey.last_ns)?;
    play(options, &mut server)?;
    let mut text = head(options, &survey, &own, &server);
    table::write(&mut text, &server, options.count);
    if let Some(path) = &options.svg {
        let title = format!("sec-replay: {}", options.capture.display());
        let drawing = timeline::draw(server.node(), &server.findings, &title);
        std::fs::write(path, drawing).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    unknown::write(&mut text, &configuration, &config, &warnings, &server);
    Ok((text, complaint))
}

fn open(path: &Path) -> Result<Capture<BufReader<File>>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let capture = Capture::open(BufReader::with_capacity(BUFFER, file));
    capture.map_err(|error| format!("{} {error}", path.display()))
}

/// Feeds the server with the capture.
fn play(options: &Options, server: &mut Server) -> Result<(), String> {
    let mut capture = open(&options.capture)?;
    let mut verdicts = options.csv.as_deref().map(Verdicts::create).transpose()?;
    while let Some(packet) = capture.next() {
        let Frame::Udp(datagram) = frame::read(packet.link, packet.bytes) else {
            continue;
        };
        let Some(message) = sip::read(datagram.from.ip(), datagram.payload) else {
            continue;
        };
        let decision = server.take(packet.time_ns, &datagram, &message);
        if let (Some(verdicts), Some(decision)) = (&mut verdicts, decision) {
            verdicts.add(server, packet.time_ns, &datagram, &message, &decision)?;
        }
    }
    verdicts.map_or(Ok(()), Verdicts::finish)
}

/// The file of every request and its verdict.
struct Verdicts<'a> {
    path: &'a Path,
    file: BufWriter<File>,
}

impl<'a> Verdicts<'a> {
    fn create(path: &'a Path) -> Result<Verdicts<'a>, String> {
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut verdicts = Verdicts {
            path,
            file: BufWriter::with_capacity(BUFFER, file),
        };
        verdicts.line(format_args!("time,source,port,method,verdict,reason"))?;
        Ok(verdicts)
    }

    fn add(
        &mut self,
        server: &Server,
        time_ns: u64,
        datagram: &Datagram<'_>,
        message: &Message<'_>,
        decision: &Decision,
    ) -> Result<(), String> {
        let Message::Request(request) = message else {
            return Ok(());
        };
        let (from, verdict) = (datagram.from, decision.verdict.code());
        let method = String::from_utf8_lossy(request.method());
        let reason = server.node().reason_text(decision.told());
        let (seconds, fraction) = (second(time_ns), time_ns % 1_000_000_000);
        let (ip, port) = (from.ip(), from.port());
        self.line(format_args!(
            "{seconds}.{fraction:09},{ip},{port},{method},{verdict},{reason}"
        ))
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), String> {
        let written = writeln!(self.file, "{line}");
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn finish(mut self) -> Result<(), String> {
        self.file
            .flush()
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// What was replayed.
fn head(options: &Options, survey: &Survey, own: &[IpAddr], server: &Server) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:<9} {value}\n");
    line(
        "capture",
        format!(
            "{}: {}",
            options.capture.display(),
            counted(survey.packets, "packet")
        ),
    );
    line("", unknown::contents(survey));
    let span = length(survey.last_ns - survey.first_ns);
    let (first, last) = (second(survey.first_ns), second(survey.last_ns));
    line("time", format!("{first} to {last} UTC ({span})"));
    let shown: Vec<String> = own.iter().map(IpAddr::to_string).collect();
    let how = match options.local.is_empty() {
        true => "the address that most requests went to; --local names others",
        false => "as --local says",
    };
    line("server", format!("{} ({how})", shown.join(", ")));
    let elsewhere = survey.elsewhere(own);
    if !elsewhere.is_empty() {
        let all: u64 = elsewhere.iter().map(|(_, count)| count).sum();
        let first: Vec<String> = elsewhere
            .iter()
            .take(3)
            .map(|(address, count)| format!("{} to {address}", grouped(*count)))
            .collect();
        let more = if elsewhere.len() > 3 { ", ..." } else { "" };
        let sent = grouped(server.counts.sent);
        line(
            "",
            format!(
                "not decided: {} to others ({}{more}), {sent} of them from the server",
                counted(all, "request"),
                first.join(", ")
            ),
        );
    }
    text
}
