"""The plain ways of `./dev gpu`'s last part in PyTorch: OUT.json DEVICE COPY_PER_COMPUTE:COMPUTE_S...

Two models of 24 blocks of 64 MiB that take turns, as in plain.cpp. COMPUTE_S is what all their kernels take there; here
matrix products take as long.
"""
import json
import sys
import time

import torch

COUNT, BLOCK, ROUNDS = 24, 64 << 20, 4
WORDS = BLOCK // 2
EDGE = 2048


def seconds_of(run, times):
    run()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / times


class Scene:
    def __init__(self, device):
        self.device = device
        self.host = [[torch.zeros(WORDS, dtype=torch.float16).pin_memory() for _ in range(COUNT)] for _ in range(2)]
        self.other = torch.zeros(EDGE, EDGE, dtype=torch.float16, device=device)
        self.result = torch.zeros(EDGE, EDGE, dtype=torch.float16, device=device)
        block = torch.zeros(WORDS, dtype=torch.float16, device=device)
        self.repeats = 64
        self.product_s = seconds_of(lambda: self.compute(block), 5) / self.repeats

    def compute(self, block):
        of_block = block[:EDGE * EDGE].view(EDGE, EDGE)
        for _ in range(self.repeats):
            torch.mm(of_block, self.other, out=self.result)

    def whole_swap(self, both_fit):
        on_device = [None, None]

        def turn():
            for m in range(2):
                if not both_fit:
                    on_device[1 - m] = None  # .to('cpu') of weights that have not changed: they are dropped
                if on_device[m] is None:
                    on_device[m] = [block.to(self.device, non_blocking=True) for block in self.host[m]]
                for block in on_device[m]:
                    self.compute(block)
        return seconds_of(turn, ROUNDS)

    def one_ahead(self, resident):
        side = torch.cuda.Stream()
        here = torch.cuda.current_stream()
        stays = [[block.to(self.device) for block in self.host[m][:resident]] for m in range(2)]
        slots = [torch.empty(WORDS, dtype=torch.float16, device=self.device) for _ in range(2)]
        arrived = [torch.cuda.Event() for _ in range(2)]
        used = [torch.cuda.Event() for _ in range(2)]
        streamed = [self.host[m][b] for m in range(2) for b in range(resident, COUNT)]

        def fetch(i):
            with torch.cuda.stream(side):
                side.wait_event(used[i % 2])
                slots[i % 2].copy_(streamed[i], non_blocking=True)
                arrived[i % 2].record(side)

        def turn():
            i = 0
            if streamed:
                fetch(0)
            for m in range(2):
                for b in range(COUNT):
                    if b < resident:
                        self.compute(stays[m][b])
                        continue
                    if i + 1 < len(streamed):
                        fetch(i + 1)
                    here.wait_event(arrived[i % 2])
                    self.compute(slots[i % 2])
                    used[i % 2].record(here)
                    i += 1
        return seconds_of(turn, ROUNDS)


def main(out, ordinal, *wanted):
    torch.cuda.set_device(int(ordinal))
    scene = Scene(f"cuda:{ordinal}")
    rows = []
    for ratio, compute_s in (w.split(":") for w in wanted):
        scene.repeats = max(1, round(float(compute_s) / (2 * COUNT) / scene.product_s))
        for percent in (25, 50, 75, 100):
            room = 2 * COUNT * percent // 100
            row = {"copy_per_compute": float(ratio), "share_percent": percent, "one_ahead_s": scene.one_ahead(0),
                   "prefix_s": scene.one_ahead(COUNT if room >= 2 * COUNT else (room - 2) // 2)}
            if room >= COUNT:
                row["whole_swap_s"] = scene.whole_swap(room >= 2 * COUNT)
            rows.append(row)
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"version": torch.__version__, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
