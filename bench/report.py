#!/usr/bin/env python3
"""Runs the benchmarks (or reads what they wrote) and writes figures, a report with tables and plots, and a comparison with a
run of the same kind of machine. Needs Python's standard library, and gnuplot for the plots."""

import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
REFERENCE = ROOT / "bench" / "reference" / "results.json"
MILLION = "1000000"


def parse_arguments():
    p = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    p.add_argument("--quick", action="store_true", help="under two minutes: fewer repetitions, no blocks of 256 MiB and more")
    p.add_argument("--json", type=pathlib.Path, default=OUT / "results.json", metavar="PATH",
                   help="where the figures go (bench/out/results.json)")
    p.add_argument("--no-run", action="store_true", help="read the last run's outputs in bench/out instead of running")
    p.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release", metavar="FOLDER",
                   help="where the programs are (build/release)")
    p.add_argument("--trace", type=pathlib.Path, metavar="CSV",
                   help="requests to serve (shared/traces/genai_requests.csv, beside the checkout or above it)")
    return p.parse_args()


def find_trace(given):
    if given:
        return given
    for folder in (ROOT, *ROOT.parents):
        csv = folder / "shared" / "traces" / "genai_requests.csv"
        if csv.exists():
            return csv
    return None


# ---- running ------------------------------------------------------------------------------------------------------


# Programs of two threads need both cores, which others may have: these are run again, a little later, until the control says
# that they were free. What is reported is the try with the best control, all rows of it.
CONTENDED = {
    "pins": ("^(fetch_add_sub|pin_unpin/|shared_mutex|spin_rw|use_of_resident|reserve_release)", 20),
    "victims": ("^(fetch_add_sub|(select_claim_reload|baseline<.*(set|heap|priority|lockfree).*>)/1000000/)", 4),
}
CONTROL_NEEDED = 1.8


def run_contended(args):
    for group, (rows, tries) in CONTENDED.items():
        best, out = 0, OUT / f"contended_{group}.json"
        for attempt in range(1 if args.quick and group == "victims" else tries):
            trial = OUT / "trial.json"
            subprocess.run([str(args.build / "bench" / "pinrail_bench"), f"--benchmark_out={trial}", f"--benchmark_filter={rows}",
                            "--benchmark_out_format=json", "--benchmark_min_time=0.05", "--benchmark_repetitions=3"],
                           stdout=subprocess.DEVNULL, check=True)
            control = control_of(Rows(trial.read_text()))
            print(f"two threads, {group}, try {attempt + 1}: control {control:.2f}", file=sys.stderr, flush=True)
            if control > best:
                best = control
                trial.replace(out)
            if best >= CONTROL_NEEDED:
                break
            time.sleep(1)


def control_of(rows):
    """How many times the rate of one thread two threads reach that share nothing."""
    return ratio(rows.cpu("fetch_add_sub" + ONE), rows.wall("fetch_add_sub" + TWO)) or 0


def run(args):
    OUT.mkdir(parents=True, exist_ok=True)
    hot = [str(args.build / "bench" / "pinrail_bench"), f"--benchmark_out={OUT / 'pinrail_bench.json'}",
           "--benchmark_out_format=json", "--benchmark_display_aggregates_only=false"]
    if args.quick:
        hot += ["--benchmark_min_time=0.02", "--benchmark_repetitions=2",
                "--benchmark_filter=-(copies.*/(268435456|1073741824)/|/(10000|100000)(/|$)|four_sizes/100000)"]
    else:
        hot += ["--benchmark_min_time=0.1", "--benchmark_repetitions=5"]
    policies = [str(args.build / "bench" / "policies"), "--json", str(OUT / "policies.json")]
    trace = find_trace(args.trace)
    if trace:
        policies += ["--trace", str(trace)]
    else:
        print("no trace of requests: those workloads are left out", file=sys.stderr)
    for command in (hot, policies):
        print("$ " + " ".join(command), file=sys.stderr, flush=True)
        done = subprocess.run(command)
        if done.returncode != 0:
            sys.exit(f"report.py: {command[0]} ended with status {done.returncode}")
    run_contended(args)


