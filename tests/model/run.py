#!/usr/bin/env python3
"""Checks the Promela models of Pinrail's protocol with spin, and the mutants that it must reject.

Each model says in its head what there is to run:

  @invariant NAME                                  an assertion; check(NAME, condition) in the model
  @config NAME | safety or progress | FLAGS | BOUNDS
  @mutant NAME | CONFIG | REJECTED BY | TEXT       compiled with -DMUTANT_NAME on top of a configuration's flags

safety: assertions and invalid end states. progress: no infinite run either, whoever is stopped where (spin's
non-progress cycles, with no progress labels and no fairness). Every search is exhaustive, or it is a failure here.
So is a mutant that passes or is rejected by something else than it says, and a statement that no configuration of
its model reaches.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DEPTH = 2_000_000
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


def search(model, config, mutant, scratch, limit_s):
    """Builds and runs one search in a folder of its own."""
    outcome = Outcome()
    folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
    flags = config.flags + ([f"-DMUTANT_{mutant.name}"] if mutant else [])
    kind_flags = {"safety": ["-DSAFETY"], "progress": ["-DNP", "-DNOFAIR"]}[config.kind]
    built = run_in(folder, ["spin", "-a", *flags, str(model.path)], limit_s)
    # spin prints warnings about unused names; what counts is that it wrote a verifier without an error.
    if built.returncode != 0 or "Error" in built.stdout or not (folder / "pan.c").exists():
        outcome.problem = "spin refuses the model: " + (built.stdout + built.stderr).strip()[-300:]
        return outcome
    built = run_in(folder, ["gcc", "-O2", "-w", *kind_flags, f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"], limit_s)
    if built.returncode != 0:
        outcome.problem = "gcc refuses the verifier: " + built.stderr.strip()[-300:]
        return outcome
    began = time.monotonic()
    try:
        ran = run_in(folder, ["./pan", f"-m{DEPTH}", *(["-l"] if config.kind == "progress" else [])], limit_s)
    except subprocess.TimeoutExpired:
        outcome.problem = f"not exhausted after {limit_s} s"
        return outcome
    outcome.seconds = time.monotonic() - began
    read_output(ran.stdout, outcome)
    if mutant is None:
        read_coverage(run_in(folder, ["./pan", "-d"], limit_s).stdout, ran.stdout, outcome)
    for file in folder.iterdir():
        if file.suffix != ".trail":
            file.unlink()
    return outcome


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
    truncated = [sign for sign in ("Search not completed", "max search depth too small", "out of memory") if sign in text]
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


def judge(model, config, mutant, outcome):
    """Fills in `problem` from what the search found."""
    if outcome.problem:
        return
    if mutant is None:
        if outcome.found:
            outcome.problem = f"BROKEN: {outcome.found}"
    elif not outcome.found:
        outcome.problem = "PASSES: the check does not see this mutant"
    elif outcome.found != mutant.rejected_by:
        outcome.problem = f"rejected by {outcome.found} instead of {mutant.rejected_by}"


def never_reached(model, outcomes):
    """Statements that no configuration reaches: what is behind them would be unchecked."""
    mine = [o for (name, _, mutant), o in outcomes.items() if name == model.name and mutant is None]
    if len(mine) != len(model.configs) or any(o.problem for o in mine):
        return set()
    return set.intersection(*(o.unreached for o in mine)) - set().union(*(o.reached for o in mine))


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

    models = read_models()
    tasks = []
    for model in models:
        configs = {config.name: config for config in model.configs}
        tasks += [(model, config, None) for config in model.configs]
        tasks += [(model, configs[mutant.config], mutant) for mutant in model.mutants]
    if arguments.only:
        tasks = [t for t in tasks if any(arguments.only in name for name in
                                         (t[0].name, t[1].name if t[2] is None else t[2].name))]
    if not tasks:
        sys.exit(f"nothing is called {arguments.only}")

    outcomes = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pinrail-models-") as temporary:
        scratch = pathlib.Path(arguments.work or temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            running = {pool.submit(search, *task, scratch, arguments.limit): task for task in tasks}
            for done in concurrent.futures.as_completed(running):
                model, config, mutant = running[done]
                outcome = done.result()
                judge(model, config, mutant, outcome)
                outcomes[model.name, config.name, mutant.name if mutant else None] = outcome
                print(f"{model.name} {mutant.name if mutant else config.name}: {outcome.problem or outcome.found or 'holds'}",
                      file=sys.stderr)

    return report(models, tasks, outcomes, time.monotonic() - began, arguments.json)


def report(models, tasks, outcomes, seconds, json_file):
    model_rows, mutant_rows, failures = [], [], 0
    results = {"models": [], "mutants": [], "unreached": []}
    for model, config, mutant in tasks:
        o = outcomes[model.name, config.name, mutant.name if mutant else None]
        failures += bool(o.problem)
        numbers = {"states": o.states, "depth": o.depth, "seconds": round(o.seconds, 2), "memory_mb": round(o.memory_mb)}
        if mutant is None:
            checked = ", ".join(i.split("_")[0] for i in model.invariants) + (", progress" if config.kind == "progress" else "")
            model_rows.append([model.name, config.name, checked, f"{o.states:,}", f"{o.depth:,}", f"{o.seconds:.1f}",
                               o.problem or "holds", config.bounds])
            results["models"].append({"model": model.name, "config": config.name, "bounds": config.bounds,
                                      "invariants": model.invariants, "kind": config.kind, **numbers,
                                      "result": o.problem or "holds", "ok": not o.problem})
        else:
            mutant_rows.append([model.name, mutant.name.lower(), mutant.text, o.problem or o.found, f"{o.states:,}"])
            results["mutants"].append({"model": model.name, "config": config.name, "mutant": mutant.name,
                                       "text": mutant.text, **numbers, "rejected_by": o.found, "problem": o.problem,
                                       "ok": not o.problem})
    if model_rows:
        print(table(["model", "configuration", "invariants", "states", "depth", "s", "result", "bounds"], model_rows))
    if mutant_rows:
        print("\n" + table(["model", "mutant", "what it breaks", "rejected by", "after states"], mutant_rows))
    for model in models:
        for line, words in sorted(never_reached(model, outcomes)):
            failures += 1
            results["unreached"].append(f"{model.name}.pml:{line}: {words}")
            print(f"\nno configuration reaches {model.name}.pml:{line}: {words}")
    states = sum(o.states for o in outcomes.values())
    print(f"\n{len(model_rows)} configurations, {len(mutant_rows)} mutants, {states:,} states in {seconds:.0f} s: "
          f"{failures or 'no'} failure{'s' if failures != 1 else ''}")
    if json_file:
        results |= {"states": states, "seconds": round(seconds, 1), "failures": failures}
        pathlib.Path(json_file).write_text(json.dumps(results, indent=2) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
