//! `weir serve`: settings, broker, door, and their end. The only file of the command line that knows the broker.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::exit::{Exit, Failure};
use super::global::Global;
use super::machine::this_machine;
use super::output::{count, print, print_document, print_error, print_warning};
use super::run::{LogForm, log_to_stderr};
use super::signals::{Signals, survive_file_size_limit};
use super::stderr;
use crate::api::listener::{Serving, serve};
use crate::base::ErrorKind;
use crate::broker::Broker;
use crate::broker::data_dir::DataDirError;
use crate::broker::start::StartError;
use crate::config::BrokerSettings;
use crate::config::load::{ConfigFile, Inputs, LoadError, Place, left_out, load};
use crate::env::{Clock, Env, RealClock, RealDisk, Rng};

mod check;

/// Where `--dev` keeps its records.
const DEV_FOLDER: &str = "./weir-dev";

const EXAMPLES: &str = "\
Examples:
  weir serve --dev                                   records in ./weir-dev
  weir serve --data-dir /var/lib/weir --listen 127.0.0.1:7070
  weir serve -c weir.toml -X shutdown.timeout.ms=30s
  weir serve -c weir.toml --check                    would it start?
  weir serve -c weir.toml --print-config             every setting, and where it comes from";

/// Arguments of `weir serve`.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct ServeArgs {
    /// Records in ./weir-dev, unless --data-dir is given
    #[arg(long)]
    pub dev: bool,
    /// Folder that holds everything durable [default: ./weir-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Config file: TOML with the same keys as -X, or a server.properties of Kafka
    #[arg(short, long, value_name = "FILE", env = "WEIR_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// Number of this broker [default: 1]
    #[arg(long, value_name = "N")]
    pub node_id: Option<String>,
    /// Address to serve on; port 0 takes a free one [default: 127.0.0.1:7070]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// How log lines are written to stderr: text or json [default: text]
    #[arg(long, value_name = "FORM")]
    pub log_format: Option<String>,
    /// Allow an address that other machines reach, although nobody is asked who they are
    #[arg(long)]
    pub insecure_no_auth: bool,
    /// Check settings and data directory, start nothing; exits 0 or 2
    #[arg(long)]
    pub check: bool,
    /// Print every setting with its source, start nothing
    #[arg(long)]
    pub print_config: bool,
}

/// Runs `weir serve` until a signal stops it.
pub fn run(global: &Global, args: &ServeArgs) -> Result<Exit, Failure> {
    let settings = match settings(global, args) {
        Err(failure) if args.check => return Err(Failure::new(Exit::Usage, failure.message)),
        settings => settings?,
    };
    if args.print_config {
        check::print_config(global, &settings)?;
    }
    if args.check {
        return check::check(global, &settings);
    }
    if args.print_config {
        return Ok(Exit::Done);
    }
    start_log(global, &settings)?;
    let runtime = super::run::runtime()?;
    let end = runtime.block_on(run_broker(global, args, settings));
    // WHY: work that blocks on a dead disk must not hold the process beyond its deadline.
    runtime.shutdown_background();
    end
}

async fn run_broker(global: &Global, args: &ServeArgs, settings: BrokerSettings) -> Result<Exit, Failure> {
    let clock = RealClock::new();
    let begun = clock.monotonic();
    let deadline = Duration::from_millis(settings.shutdown_timeout_ms.unsigned_abs());
    let running = Running::start(settings).await?;
    let ready_in = clock.monotonic().saturating_sub(begun);
    // Whoever reads the greeting may send one.
    let mut signals = Signals::caught();
    if let Err(failure) = announce(global, args, &running, ready_in) {
        // A broker whose greeting nobody reads serves all the same.
        print_error(&failure.in_words());
    }
    let end = tokio::select! {
        _ = signals.next() => Ok(Exit::Done),
        reason = running.failed() => {
            print_error(&reason);
            Err(Failure::said(Exit::Failed, Some(ErrorKind::StorageError), reason))
        }
    };
    let partitions: i32 = running.broker.image().topics().map(|topic| topic.partition_count()).sum();
    let partitions = count(partitions, "partition");
    say(global, &format!("stopping: draining connections, flushing {partitions} ..."));
    let begun = clock.monotonic();
    let stopped = tokio::select! {
        stopped = running.stop(deadline) => stopped,
        exit = signals.next() => return Ok(exit),
    };
    let took = clock.monotonic().saturating_sub(begun).as_secs_f64();
    match stopped {
        Stopped::Cleanly => say(global, &format!("stopped cleanly in {took:.2} s")),
        Stopped::CutOff => say(
            global,
            &format!(
                "stopped in {took:.2} s: everything is flushed, connections that did not end were cut off"
            ),
        ),
        Stopped::NotFlushed => {
            return Err(Failure::failed(format!(
                "stopped in {took:.2} s, not cleanly: the log says why; the next start recovers as after a crash"
            )));
        }
    }
    end
}

