#!/usr/bin/env python3
"""./dev gpu: everything that is measured on a GPU, in one run of under nine minutes.

Needs the programs that `./dev gpu` builds and a GPU with its driver; no network, and of Python only what comes with it.
Each part is a process of its own with a time limit. A part that fails says so and the others go on.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import report

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MOST_DEVICE_BYTES = 70 << 30
GIB = 1 << 30
NO_DEVICE = 3
BENCHMARKS = "^(fetch_add_sub|block_word_pin_unpin|pin_unpin|use_of_resident_block|keep_resident|shared_mutex)"

# name, letter of the issue, seconds, what it does
PARTS = [
    ("content", "a", 60, "blocks under pressure from 1, 4 and 8 threads, each use fingerprinted on the device; "
                         "the CUDA graph example; the backend's GPU tests"),
    ("memcheck", "b", 60, "compute-sanitizer memcheck over a brief run of the content test"),
    ("bandwidth", "c", 70, "copies against bare cudaMemcpyAsync, 64 KiB to 1 GiB, each direction and both"),
    ("overlap", "d", 50, "step time against max(compute, copy), copy/compute 0.5, 1 and 2"),
    ("pipeline", "e", 150, "the four-pass pipeline on 24 GiB, 1, 4 and 8 workers"),
    ("hot_paths", "f", 40, "pins, guards and uses, each thread its own block, on 1 to all cores; pinrail_bench on its null device"),
    ("costs", "g", 40, "events, completion words, batch copies, virtual memory management; idle and with a kernel running"),
    ("plain", "h", 60, "two models against whole-model swap, one block ahead, and a resident prefix; PyTorch where present"),
]


class PartFailed(Exception):
    """What is said of a part that failed."""


class Programs:
    """Finds programs: packed ones in one folder, or where the build puts them."""

    PLACES = {"pinrail_gpu": "tools/gpu", "graph_step": "examples/graph_step", "test_device_cuda": "tests",
              "four_pass_pipeline": "examples/four_pass_pipeline", "pinrail_bench": "bench"}

    def __init__(self, folder):
        self.folder = folder
        libraries = folder / "lib"
        self.environment = dict(os.environ)
        if libraries.is_dir():
            before = self.environment.get("LD_LIBRARY_PATH")
            self.environment["LD_LIBRARY_PATH"] = f"{libraries}:{before}" if before else str(libraries)

    def find(self, name):
        for place in (self.folder / name, self.folder / self.PLACES[name] / name):
            if place.is_file():
                return str(place)
        raise PartFailed(f"{name} is not in {self.folder}: it was not built (./dev gpu builds it, where nvcc is)")

    def has(self, name):
        try:
            return bool(self.find(name))
        except PartFailed:
            return False


class DeviceMemoryWatch:
    """The most memory of the GPU that was in use, by nvidia-smi, other programs' included. 0 where there is none."""

    def __init__(self, ordinal):
        self.ordinal = ordinal
        self.peak_bytes = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self):
        if shutil.which("nvidia-smi"):
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join(timeout=10)

    def look(self):
        command = ["nvidia-smi", f"--id={self.ordinal}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        while not self.ended.wait(0.5):
            seen = subprocess.run(command, capture_output=True, text=True, timeout=10)
            if seen.returncode == 0 and seen.stdout.strip().isdigit():
                self.peak_bytes = max(self.peak_bytes, int(seen.stdout) << 20)


class Run:
    def __init__(self, options):
        self.options = options
        self.out = options.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.programs = Programs(options.programs)
        self.ends = time.monotonic() + options.seconds
        self.part_ends = self.ends

    def left(self):
        return min(self.ends, self.part_ends) - time.monotonic()

    def call(self, command, limit=None):
        """Runs a program until it ends or the part's time does; its last line is what is said if it fails."""
        seconds = self.left() if limit is None else min(limit, self.left())
        if seconds <= 0:
            raise PartFailed("its time ran out")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=ROOT,
                                  env=self.programs.environment)
        except subprocess.TimeoutExpired:
            raise PartFailed(f"{pathlib.Path(command[0]).name} was stopped after {seconds:.0f} s") from None
        except OSError as e:
            raise PartFailed(f"{command[0]}: {e}") from None
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise PartFailed(f"{pathlib.Path(command[0]).name} ended with status {done.returncode}: "
                             f"{said[-1] if said else 'it said nothing'}")
        return done.stdout

    def measure(self, part, *arguments):
        """A part of pinrail_gpu."""
        file = self.out / f"{part}.json"
        file.unlink(missing_ok=True)
        self.call([self.programs.find("pinrail_gpu"), part, "--device", str(self.options.device), "--json", str(file),
                   *arguments])
        return json.loads(file.read_text())

    # ---- the parts ----------------------------------------------------------------------------------------------

    def content(self):
        result = self.measure("content")
        result["graph_step"] = self.call([self.programs.find("graph_step"), "--device",
                                          str(self.options.device)]).strip().splitlines()
        if self.programs.has("test_device_cuda"):
            said = self.call([self.programs.find("test_device_cuda"), "--gtest_filter=cuda_gpu.*"])
            if "[  SKIPPED ]" in said:
                raise PartFailed("the backend's GPU tests found no GPU")
            result["backend_tests"] = said.strip().splitlines()[-1]
        return result

    def memcheck(self):
        tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
        if not pathlib.Path(tool).exists():
            return {"skipped": "compute-sanitizer is not installed"}
        said = self.call([tool, "--tool", "memcheck", "--error-exitcode", "9", self.programs.find("pinrail_gpu"),
                          "content", "--brief", "--device", str(self.options.device)])
        summary = [line for line in said.splitlines() if "ERROR SUMMARY" in line]
        if not summary:
            raise PartFailed("compute-sanitizer gave no summary")
        return {"summary": summary[-1].strip("= ")}

    def bandwidth(self):
        return self.measure("bandwidth")

    def overlap(self):
        return self.measure("overlap")

    def costs(self):
        return self.measure("costs")

    def pipeline(self):
        program = self.programs.find("four_pass_pipeline")
        folder = self.options.checkpoints or self.out / "pipeline"
        scale, why = self.pipeline_scale(folder)
        rows = []
        for workers in (1, 4, 8):
            file = self.out / f"pipeline_{workers}.json"
            file.unlink(missing_ok=True)
            self.call([program, "--device", f"cuda:{self.options.device}", "--scale", str(scale), "--workers",
                       str(workers), "--requests", str(max(4, workers)), "--steps", "2", "--no-reference",
                       "--no-picture", "--quiet", "--out", str(folder), "--json", str(file)])
            figures = json.loads(file.read_text())
            if figures["checksum_errors"] != 0:
                raise PartFailed(f"{figures['checksum_errors']} blocks had wrong bytes")
            if figures["peak_used_bytes"] > figures["budget_bytes"]:
                raise PartFailed("the budget was exceeded")
            rows.append({key: figures[key] for key in
                         ("workers", "requests", "steps", "scale", "budget_bytes", "peak_used_bytes", "loaded_bytes",
                          "wall_s", "loaded_bytes_per_second", "device_bytes_per_second", "checksum_errors")})
        return {"rows": rows, "scale": scale, "scale_because": why}

    @staticmethod
    def pipeline_scale(folder):
        """1, or the least power of two at which checkpoints of 62.5 GB / scale fit the disk, and memory twice: once in
        the page cache, and with as much beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        there = sum(f.stat().st_size for f in folder.rglob("*.safetensors"))
        disk = shutil.disk_usage(folder).free + there
        memory = available_memory_bytes()
        scale = 1
        while scale < 64 and (62.5e9 / scale + 2 * GIB > disk or 1.5 * 62.5e9 / scale > memory):
            scale *= 2
        return scale, f"{disk / GIB:.0f} GiB of disk and {memory / GIB:.0f} GiB of memory are free"

    def hot_paths(self):
        result = self.measure("hot_paths")
        file = self.out / "hot_paths_bench.json"
        file.unlink(missing_ok=True)
        self.call([self.programs.find("pinrail_bench"), f"--benchmark_out={file}", "--benchmark_out_format=json",
                   "--benchmark_min_time=0.05", "--benchmark_filter=" + BENCHMARKS])
        result["bench"] = [{"name": b["name"], "real_time_ns": b["real_time"]}
                           for b in json.loads(file.read_text())["benchmarks"]]
        if not result["bench"]:
            raise PartFailed("pinrail_bench measured nothing")
        result["cores"] = os.cpu_count()
        return result

    def plain(self):
        result = self.measure("plain")
        torch = subprocess.run([sys.executable, "-c", "import torch; assert torch.cuda.is_available()"],
                               capture_output=True)
        if torch.returncode != 0:
            result["torch"] = {"skipped": "PyTorch with CUDA is not installed"}
            return result
        file = self.out / "torch.json"
        file.unlink(missing_ok=True)
        copy_and_compute = [f"{row['copy_per_compute']}:{row['compute_s']}" for row in result["rows"]
                            if row["share_percent"] == 100]
        self.call([sys.executable, str(HERE / "torch_plain.py"), str(file), str(self.options.device), *copy_and_compute])
        result["torch"] = json.loads(file.read_text())
        return result

    # ---- all of them ----------------------------------------------------------------------------------------------

    def device(self):
        """Name and versions; or why there is none, as `open_device` says it."""
        command = [self.programs.find("pinrail_gpu"), "device", "--device", str(self.options.device)]
        seen = subprocess.run(command, capture_output=True, text=True, timeout=60, env=self.programs.environment)
        if seen.returncode != 0:
            raise PartFailed(seen.stderr.strip() or f"pinrail_gpu ended with status {seen.returncode}")
        return json.loads(seen.stdout)

    def one(self, name, seconds):
        self.part_ends = time.monotonic() + seconds
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        result = {}
        with DeviceMemoryWatch(self.options.device) as memory:
            try:
                result = getattr(self, name)()
                result["ok"] = True
            except PartFailed as e:
                result = {"ok": False, "why": str(e)}
            except (KeyError, ValueError, OSError) as e:  # a file that is not what it should be
                result = {"ok": False, "why": f"{type(e).__name__}: {e}"}
        result["wall_s"] = round(time.monotonic() - began, 1)
        result["peak_device_bytes"] = memory.peak_bytes
        if memory.peak_bytes > MOST_DEVICE_BYTES:
            result.update(ok=False, why=f"{memory.peak_bytes / GIB:.1f} GiB of device memory were in use, above 70")
        print(f"{name}: {'done' if result['ok'] else 'FAILED: ' + result['why']} ({result['wall_s']} s)", flush=True)
        return result


def available_memory_bytes():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="./dev gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PART", action="append", choices=[p[0] for p in PARTS],
                        help="this part; may be given again: " + ", ".join(p[0] for p in PARTS))
    parser.add_argument("--dry-run", action="store_true", help="list the parts and their time limits, run none")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of the table")
    parser.add_argument("--device", type=int, default=0, help="CUDA ordinal (0)")
    parser.add_argument("--seconds", type=float, default=530, help="for all parts together (530)")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/gpu", help="where the programs are")
    parser.add_argument("--checkpoints", type=pathlib.Path, help="where the pipeline's checkpoints go (OUT/pipeline)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/gpu", help="where the results go (out/gpu)")
    options = parser.parse_args(arguments)
    options.programs = options.programs.resolve()
    options.out = options.out.resolve()
    return options


def main(arguments):
    options = options_of(arguments)
    wanted = [p for p in PARTS if not options.only or p[0] in options.only]
    if options.dry_run:
        for name, letter, seconds, what in wanted:
            print(f"({letter}) {name:10} up to {seconds:>3} s  {what}")
        return 0
    run = Run(options)
    try:
        device = run.device()
    except PartFailed as e:
        print(f"./dev gpu: {e}", file=sys.stderr)
        return NO_DEVICE
    print(device["name"], flush=True)
    results = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
               "command": "./dev gpu " + " ".join(arguments), "commit": commit(), "cores": os.cpu_count(),
               "device": device, "parts": {}}
    for name, _, seconds, _ in wanted:
        results["parts"][name] = run.one(name, seconds)
        (run.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")  # also if the next is the last
    table = report.markdown(results)
    (run.out / "results.md").write_text(table)
    for said in report.plots(results, run.out):
        print(said, file=sys.stderr)
    print(json.dumps(results, indent=1) if options.json else "\n" + table)
    return 0 if all(part["ok"] for part in results["parts"].values()) else 1


def commit():
    seen = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT)
    return seen.stdout.strip() if seen.returncode == 0 else "unknown"


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough (head); Python's own last flush finds no pipe either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
