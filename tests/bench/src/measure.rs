//! Clocks, and what the system says of a process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads of this process so far, user and system.
pub(crate) fn cpu_of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU time of this thread so far.
pub(crate) fn cpu_of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU time of all threads of a process so far.
pub(crate) fn cpu_of(process: u32) -> Result<Duration> {
    let mut nanoseconds: u64 = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // a thread may end in between
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let first = text.split(' ').next().context("an empty schedstat")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(process: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Keeps this thread, and those that it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None::<Pid>, &cores).context("can't pin to a core")
}

/// The value below which `percent` of all are. Sorts.
pub(crate) fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = ((last as f64) * percent / 100.0).round();
    values.get(at as usize).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    percentile(&mut values, 50.0)
}

/// What the figures were made on.
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory: u64,
    pub(crate) kernel: String,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Result<Self> {
        let line = |path: &str, name: &str| -> Result<String> {
            let text = fs::read_to_string(path)?;
            let line = text.lines().find(|line| line.starts_with(name)).context("no such line")?;
            Ok(line.split_once(':').context("no value")?.1.trim().to_owned())
        };
        let memory = line("/proc/meminfo", "MemTotal")?;
        Ok(Self {
            cpu: line("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism()?.get(),
            memory: memory.trim_end_matches(" kB").parse::<u64>()? * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }
}

/// How long the disk takes to sync an append of 4 KiB in `folder`: the middle and the 99th of a hundred, in
/// milliseconds.
pub(crate) fn disk_sync(folder: &Path, times: usize) -> Result<(f64, f64)> {
    use std::io::Write as _;
    let path = folder.join("sync");
    let mut file = fs::File::create(&path)?;
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = std::time::Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(path)?;
    Ok((percentile(&mut taken, 50.0), percentile(&mut taken, 99.0)))
}