fn announce(global: &Global, args: &ServeArgs, running: &Running, ready_in: Duration) -> Result<(), Failure> {
    let settings = running.broker.settings();
    let address = running.address;
    let version = env!("CARGO_PKG_VERSION");
    let ready_ms = ready_in.as_millis();
    if global.json {
        let fields = [
            ("address", serde_json::json!(address.to_string())),
            ("node_id", serde_json::json!(settings.node_id)),
            ("data_dir", serde_json::json!(settings.data_dir.display().to_string())),
            ("ready_ms", serde_json::json!(ready_ms as u64)),
            ("weir", serde_json::json!(version)),
        ];
        return print_document(
            "serve",
            fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
        );
    }
    if global.quiet {
        return Ok(());
    }
    let mode = if args.dev { "dev mode: " } else { "" };
    let reach = if settings.insecure_no_auth { "open to other machines" } else { "loopback only" };
    let folder = settings.data_dir.display();
    print(format!(
        "weir {version}  node {}  {mode}data in {folder}, flush=ack, auth off, {reach}
  grpc  {address}
ready in {ready_ms} ms.  Try:  weir topic create hello   |   weir produce hello 'first record'   |   \
         weir consume hello -o start\n",
        settings.node_id
    ))
}

fn say(global: &Global, line: &str) {
    if !global.quiet {
        stderr::say(line);
    }
}

fn settings(global: &Global, args: &ServeArgs) -> Result<BrokerSettings, Failure> {
    let file = args.config.as_ref().map(read_config).transpose()?;
    let name = args.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let file = file.as_deref().map(|text| ConfigFile { name: &name, text });
    file.map(left_out).unwrap_or_default().iter().for_each(|line| print_warning(line));
    let inputs = Inputs {
        file,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags: flags(global, args),
    };
    load(&inputs, &this_machine()).map_err(|errors| refused(&errors))
}

fn read_config(path: &PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Config, format!("can't read the config file {}: {error}", path.display()))
    })
}

/// The command line as keys and values.
fn flags(global: &Global, args: &ServeArgs) -> Vec<(String, String)> {
    let dev = args.dev.then(|| DEV_FOLDER.to_owned());
    let given = [
        ("data.dir", args.data_dir.as_ref().map(|path| path.display().to_string()).or(dev)),
        ("node.id", args.node_id.clone()),
        ("listen", args.listen.clone()),
        ("log.format", args.log_format.clone()),
        ("insecure.no.auth", args.insecure_no_auth.then(|| "true".to_owned())),
    ];
    let named = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    named.chain(global.setting.iter().cloned()).collect()
}

/// Mistakes of the command line alone are usage errors; with those of a file or the environment, config errors.
fn refused(errors: &[LoadError]) -> Failure {
    let only_flags = errors.iter().all(|error| error.place == Place::Flag);
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::new(if only_flags { Exit::Usage } else { Exit::Config }, lines.join("\n  "))
}

fn start_log(global: &Global, settings: &BrokerSettings) -> Result<(), Failure> {
    let word = if global.verbose > 0 { "debug" } else { settings.log_level.word() };
    let level = word.parse().map_err(|_| Failure::usage(format!("log.level: '{word}' is not a level")))?;
    let form = if settings.log_format.is_json() { LogForm::Json } else { LogForm::Text };
    stderr::never_wait();
    log_to_stderr(global, level, form)
}

