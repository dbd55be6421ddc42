#!/usr/bin/env python3
"""./dev verify can fail: each way in which a part falls short is noticed, and ends in exit status 1."""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools" / "verify"))

import judges  # noqa: E402
import parts  # noqa: E402
import runner  # noqa: E402


def tests(**cases):
    """What GoogleTest writes, with one test a keyword."""
    listed = [{"name": name, "result": "COMPLETED", **case} for name, case in cases.items()]
    return {"testsuites": [{"name": "suite", "testsuite": listed}]}


def gave(result, **more):
    return {"status": 0, "output": "", "seconds": 1, "result": result, **more}


def search(mutant, **more):
    return {"model": "block", "config": "two", "mutant": mutant, "found": "W1" if mutant else "", "problem": "",
            "states": 100, **more}


STRESS = {"seed": 1, "threads": 8, "rounds": 5, "done": 1000, "evictions": {"demand": 3}, "violations": 0,
          "findings": []}
FOUND = STRESS | {"violations": 1, "findings": [{"check": "order", "after_s": 0.5, "text": "too early"}]}
EDGE = "is_reported_in_every_run/copy_before_last_use_"
IN_ORDER = "left_in_gives_nothing_to_report/copy_before_last_use_reversed"

# As each part is when all is as it must be.
RIGHT = {
    "models": gave({"searches": [search(None)] + [search(f"m{i}") for i in range(12)], "unchecked": []}),
    "explore": gave({"scenarios": [{"name": "pins", "search": "complete", "schedules": 9, "holds": True}],
                     "mutants": [{"name": "m", "scenario": "pins", "schedules": 2, "found": True}]}, declared=["m"]),
    "linearizability": gave(tests(holds={"threads": "3", "calls": "50", "configurations": "70"},
                                  flaw={"rejected_after_rounds": "4"})),
    "stalled": gave(tests(pin={"points": "4", "places": "3", "fewest_operations_of_others": "20",
                               "refused_meanwhile": ""},
                          log={"operations_of_others": "40"}, other={})),
    "faults": gave(tests(sweep={"faults_tried": "100", "leaks": "0", "runs_with_problems": "0"},
                         stalls={"stalls_tried": "10", "leaks": "0"}, other={})),
    "faults_cuda": gave(tests(sweep={"faults_tried": "100", "leaks": "0", "runs_with_problems": "0"})),
    "device_order": gave(tests(**{EDGE + "slow_copies": {"runs": "50", "reported": "50"},
                                  EDGE + "reversed": {"runs": "50", "reported": "50"}, IN_ORDER: {}})),
    "fuzz": gave([{"target": "api", "runs": 10, "edges": 5, "result": "ok", "findings": []}], targets=["api"]),
    "planted": gave([{"mutant": "m", "limit_s": 60, "runs": [gave(FOUND, status=1), gave(FOUND, status=1)]}]),
    "stress": gave(STRESS),
}


def at(what, path):
    """The place in `what` that a path of keys leads to: what holds it, and the last key."""
    for key in path[:-1]:
        what = what[key]
    return what, path[-1]


TESTS = ("result", "testsuites", 0, "testsuite")
OTHER = {"name": "other", "result": "COMPLETED"}
RUN = ("result", 0, "runs", 1)