def machine():
    name = platform.processor() or platform.machine()
    if shutil.which("lscpu"):
        lines = subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
        fields = dict(line.split(":", 1) for line in lines.splitlines() if ":" in line)
        model = fields.get("Model name", name).strip()
        name = f"{model}, {fields.get('CPU(s)', '?').strip()} CPUs, L3 {fields.get('L3 cache', '?').strip()}"
    return name


def commit():
    def git(*what):
        return subprocess.run(["git", "-C", str(ROOT), *what], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


# ---- reading --------------------------------------------------------------------------------------------------------


class Rows:
    """The rows of Google Benchmark's output, the best of the repetitions: noise only adds."""

    def __init__(self, text):
        self.rows = {}
        self.failed = {}
        for row in json.loads(text)["benchmarks"]:
            if row.get("run_type") == "aggregate":
                continue
            name = row.get("run_name", row["name"])
            if row.get("error_occurred"):
                self.failed[name] = row.get("error_message", "")
                continue
            self.rows.setdefault(name, []).append(row)

    def replace(self, other):
        """The rows that another run has, too, come from that one: ratios are inside one run."""
        self.rows.update(other.rows)

    def best(self, name, key, most=False):
        values = [row[key] * UNITS[row["time_unit"]] if key.endswith("_time") else row[key]
                  for row in self.rows.get(name, []) if key in row]
        return (max if most else min)(values) if values else None

    def cpu(self, name):
        """CPU time of one operation on one thread, in ns."""
        return self.best(name, "cpu_time")

    def wall(self, name):
        """Wall time by operations of all threads, in ns."""
        return self.best(name, "real_time")

    def by_argument(self, family, suffix=""):
        """{argument: CPU time} of `family/ARGUMENT` + suffix."""
        found = {}
        for name in self.rows:
            head, tail = f"{family}/", suffix
            if name.startswith(head) and name.endswith(tail):
                argument = name[len(head):len(name) - len(tail)]
                if argument.isdigit():
                    found[argument] = self.cpu(name)
        return found


UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
ONE, TWO = "/real_time/threads:1", "/real_time/threads:2"
BASELINES = {"std::mutex + std::set": "set_under_mutex", "lazy heap under std::mutex": "lazy_heap_under_mutex",
             "tbb::concurrent_priority_queue": "tbb_priority_queue",
             "boost::lockfree::queue, second chance": "lockfree_second_chance"}


def results_of(rows, policies, args):
    ours = [r for r in policies if r["policy"] == "Pinrail"]
    plans = {r["workload"]: r["step_over_own_bound"] for r in ours if r["group"] in ("uniform", "flux", "models", "named")}
    fraction = {}
    for name in rows.rows:
        if name.startswith("copies_bare/"):
            scheduled = rows.best(name.replace("bare", "scheduled"), "bytes_per_second", most=True)
            if scheduled:
                fraction[name.split("/")[1]] = scheduled / rows.best(name, "bytes_per_second", most=True)
    scan = "baseline<scan_and_sort>/{}/real_time"
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": machine(),
        "commit": commit(),
        "command": "./dev bench" + (" --quick" if args.quick else ""),
        "pin_unpin_ns": rows.cpu("pin_unpin/own_block" + ONE),
        "fetch_add_sub_ns": rows.cpu("fetch_add_sub" + ONE),
        "shared_mutex_ns": rows.cpu("shared_mutex_over_block_map" + ONE),
        "spin_rw_mutex_ns": rows.cpu("spin_rw_mutex_of_block/own_block" + ONE),
        "use_of_resident_block_ns": rows.cpu("use_of_resident_block/own_block" + ONE),
        "pin_unpin_while_evicting_ns": rows.cpu("pin_unpin_while_evicting"),
        "control_2t_ns": rows.wall("fetch_add_sub" + TWO),
        "pin_unpin_2t_ns": rows.wall("pin_unpin/own_block" + TWO),
        "pin_unpin_one_block_2t_ns": rows.wall("pin_unpin/one_block" + TWO),
        "shared_mutex_2t_ns": rows.wall("shared_mutex_over_block_map" + TWO),
        "spin_rw_mutex_2t_ns": rows.wall("spin_rw_mutex_of_block/own_block" + TWO),
        "spin_rw_mutex_one_block_2t_ns": rows.wall("spin_rw_mutex_of_block/one_block" + TWO),
        "use_of_resident_block_2t_ns": rows.wall("use_of_resident_block/own_block" + TWO),
        "keep_resident_ns": rows.by_argument("keep_resident"),
        "protect_blocks_ns": rows.by_argument("protect_blocks"),
        "select_claim_ns": rows.by_argument("select_claim_reload", ONE),
        "select_claim_2t_ns": {n: rows.wall(f"select_claim_reload/{n}{TWO}") for n in ("1000", MILLION)},
        "select_claim_batch_of_64_ns": rows.by_argument("select_claim_batch_of_64", "/real_time"),
        "use_of_absent_block_ns": rows.by_argument("use_of_absent_block/one_size"),
        "use_of_absent_block_four_sizes_ns": rows.by_argument("use_of_absent_block/four_sizes"),
        "scan_sort_ns": rows.cpu(scan.format(MILLION)),
        "scan_sort_at_1000_ns": rows.cpu(scan.format(1000)),
        "mutex_set_ns": rows.cpu(f"baseline<set_under_mutex>/{MILLION}{ONE}"),
        "mutex_set_2t_ns": rows.wall(f"baseline<set_under_mutex>/{MILLION}{TWO}"),
        "victim_baselines_ns": {label: {n: rows.cpu(f"baseline<{name}>/{n}{ONE}") for n in ("1000", MILLION)}
                                for label, name in BASELINES.items()},
        "victim_baselines_2t_ns": {label: {n: rows.wall(f"baseline<{name}>/{n}{TWO}") for n in ("1000", MILLION)}
                                   for label, name in BASELINES.items()},
        "reserve_release_ns": rows.cpu("reserve_release" + ONE),
        "reserve_release_under_mutex_ns": rows.cpu("reserve_release_under_mutex" + ONE),
        "reserve_release_2t_ns": rows.wall("reserve_release" + TWO),
        "reserve_release_under_mutex_2t_ns": rows.wall("reserve_release_under_mutex" + TWO),
        "guest_admit_leave_ns": rows.cpu("guest_admit_leave"),
        "reserve_bytes_ns": rows.cpu("reserve_bytes"),
        "statistics_snapshot_ns": rows.cpu("statistics_snapshot"),
        "load_cpu_ns": {n: rows.best(f"load_cpu_time/{n}/process_time", "cpu_ns_per_load") for n in ("0", "4")},
        "copy_fraction": fraction,
        "plan_ratio": plans,
        "bytes_over_bound": {r["workload"]: r["bytes_over_bound"] for r in ours},
        "bytes_over_bound_aside": {r["workload"]: r["bytes_over_bound_aside"] for r in ours},
        "failed": rows.failed,
    }


