//! A real Apache Kafka, started from its jars: one node, or several, on loopback ports, in a folder that is removed
//! afterwards.

use crate::client::Client;
use crate::guard::{Folder, Guarded};
use crate::wait;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// The user that the SASL listener knows, and its password.
pub const SASL_USER: (&str, &str) = ("alice", "alice-secret");

const CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";
const START_LIMIT: Duration = Duration::from_secs(180);
/// A lone broker that stands still is not taken for dead: clients that were told of no broker at all may never come
/// back. This counts until it is started again, since then it has to wait for the end of its session of before.
const LONE: [&str; 2] = ["--override", "broker.session.timeout.ms=120000"];
/// Three nodes on two cores wait for each other: a leader that is slow is none that is dead.
const QUORUM: &str = "controller.quorum.fetch.timeout.ms=10000\ncontroller.quorum.election.timeout.ms=5000";

/// What every node says about itself. `group.min.session.timeout.ms` lets kill tests be quick; without retention and
/// time limits the broker keeps records whatever their timestamps; the cleaner's buffer alone would take 128 MiB of
/// heap.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
SASL_PLAINTEXT:SASL_PLAINTEXT,OAUTH:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_alice=\"alice-secret\";
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule \
required unsecuredLoginStringClaim_sub=\"broker\";
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
broker.session.timeout.ms=6000
log.cleaner.dedupe.buffer.size=4194304
log.retention.ms=-1
log.message.timestamp.before.max.ms=9223372036854775807
log.message.timestamp.after.max.ms=9223372036854775807
log.segment.delete.delay.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
delete.topic.enable=true
";

const LOG4J: &str = "\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
";

struct Node {
    number: usize,
    port: u16,
    sasl_port: u16,
    oauth_port: u16,
    folder: PathBuf,
    process: Mutex<Option<Guarded>>,
}

/// A running cluster. Dropped, or the test process gone: the nodes are killed and the folder is removed.
pub struct Kafka {
    nodes: Vec<Node>,
    _folder: Folder,
}

impl Kafka {
    /// The single node that the cheap tests of one binary share. Tests keep apart by their topics' and groups' names.
    pub fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| Kafka::start(1))
    }

    /// A cluster of its own, ready to serve.
    pub fn start(nodes: usize) -> Self {
        let folder = Folder::new("sandbar-kafka-");
        let ports: Vec<[u16; 4]> = (0..nodes).map(|_| std::array::from_fn(|_| free_port())).collect();
        let voters: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(at, port)| format!("{}@127.0.0.1:{}", at + 1, port[1]))
            .collect();
        let nodes: Vec<Node> = ports
            .iter()
            .enumerate()
            .map(|(at, port)| Node::new(folder.path(), at + 1, *port, &voters))
            .collect();
        let kafka = Self { nodes, _folder: folder };
        let options = if kafka.nodes.len() == 1 { &LONE[..] } else { &[] };
        kafka.nodes.iter().for_each(|node| node.start(options));
        kafka.wait_ready();
        kafka
    }

    /// `host:port` of every node.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        addresses.join(",")
    }

    /// `host:port` of the listener that asks for a password (SASL/PLAIN, see `SASL_USER`).
    pub fn sasl_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[0].sasl_port)
    }

    /// `host:port` of the listener that takes unsigned tokens (SASL/OAUTHBEARER). A connection lives for as long as its
    /// token.
    pub fn oauth_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.nodes[0].oauth_port)
    }

    /// A client of this cluster.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// The processes of the nodes that run.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes
            .iter()
            .filter_map(|node| node.process.lock().unwrap().as_ref().map(Guarded::id))
            .collect()
    }

    /// How many lines of node `number`'s log have this text.
    pub fn logged(&self, number: usize, text: &str) -> usize {
        let log = std::fs::read(self.nodes[number - 1].folder.join("log")).expect("the node's log");
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Kills node `number` (from 1) as kill -9 does.
    pub fn kill(&self, number: usize) {
        self.nodes[number - 1].process.lock().unwrap().take();
    }

    /// Stops node `number` without ending it; `resume` lets it go on.
    pub fn pause(&self, number: usize) {
        self.nodes[number - 1].signal("STOP");
    }

    /// Lets a paused node go on.
    pub fn resume(&self, number: usize) {
        self.nodes[number - 1].signal("CONT");
    }

    /// Starts a killed node again on its own data and waits until the cluster is whole: every replica in sync, so that
    /// another node may die.
    pub fn restart(&self, number: usize) {
        self.nodes[number - 1].start(&[]);
        self.wait_ready();
        let client = self.client();
        wait::until_true("every replica is in sync", START_LIMIT, || client.is_in_sync());
    }

    /// Starts a killed node again on its own data, and waits for nothing: others may be dead.
    pub fn start_again(&self, number: usize) {
        self.nodes[number - 1].start(&[]);
    }

    /// Adds a line to what every node says about itself; it counts from a node's next start.
    pub fn configure(&self, line: &str) {
        for node in &self.nodes {
            let path = node.folder.join("server.properties");
            let text = std::fs::read_to_string(&path).expect("server.properties");
            std::fs::write(&path, format!("{text}{line}\n")).expect("server.properties is written");
        }
    }

    /// Metadata says more than an open port: every node has registered.
    fn wait_ready(&self) {
        let client = self.client();
        wait::until_true("Kafka is ready", START_LIMIT, || {
            self.nodes.iter().for_each(Node::assert_alive);
            client.broker_count() == self.nodes.len()
        });
    }
}

