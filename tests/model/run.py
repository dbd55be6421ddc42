#!/usr/bin/env python3
"""Checks the Promela models of Pinrail's protocol with spin, and the mutants that it must reject.

Each model says in its head what there is to run:

  @invariant NAME                                  an assertion; check(NAME, condition) in the model
  @config NAME | safety or progress | FLAGS | BOUNDS
  @mutant NAME | CONFIG | REJECTED BY | TEXT       compiled with -DMUTANT_NAME on top of a configuration's flags

safety: assertions and invalid end states. progress: no infinite run either, whoever is stopped where (spin's
non-progress cycles, with no progress labels and no fairness). Every search is exhaustive, or it is a failure here.
So is a mutant that passes or is rejected by something else than it says, an invariant that rejects no mutant, and a
statement that no configuration of its model reaches.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DEPTH = 1_000_000
MEMORY_MB = 3900


@dataclasses.dataclass
class Config:
    name: str
    kind: str
    flags: list
    bounds: str


@dataclasses.dataclass
class Mutant:
    name: str
    config: str
    rejected_by: str
    text: str


@dataclasses.dataclass
class Model:
    name: str
    path: pathlib.Path
    invariants: list
    configs: list
    mutants: list


@dataclasses.dataclass
class Task:
    """One search: a configuration of a model, as it is or broken by a mutant."""
    model: Model
    config: Config
    mutant: Mutant = None

    @property
    def name(self):
        return f"{self.model.name} {self.mutant.name.lower() if self.mutant else self.config.name}"


@dataclasses.dataclass
class Outcome:
    """What one search said. `problem` is empty where it is as it should be."""
    found: str = ""  # the first error: an invariant, "end state" or "cycle"; empty if there is none
    states: int = 0
    depth: int = 0
    seconds: float = 0
    memory_mb: float = 0
    reached: set = dataclasses.field(default_factory=set)    # statements: line and words
    unreached: set = dataclasses.field(default_factory=set)
    problem: str = ""


def read_model(path):
    model = Model(path.stem, path, [], [], [])
    for line in path.read_text().splitlines():
        found = re.match(r"\s*\*\s*@(\w+)\s+(.*)", line)
        if not found:
            continue
        fields = [field.strip() for field in found[2].split("|")]
        if found[1] == "invariant":
            model.invariants.append(fields[0])
        elif found[1] == "config":
            model.configs.append(Config(fields[0], fields[1], fields[2].split(), fields[3]))
        elif found[1] == "mutant":
            model.mutants.append(Mutant(*fields))
        else:
            sys.exit(f"{path.name}: unknown directive @{found[1]}")
    return model


def read_models():
    models = [read_model(path) for path in sorted(HERE.glob("*.pml"))]
    return [model for model in models if model.configs]


def run_in(folder, command, limit_s):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False)


def search(task, scratch, limit_s):
    outcome = Outcome()
    folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
    try:
        if build(task, folder, limit_s, outcome):
            run(task, folder, limit_s, outcome)
    except subprocess.TimeoutExpired:
        outcome.problem = f"not exhausted after {limit_s} s"
    for file in folder.iterdir():
        if file.suffix != ".trail":
            file.unlink()
    judge(task, outcome)
    return outcome


def build(task, folder, limit_s, outcome):
    flags = task.config.flags + ([f"-DMUTANT_{task.mutant.name}"] if task.mutant else [])
    built = run_in(folder, ["spin", "-a", *flags, str(task.model.path)], limit_s)
    # spin prints warnings about unused names; what counts is that it wrote a verifier without an error.
    if built.returncode != 0 or "Error" in built.stdout or not (folder / "pan.c").exists():
        outcome.problem = "spin refuses the model: " + (built.stdout + built.stderr).strip()[-300:]
        return False
    kind_flags = {"safety": ["-DSAFETY"], "progress": ["-DNP", "-DNOFAIR"]}[task.config.kind]
    optimize = "-O1" if task.mutant else "-O2"  # a mutant is found soon, compiling takes longer
    built = run_in(folder, ["gcc", optimize, "-w", *kind_flags, f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"], limit_s)
    if built.returncode != 0:
        outcome.problem = "gcc refuses the verifier: " + built.stderr.strip()[-300:]
    return built.returncode == 0


def run(task, folder, limit_s, outcome):
    began = time.monotonic()
    ran = run_in(folder, ["./pan", f"-m{DEPTH}", *(["-l"] if task.config.kind == "progress" else [])], limit_s)
    outcome.seconds = time.monotonic() - began
    read_output(ran.stdout, outcome)
    if task.mutant is None:
        read_coverage(run_in(folder, ["./pan", "-d"], limit_s).stdout, ran.stdout, outcome)


def read_coverage(state_machines, text, outcome):
    """What was reached. A statement may be in several processes, and several times in one (inline)."""
    unreached = set()
    for process, lines in re.findall(r"unreached in (?:proctype )?(\w+)\n((?:\t.*\n)*)", text):
        for line, state, what in re.findall(r"(\d+), state (\d+), \"(.*)\"", lines):
            unreached.add((process, int(state)))
            if what != "-end-":
                outcome.unreached.add((int(line), words_of(what)))
    process = ""
    for line in state_machines.splitlines():
        if found := re.match(r"(?:proctype )?:?(\w+):?$", line):
            process = found[1]
        elif found := re.match(r"\s+state\s+(\d+) -.*\.pml:(\d+) => (.*)", line):
            if (process, int(found[1])) not in unreached:
                outcome.reached.add((int(found[2]), words_of(found[3])))


def words_of(statement):
    """pan writes a statement in two ways; their words are the same. Numbers differ between configurations."""
    return " ".join(re.findall(r"[A-Za-z_]+", statement))


def read_output(text, outcome):
    def number(pattern):
        found = re.search(pattern, text)
        return float(found[1]) if found else None

    states, depth = number(r"(\d+) states, stored"), number(r"depth reached (\d+)")
    errors = number(r"errors: (\d+)")
    if states is None or depth is None or errors is None:
        outcome.problem = "no result from pan: " + text.strip()[-300:]
        return
    outcome.states, outcome.depth = int(states), int(depth)
    outcome.memory_mb = number(r"([\d.]+)\s+total actual memory usage") or 0
    outcome.found = first_error(text)
    if outcome.found:
        return
    signs = ("Search not completed", "max search depth too small", "out of memory")
    truncated = [sign for sign in signs if sign in text]
    if errors != 0 or truncated or "Full statespace search" not in text:
        outcome.problem = "not exhausted: " + (", ".join(truncated) or "not a full search")


def first_error(text):
    found = re.search(r"pan:1: (.*) \(at depth", text)
    if not found:
        return ""
    what = found[1]
    if what.startswith("assertion violated"):
        name = re.search(r"\|\|(\w+)\)$", what)
        return name[1] if name else what
    return {"invalid end state": "end state", "non-progress cycle": "cycle"}.get(what, what)


def judge(task, outcome):
    """Fills in `problem` from what the search found."""
    if outcome.problem:
        return
    if task.mutant is None:
        if outcome.found:
            outcome.problem = f"BROKEN: {outcome.found}"
    elif not outcome.found:
        outcome.problem = "PASSES: the check does not see this mutant"
    elif outcome.found != task.mutant.rejected_by:
        outcome.problem = f"rejected by {outcome.found} instead of {task.mutant.rejected_by}"


def gaps(model, results):
    """What a model's configurations and mutants leave unchecked."""
    rejecting = {mutant.rejected_by for mutant in model.mutants}
    found = [f"{model.name}: no mutant is rejected by {name}" for name in model.invariants if name not in rejecting]
    outcomes = [o for task, o in results if task.model is model and task.mutant is None]
    if len(outcomes) == len(model.configs) and not any(o.problem for o in outcomes):
        never = set.intersection(*(o.unreached for o in outcomes)) - set().union(*(o.reached for o in outcomes))
        found += [f"{model.name}: no configuration reaches line {line}: {words}" for line, words in sorted(never)]
    return found


