#!/usr/bin/env python3
"""Runs the proofs of Pinrail's protocol, one part after the other, and ends with tables of what they found.

Builds what it needs in build/. What each part gave is kept in build/verify/; `--from build/verify` shows the tables
of the last run again. The exit status is 0 if everything is as it must be, and 1 if anything falls short: an invariant
that breaks, a mutant that survives, a leak, a hang, a test that was not run, a part that could not be run.
"""
import argparse
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

from parts import PARTS
from runner import ROOT, CannotRun, Progress, Runner

KEPT = ROOT / "build" / "verify"


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def run_part(part, runner):
    try:
        return part.run(runner)
    except (CannotRun, OSError) as why:
        return {"problem": str(why)}


def run_all(parts, settings):
    """Runs the parts. Yields each with what it gave, which is also kept."""
    KEPT.mkdir(parents=True, exist_ok=True)
    on = machine()
    for i, part in enumerate(parts, 1):
        with Progress(part.name, i, len(parts)) as progress:
            gave = run_part(part, Runner(progress, settings.jobs, settings))
            gave |= {"seconds": round(progress.seconds, 1), "on": on}
            verdict = part.judge(gave)
            progress.state(("FALLS SHORT: " if verdict.failures else "left out: " if verdict.left_out else "ok: ") +
                           verdict.headline)
        (KEPT / f"{part.name}.json").write_text(json.dumps(gave, indent=1) + "\n")
        yield part, gave


def read_all(parts, folder):
    for part in parts:
        try:
            yield part, json.loads((folder / f"{part.name}.json").read_text())
        except (OSError, json.JSONDecodeError) as why:
            yield part, {"problem": f"was not run: {why}"}


def result_of(verdict):
    return "FALLS SHORT" if verdict.failures else "left out" if verdict.left_out else "ok"


def summary(results):
    rows = [["proof", "what it is", "counted", "s", "result"]]
    for part, gave, verdict in results:
        rows.append([part.name, part.about, verdict.headline, f"{gave.get('seconds', 0):.0f}", result_of(verdict)])
    return rows


def report(results):
    """Prints everything; the summary is last, and before it what falls short."""
    mutants = [["where", "mutant", "caught by", "after"]]
    for _, _, verdict in results:
        mutants += verdict.mutants
        for title, rows in verdict.tables.items():
            print(f"\n{title}\n\n{table(rows)}")
    if len(mutants) > 1:
        print(f"\nMutants\n\n{table(mutants)}")
    for part, _, verdict in results:
        for failure in verdict.failures:
            print(f"\n{part.name}: {failure}")
    print(f"\nVerification, {' and '.join(machines(results))}\n\n{table(summary(results))}")
    failures = sum(len(verdict.failures) for _, _, verdict in results)
    left_out = [part.name for part, _, verdict in results if verdict.left_out]
    print(f"\n{len(results)} of {len(PARTS)} parts, {len(mutants) - 1} mutants" +
          (f", left out: {', '.join(left_out)}" if left_out else "") +
          f": {f'{failures} FALL SHORT' if failures else 'all as it must be'}")
    return failures


def machines(results):
    """Where and when the parts were run: one, unless they come from several runs."""
    return sorted({gave.get("on", "not known when or where") for _, gave, _ in results})


def machine():
    def said(*command):
        try:
            return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return "?"
    model = [line.split(":")[1].strip() for line in said("cat", "/proc/cpuinfo").splitlines() if "model name" in line]
    return (f"{time.strftime('%Y-%m-%d')}, commit {said('git', 'rev-parse', '--short', 'HEAD')}, {os.cpu_count()} x "
            f"{model[0] if model else platform.machine()}, g++ {said('g++', '-dumpfullversion')}")


def as_json(results, failures):
    return {
        "on": machines(results),
        "failures": failures,
        "parts": {part.name: {"about": part.about, "counted": verdict.headline, "seconds": gave.get("seconds"),
                              "result": result_of(verdict), "failures": verdict.failures, "tables": verdict.tables,
                              "mutants": verdict.mutants}
                  for part, gave, verdict in results},
    }


def whole(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def read_command_line():
    parser = argparse.ArgumentParser(prog="./dev verify", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[part.name for part in PARTS], metavar="PART",
                        help="only this part; may be repeated")
    parser.add_argument("--list", action="store_true", help="say which parts there are")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the tables there, too")
    parser.add_argument("--fuzz-seconds", type=whole, default=60, metavar="N", help="for each target (default 60)")
    parser.add_argument("--stress-seconds", type=whole, default=30, metavar="N", help="for the whole code (default 30)")
    parser.add_argument("--planted-runs", type=whole, default=3, metavar="N",
                        help="runs that must find each planted mistake, each by a seed of its own (default 3)")
    parser.add_argument("--jobs", type=whole, default=os.cpu_count() or 1, metavar="N",
                        help="compilers and searches at a time (default: one a core)")
    parser.add_argument("--from", dest="kept", type=pathlib.Path, metavar="DIR",
                        help="judge what is kept there instead of running anything")
    return parser.parse_args()


def main():
    settings = read_command_line()
    if settings.list:
        print("\n".join(f"{part.name:<16} {part.about}" for part in PARTS))
        return 0
    chosen = [part for part in PARTS if not settings.only or part.name in settings.only]
    gave = read_all(chosen, settings.kept) if settings.kept else run_all(chosen, settings)
    results = [(part, what, part.judge(what)) for part, what in gave]
    failures = report(results)
    if settings.json:
        settings.json.write_text(json.dumps(as_json(results, failures), indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends what was started, too
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