impl Node {
    fn new(folder: &Path, number: usize, ports: [u16; 4], voters: &[String]) -> Self {
        let [port, controller, sasl_port, oauth_port] = ports;
        let folder = folder.join(format!("n{number}"));
        std::fs::create_dir(&folder).expect("a folder for the node");
        let replicas = voters.len().min(3);
        let in_sync = replicas.min(2);
        let mut text = String::from(COMMON);
        let address = "127.0.0.1";
        writeln!(text, "node.id={number}").unwrap();
        writeln!(text, "controller.quorum.voters={}", voters.join(",")).unwrap();
        let open = format!(
            "PLAINTEXT://{address}:{port},SASL_PLAINTEXT://{address}:{sasl_port},OAUTH://{address}:{oauth_port}"
        );
        if voters.len() > 1 {
            writeln!(text, "{QUORUM}").unwrap();
        }
        writeln!(text, "listeners={open},CONTROLLER://{address}:{controller}").unwrap();
        writeln!(text, "advertised.listeners={open}").unwrap();
        writeln!(text, "log.dirs={}", folder.join("data").display()).unwrap();
        writeln!(
            text,
            "default.replication.factor={replicas}\nmin.insync.replicas={in_sync}"
        )
        .unwrap();
        for topic in [
            "offsets.topic",
            "transaction.state.log",
            "share.coordinator.state.topic",
        ] {
            writeln!(text, "{topic}.replication.factor={replicas}").unwrap();
        }
        for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
            writeln!(text, "{topic}.min.isr={in_sync}").unwrap();
        }
        std::fs::write(folder.join("server.properties"), text).expect("server.properties is written");
        std::fs::write(folder.join("log4j2.properties"), LOG4J).expect("log4j2.properties is written");
        let node = Self {
            number,
            port,
            sasl_port,
            oauth_port,
            folder,
            process: Mutex::new(None),
        };
        let formatted = node
            .java("kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER_ID, "-c"])
            .arg(node.folder.join("server.properties"))
            .output()
            .expect("java starts");
        assert!(
            formatted.status.success(),
            "storage is formatted: {}",
            String::from_utf8_lossy(&formatted.stderr)
        );
        node
    }

    /// A small heap and quick compiler: a broker of a test lives for a minute or two.
    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.folder.join("log4j2.properties").display()
            ))
            .arg("-cp")
            .arg(jars().join("*"))
            .arg(class)
            .stdin(Stdio::null());
        java
    }

    fn start(&self, options: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("a log file");
        let errors = log.try_clone().expect("a file can be shared");
        let mut java = self.java("kafka.Kafka");
        java.arg(self.folder.join("server.properties"))
            .args(options)
            .stdout(log)
            .stderr(errors);
        *self.process.lock().unwrap() = Some(Guarded::spawn(&mut java));
    }

    fn signal(&self, name: &str) {
        self.process
            .lock()
            .unwrap()
            .as_mut()
            .expect("the node runs")
            .signal(name);
    }

    fn assert_alive(&self) {
        if let Some(process) = self.process.lock().unwrap().as_mut()
            && process.ended().is_some()
        {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            panic!(
                "Kafka node {} ended:\n{}",
                self.number,
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

/// The version of Apache Kafka that the tests run on: `KAFKA_VERSION`, or the usual one, which stands in the file that
/// Maven reads.
pub fn version() -> String {
    let usual = || {
        let pom = include_str!("../kafka/pom.xml");
        let behind = pom.split("<kafka.version>").nth(1).expect("a version");
        behind.split('<').next().expect("a version").to_owned()
    };
    std::env::var("KAFKA_VERSION").unwrap_or_else(|_| usual())
}

/// One of Kafka's own tools, by its class.
pub fn tool(class: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars().join("*"))
        .arg(class);
    java
}

/// Whether Kafka's jars are there.
pub fn has_jars() -> bool {
    folder_of_jars().is_dir()
}

/// Each version of Kafka has a folder of its own.
fn folder_of_jars() -> PathBuf {
    let of_version = || crate::target().join("kafka-libs").join(version());
    std::env::var_os("SANDBAR_KAFKA_LIBS").map_or_else(of_version, PathBuf::from)
}

/// Kafka's jars, which `make setup` puts there.
fn jars() -> PathBuf {
    let folder = folder_of_jars();
    assert!(
        folder.is_dir(),
        "Kafka's jars are missing in {}: run `make setup`",
        folder.display()
    );
    folder
}

/// A port below those that the system gives to outgoing connections, so that a killed node finds its own again.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = (std::process::id() % 1000) as u16 * 12;
    for _ in 0..12_000 {
        let port = 20_000 + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}