/// How a stop went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    /// Every request was answered, every record flushed.
    Cleanly,
    /// Every record is flushed; a connection was cut off at the deadline.
    CutOff,
    /// Records are not flushed.
    NotFlushed,
}

/// A broker with its door open.
pub(super) struct Running {
    broker: Arc<Broker>,
    address: SocketAddr,
    close: oneshot::Sender<()>,
    door: JoinHandle<io::Result<Serving>>,
    upkeep: [JoinHandle<()>; 3],
}

impl Running {
    /// Starts a broker and serves it. Needs a tokio runtime.
    ///
    /// Errors: the address is taken; the data directory can't be used (exit code 78).
    pub(super) async fn start(settings: BrokerSettings) -> Result<Self, Failure> {
        survive_file_size_limit();
        let (listen, every) = (settings.listen, settings.retention_check_ms.unsigned_abs());
        let deadline = Duration::from_millis(settings.shutdown_timeout_ms.unsigned_abs());
        // WHY before the broker: an address that is taken is the commonest mistake, and nothing is touched yet.
        let cannot = |error: io::Error| cannot_listen(listen, &error);
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let broker = Broker::start(env()?, settings).await.map_err(|error| cannot_start(&error))?;
        let (close, closed) = oneshot::channel::<()>();
        let shutdown = async move {
            // A sender that is gone closes the door as well.
            let _ = closed.await;
        };
        let door = tokio::spawn(serve(broker.clone(), listener, shutdown, deadline));
        let housekeeping = tokio::spawn(keep_house(broker.clone(), Duration::from_millis(every)));
        let rates = tokio::spawn(broker.clone().keep_rates());
        let groups = tokio::spawn(broker.clone().look_after_groups());
        Ok(Self { broker, address, close, door, upkeep: [housekeeping, rates, groups] })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when the broker can't go on, with the reason.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.broker.failure();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => format!("the broker ends: {reason}"),
            None => std::future::pending().await,
        }
    }

    /// Closes the door, drains, flushes; each within `deadline`.
    pub(super) async fn stop(self, deadline: Duration) -> Stopped {
        // Nobody listens when the door is closed already.
        let _ = self.close.send(());
        let drained = matches!(self.door.await, Ok(Ok(Serving::Drained)));
        self.upkeep.iter().for_each(JoinHandle::abort);
        let flushed = self.broker.stop(deadline).await;
        match (flushed, drained) {
            (false, _) => Stopped::NotFlushed,
            (true, false) => Stopped::CutOff,
            (true, true) => Stopped::Cleanly,
        }
    }
}

async fn keep_house(broker: Arc<Broker>, every: Duration) {
    loop {
        broker.env().clock.sleep(every).await;
        broker.housekeeping().await;
    }
}

fn env() -> Result<Env, Failure> {
    let rng = Rng::from_os()
        .map_err(|error| Failure::failed(format!("the operating system gives no random numbers: {error}")))?;
    Ok(Env { disk: Arc::new(RealDisk::new()), clock: Arc::new(RealClock::new()), rng: Arc::new(rng) })
}

/// Who listens there already is the usual reason.
fn cannot_listen(listen: SocketAddr, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there, perhaps another broker; stop it, or".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address;".to_owned(),
        _ => format!("{error};"),
    };
    Failure::failed(format!("can't listen on {listen}: {reason} choose another address with --listen"))
}

/// What has to be changed by hand before another start gets its own exit code.
fn cannot_start(error: &StartError) -> Failure {
    let exit = match error {
        StartError::DataDir(DataDirError::Locked { .. }) | StartError::Threads(_) | StartError::Commit(_) => {
            Exit::Failed
        }
        StartError::DataDir(_) | StartError::Store(_) | StartError::Metadata(_) | StartError::Disk(_) => {
            Exit::Config
        }
    };
    Failure::new(exit, format!("can't start: {}", refusal(error)))
}