# Part, where something else is found, what is found there.
WRONG = [
    ("models", ("result", "searches", 0, "problem"), "BROKEN: W1"),
    ("models", ("result", "searches", 0, "states"), 0),
    ("models", ("result", "searches", 3, "problem"), "PASSES: the check does not see this mutant"),
    ("models", ("result", "searches", 3, "found"), ""),
    ("models", ("result", "searches"), [search(None)]),
    ("models", ("result", "searches"), [search(f"m{i}") for i in range(12)]),
    ("models", ("result", "unchecked"), ["block: no mutant is rejected by W2"]),
    ("explore", ("result", "scenarios", 0, "holds"), False),
    ("explore", ("result", "scenarios", 0, "schedules"), 0),
    ("explore", ("result", "mutants", 0, "found"), False),
    ("explore", ("result", "mutants"), []),
    ("explore", ("result", "scenarios"), []),
    ("explore", ("declared",), ["m", "another"]),
    ("linearizability", (*TESTS, 0, "failures"), [{"failure": "not linearizable"}]),
    ("linearizability", (*TESTS, 0, "calls"), "0"),
    ("linearizability", (*TESTS, 1, "rejected_after_rounds"), "never"),
    ("linearizability", (*TESTS, 0), OTHER),
    ("linearizability", (*TESTS, 1), OTHER),
    ("stalled", (*TESTS, 0, "failures"), [{"failure": "others can't go on"}]),
    ("stalled", (*TESTS, 0, "fewest_operations_of_others"), "0"),
    ("stalled", (*TESTS, 0, "points"), "0"),
    ("stalled", (*TESTS, 1, "operations_of_others"), "0"),
    ("stalled", (*TESTS, 2, "result"), "SKIPPED"),
    ("stalled", TESTS, [OTHER]),
    ("faults", (*TESTS, 0, "leaks"), "1"),
    ("faults", (*TESTS, 0, "faults_tried"), "0"),
    ("faults", (*TESTS, 0, "failures"), [{"failure": "corrupted"}]),
    ("faults", (*TESTS, 2, "result"), "SUPPRESSED"),
    ("faults", ("output",), "...\nhang: not over after 100 s"),
    ("faults_cuda", (*TESTS, 0, "leaks"), "2"),
    ("faults_cuda", TESTS, [OTHER]),
    ("device_order", (*TESTS, 1, "reported"), "49"),
    ("device_order", (*TESTS, 1, "runs"), "0"),
    ("device_order", (*TESTS, 2, "failures"), [{"failure": "reported"}]),
    ("device_order", (*TESTS, 2), OTHER),
    ("device_order", TESTS, [OTHER]),
    ("fuzz", ("result", 0, "result"), "ORACLE BROKEN: too long"),
    ("fuzz", ("result", 0, "runs"), 0),
    ("fuzz", ("targets",), ["api", "sizes"]),
    ("planted", RUN, gave(STRESS)),
    ("planted", RUN, gave(None, status=-11)),
    ("planted", RUN, gave(FOUND, status=124)),
    ("planted", (*RUN, "result", "findings"), [{"check": "order", "after_s": 61, "text": "late"}]),
    ("planted", ("result", 0, "runs"), []),
    ("planted", ("result",), []),
    ("stress", ("result", "violations"), 1),
    ("stress", ("result", "done"), 0),
]
# What falls short in any part.
WRONG += [(name, ("status",), status) for name in RIGHT for status in (1, -6, 124)]
WRONG += [(name, ("result",), nothing) for name in RIGHT for nothing in (None, {}, {"searches": 1})]
WRONG += [(name, ("problem",), "clang++ is not installed") for name in RIGHT]


def broken(name, path, value):
    what = copy.deepcopy(RIGHT)
    holder, key = at(what[name], path)
    holder[key] = copy.deepcopy(value)
    return what


