"""The parts of the verification: how each is run. What a run gave is a dictionary that can be kept as JSON:

  status, output   of the program: its exit status and the end of its output
  result           what it wrote as JSON, or None
  problem          instead of these, if the part could not be run
"""
import dataclasses
import json
import pathlib
import re
import shutil
import sys
import tempfile
import typing

import judges
from runner import ROOT, CannotRun

BUILD = ROOT / "build" / "release"

# Mistakes that the stress must find: those that it has found in every run, soon. Others need interleavings that it
# rarely meets (move_ignores_pins: not once in three minutes); explore finds them all.
PLANTED = ("note_takes_any_slot", "rules_not_read", "replace_counts_twice")
PLANTED_SECONDS = 60


@dataclasses.dataclass
class Part:
    name: str
    about: str
    run: typing.Callable    # (Runner) -> what it gave
    judge: typing.Callable  # (what it gave) -> judges.Verdict


def launcher():
    return ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []


def build_release(runner, targets):
    runner.must_run("configuring failed", ["cmake", "--preset", "release", *launcher()])
    runner.must_run("building failed", ["cmake", "--build", BUILD, f"-j{runner.jobs}", "--target", *targets])


def run_for_json(runner, command_for, limit_s):
    """Runs `command_for(file)`, which writes its result there."""
    with tempfile.TemporaryDirectory(prefix="pinrail-verify-") as scratch:
        file = pathlib.Path(scratch) / "result.json"
        ended = runner.run(command_for(file), limit_s)
        try:
            result = json.loads(file.read_text())
        except (OSError, json.JSONDecodeError):
            result = None
    return {"status": ended.status, "output": ended.tail, "result": result}


def run_models(runner):
    script = ROOT / "tests" / "model" / "run.py"
    jobs = min(runner.jobs, 2)  # each takes up to 4 GB
    return run_for_json(runner, lambda file: [sys.executable, script, "--jobs", jobs, "--json", file], 7200)


def run_explore(runner):
    build_release(runner, ["explore"])
    gave = run_for_json(runner, lambda file: [BUILD / "tests" / "explore", "--json", file], 7200)
    return gave | {"declared": declared_mutants((ROOT / "lib" / "core" / "mutant.hpp").read_text())}


def declared_mutants(header):
    body = re.search(r"enum class mutant[^{]*{(.*?)}", header, re.DOTALL)[1]
    names = re.findall(r"\w+", re.sub(r"//.*", "", body))
    return [name for name in names if name != "none"]


def run_tests(name):
    def run(runner):
        build_release(runner, [f"test_{name}"])
        program = BUILD / "tests" / f"test_{name}"
        return run_for_json(runner, lambda file: [program, f"--gtest_output=json:{file}"], 3600)
    return run


def run_cuda_faults(runner):
    runner.must_run("configuring failed", ["cmake", "--preset", "release", *launcher()])
    targets = runner.must_run("no list of targets", ["cmake", "--build", BUILD, "--target", "help"]).output
    if not re.search(r"\btest_faults_cuda\b", targets):
        return {"left_out": "no CUDA Toolkit here"}
    return run_tests("faults_cuda")(runner)


def run_fuzz(runner):
    seconds = runner.settings.fuzz_seconds
    script = ROOT / "tests" / "fuzz" / "run.py"
    targets = sorted(file.name.removesuffix("_fuzz.cpp") for file in script.parent.glob("*_fuzz.cpp"))
    gave = run_for_json(runner, lambda file: [sys.executable, script, "--seconds", seconds, "--json", file],
                        3600 + len(targets) * (seconds + 120))
    return gave | {"targets": targets}


def run_stress(runner):
    build_release(runner, ["pinrail_stress"])
    return stress(runner, BUILD, runner.settings.stress_seconds, seed=1)


def stress(runner, build, seconds, seed):
    return run_for_json(runner, lambda file: [build / "stress" / "pinrail_stress", "--quiet", "--seconds", seconds,
                                              "--seed", seed, "--json", file], seconds + 180)


def run_planted(runner):
    return {"status": 0, "output": "", "result": [plant(runner, mutant) for mutant in PLANTED]}


def plant(runner, mutant):
    build = ROOT / "build" / f"mutant-{mutant}"
    build_mutant(runner, mutant, build)
    seeds = range(1, runner.settings.planted_runs + 1)
    return {"mutant": mutant, "limit_s": PLANTED_SECONDS,
            "runs": [stress(runner, build, PLANTED_SECONDS, seed) for seed in seeds]}


def build_mutant(runner, mutant, build):
    """Several sources are compiled as one, which is much faster, or each by itself if they don't go together."""
    off = [f"-DPINRAIL_{what}=OFF" for what in ("CUDA", "TESTS", "EXAMPLES", "TOOLS", "BENCH", "INSTALL")]
    configure = ["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                 f"-DPINRAIL_MUTANT={mutant}", *off, *launcher(), "-DCMAKE_UNITY_BUILD_BATCH_SIZE=12"]
    make = ["cmake", "--build", build, f"-j{runner.jobs}", "--target", "pinrail_stress"]
    try:
        runner.must_run("configuring failed", [*configure, "-DCMAKE_UNITY_BUILD=ON"])
        runner.must_run("building failed", make)
    except CannotRun:
        runner.must_run("configuring failed", [*configure, "-DCMAKE_UNITY_BUILD=OFF"])
        runner.must_run("building failed", make)


PARTS = [
    Part("models", "the protocol's models and their mutants, with spin", run_models, judges.models),
    Part("explore", "the shipped core templates and their mutants, with Relacy", run_explore, judges.explore),
    Part("linearizability", "recorded calls of real threads against sequential specifications",
         run_tests("linearizability"), judges.linearizability),
    Part("stalled", "each thread stopped at each point: the others go on", run_tests("stalled"), judges.stalled),
    Part("faults", "each device call and each read fails or stalls once", run_tests("faults"), judges.faults),
    Part("faults_cuda", "the same over the CUDA backend, on a fake runtime", run_cuda_faults, judges.faults),
    Part("device_order", "each GPU edge left out: reported in every run", run_tests("device_order"),
         judges.device_order),
    Part("fuzz", "libFuzzer on readers, parsers and the public calls", run_fuzz, judges.fuzz),
    Part("planted", "mistakes planted in the code: found by the stress", run_planted, judges.planted),
    Part("stress", "everything at once, under an oracle", run_stress, judges.stress),
]
