//! A diagnosis of a machine as a table.

use super::Options;
use super::layout::Page;
use crate::doctor::{Diagnosis, Finding, Status};
use crate::units::{thousands, three_digits};

/// Columns before what the whole comes to.
const ENDING: usize = 13;

/// Every finding with a mark, what it costs and how to mend it, and what it all comes to.
#[must_use]
pub fn diagnosis(diagnosis: &Diagnosis, options: &Options) -> String {
    let mut page = Page::new(options.width, options.color);
    page.title("this machine", &machine(diagnosis));
    for finding in &diagnosis.findings {
        line(finding, &mut page);
    }
    let (word, words) = ending(diagnosis);
    page.ending(word, ENDING, &words);
    page.into_text()
}

fn machine(diagnosis: &Diagnosis) -> Vec<String> {
    let environment = &diagnosis.facts.environment;
    let gib = |bytes: u64| format!("{} GiB", three_digits(bytes as f64 / f64::from(1 << 30)));
    let facts = [
        environment.cpu_model.clone(),
        Some(format!("{} CPUs", thousands(environment.cores as u64))),
        environment.memory_bytes.map(gib),
        environment.kernel.clone(),
        Some(format!("tailmark {}", environment.tool_version)),
    ];
    facts.into_iter().flatten().collect()
}

fn line(finding: &Finding, page: &mut Page) {
    let mark = match finding.status {
        Status::Fine => "✓",
        Status::NotTold => "–",
        Status::Costs => "!",
        Status::Prevents => "✗",
    };
    let seen = format!("{mark} {}", finding.observed);
    let cost = finding.cost.as_ref();
    let cost = cost.map(|cost| format!("{}: {cost}", finding.status.name()));
    let remedy = finding.remedy.as_ref();
    let remedy = remedy.map(|remedy| format!("mend: {remedy}"));
    let parts = [
        seen.as_str(),
        cost.as_deref().unwrap_or_default(),
        remedy.as_deref().unwrap_or_default(),
    ];
    match finding.status {
        Status::Prevents => page.verdict(finding.subject, &parts),
        Status::Fine | Status::NotTold | Status::Costs => page.labelled(finding.subject, &parts),
    }
}

