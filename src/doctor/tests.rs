use super::fixtures::{facts, machine, poor};
use super::*;

/// What is said of `subject` on a machine that differs from a good one as `change` says.
fn found(subject: &str, change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = facts();
    change(&mut facts);
    let findings = Diagnosis::of(facts).findings;
    let mut of_subject = findings
        .into_iter()
        .filter(|finding| finding.subject == subject);
    of_subject.next().unwrap()
}

fn check(subject: &str, change: impl FnOnce(&mut Facts), status: Status, observed: &str) {
    let finding = found(subject, change);
    assert_eq!(
        (finding.status, finding.observed.as_str()),
        (status, observed),
        "{finding:?}"
    );
    let is_bad = status >= Status::Costs;
    assert_eq!(finding.cost.is_some(), is_bad, "{finding:?}");
    assert_eq!(finding.remedy.is_some(), is_bad, "{finding:?}");
}

#[test]
fn a_good_machine_costs_nothing() {
    let good = Diagnosis::of(facts());
    for finding in &good.findings {
        assert_eq!(finding.status, Status::Fine, "{finding:?}");
    }
    assert!(good.can_measure());
}

#[test]
fn a_poor_machine_says_in_every_respect_what_it_costs() {
    let poor = Diagnosis::of(poor());
    assert!(!poor.can_measure());
    let prevents = poor.findings.iter();
    let prevents: Vec<&str> = prevents
        .filter(|finding| finding.status == Status::Prevents)
        .map(|finding| finding.subject)
        .collect();
    assert_eq!(prevents, ["files", "steal"]);
    for finding in &poor.findings {
        let explained = finding.cost.is_some() && finding.remedy.is_some();
        assert_eq!(explained, finding.status >= Status::Costs, "{finding:?}");
    }
}

#[test]
fn descriptors_are_held_against_the_usual_and_many_connections() {
    use Status::{Costs, Fine, Prevents};
    let limit = |limit, connections| {
        move |facts: &mut Facts| {
            (facts.descriptors, facts.connections) = (limit, connections);
        }
    };
    check("files", limit(None, None), Fine, "no limit of descriptors");
    check(
        "files",
        limit(Some(20_000), Some(19_900)),
        Fine,
        "20,000 descriptors at most: room for 19,900 connections",
    );
    check(
        "files",
        limit(Some(1_024), Some(924)),
        Costs,
        "1,024 descriptors at most: room for 924 connections",
    );
    check(
        "files",
        limit(Some(355), Some(255)),
        Prevents,
        "355 descriptors at most: room for 255 connections",
    );
}

#[test]
fn ports_say_how_many_connections_may_be_made_again() {
    use Status::{Costs, Fine};
    check(
        "ports",
        |_| {},
        Fine,
        "28,232 local ports: 28,232 connections to one address elsewhere, 470 new ones a second",
    );
    check(
        "ports",
        |facts| facts.settings.reuse_ports = Some(1),
        Fine,
        "28,232 local ports: 28,232 connections to one address elsewhere, 28,232 new ones a second",
    );
    check(
        "ports",
        |facts| facts.settings.ports = Some((50_000, 50_999)),
        Costs,
        "1,000 local ports: 1,000 connections to one address elsewhere, 16 new ones a second",
    );
    check(
        "backlog",
        |facts| facts.settings.backlog = Some(128),
        Costs,
        "128 connections may wait for accept",
    );
}

#[test]
fn fewer_than_four_cores_are_shared() {
    use Status::{Costs, Fine};
    check(
        "cores",
        |_| {},
        Fine,
        "4 cores (CPUs 0-3); --pin auto: generator 3, target 1-2, stores 0",
    );
    let with = |topology| move |facts: &mut Facts| facts.topology = Some(topology);
    check("cores", with(machine(2)), Costs, "2 cores (CPUs 0-1)");
    check("cores", with(machine(1)), Costs, "1 core (CPUs 0)");
    let threads = Topology::new(["0,2", "1,3"].map(|core| core.parse().unwrap()));
    check(
        "cores",
        with(threads),
        Costs,
        "2 cores with 4 threads (CPUs 0-3)",
    );
    assert_ne!(
        found("cores", with(machine(1))).cost,
        found("cores", with(machine(2))).cost
    );
}