# ---- targets --------------------------------------------------------------------------------------------------------


def ratio(a, b):
    return a / b if a is not None and b else None


def targets_of(r, policies):
    """(what, figure, target text, met): met is None where the run can't tell."""
    control = r["control"].get("pins")
    free = {group: reached >= CONTROL_NEEDED for group, reached in r["control"].items()}
    out = []

    def add(what, value, limit, at_most=True, accepted=True):
        met = None if value is None or not accepted else value <= limit if at_most else value >= limit
        text = "-" if value is None else f"{value:.4g}"
        out.append((what, text, f"{'<=' if at_most else '>='} {limit:g}", met))

    keep, select, absent = r["keep_resident_ns"], r["select_claim_ns"], r["use_of_absent_block_ns"]
    add("pin+unpin / fetch_add+fetch_sub", ratio(r["pin_unpin_ns"], r["fetch_add_sub_ns"]), 3)
    add("pin+unpin / shared_mutex over the block map", ratio(r["pin_unpin_ns"], r["shared_mutex_ns"]), 1)
    add("control: rate of 2 threads that share nothing / 1 thread", control, CONTROL_NEEDED, at_most=False)
    add("2 threads, own blocks: rate / shared_mutex", ratio(r["shared_mutex_2t_ns"], r["pin_unpin_2t_ns"]), 2, False, free.get("pins"))
    add("2 threads, own blocks: rate / own rate of 1", ratio(r["pin_unpin_ns"], r["pin_unpin_2t_ns"]), 1.4, False, free.get("pins"))
    add("keep_resident: 10^6 blocks / 50 blocks", ratio(keep.get(MILLION), keep.get("50")), 1.1)
    add("keep_resident / fetch_add+fetch_sub", ratio(keep.get(MILLION), r["fetch_add_sub_ns"]), 4)
    add("select+claim+reload: 10^6 blocks / 10^3", ratio(select.get(MILLION), select.get("1000")), 2)
    add("the same through the public API, one size", ratio(absent.get(MILLION), absent.get("1000")), 2)
    four = r["use_of_absent_block_four_sizes_ns"]
    add("the same, four sizes in one arena: 10^5 / 10^3", ratio(four.get("100000"), four.get("1000")), 2)
    add("scan+sort / select+claim+reload, 10^6", ratio(r["scan_sort_ns"], select.get(MILLION)), 10000, False)
    add("select+claim+reload / mutex+set, 10^6, 1 thread", ratio(select.get(MILLION), r["mutex_set_ns"]), 1)
    add("select+claim+reload / mutex+set, 10^6, 2 threads",
        ratio(r["select_claim_2t_ns"].get(MILLION), r["mutex_set_2t_ns"]), 1, True, free.get("victims"))
    large = [f for size, f in r["copy_fraction"].items() if int(size) >= 16 << 20]
    add("scheduler / bare copies, blocks of 16 MiB and more (least)", min(large) if large else None, 0.97, False)
    out.extend(plan_targets(r, policies))
    return out