def table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="also write the results there")
    parser.add_argument("--only", metavar="NAME", help="models, configurations and mutants whose names contain NAME")
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time (default 2)")
    parser.add_argument("--work", metavar="DIR", help="keep traces (*.trail) of errors in this folder")
    parser.add_argument("--limit", type=float, default=600, metavar="S", help="seconds for one search (default 600)")
    arguments = parser.parse_args()

    for program in ("spin", "gcc"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed")
    models = read_models()
    tasks = []
    for model in models:
        configs = {config.name: config for config in model.configs}
        tasks += [Task(model, config) for config in model.configs]
        tasks += [Task(model, configs[mutant.config], mutant) for mutant in model.mutants]
    if arguments.only:
        tasks = [task for task in tasks if arguments.only.lower() in task.name]
    if not tasks:
        sys.exit(f"nothing is called {arguments.only}")

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pinrail-models-") as temporary:
        scratch = pathlib.Path(arguments.work or temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            running = {pool.submit(search, task, scratch, arguments.limit): task for task in tasks}
            for done in concurrent.futures.as_completed(running):
                outcome = done.result()
                print(f"{running[done].name}: {outcome.problem or outcome.found or 'holds'}", file=sys.stderr)
    results = [(task, done.result()) for done, task in running.items()]
    return report(models, results, time.monotonic() - began, arguments.json)


def report(models, results, seconds, json_file):
    problems = sum(bool(o.problem) for _, o in results)
    model_rows, mutant_rows, entries = [], [], []
    for task, o in results:
        config, mutant = task.config, task.mutant
        entries.append({"model": task.model.name, "config": config.name, "kind": config.kind, "bounds": config.bounds,
                        "mutant": mutant and mutant.name.lower(), "found": o.found, "problem": o.problem,
                        "states": o.states, "depth": o.depth, "seconds": round(o.seconds, 2),
                        "memory_mb": round(o.memory_mb)})
        if mutant is None:
            checked = [name.split("_")[0] for name in task.model.invariants]
            if config.kind == "progress":
                checked.append("progress")
            model_rows.append([task.model.name, config.name, ", ".join(checked), f"{o.states:,}", f"{o.depth:,}",
                               f"{o.seconds:.1f}", o.problem or "holds", config.bounds])
        else:
            mutant_rows.append([task.model.name, mutant.name.lower(), mutant.text, o.problem or o.found,
                                f"{o.states:,}"])
    if model_rows:
        print(table(["model", "configuration", "invariants", "states", "depth", "s", "result", "bounds"], model_rows))
    if mutant_rows:
        print("\n" + table(["model", "mutant", "what it breaks", "rejected by", "after states"], mutant_rows))
    unchecked = [gap for model in models for gap in gaps(model, results)]
    print("".join(f"\n{gap}" for gap in unchecked))
    failures = problems + len(unchecked)
    states = sum(o.states for _, o in results)
    print(f"{len(model_rows)} configurations, {len(mutant_rows)} mutants, {states:,} states in {seconds:.0f} s: "
          f"{failures or 'no'} failure{'s' if failures != 1 else ''}")
    if json_file:
        summary = {"searches": entries, "unchecked": unchecked, "states": states, "seconds": round(seconds, 1),
                   "failures": failures}
        pathlib.Path(json_file).write_text(json.dumps(summary, indent=2) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
