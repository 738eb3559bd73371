"""A broker of our own on a free port and on a folder that goes away with it."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

START_SECONDS = 20
STOP_SECONDS = 30


class Broker:
    """Runs `weir serve`; use it with `with`."""

    def __init__(self, *settings):
        self.folder = tempfile.mkdtemp(prefix="weir-proof-")
        command = [os.environ["WEIR"], "serve", "--data-dir", self.folder + "/broker", "--listen", "127.0.0.1:0"]
        for setting in settings:
            command += ["-X", setting]
        self.log_path = self.folder + "/log"
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.address = self._wait_for_address()
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and not self.is_alive():
            print(f"the broker ended with {self.process.returncode}; it said:\n{self.log()}")
        self.kill()

    def _wait_for_address(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.is_alive():
            if "ready in" in self.log():
                return next(line.split()[1] for line in self.log().splitlines() if line.split()[:1] == ["grpc"])
            time.sleep(0.02)
        raise AssertionError(f"the broker did not start; it said:\n{self.log()}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def is_alive(self):
        return self.process.poll() is None

    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def rss_anon_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Stops it in order; its exit code must be 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        assert code == 0, f"exit code {code} after SIGTERM; the broker said:\n{self.log()}"

    def kill(self):
        if self.is_alive():
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Peak:
    """The highest RssAnon of a broker while it is watched, in KiB; use it with `with`."""

    def __init__(self, broker):
        self.broker = broker
        self.kib = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.ended.wait(0.005):
            if self.broker.is_alive():
                self.kib = max(self.kib, self.broker.rss_anon_kib())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