def plan_targets(r, policies):
    out = []
    uniform = [v for k, v in r["plan_ratio"].items() if k.startswith("48 blocks") and "90 %" not in k]
    flux = [v for k, v in r["plan_ratio"].items() if k.startswith("FLUX")]
    cyclic = [p["bytes_over_bound_aside"] for p in policies
              if p["policy"] == "Pinrail" and p["group"] in ("uniform", "flux", "models")]
    for what, values, limit in (("plan, uniform blocks: step / max(compute, copies), worst of 15 cases", uniform, 1.02),
                                ("plan, FLUX.1-dev: the same, worst of 12 cases", flux, 1.10),
                                ("cyclic: bytes / MIN with the largest block set aside, worst case", cyclic, 1.05)):
        if values:
            out.append((what, f"{max(values):.4g}", f"<= {limit:g}", max(values) <= limit))
    named = {p["workload"]: p for p in policies if p["policy"] == "Pinrail" and p["group"] == "named"}
    for label, limit in (("48 x 780 MB, 24 GB, cyclic", 20.0), ("48 x 780 MB, 24 GB, forward+backward", 38.0)):
        if label in named:
            loads = named[label]["loads_per_round"]
            out.append((f"{label}: loads of a step", f"{loads:.4g}", f"<= {limit:g}", loads <= limit))
            cold = named[label]["cold_loads_per_round"]
            out.append((f"{label}: of these cold", f"{cold:.4g}", "0", cold == 0))
    worse = sum(1 for p in policies if p.get("worse_than"))
    all_of = sum(1 for p in policies if p["policy"] == "Pinrail")
    out.append((f"workloads of {all_of} on which a baseline moves 1 % fewer bytes or takes 1 % less time", str(worse), "0", worse == 0))
    return out


# ---- writing --------------------------------------------------------------------------------------------------------


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]) + "\n"


def ns(value):
    if value is None:
        return "-"
    for limit, factor, unit in ((1e3, 1, "ns"), (1e6, 1e-3, "us"), (1e9, 1e-6, "ms")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e-9:.3g} s"


def against(ours, other):
    return "-" if ours is None or not other else f"{other / ours:.3g}"


