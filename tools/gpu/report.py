"""Tables and plots of `./dev gpu`, from its results."""
import shutil
import subprocess

GIB = 1 << 30
TITLES = {"content": "(a) Content", "memcheck": "(b) memcheck", "bandwidth": "(c) Bandwidth", "overlap": "(d) Overlap",
          "pipeline": "(e) Four-pass pipeline", "hot_paths": "(f) Hot paths", "costs": "(g) Costs of calls",
          "plain": "(h) Against plain alternatives"}


def size(size_bytes):
    for unit, name in ((GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.4g} {name}"
    return f"{size_bytes:.0f} B"


def rate(bytes_per_second):
    return f"{bytes_per_second / 1e9:.2f} GB/s"


def milliseconds(seconds):
    return "" if seconds is None else f"{1e3 * seconds:.1f} ms"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def content(part):
    text = table(["threads", "uses", "loaded", "budget", "peak used", "threads with wrong bytes", "time"],
                 [[r["threads"], r["uses"], size(r["loaded_bytes"]), size(r["budget_bytes"]),
                   size(r["peak_used_bytes"]), r["threads_with_wrong_bytes"], f"{r['wall_s']:.1f} s"]
                  for r in part["rows"]])
    for line in part.get("graph_step", []):
        text += f"\ngraph_step: {line}\n"
    return text + (f"\nbackend tests: {part['backend_tests']}\n" if "backend_tests" in part else "")


def memcheck(part):
    return part["summary"] + "\n"


def bandwidth(part):
    return table(["direction", "size", "bare", "Pinrail", "share"],
                 [[r["direction"], size(r["size_bytes"]), rate(r["bare_bytes_per_second"]),
                   rate(r["pinrail_bytes_per_second"]), f"{100 * r['share_of_bare']:.1f} %"] for r in part["rows"]])


def overlap(part):
    return table(["plan", "copy/compute", "room", "step", "compute", "copy", "step/max", "less the first block"],
                 [["paced" if r["paced"] else "next use", r["copy_per_compute"],
                   f"{r['blocks_of_room']} of {r['blocks']}", milliseconds(r["step_s"]), milliseconds(r["compute_s"]),
                   milliseconds(r["copy_s"]), f"{r['step_per_bound']:.3f}",
                   f"{r['step_less_first_block_per_bound']:.3f}"] for r in part["rows"]])


def pipeline(part):
    text = f"Scale {part['scale']}: {part['scale_because']}.\n\n"
    return text + table(["workers", "requests", "steps", "budget", "peak used", "loaded", "time", "rate", "wrong"],
                        [[r["workers"], r["requests"], r["steps"], size(r["budget_bytes"]),
                          size(r["peak_used_bytes"]), size(r["loaded_bytes"]), f"{r['wall_s']:.1f} s",
                          rate(r["loaded_bytes_per_second"]), r["checksum_errors"]] for r in part["rows"]])


def hot_paths(part):
    def per_second(r, key):
        return f"{r[key] / 1e6:.2f} M/s ({r[key] / part['rows'][0][key]:.2f} x)"
    return f"{part['cores']} cores; in parentheses, how many times the rate of one thread.\n\n" + table(
        ["threads", "pins", "guards", "uses"],
        [[r["threads"]] + [per_second(r, key) for key in ("pins_per_second", "guards_per_second", "uses_per_second")]
         for r in part["rows"]]) + "\npinrail_bench, on a device whose calls do nothing:\n\n" + table(
        ["benchmark", "time"], [[r["name"], f"{r['real_time_ns']:.2f} ns"] for r in part["bench"]])


def costs(part):
    rows = {}
    for r in part["rows"]:
        rows.setdefault((r["call"], r["size_bytes"]), {})[r["kernel_running"]] = r
    def time(r):
        if r is None:
            return ""
        return f"{r['median_us']:.2f} us" + (" (the kernel ended meanwhile)" if r["kernel_ended_meanwhile"] else "")
    return table(["call", "size", "idle", "with a kernel running"],
                 [[call, size(n) if n else "", time(r.get(False)), time(r.get(True))] for (call, n), r in rows.items()])


def plain(part):
    ways = (("pinrail_s", "Pinrail"), ("whole_swap_s", "whole-model swap"), ("one_ahead_s", "one block ahead"),
            ("prefix_s", "resident prefix"))
    text = table(["copy/compute", "share", "compute"] + [name for _, name in ways],
                 [[r["copy_per_compute"], f"{r['share_percent']} %", milliseconds(r["compute_s"])] +
                  [milliseconds(r.get(key)) for key, _ in ways] for r in part["rows"]])
    torch = part.get("torch", {})
    if "rows" in torch:
        names = ways[1:]
        text += "\nPyTorch " + torch["version"] + ":\n\n" + table(
            ["copy/compute", "share"] + [name for _, name in names],
            [[r["copy_per_compute"], f"{r['share_percent']} %"] + [milliseconds(r.get(key)) for key, _ in names]
             for r in torch["rows"]])
    elif "skipped" in torch:
        text += f"\nPyTorch: {torch['skipped']}.\n"
    return text


def targets(parts):
    """What the project wants of a GPU: text, and whether it was met. Only of parts that were measured."""
    def rows(name):
        return parts.get(name, {}).get("rows", [])
    large = [r["share_of_bare"] for r in rows("bandwidth") if r["size_bytes"] >= 16 << 20]
    if large:
        yield f"copies from 16 MiB up: at least 98 % of bare bandwidth (least: {100 * min(large):.1f} %)", min(large) >= 0.98
    steps = [r["step_less_first_block_per_bound"] for r in rows("overlap") if r["paced"]]
    if steps:
        yield (f"a step, less the first block: at most 1.05 x max(compute, copy) (most: {max(steps):.3f})",
               max(steps) <= 1.05)
    ahead = [r["pinrail_s"] / min(r[k] for k in ("whole_swap_s", "one_ahead_s", "prefix_s") if k in r)
             for r in rows("plain") if r["share_percent"] < 100]
    if ahead:
        yield (f"ahead of every plain alternative below a share of 100 % (time / the best of them: {max(ahead):.3f} at most)",
               max(ahead) < 1)
    pins = {r["threads"]: r["pins_per_second"] for r in rows("hot_paths")}
    if 1 in pins and 16 in pins:
        yield f"pins on 16 cores: at least 12 x those on one ({pins[16] / pins[1]:.2f} x)", pins[16] >= 12 * pins[1]
    pipeline = rows("pipeline")
    if pipeline and parts["pipeline"]["ok"]:
        yield (f"the pipeline within its budget, no wrong bytes, at full size (scale {parts['pipeline']['scale']})",
               parts["pipeline"]["scale"] == 1)


def markdown(results):
    device = results["device"]
    text = (f"# GPU run\n\n{device['name']}, {size(device['memory_bytes'])}; CUDA driver {device['driver_version']}, "
            f"runtime {device['runtime_version']}; {results['cores']} cores; commit {results['commit']}; "
            f"{results['date']}; `{results['command'].strip()}`\n")
    wanted = list(targets(results["parts"]))
    if wanted:
        text += "\n" + table(["target", ""], [[what, "met" if met else "**not met**"] for what, met in wanted])
    for name, part in results["parts"].items():
        text += f"\n## {TITLES[name]}\n\n"
        if not part["ok"]:
            text += f"FAILED: {part['why']}\n"
        elif "skipped" in part:
            text += f"Left out: {part['skipped']}.\n"
        else:
            text += globals()[name](part)
        peak = part.get("peak_device_bytes", 0)
        text += f"\n{part['wall_s']} s" + (f", at most {size(peak)} of device memory in use" if peak else "") + "\n"
    return text


# ---- plots --------------------------------------------------------------------------------------------------------

HEAD = "set terminal svg size {width},480 dynamic font 'sans,13' background '#ffffff'\nset output '{svg}'\nset grid\n"


def data(name, rows):
    return f"${name} << E\n" + "\n".join(" ".join(str(cell) for cell in row) for row in rows) + "\nE\n"


def bandwidth_plot(part):
    text = "set logscale x 2\nset xlabel 'size, KiB'\nset ylabel 'GB/s'\nset yrange [0:*]\nset key outside\n"
    lines = []
    for i, direction in enumerate(dict.fromkeys(r["direction"] for r in part["rows"])):
        rows = [r for r in part["rows"] if r["direction"] == direction]
        text += data(f"d{i}", [[r["size_bytes"] / 1024, r["bare_bytes_per_second"] / 1e9,
                                r["pinrail_bytes_per_second"] / 1e9] for r in rows])
        lines.append(f"$d{i} using 1:2 with lines dashtype 2 linecolor {i + 1} title '{direction}, bare'")
        lines.append(f"$d{i} using 1:3 with linespoints linecolor {i + 1} title '{direction}, Pinrail'")
    return text + "plot " + ", ".join(lines) + "\n"


def bars(labels, columns, ylabel):
    text = (f"set style data histograms\nset style fill solid 0.8\nset ylabel '{ylabel}'\nset yrange [0:*]\n"
            "set key outside\nset xtics rotate by -35\n")
    text += data("b", [[f'"{label}"'] + ["NaN" if v is None else v for v in values] for label, values in labels])
    return text + "plot " + ", ".join(f"$b using {i + 2}:xtic(1) title '{name}'" for i, name in enumerate(columns)) + "\n"


def overlap_plot(part):
    kinds = {True: "paced", False: "next use"}
    rows = {}
    for r in part["rows"]:
        rows.setdefault((r["copy_per_compute"], r["blocks_of_room"]), {})[r["paced"]] = r["step_per_bound"]
    return bars([(f"copy/compute {ratio}, room {room}", [by.get(k) for k in kinds]) for (ratio, room), by in rows.items()],
                kinds.values(), "step time / max(compute, copy)")


def plain_plot(part):
    ways = {"pinrail_s": "Pinrail", "whole_swap_s": "whole-model swap", "one_ahead_s": "one block ahead",
            "prefix_s": "resident prefix"}
    return bars([(f"{r['share_percent']} %, copy/compute {r['copy_per_compute']}",
                  [None if r.get(k) is None else 1e3 * r[k] for k in ways]) for r in part["rows"]],
                ways.values(), "both models, ms")


PLOTS = {"bandwidth": (bandwidth_plot, 900), "overlap": (overlap_plot, 1100), "plain": (plain_plot, 1300)}


def plots(results, out):
    """Writes OUT/NAME.gp and draws OUT/NAME.svg. Returns what went wrong: pictures are no reason to fail."""
    wrong = []
    for name, (plot, width) in PLOTS.items():
        part = results["parts"].get(name)
        if part is None or not part["ok"]:
            continue
        script = out / f"{name}.gp"
        script.write_text(HEAD.format(width=width, svg=out / f"{name}.svg") + plot(part))
        if shutil.which("gnuplot") is None:
            wrong.append(f"no picture {name}.svg: gnuplot is not installed; {script} draws it")
            continue
        drawn = subprocess.run(["gnuplot", str(script)], capture_output=True, text=True)
        if drawn.returncode != 0:
            wrong.append(f"no picture {name}.svg: {drawn.stderr.strip()}")
    return wrong