fn ending(diagnosis: &Diagnosis) -> (&'static str, String) {
    let subjects = |status| {
        let findings = diagnosis.findings.iter();
        let of_status = findings.filter(|finding| finding.status == status);
        let subjects: Vec<&str> = of_status.map(|finding| finding.subject).collect();
        subjects.join(", ")
    };
    let costly = subjects(Status::Costs);
    if !diagnosis.can_measure() {
        let words = "what is measured here would be refused, or not valid";
        return (
            "PREVENTED",
            format!("by {}: {words}", subjects(Status::Prevents)),
        );
    }
    if costly.is_empty() {
        let words =
            "this machine can be measured on, and nothing that was looked at costs anything";
        return ("READY", words.to_owned());
    }
    (
        "READY",
        format!("this machine can be measured on; it costs what is said at {costly}"),
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::fixtures::{facts, poor};
    use crate::report::IN_A_FILE;

    fn printed(facts: crate::doctor::Facts) -> String {
        let options = Options {
            width: 80,
            ..IN_A_FILE
        };
        let text = diagnosis(&Diagnosis::of(facts), &options);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        text
    }

    #[test]
    fn a_good_machine_takes_a_line_for_each_subject() {
        assert_snapshot!(printed(facts()), @r"
        this machine    Example CPU · 4 CPUs · 24.0 GiB · Linux 6.1.0 · tailmark 0.1.0
          files      ✓ 65,535 descriptors at most: room for 65,435 connections
          ports      ✓ 28,232 local ports: 28,232 connections to one address elsewhere,
                     470 new ones a second
          backlog    ✓ 4,096 connections may wait for accept
          cores      ✓ 4 cores (CPUs 0-3); --pin auto: generator 3, target 1-2, stores 0
          quota      ✓ no limit of CPU time
          steal      ✓ 0.0 % of the CPU time over 1.00 s
          others     ✓ others keep 0.02 of 4 CPUs busy, load average 0.04
          timer      ✓ 200 wakes were late by 0.900 µs at p50, 17.3 at p99, 41.0 at most
          clock      ✓ tsc, 24.1 ns for a look at it
          governor   ✓ performance
          boost      ✓ off
          memory     ✓ 20,480.0 of 24,576.0 MiB available
          pages      ✓ transparent huge pages: madvise
          container  ✓ tailmark runs in none
          engine     ✓ Docker Engine 20.10.24 answers
          postgres   ✓ /usr/lib/postgresql/15/bin
          redis      ✓ /usr/bin
        READY        this machine can be measured on, and nothing that was looked at
                     costs anything
        ");
    }

    #[test]
    fn a_poor_machine_says_what_each_finding_costs_and_how_to_mend_it() {
        assert_snapshot!(printed(poor()), @r"
        this machine    Example CPU · 2 CPUs · 24.0 GiB · Linux 6.1.0 · tailmark 0.1.0
          files      ✗ 300 descriptors at most: room for 200 connections
                     prevents: a run with the usual 256 connections is refused
                     mend: ulimit -Hn 65535, LimitNOFILE= in systemd, or docker run
                     --ulimit nofile=65535
          ports      – not told: no net.ipv4.ip_local_port_range
          backlog    ! 128 connections may wait for accept
                     costs: of more that open at once, to a target on this machine, some
                     are a second late: their SYN is dropped and sent again
                     mend: sysctl -w net.core.somaxconn=4096
          cores      ! 2 cores (CPUs 0-1)
                     costs: generator, target and stores share them, for nothing is set
                     apart below four: they wait for each other, and rounds may be void
                     mend: a machine with four cores or more, or --pin
                     GENERATOR:TARGET:STORES
          quota      ! 1.50 CPUs for tailmark's control group
                     costs: whoever has used it up stands still for the rest of 100 ms,
                     and the run is called disturbed
                     mend: run tailmark without a CPU limit; --cpus limits a target
                     alone
          steal      ✗ 11.2 % of the CPU time over 1.00 s
                     prevents: the hypervisor gives it to others: a run meanwhile is
                     called disturbed, and says nothing of its target
                     mend: a machine of its own, or an instance with whole CPUs; another
                     time of day may do
          others     ! others keep 1.30 of 2 CPUs busy, load average 2.10
                     costs: generator, target and stores wait for them, most of all in
                     the tail, and changes must be larger to be seen
                     mend: end what need not run (top says what it is), or measure when
                     it is over
          timer      ! 200 wakes were late by 12.0 µs at p50, 1,240 at p99, 8,100 at
                     most
                     costs: arrivals are sent that late: a run with a p99 below 12.4 ms
                     is called client-bound
                     mend: CPUs that nobody else uses: a quieter machine, --pin from
                     four cores up, an instance that is not shared
          clock      ! source not told, 1,210 ns for a look at it
                     costs: every exchange takes several looks, which cost the generator
                     CPU time and add to short responses
                     mend: a clock that is read without a system call, such as tsc:
                     available_clocksource in /sys/devices/system/clocksource/ lists
                     them
          governor   ! powersave, schedutil
                     costs: CPUs slow down when there is little to do: a light load can
                     look slower than a heavy one
                     mend: cpupower frequency-set -g performance
          boost      ! on
                     costs: how fast a CPU is depends on its temperature and on how many
                     are busy: runs one after another differ by that; rounds of compare
                     and gate share it
                     mend: echo 0 > /sys/devices/system/cpu/cpufreq/boost, or echo 1 >
                     /sys/devices/system/cpu/intel_pstate/no_turbo
          memory     – not told: /proc/meminfo cannot be read
          pages      ! transparent huge pages: always
                     costs: a target may be given 2 MiB where it uses 4 KiB: its memory
                     is more than on a machine with madvise, and differs from start to
                     start
                     mend: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled
          container  ! tailmark runs in one
                     costs: requests to the machine pass its network, and the memory of
                     targets outside cannot be read
                     mend: docker run --network host --pid host
          engine     ! no container engine answers (/var/run/docker.sock: there is no
                     such socket)
                     costs: no targets as containers (image, --runtime container), and
                     no --watch container:NAME; processes are measured all the same
                     mend: start Docker or podman, or name its socket:
                     DOCKER_HOST=unix:///run/docker.sock
          postgres   ! `postgres` and `initdb` are in no folder of PATH
                     costs: targets with `stores: [postgres]` cannot be started, those
                     of the reference services among them
                     mend: apt-get install postgresql
          redis      ✓ /usr/bin
        PREVENTED    by files, steal: what is measured here would be refused, or not
                     valid
        ");
    }
}