def size_name(size):
    size = int(size)
    return f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def hot_tables(r):
    pins, two = r["pin_unpin_ns"], r["pin_unpin_2t_ns"]
    text = "## Holding a resident block\n\nOn a device whose calls do nothing. One thread: CPU time. Two threads: wall time by operations of both.\n\n"
    text += table(["", "1 thread", "by ours", "2 threads", "by ours"], [
        ["`runtime::try_pin`, own blocks", ns(pins), 1, ns(two), 1],
        ["the same, one block", "", "", ns(r["pin_unpin_one_block_2t_ns"]), against(two, r["pin_unpin_one_block_2t_ns"])],
        ["the same, while another thread evicts", ns(r["pin_unpin_while_evicting_ns"]),
         against(pins, r["pin_unpin_while_evicting_ns"]), "", ""],
        ["`forward_pass::try_use` (records its last use)", ns(r["use_of_resident_block_ns"]),
         against(pins, r["use_of_resident_block_ns"]), ns(r["use_of_resident_block_2t_ns"]),
         against(two, r["use_of_resident_block_2t_ns"])],
        ["bare fetch_add + fetch_sub, own words", ns(r["fetch_add_sub_ns"]), against(pins, r["fetch_add_sub_ns"]),
         ns(r["control_2t_ns"]), against(two, r["control_2t_ns"])],
        ["std::shared_mutex over the block map", ns(r["shared_mutex_ns"]), against(pins, r["shared_mutex_ns"]),
         ns(r["shared_mutex_2t_ns"]), against(two, r["shared_mutex_2t_ns"])],
        ["tbb::spin_rw_mutex of each block", ns(r["spin_rw_mutex_ns"]), against(pins, r["spin_rw_mutex_ns"]),
         ns(r["spin_rw_mutex_2t_ns"]), against(two, r["spin_rw_mutex_2t_ns"])],
        ["the same, one block", "", "", ns(r["spin_rw_mutex_one_block_2t_ns"]),
         against(two, r["spin_rw_mutex_one_block_2t_ns"])]])
    text += "\n## Protection\n\n" + table(["blocks", "keep_resident, begin and end"],
                                         [[n, ns(v)] for n, v in sorted(r["keep_resident_ns"].items(), key=lambda x: int(x[0]))])
    for n, v in r["protect_blocks_ns"].items():
        text += f"\n`protect_blocks` of {n} blocks, begin and end: {ns(v)}, {v / int(n):.1f} ns a block.\n"
    return text + victim_tables(r) + other_tables(r)


def victim_tables(r):
    select, select2 = r["select_claim_ns"], r["select_claim_2t_ns"]
    rows = [["Pinrail: select + claim + reload", *(x for n in ("1000", MILLION) for x in (ns(select.get(n)), 1)),
             ns(select2.get(MILLION)), 1]]
    for label in BASELINES:
        one, two = r["victim_baselines_ns"][label], r["victim_baselines_2t_ns"][label]
        rows.append([label, *(x for n in ("1000", MILLION) for x in (ns(one[n]), against(select.get(n), one[n]))),
                     ns(two[MILLION]), against(select2.get(MILLION), two[MILLION])])
    rows.append(["collect, score, sort", ns(r["scan_sort_at_1000_ns"]), against(select.get("1000"), r["scan_sort_at_1000_ns"]),
                 ns(r["scan_sort_ns"]), against(select.get(MILLION), r["scan_sort_ns"]), "", ""])
    text = "\n## Victims\n\n16 runtimes with live passes, blocks of four sizes, a quarter protected. The others have one order for all\nblocks, whose scores don't change as cursors move; they take out the best block and put it back.\n\n"
    text += table(["", "10^3 blocks", "by ours", "10^6", "by ours", "10^6, 2 threads", "by ours"], rows)
    sizes = sorted(select, key=int)
    text += "\n" + table(["blocks", *sizes], [
        ["select + claim + reload", *(ns(select[n]) for n in sizes)],
        ["in batches of 64, each", *(ns(r["select_claim_batch_of_64_ns"].get(n)) for n in sizes)],
        ["use of an absent block, public API, one size", *(ns(r["use_of_absent_block_ns"].get(n)) for n in sizes)],
        ["the same, four sizes", *(ns(r["use_of_absent_block_four_sizes_ns"].get(n)) for n in sizes)]])
    return text


def other_tables(r):
    text = "\n## Reservations and statistics\n\n" + table(["", "1 thread", "2 threads"], [
        ["reserve_for_resident + release", ns(r["reserve_release_ns"]), ns(r["reserve_release_2t_ns"])],
        ["std::mutex + std::map", ns(r["reserve_release_under_mutex_ns"]), ns(r["reserve_release_under_mutex_2t_ns"])],
        ["as_guest, begin and end", ns(r["guest_admit_leave_ns"]), ""],
        ["reserve_bytes, begin and end", ns(r["reserve_bytes_ns"]), ""],
        ["statistics of 16 runtimes", ns(r["statistics_snapshot_ns"]), ""]])
    text += "\n## Copies\n\nEmulated device, 2 GB/s. Bytes per second through the scheduler by bare copies':\n\n"
    sizes = sorted(r["copy_fraction"], key=int)
    text += table([size_name(s) for s in sizes], [[f"{r['copy_fraction'][s]:.4f}" for s in sizes]])
    text += "\nCPU time of all threads for a load, copies excluded: " + ", ".join(
        f"{ns(v)} with {n} blocks prefetched" for n, v in r["load_cpu_ns"].items()) + ".\n"
    return text


