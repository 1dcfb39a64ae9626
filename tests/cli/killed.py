"""Commands that are killed at random moments and go on, for the tests of --resume.

One process imports everything and forks a child for each attempt, so thirty kills take seconds. A
child writes slowly, half of each write at a time, and tells of each of its steps.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

ATTEMPTS = """
import os, sys, time
from novelweights.cli.main import app
from novelweights.weights import writer
{changes}
append_bytes = writer._append_bytes

def slowly(path, data):
    half = len(data) // 2
    append_bytes(path, data[:half])
    time.sleep(0.005)
    append_bytes(path, data[half:])

def told(method):
    def telling(self, *arguments):
        print("step", flush=True)
        return method(self, *arguments)
    return telling

writer._append_bytes = slowly
writer.PopulationWriter._begin = told(writer.PopulationWriter._begin)
writer.PopulationWriter.append = told(writer.PopulationWriter.append)
while sys.stdin.readline():
    child = os.fork()
    if not child:
        try:
            app(sys.argv[1:])
        except SystemExit as ended:
            sys.stderr.flush()
            os._exit(ended.code or 0)
    print("child", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MOST_STEPS, MOST_SECONDS = 3, 0.03
"""A kill comes so long after one of the first steps of an attempt."""


def run_killed(words: Sequence[object], *, kills: int, changes: str) -> None:
    """Run a command, kill it at random moments, then let it end.

    Args:
        words: The command line, with --resume; an undisturbed run has at least five steps per kill.
        kills: How often it is killed.
        changes: Code that is run before, such as making blocks smaller.

    Raises:
        AssertionError: An attempt ended by itself, or the last one not well.
    """
    code = ATTEMPTS.format(changes=changes)
    chance = random.Random(0)
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for attempt in range(kills + 1):
            server.stdin.write("\n")
            server.stdin.flush()
            child = int(_next(server.stdout, "child"))
            if attempt < kills:
                for _ in range(chance.randint(1, MOST_STEPS)):
                    _next(server.stdout, "step")
                time.sleep(chance.uniform(0, MOST_SECONDS))
                os.kill(child, signal.SIGKILL)
            ended = int(_next(server.stdout, "ended"))
            assert ended == (-signal.SIGKILL if attempt < kills else 0), attempt


def _next(lines: IO[str], word: str) -> str:
    """What follows a word at the beginning of the next line that has it."""
    for line in lines:
        said, _, rest = line.strip().partition(" ")
        assert said == word or said not in ("child", "ended"), line
        if said == word:
            return rest
    raise AssertionError(f"no {word} any more")
