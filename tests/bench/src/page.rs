//! docs/performance.md.

use std::fmt::Write as _;

use anyhow::Result;

use crate::http::{Attacked, Cell, Download, EMBEDDED};
use crate::idle::Idling;
use crate::in_process::Costs;
use crate::run::Found;

/// The page, of the parts that were measured.
pub(crate) fn write(found: &Found) -> Result<String> {
    let mut page = String::new();
    head(&mut page, found)?;
    if !found.costs.is_empty() {
        paid_path(&mut page, &found.costs)?;
    }
    if !found.cells.is_empty() {
        route(&mut page, &found.cells, found.sync)?;
    }
    if let Some(idle) = &found.idle {
        idling(&mut page, idle)?;
    }
    if let Some(download) = &found.download {
        streams(&mut page, download)?;
    }
    if !found.attacked.is_empty() {
        hostile(&mut page, &found.attacked)?;
    }
    Ok(page)
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

fn head(page: &mut String, found: &Found) -> Result<()> {
    let machine = &found.machine;
    let memory = machine.memory as f64 / f64::from(1 << 30);
    writeln!(
        page,
        "# What being paid costs

Written by `make bench ARGS=--write` (`tests/bench`): {cpu}, {cores} cores, {memory:.0} GiB, Linux {kernel}. An append
of 4 KiB is on its disk after {sync:.2} ms, the 99th percentile of them after {slow:.2} ms. The CPU has {vectors}
for signature checks.

Ratios are made within one run, the two sides in turns; of rounds the middle one counts. Compare ratios, not
milliseconds, between machines. The build is the released one without link-time optimization (profile
`measured`), with overflow checks in every crate. Each section names the command that makes it alone.
",
        cpu = machine.cpu,
        cores = machine.cores,
        kernel = machine.kernel,
        sync = found.sync.0,
        slow = found.sync.1,
        vectors = vectors(),
    )?;
    Ok(())
}

/// What the checks' library chooses by at run time, in this order.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512ifma")
            && std::arch::is_x86_feature_detected!("avx512vl")
        {
            return "AVX-512 IFMA";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    "no vectors that are used"
}

fn paid_path(page: &mut String, costs: &[Costs]) -> Result<()> {
    let worst = costs.iter().map(Costs::engine_ratio).fold(0.0, f64::max);
    writeln!(
        page,
        "## The paid path in process

CPU time of a paid request, all threads, user and system, over that of one strict Ed25519 check from bytes
(`VerifyingKey::verify_strict` of ed25519-dalek). *Engine*: header values, credential, check, admission, charge, durable commit in SQLite.
*Layer*: the same through `AmpLayer`, with pricing and the answer's headers. {batch} requests at once share commits;
signing is not counted. Target: at most 1.25; {worst:.2} at worst: {met}.

`make bench ARGS=\"--only path\"`

| channels | engine / check | layer / check | check | engine | layer |
| ---: | ---: | ---: | ---: | ---: | ---: |",
        batch = crate::in_process::BATCH,
        met = met(worst <= 1.25),
    )?;
    for cost in costs {
        writeln!(
            page,
            "| {} | {:.2} | {:.2} | {:.1} µs | {:.1} µs | {:.1} µs |",
            cost.channels,
            cost.engine_ratio(),
            cost.layer_ratio(),
            cost.verify,
            cost.engine,
            cost.layer
        )?;
    }
    writeln!(page)?;
    Ok(())
}

fn route(page: &mut String, cells: &[Cell], sync: (f64, f64)) -> Result<()> {
    let judged: Vec<_> =
        cells.iter().filter(|cell| cell.busy && cell.connections == 256 && cell.store == EMBEDDED).collect();
    let least = judged.iter().map(|cell| cell.throughput_ratio).fold(f64::INFINITY, f64::min);
    let unpaid = |paid: &Cell| {
        let same = |cell: &&Cell| {
            cell.channels == 0 && cell.busy == paid.busy && cell.connections == paid.connections
        };
        cells.iter().find(same).map_or(f64::NAN, |cell| cell.p99)
    };
    let late = judged.iter().filter(|cell| cell.p99 > 2.0 * unpaid(cell) + sync.1).count();
    writeln!(
        page,
        "## A route, unpaid and paid

An axum route over loopback: the server, a process of its own, has one core, its load the other. Clients ask
again as soon as they are answered. The handler computes for 100 µs, or returns at once. Channel after
channel is used in turn. PostgreSQL runs on the same two cores, as it is installed by default, with its disk's syncs on. *CPU* is the server's for a request. Memory is the whole
server's at the end.

Targets, with SQLite, 256 connections and the handler of 100 µs: at least 70 % of the requests; {least:.0} % at worst:
{throughput}. The 99th percentile at most twice the unpaid one and the disk's sync (here its 99th percentile): {latency}.

`make bench ARGS=\"--only http\"`

| handler | connections | paid by | of unpaid | p99 / unpaid | requests/s | p50 | p99 | CPU | memory |
| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        least = 100.0 * least,
        throughput = met(least >= 0.7),
        latency = met(late == 0),
    )?;
    for cell in cells {
        let (of_unpaid, p99_ratio) = match cell.channels {
            0 => (String::new(), String::new()),
            _ => (format!("{:.0} %", 100.0 * cell.throughput_ratio), format!("{:.2}", cell.p99_ratio)),
        };
        let paid_by = match cell.channels {
            0 => "nobody".to_owned(),
            1 => format!("1 channel, {}", cell.store),
            channels => format!("{channels} channels, {}", cell.store),
        };
        writeln!(
            page,
            "| {} | {} | {paid_by} | {of_unpaid} | {p99_ratio} | {:.0} | {:.2} ms | {:.2} ms | {:.0} µs | {:.0} MiB |",
            if cell.busy { "100 µs" } else { "empty" },
            cell.connections,
            cell.per_second,
            cell.p50,
            cell.p99,
            cell.cpu,
            cell.memory as f64 / f64::from(1 << 20),
        )?;
    }
    writeln!(page)?;
    Ok(())
}

fn idling(page: &mut String, idle: &Idling) -> Result<()> {
    writeln!(
        page,
        "## Channels that nobody uses

A service starts on a store with {channels} channels, each with one signer whose replay window is full.

`make bench ARGS=\"--only idle\"`

| | target | found | |
| --- | ---: | ---: | --- |
| from opening the store to serving | 2 s | {start:.2} s | {start_met} |
| resident memory a channel, serving | 1,024 bytes | {memory:.0} bytes | {memory_met} |
| the same, when the settlement worker has looked at all of them | 1,024 bytes | {looked_at:.0} bytes | {looked_met} |
",
        channels = idle.channels,
        start = idle.start,
        start_met = met(idle.start <= 2.0),
        memory = idle.memory,
        memory_met = met(idle.memory <= 1_024.0),
        looked_at = idle.looked_at,
        looked_met = met(idle.looked_at <= 1_024.0),
    )?;
    Ok(())
}

fn streams(page: &mut String, download: &Download) -> Result<()> {
    let Download { unpaid, paid, ratio, memory, rounds } = download;
    writeln!(
        page,
        "## A download paid by the byte

A file of 10 MiB over loopback, {rounds} times each in turns, from the same route unpaid and at a base unit for {per}
bytes; signed for with its request. Target: at least 80 % of the speed; {percent:.0} %: {speed}. Memory must not grow
with what has left: after the first download the server had {first:.1} MiB, after the last {last:.1} MiB.

`make bench ARGS=\"--only streams\"`

| | MB/s |
| --- | ---: |
| unpaid | {unpaid:.0} |
| paid | {paid:.0} |
",
        per = crate::http::PER,
        percent = 100.0 * ratio,
        speed = met(*ratio >= 0.8),
        first = memory.0 as f64 / f64::from(1 << 20),
        last = memory.1 as f64 / f64::from(1 << 20),
    )?;
    Ok(())
}

fn hostile(page: &mut String, attacked: &[Attacked]) -> Result<()> {
    let worst = attacked.iter().map(|one| one.ratio).fold(0.0, f64::max);
    writeln!(
        page,
        "## Hostile clients

Honest clients of 100 channels send 1,000 requests a second over 16 connections, alone and beside attackers, whose
load comes from the same core as theirs. Target: their 99th percentile at most doubles; {worst:.2} at worst: {met}.
*Taken* are bad signatures that were answered, bytes and requests that were sent, a second.

`make bench ARGS=\"--only hostile\"`

| beside | p99 / alone | p50 | p99 | the server's core | taken |
| --- | ---: | ---: | ---: | ---: | ---: |",
        met = met(worst <= 2.0),
    )?;
    for one in attacked {
        writeln!(
            page,
            "| {} | {:.2} | {:.2} ms | {:.2} ms | {:.0} % | {:.0} |",
            one.by, one.ratio, one.p50, one.p99, one.busy, one.attacks
        )?;
    }
    writeln!(page)?;
    Ok(())
}
