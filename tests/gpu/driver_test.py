#!/usr/bin/env python3
"""The driver of ./dev gpu without a GPU: its tables and plots on sample results, and its run over programs that stand in
for the real ones."""
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools/gpu"))

import report  # noqa: E402
import run  # noqa: E402

SAMPLE = json.loads((HERE / "sample_results.json").read_text())

# Each writes what the program would: pinrail_gpu's figures are the sample's.
PINRAIL_GPU = f"""#!{sys.executable}
import json, pathlib, sys
part = sys.argv[1]
sample = json.loads(pathlib.Path({str(HERE / 'sample_results.json')!r}).read_text())
if part == "device":
    print(json.dumps(sample["device"]))
elif part == "overlap":
    print("ignored", file=sys.stderr)
    print("overlap: cudaMalloc: out of memory", file=sys.stderr)
    sys.exit(1)
elif part == "costs":
    import time
    time.sleep(60)
else:
    pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps({{"rows": sample["parts"][part]["rows"]}}))
"""
GRAPH_STEP = "#!/bin/sh\necho 'a: 20 steps'\n"
NO_DRIVER = "#!/bin/sh\necho 'cuda:0 is not available: no NVIDIA driver is installed' >&2\nexit 3\n"
PIPELINE = f"""#!{sys.executable}
import json, pathlib, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
workers = int(given["--workers"])
pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps({{
    "workers": workers, "requests": 4, "steps": 2, "scale": float(given["--scale"]), "budget_bytes": 100,
    "peak_used_bytes": 90, "loaded_bytes": 1000, "wall_s": 1.0, "loaded_bytes_per_second": 1000.0,
    "device_bytes_per_second": 2000.0, "checksum_errors": 0 if workers < 8 else 3}}))
"""


