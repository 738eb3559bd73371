//! A broker as a process of its own: started, asked, killed, stopped and measured.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use weir::base::Error;
use weir::client::{At, Client};

/// A broker that is not there after this long will not come.
const START_WAIT: Duration = Duration::from_secs(60);
/// A single request that has no answer after this long is made again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// A running `weir serve`. Killed when dropped.
pub(crate) struct BrokerProcess {
    child: Child,
    port: u16,
    started: Instant,
    log: PathBuf,
    /// Bytes that brokers before it have said.
    said_before: u64,
}

/// How a broker is started, beyond the usual.
#[derive(Clone, Default, Debug)]
pub(crate) struct Manner {
    /// A program with its arguments that starts the broker in its turn.
    pub(crate) under: Vec<String>,
    /// Settings, each as `key=value`.
    pub(crate) settings: Vec<String>,
}

impl BrokerProcess {
    /// Starts a broker on `folder/data`; what it says goes to `folder/broker.log`.
    pub(crate) fn start(folder: &Path, port: u16) -> Self {
        Self::start_on(&folder.join("data"), folder, port)
    }

    /// The same with the data somewhere else.
    pub(crate) fn start_on(data_dir: &Path, folder: &Path, port: u16) -> Self {
        Self::start_with(data_dir, folder, port, &[])
    }

    /// The same with settings, each as `key=value`.
    pub(crate) fn start_with(data_dir: &Path, folder: &Path, port: u16, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Self::start_as(data_dir, folder, port, &Manner { under: Vec::new(), settings })
    }

    /// The same in another manner.
    pub(crate) fn start_as(data_dir: &Path, folder: &Path, port: u16, manner: &Manner) -> Self {
        let log = folder.join("broker.log");
        let open = || -> File { OpenOptions::new().create(true).append(true).open(&log).unwrap() };
        let said_before = log.metadata().map_or(0, |file| file.len());
        let mut command = match manner.under.split_first() {
            None => Command::new(binary()),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(binary());
                command
            }
        };
        command.arg("serve").arg("--data-dir").arg(data_dir);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(manner.settings.iter().flat_map(|setting| ["-X", setting]));
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        // WHY: the broker takes each of them for a setting of its own.
        let ours = std::env::vars_os().map(|(name, _)| name);
        ours.filter(|name| name.to_string_lossy().starts_with("WEIR_")).for_each(|name| {
            command.env_remove(name);
        });
        let started = Instant::now();
        let child = command.spawn().expect("the broker's binary runs");
        Self { child, port, started, log, said_before }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is its own, in KiB.
    pub(crate) fn rss_anon_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.expect("the kernel tells RssAnon").trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Time since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until it takes connections.
    pub(crate) async fn accepts(&mut self) {
        while TcpStream::connect(self.address()).await.is_err() {
            self.assert_alive();
            sleep(PAUSE).await;
        }
    }

    /// Waits for the first request that succeeds, and gives the time from start to then. With a topic the request is
    /// for the ends of all its partitions, so that every log has been opened.
    pub(crate) async fn answers(&mut self, topic: Option<&str>) -> Duration {
        self.accepts().await;
        let client = Client::connect(&self.address()).await.unwrap();
        while let Err(error) = ask(&client, topic).await {
            self.assert_alive();
            assert!(error.kind.is_retriable(), "{error}");
            sleep(PAUSE).await;
        }
        self.age()
    }

    /// Waits for the first answer or for the end of the process, and gives that.
    pub(crate) async fn answers_or_ends(&mut self) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            assert!(self.age() < START_WAIT, "the broker does not answer; it said:\n{}", self.said());
            let answer = async { ask(&Client::connect(&self.address()).await?, None).await };
            match timeout(PATIENCE, answer).await {
                Ok(Ok(())) => return None,
                Ok(Err(error)) => assert!(error.kind.is_retriable(), "{error}"),
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }

    fn assert_alive(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the broker ended with {ended:?}; it said:\n{}", self.said());
        assert!(self.age() < START_WAIT, "the broker does not answer; it said:\n{}", self.said());
    }

    /// Runs the command line against it, off this thread. Says what it printed on stdout, or on stderr when it failed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(binary());
        command.args(arguments).args(["-b", &self.address(), "--timeout", "60s"]).stdin(Stdio::null());
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if ended.status.success() { Ok(text(ended.stdout)) } else { Err(text(ended.stderr)) }
    }

    /// All that this process said.
    pub(crate) fn said_itself(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.said_before as usize..).unwrap_or_default()).into_owned()
    }

    /// The end of what it said.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; `None` when it did not come within `wait`.
    pub(crate) async fn ended(&mut self, wait: Duration) -> Option<ExitStatus> {
        let end = async {
            loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => return status,
                    None => sleep(PAUSE).await,
                }
            }
        };
        timeout(wait, end).await.ok()
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(client: &Client, topic: Option<&str>) -> Result<(), Error> {
    match topic {
        Some(topic) => ends(client, topic).await.map(drop),
        None => client.admin().cluster().await.map(drop),
    }
}

/// The end of each partition.
pub(crate) async fn ends(client: &Client, topic: &str) -> Result<Vec<i64>, Error> {
    let partitions = client.admin().describe_topic(topic).await?.partitions.len() as i32;
    let places = (0..partitions).map(|partition| (partition, At::End));
    let listed = client.admin().list_offsets(topic, places).await?;
    listed.into_iter().map(|end| Ok(end?.offset.expect("an end always is"))).collect()
}

/// The binary under proof: `$WEIR`; else the release build where it is at least as new as the one built for this test.
pub(crate) fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_weir"));
    if let Some(given) = std::env::var_os("WEIR") {
        return given.into();
    }
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/weir");
    let age_of = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if age_of(&release) >= age_of(&built) { release } else { built }
}

/// A port that is free, that no other test takes while this process lives, and that no outgoing connection takes: those get ports
/// from 32768 on, and a client that knocks at one of these while the broker is down can be connected to itself.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let locks = std::env::temp_dir().join("weir-test-ports");
    std::fs::create_dir_all(&locks).unwrap();
    loop {
        let port = fastrand::u16(20_000..32_000);
        // WHY a lock: a broker that is about to start, or is down for a moment, does not hold its port.
        let lock = File::create(locks.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            TAKEN.lock().unwrap().push(lock);
            return port;
        }
    }
}
