"""Objects are read in threads, several at once, from the first one on."""

from __future__ import annotations

import subprocess
import sys

#: A process that meets three hundred kinds of objects for the first time, each in four threads at once.
PROGRAM = """
import sys, threading, types

from catalog.images.objects import decode, encode

KIND = '''
import msgspec

class Inner(msgspec.Struct):
    names: "list[str]" = []
    pair: "tuple[int, str] | None" = None

class Kind(msgspec.Struct):
    inner: "list[Inner]" = []
    name: "str" = ""
    others: "dict[str, Inner]" = {}
'''

sys.setswitchinterval(1e-6)
for number in range(300):
    module = sys.modules[f"kind{number}"] = types.ModuleType(f"kind{number}")
    exec(KIND, module.__dict__)
    content = encode(module.Kind([module.Inner(["a"])], "b"))
    gate, read = threading.Barrier(4), []

    def run() -> None:
        gate.wait()
        read.append(decode(content, module.Kind))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.name for each in read] == ["b"] * 4, number
"""


def test_threads_that_read_the_first_objects_of_a_kind_at_once_do_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