class Tables(unittest.TestCase):
    def test_every_part_has_its_figures(self):
        text = report.markdown(SAMPLE)
        for expected in ("no GPU: figures made up", "| 1 | 9600 | 1 GiB | 2 GiB | 1.999 GiB | 0 | 3.2 s |",
                         "at most 2 GiB of device memory", "Left out: compute-sanitizer is not installed.",
                         "| host to device | 1 GiB | 50.00 GB/s | 49.50 GB/s | 99.0 % |",
                         "| paced | 2.0 | 24 of 48 | 31.5 ms | 30.0 ms | 28.0 ms | 1.050 | 1.010 |",
                         "FAILED: four_pass_pipeline was stopped after 150 s",
                         "| 16 | 1300.00 M/s (13.00 x) | 40.00 M/s (0.80 x) | 2.00 M/s (2.00 x) |",
                         "| event record |  | 1.50 us | 1.75 us |",
                         "| virtual memory: unmap | 2 MiB |  | 60.00 us (the kernel ended meanwhile) |",
                         "| 1.0 | 25 % | 60.0 ms | 63.0 ms |  | 75.0 ms | 70.0 ms |",
                         "| 1.0 | 50 % | 125.0 ms | 80.0 ms | 72.5 ms |"):
            self.assertIn(expected, text)
        for title in report.TITLES.values():
            self.assertEqual(text.count(f"## {title}\n"), 1)

    def test_targets_are_judged_by_the_figures(self):
        self.assertEqual([met for _, met in report.targets(SAMPLE["parts"])], [True, True, True, True])
        worse = json.loads(json.dumps(SAMPLE["parts"]))
        worse["bandwidth"]["rows"][1]["share_of_bare"] = 0.97
        worse["overlap"]["rows"][0]["step_less_first_block_per_bound"] = 1.06
        worse["plain"]["rows"][0]["prefix_s"] = 0.0629
        worse["hot_paths"]["rows"][1]["pins_per_second"] = 1.1e9
        self.assertEqual([met for _, met in report.targets(worse)], [False, False, False, False])
        self.assertEqual(list(report.targets({})), [])
        self.assertIn("(least: 97.0 %) | **not met** |", report.markdown({**SAMPLE, "parts": worse}))

    def test_every_part_is_known_everywhere(self):
        self.assertEqual([p[0] for p in run.PARTS], list(report.TITLES))
        self.assertEqual(list(SAMPLE["parts"]), list(report.TITLES))
        self.assertLessEqual(sum(p[2] for p in run.PARTS), 530)

    def test_plots_are_drawn(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            wrong = report.plots(SAMPLE, out)
            for name in report.PLOTS:
                self.assertTrue((out / f"{name}.gp").exists())
                if shutil.which("gnuplot"):
                    self.assertIn("</svg>", (out / f"{name}.svg").read_text())
            self.assertEqual(len(wrong), 0 if shutil.which("gnuplot") else len(report.PLOTS), wrong)
            self.assertIn("49.5", (out / "bandwidth.gp").read_text())


class Driver(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.programs = pathlib.Path(self.folder.name) / "programs"
        self.programs.mkdir()
        self.out = pathlib.Path(self.folder.name) / "out"
        self.write("pinrail_gpu", PINRAIL_GPU)
        self.write("graph_step", GRAPH_STEP)
        self.write("four_pass_pipeline", PIPELINE)

    def write(self, name, text):
        file = self.programs / name
        file.write_text(text)
        file.chmod(0o755)

    def go(self, *arguments):
        """Status, what it printed, and its results."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = run.main(["--programs", str(self.programs), "--out", str(self.out), *arguments])
        file = self.out / "results.json"
        return status, said.getvalue(), json.loads(file.read_text())["parts"] if file.exists() else {}

    def test_parts_that_succeed(self):
        status, said, parts = self.go("--only", "content", "--only", "bandwidth")
        self.assertEqual(status, 0, said)
        self.assertEqual(list(parts), ["content", "bandwidth"])
        self.assertEqual(parts["bandwidth"]["rows"], SAMPLE["parts"]["bandwidth"]["rows"])
        self.assertIn("99.0 %", (self.out / "results.md").read_text())

    def test_a_part_that_fails_says_so_and_the_others_go_on(self):
        status, said, parts = self.go("--only", "overlap", "--only", "pipeline", "--only", "bandwidth")
        self.assertEqual(status, 1)
        self.assertEqual(parts["overlap"]["why"], "pinrail_gpu ended with status 1: overlap: cudaMalloc: out of memory")
        self.assertEqual(parts["pipeline"]["why"], "3 blocks had wrong bytes")
        self.assertTrue(parts["bandwidth"]["ok"])
        self.assertIn("FAILED: 3 blocks had wrong bytes", said)

    def test_a_program_that_takes_too_long_is_stopped(self):
        the_run = run.Run(run.options_of(["--programs", str(self.programs), "--out", str(self.out)]))
        command = [str(self.programs / "pinrail_gpu"), "costs"]  # which sleeps for a minute
        with self.assertRaisesRegex(run.PartFailed, "pinrail_gpu was stopped after 0 s"):
            the_run.call(command, limit=0.1)
        the_run.ends = 0
        with self.assertRaisesRegex(run.PartFailed, "its time ran out"):
            the_run.call(command)

    def test_a_program_that_was_not_built_is_named(self):
        status, _, parts = self.go("--only", "hot_paths")
        self.assertEqual(status, 1)
        self.assertIn("pinrail_bench is not in", parts["hot_paths"]["why"])

    def test_without_a_driver_it_says_what_is_missing(self):
        self.write("pinrail_gpu", NO_DRIVER)
        status, said, parts = self.go()
        self.assertEqual(status, run.NO_DEVICE)
        self.assertIn("cuda:0 is not available: no NVIDIA driver is installed", said)
        self.assertEqual(parts, {})

    def test_a_dry_run_lists_the_parts(self):
        status, said, parts = self.go("--dry-run")
        self.assertEqual(status, 0)
        self.assertEqual([line.split()[1] for line in said.splitlines()], [p[0] for p in run.PARTS])
        self.assertEqual(parts, {})

    def test_a_reader_that_leaves_early_is_told_nothing(self):
        reading, writing = os.pipe()
        os.close(reading)
        script = HERE.parent.parent / "tools/gpu/run.py"
        ended = subprocess.run([sys.executable, script, "--dry-run"], stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        self.assertEqual((ended.returncode, ended.stderr), (1, ""))

    def test_json_is_all_that_follows_the_parts(self):
        _, said, parts = self.go("--only", "bandwidth", "--json")
        self.assertEqual(json.loads(said[said.index("{"):])["parts"], parts)

    def test_the_pipeline_is_as_large_as_disk_and_memory_allow(self):
        sizes = {}
        for memory in (128 << 30, 40 << 30):
            with tempfile.TemporaryDirectory() as folder:
                known, disk = run.available_memory_bytes, run.shutil.disk_usage
                run.available_memory_bytes = lambda memory=memory: memory
                run.shutil.disk_usage = lambda _: disk("/")._replace(free=100 << 30)
                try:
                    sizes[memory >> 30] = run.Run.pipeline_scale(pathlib.Path(folder))[0]
                finally:
                    run.available_memory_bytes, run.shutil.disk_usage = known, disk
        self.assertEqual(sizes, {128: 1, 40: 4})


if __name__ == "__main__":
    unittest.main()
