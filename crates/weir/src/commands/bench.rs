//! `weir bench`: how fast is it here?

use std::time::Duration;

use crate::bench::{self, Load};
use crate::cli::{Bench, Protocol};
use crate::commands::block_on;
use crate::failed::Failed;
use crate::out;

pub(crate) fn run(args: &Bench) -> Result<(), Failed> {
    if args.wait.is_some() && args.protocol == Protocol::Grpc {
        return Err(Failed::wrong("--wait: is a command of Redis; use --protocol resp"));
    }
    let load = load(args)?;
    if !args.json {
        out::note(format!(
            "{} connections x {} in flight, {} B, {} streams, {} s, to {}",
            load.connections,
            load.pipeline,
            load.payload_bytes,
            load.streams,
            args.seconds,
            load.addresses.join(", "),
        ));
    }
    let report = match args.protocol {
        Protocol::Resp => block_on(bench::run(&load))?,
        Protocol::Grpc => block_on(bench::grpc::run(&load))?,
    };
    out::say(if args.json { report.json() } else { report.text() });
    match report.errors_count() {
        0 => Ok(()),
        count => Err(Failed::wrong(format!("{count} errors"))),
    }
}

fn load(args: &Bench) -> Result<Load, Failed> {
    let usual = match args.protocol {
        Protocol::Resp => "127.0.0.1:6379",
        Protocol::Grpc => "127.0.0.1:6381",
    };
    let addresses = match args.address.as_slice() {
        [] => vec![usual.to_owned()],
        given => given.to_vec(),
    };
    let password = args.password_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path);
        text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| Failed::wrong(format!("{}: {error}", path.display())))
    });
    Ok(Load {
        addresses,
        connections: args.connections,
        pipeline: args.pipeline,
        payload_bytes: args.payload,
        streams: args.streams,
        warmup: Duration::from_secs(args.warmup),
        duration: Duration::from_secs(args.seconds),
        wait_replicas: args.wait,
        password: password.transpose()?,
    })
}
