#!/usr/bin/env python3
"""Runs the fuzz targets, each for some seconds from a copy of its corpus, and prints a table.

Builds the preset "fuzz" first. Exits with 1 if a target found something, 2 if it could not be built or run. What was
found is kept in build/fuzz/findings/; look at one with
  build/fuzz/tests/fuzz/fuzz_TARGET FILE
and put it into tests/fuzz/corpus/TARGET/ under a name that says what it found: ctest replays that folder with every
compiler.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "fuzz"
FINDINGS = BUILD / "findings"
MOST_CORPUS_FILES = 30

# The largest input of each in bytes.
TARGETS = {
    "safetensors_header": 4096,
    "safetensors_index": 1024,
    "device_spec": 256,
    "sizes": 64,
    "block_pattern": 1024,
    "api": 292,
}


def run_quietly(command):
    """Shows the output only if the command fails."""
    try:
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except subprocess.CalledProcessError as failed:
        print(failed.stdout, file=sys.stderr)
        raise


def build(jobs):
    if not (BUILD / "CMakeCache.txt").exists():
        if shutil.which("clang++") is None:
            raise FileNotFoundError("clang++; on Debian: apt-get install clang libclang-rt-14-dev")
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        run_quietly(["cmake", "--preset", "fuzz", *launcher])
    run_quietly(["cmake", "--build", "--preset", "fuzz", f"-j{jobs}"])


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def reason_in(text):
    sanitizers = r"ERROR: (?:AddressSanitizer|LeakSanitizer|libFuzzer): .*"
    for pattern in (r"ORACLE BROKEN: .*", r".*runtime error: .*", sanitizers):
        found = re.search(pattern, text)
        if found:
            return found.group(0)
    return text.strip().splitlines()[-1] if text.strip() else "no output"


def libfuzzer(target, arguments, limit_s):
    """Returns the exit status and the output; 124 if it ran past the limit."""
    program = BUILD / "tests" / "fuzz" / f"fuzz_{target}"
    command = [program, f"-max_len={TARGETS[target]}", "-timeout=25", "-rss_limit_mb=2048", "-malloc_limit_mb=512",
               *arguments]
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                              timeout=limit_s, env=environment)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode(errors="replace")


def fuzz(target, seconds, corpus):
    """Fuzzes from what is in `corpus`, and adds to it."""
    prefix = FINDINGS / f"{target}-"
    dictionary = HERE / "dict" / f"{target}.dict"
    arguments = [f"-max_total_time={seconds}", f"-artifact_prefix={prefix}", "-print_final_stats=1", corpus]
    if dictionary.exists():
        arguments.insert(0, f"-dict={dictionary}")
    before = set(FINDINGS.iterdir())
    began = time.monotonic()
    status, output = libfuzzer(target, arguments, seconds + 120)
    runs = last_number(r"stat::number_of_executed_units: *(\d+)", output)
    kept = sorted(str(f) for f in set(FINDINGS.iterdir()) - before if f.name.startswith(f"{target}-"))
    if status == 0 and runs > 0 and not kept:
        result = "ok"
    elif status == 124:
        result = "the program did not end"
    else:
        result = reason_in(output)
        (FINDINGS / f"{target}.log").write_text(output)
    return {
        "target": target,
        "seconds": round(time.monotonic() - began, 1),
        "runs": runs,
        "execs_per_second": round(runs / max(time.monotonic() - began, 0.001)),
        "edges": last_number(r"\bcov: (\d+)", output),
        "new_units": last_number(r"stat::new_units_added: *(\d+)", output),
        "result": result,
        "findings": kept,
    }


def additions(target, folder):
    """How many edges and features each file covers that no smaller one does, as libFuzzer's merge counts them."""
    with tempfile.TemporaryDirectory() as scratch:
        control = pathlib.Path(scratch) / "control"
        merged = pathlib.Path(scratch) / "merged"
        merged.mkdir()
        status, output = libfuzzer(target, ["-merge=1", f"-merge_control_file={control}", merged, folder], 3600)
        if status != 0:
            raise RuntimeError(f"the corpus of {target} can't be merged: {reason_in(output)}")
        lines = control.read_text(errors="replace").splitlines()
    end = 2 + int(lines[0])
    files = [pathlib.Path(line) for line in lines[2:end]]
    counts = {file: [0, 0] for file in files}
    for line in lines[end:]:
        kind, number, *rest = line.split()
        if kind in ("COV", "FT"):
            counts[files[int(number)]][kind == "FT"] += len(rest)
    return counts


def grow(target, corpus):
    """Puts the files that add most into the repository's corpus. They are numbered; files with other names stay."""
    home = HERE / "corpus" / target
    home.mkdir(parents=True, exist_ok=True)
    named = [f for f in home.iterdir() if not f.name.isdigit()]
    counts = additions(target, corpus)
    useful = [file for file in sorted(counts, key=lambda f: counts[f], reverse=True) if counts[file] != [0, 0]]
    chosen = useful[:MOST_CORPUS_FILES - len(named)]
    for file in home.iterdir():
        if file not in named:
            file.unlink()
    for number, file in enumerate(chosen):
        shutil.copyfile(file, home / f"{number:02}")
    print(f"corpus/{target}: {len(chosen)} of {len(useful)} files, and {len(named)} with names")


def print_table(rows):
    columns = ("target", "runs", "exec/s", "edges", "new units", "result")
    cells = [columns] + [(r["target"], r["runs"], r["execs_per_second"], r["edges"], r["new_units"], r["result"][:100])
                         for r in rows]
    widths = [max(len(str(row[i])) for row in cells) for i in range(len(columns))]
    for row in cells:
        print("  ".join(str(c).ljust(w) if i in (0, 5) else str(c).rjust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (default 60)")
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), metavar="TARGET",
                        help=f"may be repeated; one of {', '.join(TARGETS)}")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="targets at the same time (default 1)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--grow", action="store_true",
                        help=f"afterwards fill each corpus up to {MOST_CORPUS_FILES} files with the inputs that add "
                             "most; files whose names are no numbers stay")
    given = parser.parse_args()
    if given.seconds < 1 or given.jobs < 1:
        parser.error("--seconds and --jobs must be 1 or more")
    try:
        build(os.cpu_count() or 1)
    except (subprocess.CalledProcessError, FileNotFoundError) as failed:
        print(f"could not be built: {failed}", file=sys.stderr)
        return 2
    FINDINGS.mkdir(exist_ok=True)
    targets = [t for t in TARGETS if not given.only or t in given.only]
    with tempfile.TemporaryDirectory(prefix="pinrail-fuzz-") as scratch:
        corpora = {t: pathlib.Path(scratch) / t for t in targets}
        for target, corpus in corpora.items():
            home = HERE / "corpus" / target
            shutil.copytree(home, corpus) if home.exists() else corpus.mkdir()
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            rows = list(pool.map(lambda t: fuzz(t, given.seconds, corpora[t]), targets))
        print_table(rows)
        if given.grow:
            for target in targets:
                grow(target, corpora[target])
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    found = [r for r in rows if r["result"] != "ok"]
    for r in found:
        for file in r["findings"]:
            print(f"{r['target']}: {file}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