def policy_tables(policies):
    order = []
    for p in policies:
        if p["policy"] not in order:
            order.append(p["policy"])
    cases = {}
    for p in policies:
        cases.setdefault(p["workload"], {})[p["policy"]] = p
    bytes_rows, time_rows = [], []
    for label, by in cases.items():
        ours = by["Pinrail"]
        bytes_rows.append([label, *(f"{by[o]['bytes_over_bound']:.3f}" for o in order),
                           f"{ours['bytes_over_bound_aside']:.3f}", ", ".join(ours.get("worse_than", []))])
        time_rows.append([label, *(f"{by[o]['time_over_bound']:.3f}" for o in order), f"{ours['step_over_own_bound']:.3f}"])
    text = "\n## Policies on simulated devices\n\nBytes loaded by those of Belady's MIN; where sizes differ, generalised to blocks in part. \"Aside\": ours by MIN with the largest block\nset aside. \"Worse than\": baselines that are better by more than 1 %.\n\n"
    text += table(["workload", *order, "aside", "worse than"], bytes_rows)
    text += "\nTime by max(compute, MIN's bytes / bandwidth); the last column by max(compute, own bytes / bandwidth).\n\n"
    return text + table(["workload", *order, "Pinrail, own bytes"], time_rows)


def comparison(r):
    if not REFERENCE.exists():
        return "\n## Against the reference\n\nThere is none (bench/reference/results.json).\n"
    old = json.loads(REFERENCE.read_text())
    rows = []
    for key, now in r.items():
        pairs = now.items() if isinstance(now, dict) else [("", now)]
        for name, value in pairs:
            before = old.get(key, {}).get(name) if isinstance(now, dict) and isinstance(old.get(key), dict) else old.get(key)
            if isinstance(value, (int, float)) and isinstance(before, (int, float)) and before:
                change = value / before
                if not 0.8 <= change <= 1.25:
                    rows.append([f"{key} {name}".strip(), f"{before:.4g}", f"{value:.4g}", f"{change:.2f}"])
    text = f"\n## Against the reference\n\n{old.get('date')}, {old.get('machine')}, {old.get('commit')}. Figures that differ by more than a quarter;\nnoise of the machine is the first suspect.\n\n"
    return text + (table(["figure", "reference", "now", "now / reference"], rows) if rows else "None.\n")


# ---- plots ----------------------------------------------------------------------------------------------------------


def plot(name, settings, series, draw):
    """Writes the script with its data beside the picture, so that it can be drawn again."""
    lines = [f'set terminal svg size 800,450 font "DejaVu Sans,11" background "white"', f'set output "{name}.svg"', "set grid",
             "set key outside below", *settings]
    for i, rows in enumerate(series):
        lines += [f"$data{i} << EOD", *(" ".join(str(c) for c in row) for row in rows), "EOD"]
    lines.append("plot " + ", ".join(draw))
    (OUT / f"{name}.gp").write_text("\n".join(lines) + "\n")
    if shutil.which("gnuplot") is None:
        return ""
    done = subprocess.run(["gnuplot", f"{name}.gp"], cwd=OUT, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"report.py: gnuplot failed on {name}.gp: {done.stderr}", file=sys.stderr)
        return ""
    return f"\n![{name.replace('_', ' ')}]({name}.svg)\n"


def quoted(text):
    return '"' + text.replace('"', "'") + '"'


