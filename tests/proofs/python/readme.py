"""Runs the Python program of the README as it stands, but for the broker's address."""

import os
import pathlib
import re
import subprocess
import sys

from broker import Broker

README = pathlib.Path(__file__).parents[3] / "README.md"
SHOWN = ["0 0 \n", "0 b'u1' b'hi from python'\n"]


def main():
    program = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert "127.0.0.1:7070" in program
    with Broker() as broker:
        subprocess.run([os.environ["WEIR"], "-q", "-b", broker.address, "topic", "create", "orders"], check=True, stdout=subprocess.DEVNULL)
        program = program.replace("127.0.0.1:7070", broker.address)
        process = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True)
        shown = [process.stdout.readline() for _ in SHOWN]
        # It follows the topic until somebody ends it.
        process.kill()
        process.wait()
    assert shown == SHOWN, shown
    print(f"the program of the README: {len(shown)} lines as they should be")


main()
