"""Runs commands, and shows what they are doing: one line for the part under way."""
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TIMED_OUT = 124
SAID_AGAIN_S = 60  # without a terminal


class CannotRun(Exception):
    """A part can't be run here: something is not installed, or doesn't build."""


@dataclasses.dataclass
class Ended:
    status: int
    output: str

    @property
    def tail(self):
        return "\n".join(self.output.strip().splitlines()[-30:])


class Progress:
    """A line with name, time and state. On a terminal it is drawn over; elsewhere it is written now and then."""

    def __init__(self, name, number, of, out=sys.stderr):
        self._what = f"[{number}/{of}] {name:<16}"
        self._out = out
        self._state = "begins"
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self):
        self._write(end="\r" if self._out.isatty() else "\n")
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self._write(end="\n")

    @property
    def seconds(self):
        return time.monotonic() - self._began

    def state(self, text):
        if text.strip():
            self._state = text.strip().replace("\t", " ")

    def _draw(self):
        while not self._over.wait(0.5 if self._out.isatty() else SAID_AGAIN_S):
            self._write(end="\r" if self._out.isatty() else "\n")

    def _write(self, end):
        minutes, seconds = divmod(int(self.seconds), 60)
        line = f"{self._what} {minutes:3}:{seconds:02}  {self._state}"
        if self._out.isatty():
            width = max(os.get_terminal_size(self._out.fileno()).columns - 1, 20)
            line = line[:width].ljust(width)
        print(line, end=end, file=self._out, flush=True)


class Runner:
    """What a part is run with."""

    def __init__(self, progress, jobs, settings):
        self.progress = progress
        self.jobs = jobs
        self.settings = settings

    def run(self, command, limit_s):
        """Runs it in the repository's root to its end; past the limit it is killed with all that it started."""
        process = subprocess.Popen([str(word) for word in command], cwd=ROOT, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   start_new_session=True)
        late = threading.Event()

        def stop():
            late.set()
            kill_group(process)

        timer = threading.Timer(limit_s, stop)
        timer.start()
        lines = []
        try:
            with process.stdout:
                for line in process.stdout:
                    lines.append(line)
                    self.progress.state(line)
            status = process.wait()
        finally:
            timer.cancel()
            kill_group(process)
            process.wait()
        return Ended(TIMED_OUT if late.is_set() else status, "".join(lines))

    def must_run(self, what, command, limit_s=3600):
        ended = self.run(command, limit_s)
        if ended.status != 0:
            raise CannotRun(f"{what}: exit status {ended.status}\n{ended.tail}")
        return ended


def kill_group(process):
    """Also what the process left behind when it ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
