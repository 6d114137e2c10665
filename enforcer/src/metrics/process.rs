//! Memory and time of this process, under the names that Prometheus' own libraries use.

use std::fs;

use super::page::{Kind, Page};

pub(super) fn write(page: &mut Page) {
    // Without /proc there is nothing to say.
    let Some((cpu, started, resident)) = read() else { return };
    page.foreign(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Total user and system CPU time spent in seconds.",
    );
    page.foreign_sample("process_cpu_seconds_total", &[], cpu);
    page.foreign(
        "process_start_time_seconds",
        Kind::Gauge,
        "Start time of the process in seconds since 1970.",
    );
    page.foreign_sample("process_start_time_seconds", &[], started);
    page.foreign("process_resident_memory_bytes", Kind::Gauge, "Resident memory size in bytes.");
    page.foreign_sample("process_resident_memory_bytes", &[], resident);
}

fn read() -> Option<(f64, f64, u64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold anything; fields are counted behind it, from the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, system, started, pages) = (field(14)?, field(15)?, field(22)?, field(24)?);
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let (ticks, page) = (sysconf(libc::_SC_CLK_TCK)?, sysconf(libc::_SC_PAGESIZE)?);
    let seconds = |ticks_used: u64| ticks_used as f64 / ticks as f64;
    Some((seconds(user + system), boot as f64 + seconds(started), pages * page))
}

fn sysconf(name: libc::c_int) -> Option<u64> {
    // SAFETY: it takes a number and returns one.
    #[allow(unsafe_code)]
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_memory_and_began_in_the_past() {
        let (cpu, started, resident) = super::read().expect("/proc");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(cpu >= 0.0 && started > 1e9 && started <= now.as_secs_f64() + 1.0 && resident > 100_000);
    }
}
