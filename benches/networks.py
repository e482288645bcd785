"""Training steps and inference of six networks, `pipe bench` beside PyTorch + timm in the same run, for BENCHMARKS.md.

    cargo build --release --locked
    pip install torch timm
    python benches/networks.py --pipe target/release/pipe [--rounds 3] [--steps 3] [NETWORK ...]

224 pixels, batches of 16, f32, two threads; PyTorch in its default layout and in channels_last. Each round runs every
program once, in turn, in a process of its own; of each the median of the rounds' medians counts. Memory is the largest
of a whole process.
"""
import argparse, json, statistics, subprocess, sys
from pathlib import Path

TIMM = {"resnet18": "resnet18", "resnet50": "resnet50", "mobilenetv2": "mobilenetv2_100", "efficientnet_b0": "efficientnet_b0",
        "densenet121": "densenet121", "vit_b16": "vit_base_patch16_224"}
parser = argparse.ArgumentParser()
parser.add_argument("--pipe", required=True)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("networks", nargs="*", default=list(TIMM))
args = parser.parse_args()
peer = str(Path(__file__).with_name("peer_bench.py"))


def told(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def median(runs, what):
    return statistics.median(run[what] for run in runs)


print("| network | step, ms: pipe | PyTorch | channels_last | times the better | inference, ms: pipe | PyTorch | channels_last "
      "| times the better | memory, MB: pipe | PyTorch | channels_last | of the lesser |")
print("|" + "---|" * 13)
for network in args.networks:
    steps = ["--steps", str(args.steps)]
    theirs = [sys.executable, peer, TIMM[network], *steps]
    commands = [[args.pipe, "bench", network, "--threads", "2", "--format", "json", *steps], theirs, [*theirs, "--channels-last"]]
    runs = [[], [], []]
    for _ in range(args.rounds):
        for of, command in zip(runs, commands):
            of.append(told(command))
    row = f"| {network} "
    for what, scale in [("train_step_ms", 1), ("inference_ms", 1), ("peak_bytes", 1e-6)]:
        ours, plain, last = (median(of, what) * scale for of in runs)
        better = min(plain, last)
        row += f"| {ours:.0f} | {plain:.0f} | {last:.0f} | {ours / better if what == 'peak_bytes' else better / ours:.2f} "
    print(row + "|", flush=True)