#[test]
fn what_voids_a_run_prevents_measuring() {
    use Status::{Costs, Fine, Prevents};
    let steal = |steal| move |facts: &mut Facts| facts.quiet.steal = Some(steal);
    check(
        "steal",
        steal(0.004),
        Fine,
        "0.4 % of the CPU time over 1.00 s",
    );
    check(
        "steal",
        steal(0.03),
        Costs,
        "3.0 % of the CPU time over 1.00 s",
    );
    check(
        "steal",
        steal(0.11),
        Prevents,
        "11.0 % of the CPU time over 1.00 s",
    );
    check(
        "quota",
        |facts| facts.settings.cpu_quota = Some(1.5),
        Costs,
        "1.50 CPUs for tailmark's control group",
    );
    check(
        "quota",
        |facts| facts.quiet.throttled_ns = Some(2_000_000),
        Prevents,
        "tailmark's own control group was throttled for 2.00 ms (raise its CPU limit)",
    );
}

#[test]
fn others_matter_by_their_share_of_the_machine() {
    use Status::{Costs, Fine};
    let busy = |others| move |facts: &mut Facts| facts.quiet.others = Some(others);
    check(
        "others",
        busy(0.2),
        Fine,
        "others keep 0.20 of 4 CPUs busy, load average 0.04",
    );
    check(
        "others",
        busy(0.21),
        Costs,
        "others keep 0.21 of 4 CPUs busy, load average 0.04",
    );
}

#[test]
fn a_late_timer_names_the_times_that_it_hides() {
    let late = |p99_ns| {
        move |facts: &mut Facts| {
            facts.wakes = Some(Wakes {
                count: 200,
                p50_ns: 5_000,
                p99_ns,
                max_ns: 2_000_000,
            });
        }
    };
    check(
        "timer",
        late(250_000),
        Status::Fine,
        "200 wakes were late by 5.00 µs at p50, 250 at p99, 2,000 at most",
    );
    let finding = found("timer", late(310_000));
    assert_eq!(finding.status, Status::Costs);
    assert_eq!(
        finding.cost.unwrap(),
        "arrivals are sent that late: a run with a p99 below 3.10 ms is called client-bound"
    );
}

#[test]
fn what_a_virtual_machine_does_not_tell_is_not_called_fine() {
    for subject in ["governor", "boost"] {
        check(
            subject,
            |facts| {
                facts.settings.governors.clear();
                facts.settings.boost = None;
            },
            Status::NotTold,
            "not told: no cpufreq, as in most virtual machines",
        );
    }
    let silent = |facts: &mut Facts| {
        facts.settings = Settings::default();
        facts.quiet = Quiet::default();
        (facts.topology, facts.wakes, facts.clock_read_ns) = (None, None, None);
    };
    for subject in [
        "ports", "backlog", "cores", "steal", "others", "timer", "clock", "memory",
    ] {
        assert_eq!(found(subject, silent).status, Status::NotTold, "{subject}");
    }
}

#[test]
fn memory_is_scarce_before_it_is_gone() {
    use Status::{Costs, Fine, Prevents};
    let left = |mib: u64| move |facts: &mut Facts| facts.settings.available_bytes = Some(mib << 20);
    check("memory", left(512), Fine, "512.0 of 24,576.0 MiB available");
    check(
        "memory",
        left(511),
        Costs,
        "511.0 of 24,576.0 MiB available",
    );
    check(
        "memory",
        left(63),
        Prevents,
        "63.0 of 24,576.0 MiB available",
    );
}

#[test]
fn huge_pages_for_everybody_make_memory_look_larger() {
    use Status::{Costs, Fine, NotTold};
    let mode = |mode: Option<&str>| {
        let mode = mode.map(str::to_owned);
        move |facts: &mut Facts| facts.settings.huge_pages = mode
    };
    check(
        "pages",
        mode(Some("always")),
        Costs,
        "transparent huge pages: always",
    );
    check(
        "pages",
        mode(Some("never")),
        Fine,
        "transparent huge pages: never",
    );
    check(
        "pages",
        mode(None),
        NotTold,
        "not told: the kernel has no transparent huge pages",
    );
}
