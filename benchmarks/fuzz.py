"""Give mutated input to the readers of files: ``python -m benchmarks.fuzz [--inputs 10000] [--seed 0] [READER...]``.

Each reader gets valid files in which bits are flipped, or parts are removed, copied, moved or overwritten; half of the
files then get correct checksums. The reader must accept the file or refuse it with an error of featx. Any other outcome
is wrong: another exception, more than ten seconds, a crashed process, rows that were never written, scores that are not
numbers. Print a Markdown table, then JSON with the numbers of the wrong inputs; ``--only`` repeats one of them.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import print_head, print_json, print_row

READERS = ("store", "journal", "snapshot", "model", "manifest", "weights", "image")
_SECONDS = 10.0
_START_SECONDS = 60.0
_MEGABYTES = 4096
_ODD = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)


@dataclass
class Result:
    """Outcomes of the inputs to one reader: their numbers, and some wrong outcomes with the number of the input."""

    reader: str
    inputs: int
    accepted: int = 0
    refused: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"one of {', '.join(READERS)}; default: all")
    parser.add_argument("--inputs", type=int, default=10_000, help="number of inputs for each reader")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the mutations")
    parser.add_argument("--only", type=int, help="number of a single input, which is then tried in this process")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only is not None or arguments.worker:
        first, stop = arguments.worker or (arguments.only, arguments.only + 1)
        _work(arguments.readers[0], arguments.seed, first, stop, held=arguments.only is None)
        return
    print_head("reader", "inputs", "accepted", "refused", "wrong")
    results = [fuzz(reader, arguments.inputs, arguments.seed) for reader in arguments.readers or READERS]
    for one in results:
        print_row(one.reader, one.inputs, one.accepted, one.refused, one.wrong)
    print_json([vars(one) for one in results])


def fuzz(reader: str, inputs: int, seed: int = 0) -> Result:
    """Give mutated inputs to a reader in a separate process, which is started again if an input ends it."""
    result = Result(reader, inputs)
    at = 0
    while at < inputs:
        for line in _outcomes(reader, seed, at, inputs):
            _count(result, at, line)
            at += 1
        if at < inputs:  # the process ended early: the next input is the cause
            _count(result, at, "wrong: the input took too long, or ended the process")
            at += 1
    return result


def _count(result: Result, number: int, line: str) -> None:
    result.accepted += line == "accepted"
    result.refused += line == "refused"
    if line not in ("accepted", "refused"):
        result.wrong += 1
        result.examples = [*result.examples, f"{number}: {line}"][:20]


def _outcomes(reader: str, seed: int, first: int, stop: int):
    """Yield the outcome of each input until all inputs are tried, the process ends, or an input takes too long."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.fuzz", reader, "--seed", str(seed)]
    command += ["--worker", str(first), str(stop)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    timer = threading.Timer(_START_SECONDS, running.kill)
    timer.start()
    try:
        for line in running.stdout or ():
            timer.cancel()
            timer = threading.Timer(_SECONDS, running.kill)
            timer.start()
            yield line.strip()
    finally:
        timer.cancel()
        running.kill()
        running.wait()


def _work(reader: str, seed: int, first: int, stop: int, held: bool) -> None:
    """Try inputs in this process, and print the outcome of each."""
    from benchmarks.fuzz_readers import make_reader
    from featx.errors import FeatxError

    with tempfile.TemporaryDirectory() as folder:
        read = make_reader(reader, Path(folder))
        if held:
            _hold_memory()
        for number in range(first, stop):
            rng = random.Random(f"{reader} {seed} {number}")
            try:
                outcome = read(rng, lambda content, rng=rng: mutate(content, rng))
            except FeatxError:
                outcome = "refused"
            except Exception as error:
                if not held:
                    raise
                outcome = f"wrong: {type(error).__name__}: {error}".replace("\n", " ")[:300]
            print(outcome, flush=True)


def _hold_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEGABYTES * 1_000_000,) * 2)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return a file with one to eight changes, more often in the first bytes than in the others."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not changed:
            break
        reach = rng.choice((64, 1024, len(changed), len(changed)))
        at = rng.randrange(min(reach, len(changed)))
        rng.choice(_CHANGES)(changed, at, rng)
    return bytes(changed)


def _flip(content: bytearray, at: int, rng: random.Random) -> None:
    content[at] ^= 1 << rng.randrange(8)


def _overwrite(content: bytearray, at: int, rng: random.Random) -> None:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(_ODD) % 256**width
    content[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _randomise(content: bytearray, at: int, rng: random.Random) -> None:
    n = rng.randrange(1, 33)
    content[at : at + n] = rng.randbytes(len(content[at : at + n]))


def _cut_end(content: bytearray, at: int, rng: random.Random) -> None:
    del content[at:]


def _cut_out(content: bytearray, at: int, rng: random.Random) -> None:
    del content[at : at + rng.randrange(1, 65)]


def _repeat(content: bytearray, at: int, rng: random.Random) -> None:
    content[at:at] = content[at : at + rng.randrange(1, 257)]


def _move(content: bytearray, at: int, rng: random.Random) -> None:
    source = rng.randrange(len(content))
    content[at : at + 16] = content[source : source + 16]


_CHANGES = (_flip, _flip, _overwrite, _overwrite, _randomise, _cut_end, _cut_out, _repeat, _move)


if __name__ == "__main__":
    main()