def verify(recorded, *arguments):
    """The exit status and output of verify.py for recorded results."""
    with tempfile.TemporaryDirectory() as folder:
        for name, what in recorded.items():
            (pathlib.Path(folder) / f"{name}.json").write_text(json.dumps(what))
        done = subprocess.run([sys.executable, ROOT / "tools/verify/verify.py", "--from", folder, *arguments],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


class judged(unittest.TestCase):
    def test_every_part_has_a_right_example(self):
        self.assertEqual([part.name for part in parts.PARTS], list(RIGHT))

    def test_what_is_right(self):
        for part in parts.PARTS:
            self.assertEqual(part.judge(RIGHT[part.name]).failures, [], part.name)

    def test_whatever_falls_short(self):
        judge = {part.name: part.judge for part in parts.PARTS}
        for name, path, value in WRONG:
            with self.subTest(part=name, path=path, value=value):
                self.assertNotEqual(judge[name](broken(name, path, value)[name]).failures, [])

    def test_survivors_are_named_in_the_table_of_mutants(self):
        for name, path, value in (("explore", ("result", "mutants", 0, "found"), False),
                                  ("device_order", (*TESTS, 1, "reported"), "49"), ("planted", RUN, gave(STRESS)),
                                  ("linearizability", (*TESTS, 1, "rejected_after_rounds"), "never"),
                                  ("models", ("result", "searches", 3, "found"), "")):
            judge = {part.name: part.judge for part in parts.PARTS}[name]
            self.assertIn("SURVIVES", [row[2] for row in judge(broken(name, path, value)[name]).mutants], name)


class the_command(unittest.TestCase):
    def test_succeeds_if_all_is_right(self):
        status, output = verify(RIGHT)
        self.assertEqual(status, 0, output)
        self.assertIn("all as it must be", output)

    def test_fails_for_a_survivor(self):
        status, output = verify(broken("planted", RUN, gave(STRESS)))
        self.assertEqual(status, 1)
        self.assertIn("1 FALL SHORT", output)

    def test_fails_for_a_part_that_was_not_run(self):
        status, output = verify({name: what for name, what in RIGHT.items() if name != "fuzz"})
        self.assertEqual(status, 1)
        self.assertIn("fuzz: was not run", output)

    def test_fails_for_that_part_only_if_it_is_asked_for(self):
        self.assertEqual(verify(broken("stress", ("result", "violations"), 1), "--only", "fuzz")[0], 0)
        self.assertEqual(verify(broken("stress", ("result", "violations"), 1), "--only", "stress")[0], 1)

    def test_what_does_not_apply_is_left_out_and_named(self):
        status, output = verify(RIGHT | {"faults_cuda": {"left_out": "no CUDA Toolkit here", "seconds": 1}})
        self.assertEqual(status, 0, output)
        self.assertIn("left out: faults_cuda", output)

    def test_writes_json(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "out.json"
            verify(broken("stress", ("result", "violations"), 1), "--json", str(file))
            written = json.loads(file.read_text())
        self.assertEqual(written["failures"], 1)
        self.assertEqual(written["parts"]["stress"]["result"], "FALLS SHORT")


class running(unittest.TestCase):
    def setUp(self):
        self.states = []
        self.runner = runner.Runner(types.SimpleNamespace(state=self.states.append), 1, None)

    def test_exit_status_output_and_state(self):
        ended = self.runner.run(["sh", "-c", "echo one; echo two >&2; exit 3"], 60)
        self.assertEqual((ended.status, ended.output), (3, "one\ntwo\n"))
        self.assertEqual(self.states, ["one\n", "two\n"])

    def test_what_hangs_is_ended_with_all_that_it_started(self):
        self.assertEqual(self.runner.run(["sh", "-c", "sleep 600 & sleep 600"], 0.2).status, runner.TIMED_OUT)
        self.assertEqual(self.runner.run(["sh", "-c", "sleep 600 & exit 0"], 0.2).status, runner.TIMED_OUT)

    def test_what_must_work_and_does_not(self):
        with self.assertRaisesRegex(runner.CannotRun, "no such thing"):
            self.runner.must_run("building failed", ["sh", "-c", "echo no such thing; exit 1"])

    def test_each_mutant_of_the_code_is_known(self):
        names = parts.declared_mutants((ROOT / "lib" / "core" / "mutant.hpp").read_text())
        self.assertIn("claim_keeps_version", names)
        self.assertIn("enter_without_second_look", names)
        self.assertTrue(set(parts.PLANTED) <= set(names), parts.PLANTED)
        self.assertNotIn("none", names)

    def test_a_number_is_read(self):
        self.assertEqual(judges.number("1234567"), "1,234,567")


if __name__ == "__main__":
    unittest.main()
