//! What Linux counts of a process (proc(5)).

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Processor time of all threads that a process has now, to the nanosecond. Threads that have ended do not count.
pub fn cpu_of_threads(pid: u32) -> Result<Duration, String> {
    let folder = format!("/proc/{pid}/task");
    let mut total = 0;
    for task in fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))? {
        let file = task
            .map_err(|error| format!("{folder}: {error}"))?
            .path()
            .join("schedstat");
        let text = read(&file)?;
        let first = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        total += first.ok_or_else(|| format!("{}: no number", file.display()))?;
    }
    Ok(Duration::from_nanos(total))
}

/// Processor time of a process since it began, in steps of ten milliseconds (`utime` and `stime`).
pub fn cpu(pid: u32) -> Result<Duration, String> {
    times(&format!("/proc/{pid}/stat"), 14)
}

/// Processor time of all processes that this one has started and waited for (`cutime` and `cstime`).
pub fn cpu_of_ended_children() -> Result<Duration, String> {
    times("/proc/self/stat", 16)
}

/// The sum of two fields, counted from one as the manual does, in ticks of ten milliseconds.
fn times(file: &str, field: usize) -> Result<Duration, String> {
    let text = read(Path::new(file))?;
    // The name stands in brackets and may hold anything; what follows it begins with field 3.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks: Option<Vec<u64>> = fields
        .split_whitespace()
        .skip(field - 3)
        .take(2)
        .map(|word| word.parse().ok())
        .collect();
    let ticks = ticks
        .filter(|ticks| ticks.len() == 2)
        .ok_or_else(|| format!("{file}: no times"))?;
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

/// The most memory that a process has had resident, in KiB (`VmHWM`).
pub fn peak_memory(pid: u32) -> Result<u64, String> {
    let file = format!("/proc/{pid}/status");
    let text = read(Path::new(&file))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("{file}: no VmHWM"))
}

/// The newest process that runs this program.
pub fn running(program: &Path) -> Result<u32, String> {
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let runs = |id: &u32| fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == program);
    ids.filter(runs)
        .max()
        .ok_or_else(|| format!("{} is not running", program.display()))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
