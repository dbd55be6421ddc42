"""What each part gave, judged: rows for the tables, a headline, and everything that falls short.

A judge trusts nothing that it was not told: no result, no count, or a count of nothing falls short, too.
"""
import dataclasses
import re

FEWEST_MODEL_MUTANTS = 12


@dataclasses.dataclass
class Verdict:
    headline: str = ""
    left_out: str = ""  # why the part doesn't apply here
    tables: dict = dataclasses.field(default_factory=dict)    # title -> rows, the first the head
    mutants: list = dataclasses.field(default_factory=list)   # [where, mutant, caught by, after]
    failures: list = dataclasses.field(default_factory=list)

    def table(self, title, *head):
        return self.tables.setdefault(title, [list(head)])

    def expect(self, holds, failure):
        if not holds:
            self.failures.append(failure)
        return bool(holds)


def number(value):
    return f"{int(value):,}"


def begin(gave, judge):
    """Judges what is the same for all; the rest only if there is a result."""
    verdict = Verdict()
    if gave.get("left_out"):
        verdict.left_out = verdict.headline = gave["left_out"]
        return verdict
    if gave.get("problem"):
        verdict.headline = "could not be run"
        verdict.failures.append(gave["problem"])
        return verdict
    if gave["status"] != 0:
        what = "was not over in time" if gave["status"] == 124 else f"ended with exit status {gave['status']}"
        verdict.failures.append(f"{what}\n{gave['output']}")
    if verdict.expect(gave["result"], "gave no result"):
        judge(gave, verdict)
    return verdict


def part(judge):
    """A judge of a part: from what it gave to its verdict. A result of an unexpected form falls short."""
    def judged(gave):
        try:
            return begin(gave, judge)
        except (KeyError, TypeError, ValueError, IndexError) as odd:
            return Verdict(headline="not understood", failures=[f"the result is not understood: {odd!r}"])
    return judged


@part
def models(gave, verdict):
    searches = gave["result"]["searches"]
    rows = verdict.table("Models", "model", "configuration", "states", "result")
    for s in searches:
        if s["problem"]:
            verdict.failures.append(f"{s['model']} {s['mutant'] or s['config']}: {s['problem']}")
        if s["mutant"] is None:
            verdict.expect(s["states"] > 0, f"{s['model']} {s['config']}: no states")
            rows.append([s["model"], s["config"], number(s["states"]), s["problem"] or "holds"])
        else:
            verdict.expect(s["found"], f"{s['model']} {s['mutant']}: SURVIVES")
            by = f"spin: {s['found']}" if s["found"] else "SURVIVES"
            verdict.mutants.append([f"model {s['model']}", s["mutant"], by, f"{number(s['states'])} states"])
    verdict.failures += gave["result"]["unchecked"]
    verdict.expect(len(rows) > 1, "no model was checked")
    verdict.expect(len(verdict.mutants) >= FEWEST_MODEL_MUTANTS, f"fewer than {FEWEST_MODEL_MUTANTS} mutants")
    verdict.headline = (f"{len(rows) - 1} configurations, {len(verdict.mutants)} mutants, "
                        f"{number(sum(s['states'] for s in searches))} states")


@part
def explore(gave, verdict):
    scenarios, mutants = gave["result"]["scenarios"], gave["result"]["mutants"]
    rows = verdict.table("The shipped templates under Relacy", "scenario", "search", "schedules", "result")
    for s in scenarios:
        verdict.expect(s["holds"], f"{s['name']}: BROKEN")
        verdict.expect(s["schedules"] > 0, f"{s['name']}: no schedules")
        rows.append([s["name"], s["search"], number(s["schedules"]), "holds" if s["holds"] else "BROKEN"])
    for m in mutants:
        verdict.expect(m["found"], f"{m['name']}: SURVIVES {m['scenario']}")
        verdict.mutants.append(["code", m["name"], f"Relacy: {m['scenario']}" if m["found"] else "SURVIVES",
                                f"{number(m['schedules'])} schedules"])
    for name in sorted(set(gave["declared"]) - {m["name"] for m in mutants}):
        verdict.failures.append(f"{name}: a mutant that no scenario looks for")
    verdict.expect(scenarios and mutants and gave["declared"], "no scenarios, or no mutants")
    verdict.headline = (f"{len(scenarios)} scenarios, {len(gave['declared'])} mutants, "
                        f"{number(sum(s['schedules'] for s in scenarios))} schedules")


