//! What a neighbour feels of hostile plugins on its machine: how long its records take from in to out, exactly-once,
//! beside a time in which it is alone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sandbar_tests::client::{Client, Isolation, Reader, Record};
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::component;

use crate::{load, verdict};

/// The 99th percentile beside hostile plugins may be so many times that without.
const TIMES_MOST: f64 = 1.1;
/// The neighbour's records at a time; the next ones go when these are acknowledged.
const AT_ONCE: usize = 10;
/// What the others do, over and over; each is a tenant.
const ATTACKS: [&str; 8] = [
    "loop-in-process",
    "loop-of-host-calls",
    "memory-bomb",
    "fill-memory",
    "many-outputs",
    "log-flood",
    "full-scans",
    "trap-always",
];
/// How often each of them is struck.
const STRIKES_EACH: Duration = Duration::from_millis(200);
/// How long an output may take at worst.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(seconds: usize, rounds: usize) {
    let (kafka, daemon) = (Kafka::start(1), Daemon::start());
    let bench = Neighbours {
        client: kafka.client(),
        brokers: kafka.bootstrap(),
        daemon,
        span: Duration::from_secs(seconds as u64),
        began: Instant::now(),
    };
    bench.ship("neighbour", "pass-through", "");
    let mut reader = bench.client.reader(&["neighbour-out"], Isolation::Committed);
    bench.measure(Duration::from_secs(2), &mut reader);
    println!(
        "{seconds} s a time, {} hostile tenants, two cores shared by all",
        ATTACKS.len()
    );
    println!("| round | | records | p50 ms | p99 ms | longest ms |");
    println!("|---|---|---|---|---|---|");
    let mut times: Vec<f64> = (1..=rounds).map(|round| bench.round(round, &mut reader)).collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    verdict(
        "neighbours",
        "times the p99 without hostile plugins (median)",
        median,
        TIMES_MOST,
    );
    println!("load of the machine: {}", load());
}

struct Neighbours {
    client: Client,
    brokers: String,
    daemon: Daemon,
    span: Duration,
    began: Instant,
}

impl Neighbours {
    /// Alone, then beside the others: how many times longer the 99th percentile is.
    fn round(&self, round: usize, reader: &mut Reader) -> f64 {
        let alone = row(round, "alone", self.measure(self.span, reader));
        let tenants: Vec<String> = ATTACKS.iter().map(|attack| format!("r{round}-{attack}")).collect();
        for (tenant, attack) in tenants.iter().zip(ATTACKS) {
            let config = format!("on-error = \"skip\"\nconfig = {{ attack = \"{attack}\" }}");
            self.ship(tenant, "hostile", &config);
        }
        let is_over = AtomicBool::new(false);
        let beside = thread::scope(|scope| {
            scope.spawn(|| self.strike(&tenants, &is_over));
            let measured = self.measure(self.span, reader);
            is_over.store(true, Ordering::Relaxed);
            measured
        });
        let beside = row(round, "beside hostile plugins", beside);
        for tenant in &tenants {
            self.daemon.done(&["delete", "p", "--tenant", tenant]);
        }
        beside / alone
    }

    /// A tenant with a pipeline that runs.
    fn ship(&self, tenant: &str, plugin: &str, operator: &str) {
        self.daemon.done(&["tenant", "create", tenant]);
        for part in ["in", "out"] {
            self.client.create_topic(&format!("{tenant}-{part}"), 1);
        }
        let text = format!(
            "name = \"p\"\nworkers = 1\n[kafka]\nbrokers = \"{}\"\n\
             [source.in]\ntopics = [\"{tenant}-in\"]\nstart = \"earliest\"\n\
             [operator.op]\nplugin = \"{}\"\ninputs = [\"in\"]\n{operator}\n\
             [sink.out]\nfrom = [\"op\"]\ntopic = \"{tenant}-out\"\n[checkpoint]\ninterval = \"100ms\"\n",
            self.brokers,
            component(plugin).display(),
        );
        let file = self.daemon.write(&format!("{tenant}.toml"), &text);
        self.daemon
            .done(&["apply", &file.display().to_string(), "--tenant", tenant]);
        self.daemon.wait_until(tenant, "p", "running");
    }

    fn strike(&self, tenants: &[String], is_over: &AtomicBool) {
        let producer = self.client.producer();
        while !is_over.load(Ordering::Relaxed) {
            let strike = |tenant: &String| Record::keyed(&format!("{tenant}-in"), "k", "strike");
            producer.send(&tenants.iter().map(strike).collect::<Vec<_>>());
            thread::sleep(STRIKES_EACH);
        }
    }

    /// Sends for so long, and waits until all of it is put out: how long each record took.
    fn measure(&self, span: Duration, reader: &mut Reader) -> Vec<Duration> {
        let from = self.began.elapsed();
        // None yet.
        let sent = AtomicUsize::new(usize::MAX);
        thread::scope(|scope| {
            let reading = scope.spawn(|| self.read(from, &sent, reader));
            let producer = self.client.producer();
            let mut count = 0;
            while self.began.elapsed() - from < span {
                let now = self.began.elapsed().as_nanos().to_string();
                producer.send(&vec![Record::keyed("neighbour-in", "k", &now); AT_ONCE]);
                count += AT_ONCE;
            }
            sent.store(count, Ordering::Relaxed);
            reading.join().expect("the reader ends")
        })
    }

    /// Reads what was sent from that moment on, until all of it came: how many there are is told at the end.
    fn read(&self, from: Duration, sent: &AtomicUsize, reader: &mut Reader) -> Vec<Duration> {
        let (mut took, mut came) = (Vec::new(), Instant::now());
        while took.len() < sent.load(Ordering::Relaxed) {
            assert!(came.elapsed() < PATIENCE, "{} outputs came, and no more", took.len());
            for record in reader.take(1, Duration::from_millis(100)) {
                came = Instant::now();
                let at = Duration::from_nanos(record.text().parse().expect("a moment"));
                if at >= from {
                    took.push(self.began.elapsed() - at);
                }
            }
        }
        took
    }
}

fn row(round: usize, who: &str, mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let at = |part: f64| {
        let index = ((took.len() as f64 * part) as usize).min(took.len().saturating_sub(1));
        took.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    };
    let (half, most, longest) = (at(0.5), at(0.99), at(1.0));
    println!(
        "| {round} | {who} | {} | {half:.0} | {most:.0} | {longest:.0} |",
        took.len()
    );
    most
}