def plots(r, policies):
    text = "\n## Plots\n"
    curves = [("Pinrail", r["select_claim_ns"])] + list(r["victim_baselines_ns"].items())
    curves.append(("collect, score, sort", {"1000": r["scan_sort_at_1000_ns"], MILLION: r["scan_sort_ns"]}))
    series = [[(n, v) for n, v in sorted(c.items(), key=lambda x: int(x[0])) if v] for _, c in curves]
    draw = [f'$data{i} with linespoints title {quoted(label)}' for i, (label, _) in enumerate(curves) if series[i]]
    text += plot("select_claim", ["set logscale xy", 'set xlabel "blocks"', 'set ylabel "select + claim + reload, ns"'], series, draw)
    shares = {}
    for p in policies:
        if p["policy"] == "Pinrail" and p["group"] == "uniform":
            share, copies = p["workload"].split("share ")[1].split(" %, copy/compute ")
            shares.setdefault(share, []).append((copies, p["step_over_own_bound"]))
    text += plot("plan_ratio", ["set logscale x 2", 'set xlabel "copy time / compute time of a block"',
                                'set ylabel "step time / max(compute, copies)"', "set yrange [0.98:1.15]"],
                 list(shares.values()), [f'$data{i} with linespoints title "share {s} %"' for i, s in enumerate(shares)])
    text += bytes_plot(policies)
    sizes = sorted(r["copy_fraction"], key=int)
    text += plot("copy_fraction", ["set logscale x 2", 'set xlabel "block, KiB"', "set yrange [0.8:1.1]",
                                   'set ylabel "bytes/s, scheduler / bare copies"'],
                 [[(int(s) >> 10, r["copy_fraction"][s]) for s in sizes]], ['$data0 with linespoints notitle'])
    return text


def bytes_plot(policies):
    chosen = [p for p in policies if p["group"] not in ("uniform", "flux", "models") and p["policy"] != "Pinrail, no plans"]
    names = list(dict.fromkeys(p["policy"] for p in chosen))
    rows = []
    for label in dict.fromkeys(p["workload"] for p in chosen):
        by = {p["policy"]: p["bytes_over_bound"] for p in chosen if p["workload"] == label}
        rows.append([quoted(label), *(by[n] for n in names)])
    return plot("bytes_by_policy", ["set style data histograms", "set style fill solid 0.8 border -1", "set logscale y",
                                    'set ylabel "bytes / MIN"', "set xtics rotate by -35 font ',8'", "set bmargin 12", "set key top right inside"],
                [rows], [f"$data0 using {i + 2}:xtic(1) title {quoted(n)}" for i, n in enumerate(names)])


def report(r, policies):
    text = f"# Benchmarks\n\n{r['date']}, {r['machine']}, commit {r['commit']}, `{r['command']}`.\n\n## Targets\n\n"
    marks = {True: "met", False: "**not met**", None: "open"}
    rows = [(*row[:3], marks[row[3]]) for row in targets_of(r, policies)]
    text += table(["", "figure", "target", ""], rows)
    if r["failed"]:
        text += "\nFailed: " + "; ".join(f"{k}: {v}" for k, v in r["failed"].items()) + "\n"
    controls = ", ".join(f"{v:.2f} ({k})" for k, v in r["control"].items()) or "not run"
    text += f"\nFigures of two threads count only where the control (two threads that share nothing) reaches {CONTROL_NEEDED} times one; it was {controls}. GPU: open, no machine with one was lent.\n\n"
    return text + hot_tables(r) + policy_tables(policies) + comparison(r) + plots(r, policies), rows


def main():
    args = parse_arguments()
    if not args.no_run:
        run(args)
    try:
        rows = Rows((OUT / "pinrail_bench.json").read_text())
        controls = {}
        for group in CONTENDED:
            if (out := OUT / f"contended_{group}.json").exists():
                again = Rows(out.read_text())
                controls[group] = control_of(again)
                if group != "pins":  # the control itself, and what is compared with it, come from the first
                    for name in [n for n in again.rows if n.startswith("fetch_add_sub")]:
                        del again.rows[name]
                rows.replace(again)
        policies = json.loads((OUT / "policies.json").read_text())
    except (OSError, ValueError) as e:
        sys.exit(f"report.py: {e}; run without --no-run")
    r = {**results_of(rows, policies, args), "control": controls}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(r, indent=2) + "\n")
    text, targets = report(r, policies)
    (OUT / "report.md").write_text(text)
    for row in targets:
        print("  {:<76} {:>10}  {:<9} {}".format(*row).replace("*", ""))
    print(f"wrote {args.json} and {OUT / 'report.md'}")


if __name__ == "__main__":
    main()