def test_cases(gave, verdict):
    """Each test's name and record. Those that failed or were not run fall short."""
    cases = [(f"{suite['name']}.{case['name']}", case)
             for suite in gave["result"]["testsuites"] for case in suite["testsuite"]]
    for name, case in cases:
        first = case["failures"][0]["failure"] if case.get("failures") else ""
        verdict.expect(not first, f"{name}: {first}")
        verdict.expect(case["result"] == "COMPLETED" or first, f"{name}: was not run ({case['result'].lower()})")
    return cases


def outcome(case):
    return "FAILED" if case.get("failures") else "ok" if case["result"] == "COMPLETED" else case["result"].lower()


@part
def linearizability(gave, verdict):
    rows = verdict.table("Linearizability", "object", "threads", "calls", "configurations", "result")
    for name, case in test_cases(gave, verdict):
        if "calls" in case:
            verdict.expect(int(case["calls"]) > 0, f"{name}: no calls")
            rows.append([name, case["threads"], number(case["calls"]), number(case["configurations"]), outcome(case)])
        elif "rejected_after_rounds" in case:
            found = case["rejected_after_rounds"] != "never"
            verdict.expect(found, f"{name}: SURVIVES")
            verdict.mutants.append(["calls", name, "linearizability" if found else "SURVIVES",
                                    f"{case['rejected_after_rounds']} rounds"])
    verdict.expect(len(rows) > 1 and verdict.mutants, "no histories, or no flaws")
    verdict.headline = (f"{len(rows) - 1} checks, {number(sum(int(r[2].replace(',', '')) for r in rows[1:]))} calls, "
                        f"{len(verdict.mutants)} flaws")


@part
def stalled(gave, verdict):
    rows = verdict.table("Stalled threads", "stopped in", "points", "places", "others did at least",
                         "refused meanwhile")
    points = 0
    for name, case in test_cases(gave, verdict):
        short = name.split("/", 1)[-1].replace("others_go_on/", "")
        if "fewest_operations_of_others" in case:
            did = case["fewest_operations_of_others"]
            verdict.expect(int(case["points"]) > 0, f"{name}: was stopped nowhere")
            points += int(case["points"])
            refused = re.sub(r" \([^)]*\)", "", case.get("refused_meanwhile", ""))  # without the reasons
            rows.append([short, case["points"], case["places"], number(did), refused or "nothing"])
        elif "operations_of_others" in case:
            did = case["operations_of_others"]
            rows.append([short, "1", "1", number(did), "nothing"])
            points += 1
        else:
            continue
        verdict.expect(int(did) > 0, f"{name}: the others did nothing")
    verdict.expect(len(rows) > 1, "no one was stopped")
    verdict.headline = f"{len(rows) - 1} operations stopped at {number(points)} points"


@part
def faults(gave, verdict):
    rows = verdict.table("Faults", "what fails or stalls", "tried", "leaks", "result")
    tried, leaks, others = 0, 0, 0
    for name, case in test_cases(gave, verdict):
        count = case.get("faults_tried", case.get("stalls_tried"))
        if count is None:
            others += 1
            continue
        verdict.expect(int(count) > 0, f"{name}: nothing was tried")
        rows.append([name, number(count), case.get("leaks", "0" if outcome(case) == "ok" else "?"), outcome(case)])
        tried += int(count)
        leaks += int(case.get("leaks", 0))
    hangs = len(re.findall(r"^hang: ", gave["output"], re.MULTILINE)) + (gave["status"] == 124)
    verdict.expect(leaks == 0, f"{leaks} leaks")
    verdict.expect(hangs == 0, f"{hangs} hangs")
    verdict.expect(tried > 0, "no fault was tried")
    verdict.headline = f"{number(tried)} faults tried and {others} tests, leaks {leaks}, hangs {hangs}"