/// Why, and what to do.
fn refusal(error: &StartError) -> String {
    let advice = error.disk_error().map_or(String::new(), |error| format!("; {}", error.advice()));
    format!("{error}{advice}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::topic::TopicCommand;
    use crate::config::TopicConfig;
    use crate::config::properties::OF_TOPICS;
    use crate::env::{DiskError, OpKind};

    fn flags_of(line: &str) -> Vec<(String, String)> {
        let cli = Cli::try_parse_from(line.split(' ')).expect(line);
        let Command::Serve(args) = cli.command else { panic!("not serve") };
        flags(&cli.global, &args)
    }

    #[test]
    fn flags_are_keys() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(flags_of("weir serve"), []);
        assert_eq!(flags_of("weir serve --dev"), [pair("data.dir", "./weir-dev")]);
        assert_eq!(
            flags_of(
                "weir serve --dev --data-dir d --node-id 3 --listen 127.0.0.1:0 --insecure-no-auth -X a.b=c"
            ),
            [
                pair("data.dir", "d"),
                pair("node.id", "3"),
                pair("listen", "127.0.0.1:0"),
                pair("insecure.no.auth", "true"),
                pair("a.b", "c"),
            ]
        );
    }

    /// The settings that a command on the line of a left-out key gives a topic; `None` where none is advised.
    fn advised(key: &str, value: &str) -> Option<String> {
        let told =
            left_out(ConfigFile { name: "server.properties", text: &format!("{key}={value}") }).remove(0);
        let line =
            told.split_once("weir topic create ").map(|(_, line)| format!("weir topic create {line}"))?;
        let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{told}: {error}"));
        let Command::Topic(args) = cli.command else { panic!("{told}") };
        let TopicCommand::Create(args) = args.command else { panic!("{told}") };
        let pairs = args.configs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        TopicConfig::from_pairs(pairs).unwrap_or_else(|errors| panic!("{told}: {errors:?}"));
        Some(line)
    }

    #[test]
    fn what_is_advised_for_a_key_of_kafka_is_taken() {
        let keys = OF_TOPICS.iter().map(|(key, ..)| *key).chain(["num.partitions"]);
        for key in keys {
            let values = [
                "",
                "-1",
                "0",
                "1",
                "14",
                "0.5",
                "168",
                "1048576",
                "99999999999999999999",
                "a b",
                "1 GiB",
                "7 d",
                "'",
                "compact, delete",
            ];
            let words = ["gzip", "uncompressed", "producer", "delete,compact", "CreateTime", "LogAppendTime"];
            let taken = values.iter().chain(&words).filter(|value| advised(key, value).is_some()).count();
            assert!(taken > 0, "{key}");
        }
        assert_eq!(
            advised("log.retention.hours", "168").as_deref(),
            Some("weir topic create NAME -c retention.ms=168h")
        );
        assert_eq!(
            advised("message.max.bytes", "1 MiB").as_deref(),
            Some("weir topic create NAME -c max.message.bytes=1MiB")
        );
        assert_eq!(advised("log.retention.hours", ""), None);
    }

    #[test]
    fn a_start_that_the_disk_refuses_says_what_to_do() {
        let refused = |error: io::ErrorKind| {
            let error = DiskError::from_io(OpKind::Open, Path::new("d/weir.meta"), &error.into());
            cannot_start(&StartError::DataDir(DataDirError::Disk(error)))
        };
        let failure = refused(io::ErrorKind::PermissionDenied);
        let expected = "can't start: open d/weir.meta: permission denied; let the user of this process read and \
                        write it, on a file system mounted for writing";
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Config, expected));
        assert!(refused(io::ErrorKind::IsADirectory).message.contains("; move it away"));
        assert!(refused(io::ErrorKind::Other).message.ends_with("; check the disk"));
        let locked = DataDirError::Locked { path: "d".into(), holder: "pid 1".to_owned() };
        assert!(cannot_start(&StartError::DataDir(locked)).message.ends_with("or use another directory"));
    }

    #[test]
    fn mistakes_of_a_file_are_config_errors_and_those_of_flags_usage_errors() {
        let error = |place| LoadError {
            place,
            error: crate::config::ConfigError { key: "shards".to_owned(), message: "is wrong".to_owned() },
        };
        assert_eq!(refused(&[error(Place::Flag)]).exit, Exit::Usage);
        let mixed = refused(&[error(Place::Flag), error(Place::Line("weir.toml".to_owned(), 3))]);
        assert_eq!(mixed.exit, Exit::Config);
        assert!(mixed.message.contains("weir.toml line 3: shards: is wrong"), "{}", mixed.message);
    }
}
