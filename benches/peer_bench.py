"""PyTorch + timm doing what `pipe bench` does, for BENCHMARKS.md; prints the same JSON.

    pipe bench resnet18 --threads 2 --format json
    python benches/peer_bench.py resnet18 [--channels-last] [--side 224] [--batch 16] [--steps 5] [--threads 2]

The name is timm's (`pipe weights list` shows it). A training step is forward, 0.6 focal + 0.4 soft F1 over four classes,
backward, AdamW; inference is the network in evaluation. Peak memory is that of the training steps' whole process.
"""
import argparse, json, resource, statistics, time
import timm, torch

parser = argparse.ArgumentParser()
parser.add_argument("backbone")
parser.add_argument("--channels-last", action="store_true")
parser.add_argument("--side", type=int, default=224); parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--steps", type=int, default=5); parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads); torch.manual_seed(0)
form = torch.channels_last if args.channels_last else torch.contiguous_format
network = timm.create_model(args.backbone, pretrained=False, num_classes=4).to(memory_format=form)
optimizer = torch.optim.AdamW(network.parameters(), 1e-4, weight_decay=0.01)
images = torch.randn(args.batch, 3, args.side, args.side).to(memory_format=form)
labels = torch.arange(args.batch) % 4
hot = torch.nn.functional.one_hot(labels, 4).float()


def loss_of(logits):
    p = logits.softmax(1)
    focal = (0.25 * (1 - p) ** 2 * -(p.clamp_min(1e-7)).log() * hot).sum(1).mean()
    hit = (p * hot).sum(0)
    soft_f1 = 1 - (2 * hit / (p.sum(0) + hot.sum(0) + 1e-7)).mean()
    return 0.6 * focal + 0.4 * soft_f1


def step():
    loss = loss_of(network(images))
    loss.item()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def inference():
    with torch.inference_mode():
        network(images)


def timed(work):
    work()
    times = []
    for _ in range(args.steps):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1e3)
    return times


network.train()
train = timed(step)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
network.eval()
infer = timed(inference)
ms = statistics.median(train)
print(json.dumps({
    "backbone": args.backbone, "side": args.side, "batch": args.batch, "device": "cpu", "precision": "f32",
    "channels_last": args.channels_last, "threads": args.threads, "steps": args.steps, "torch": torch.__version__,
    "train_step_ms": round(ms, 2), "inference_ms": round(statistics.median(infer), 2),
    "train_step_ms_least": round(min(train), 2), "inference_ms_least": round(min(infer), 2),
    "images_per_s": args.batch / ms * 1e3, "peak_bytes": peak,
}))