@part
def device_order(gave, verdict):
    edges = {}  # name -> [runs, reported]
    silent = 0
    for name, case in test_cases(gave, verdict):
        edge = re.search(r"is_reported_in_every_run/(\w+)_(slow_copies|slow_kernels|reversed)$", name)
        silent += "left_in_gives_nothing_to_report" in name
        if edge:
            counts = edges.setdefault(edge[1], [0, 0])
            counts[0] += int(case["runs"])
            counts[1] += int(case["reported"])
    for edge, (runs, reported) in edges.items():
        verdict.expect(0 < runs == reported, f"{edge}: SURVIVES, reported in {reported} of {runs} runs")
        verdict.mutants.append(["device edge", edge, "order checker" if 0 < runs == reported else "SURVIVES",
                                f"reported in {reported} of {runs} runs"])
    verdict.expect(edges and silent, "no edge was left out, or none left in")
    always = sum(0 < runs == reported for runs, reported in edges.values())
    verdict.headline = f"{always} of {len(edges)} edges left out reported in every run; {silent} right programs"


@part
def fuzz(gave, verdict):
    rows = verdict.table("Fuzzing", "target", "runs", "edges", "result")
    for r in gave["result"]:
        verdict.expect(r["result"] == "ok", f"{r['target']}: {r['result']} {' '.join(r['findings'])}")
        verdict.expect(r["runs"] > 0, f"{r['target']}: no runs")
        rows.append([r["target"], number(r["runs"]), number(r["edges"]), r["result"][:80]])
    missing = sorted(set(gave["targets"]) - {r["target"] for r in gave["result"]})
    verdict.expect(not missing and gave["targets"], f"not run: {', '.join(missing) or 'any target'}")
    verdict.headline = f"{len(rows) - 1} targets, {number(sum(r['runs'] for r in gave['result']))} runs"


@part
def planted(gave, verdict):
    every_time = 0
    for plant in gave["result"]:
        name, found, first = plant["mutant"], [], None
        for seed, run in enumerate(plant["runs"], 1):
            findings = (run["result"] or {}).get("findings") or []
            soon = run["status"] == 1 and findings and findings[0]["after_s"] <= plant["limit_s"]
            if verdict.expect(soon, f"{name}: SURVIVES {plant['limit_s']} s of stress with seed {seed} "
                                    f"(exit status {run['status']})\n{'' if soon else run['output']}"):
                first = first or findings[0]
                found.append(findings[0]["after_s"])
        verdict.expect(plant["runs"], f"{name}: was not run")
        caught = found and len(found) == len(plant["runs"])
        every_time += bool(caught)
        verdict.mutants.append(["code", name, f"stress: {first['check']}" if caught else "SURVIVES",
                                f"{', '.join(f'{s:.1f}' for s in found) or '-'} s"])
    verdict.headline = (f"{every_time} of {len(gave['result'])} mistakes found within {gave['result'][0]['limit_s']} s "
                        "in every run")


@part
def stress(gave, verdict):
    r = gave["result"]
    evictions = sum(r["evictions"].values())
    verdict.expect(r["violations"] == 0, f"{r['violations']} violations, seed {r['seed']}")
    verdict.expect(r["rounds"] > 0 and r["done"] > 0 and evictions > 0, "nothing was done")
    rows = verdict.table("Stress", "seed", "threads", "rounds", "operations", "evictions", "violations")
    rows.append([str(r["seed"]), str(r["threads"]), number(r["rounds"]), number(r["done"]), number(evictions),
                 str(r["violations"])])
    verdict.headline = f"{number(r['done'])} operations, {number(evictions)} evictions, {r['violations']} violations"
