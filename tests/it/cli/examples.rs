//! Every example of every help page does what it says: each page is run as one session against a broker of its own.

use std::process::Stdio;

use serde_json::Value;

use crate::served::{Served, WEIR, command};

/// Lines that wait for more until Ctrl-C.
const ENDLESS: &[&str] = &[
    "weir demo",
    "weir serve --dev",
    "weir serve --data-dir weir-other --listen 127.0.0.1:0",
    "weir serve -c weir.toml -X shutdown.timeout.ms=30s",
    "weir consume orders --tail 10",
    "weir consume orders -g billing",
    "weir cluster health --watch",
    "weir top",
    "weir top --sort size -d 5s",
];

/// How long such a line runs.
const SECONDS: &str = "1";

/// Makes what the examples speak of, as far as they do not make it themselves.
fn prepare(served: &Served, page: &[String]) {
    let folder = served.folder.path();
    std::fs::write(folder.join("weir.toml"), "listen = \"127.0.0.1:0\"\ndata.dir = \"weir-configured\"\n")
        .unwrap();
    std::fs::write(folder.join("big.txt"), "one\ntwo\n").unwrap();
    std::fs::write(folder.join("cat.jpg"), b"\xff\xd8\xff").unwrap();
    served.prints(&["context", "add", "local"]);
    served.prints(&["context", "add", "prod", "-b", &served.address]);
    served.prints(&["context", "use", "prod"]);
    let dev = folder.join("weir-dev");
    std::os::unix::fs::symlink(folder.join("weir-data"), &dev).unwrap();
    if page.iter().any(|line| line.contains("weir serve") || line.contains("weir demo")) {
        std::fs::remove_file(&dev).unwrap();
    }
    if !page.iter().any(|line| line.contains("topic create")) {
        served.prints(&["topic", "create", "orders", "-p", "4"]);
        assert_eq!(served.pipe(&["produce", "orders", "-K:"], b"u1:one\nu2:two\n").code, 0);
        served.prints(&["topic", "create", "copy", "-p", "4"]);
        served.prints(&["topic", "create", "photos", "shop.a", "test.a"]);
    }
    if page.iter().any(|line| line.contains("weir group")) {
        for group in ["billing", "audit", "copy"] {
            served.prints(&["group", "reset-offsets", group, "--to", "end", "-t", "orders", "--execute"]);
        }
        std::fs::write(folder.join("places.csv"), "orders,0,0\n").unwrap();
    }
}

/// The line without the remark behind it, for this broker.
fn runnable(example: &str, address: &str) -> String {
    let line = example.split("   ").next().unwrap_or_default().trim();
    // Enough to see that it works; what it measures is for who reads it.
    let brief = match line.split(' ').nth(2) {
        Some("ceilings") => " --duration 20ms",
        Some("consume") if line.starts_with("weir bench") => " --duration 50ms --warmup 50ms --fill 1MiB",
        _ if line.starts_with("weir bench") => " --duration 50ms --warmup 50ms",
        _ => "",
    };
    format!("{line}{brief}")
        .replace("other:7070", address)
        .replace("weir1.example.org:7070", address)
        .replace("/var/lib/weir --listen 127.0.0.1:7070", "weir-other --listen 127.0.0.1:0")
}

/// Runs one line; gives its exit code and what it said.
fn run(served: &Served, line: &str) -> (Option<i32>, String) {
    let ends = !ENDLESS.contains(&line);
    let script = if ends { line.to_owned() } else { format!("exec timeout -s INT {SECONDS} {line}") };
    let folder_of_weir = std::path::Path::new(WEIR).parent().unwrap().display();
    let mut shell = command("sh", served.folder.path());
    shell
        .args(["-c", &script])
        .env("WEIR_BOOTSTRAP", &served.address)
        .env("WEIR_LISTEN", "127.0.0.1:0")
        .env("PATH", format!("{folder_of_weir}:{}", std::env::var("PATH").unwrap()))
        .stdout(Stdio::null());
    let output = shell.output().unwrap();
    // 124: `timeout` ended it.
    let code = output.status.code().map(|code| if !ends && code == 124 { 0 } else { code });
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn pages(tree: &Value, pages: &mut Vec<Vec<String>>) {
    let examples = tree["examples"].as_array().unwrap();
    pages.push(examples.iter().map(|line| line.as_str().unwrap().to_owned()).collect());
    tree["commands"].as_array().unwrap().iter().for_each(|below| self::pages(below, pages));
}

#[test]
fn every_example_of_every_help_page_runs() {
    let tree = Served::start().prints(&["help", "-J"]);
    let tree: Value = serde_json::from_str(&tree).unwrap();
    let mut all = Vec::new();
    pages(&tree["tree"], &mut all);
    let findings = parking_lot::Mutex::new(Vec::new());
    // Two at a time: most of a page is waiting.
    std::thread::scope(|scope| {
        for pages in all.chunks(all.len().div_ceil(2)) {
            let findings = &findings;
            scope.spawn(move || {
                for page in pages {
                    let served = Served::start();
                    prepare(&served, page);
                    for example in page {
                        let line = runnable(example, &served.address);
                        let (code, said) = run(&served, &line);
                        if code != Some(0) {
                            findings.lock().push(format!("{line}: exit code {code:?}: {said}"));
                        }
                    }
                }
            });
        }
    });
    let findings = findings.into_inner();
    assert!(all.len() > 20, "{} pages", all.len());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
