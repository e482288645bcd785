"""Everything of BENCHMARKS.md that wants a GPU, in one call, with PyTorch beside; under eight minutes with programs that are built.

    cargo build --release --locked --features cuda                       # elsewhere, if this machine has no Rust
    python benches/gpu.py --pipe target/release/pipe [--tests IT] [--device cuda] [--minutes 8] [--out gpu.json]

IT is the test program that `cargo test --release --features cuda --test it --no-run` leaves in target/release/deps; with it the
kernels are checked first. What no longer fits into the minutes is named as left out, never guessed. Needs torch, timm; PyTorch runs as it is
run best: channels_last, autocast for bf16, torch.compile where its time fits. Prints Markdown, writes JSON.
"""
import argparse, json, re, statistics, subprocess, sys, tempfile, time

import torch

SHAPES = [(32, 10), (256, 10), (4096, 10), (65536, 10), (65536, 1000), (4096, 21843)]
NETWORKS = [("resnet18", "resnet18"), ("resnet50", "resnet50"), ("efficientnet_b0", "efficientnet_b0"),
            ("vit_b16", "vit_base_patch16_224")]

parser = argparse.ArgumentParser()
parser.add_argument("--pipe", default="target/release/pipe"); parser.add_argument("--tests")
parser.add_argument("--device", default="cuda"); parser.add_argument("--minutes", type=float, default=8)
parser.add_argument("--study", default="pipelines/quickstart.pipe"); parser.add_argument("--out", default="gpu.json")
parser.add_argument("--shapes", nargs="*", help="only these, 4096x10"); parser.add_argument("--networks", nargs="*")
parser.add_argument("--batches", nargs="*", type=int, default=[64, 256]); parser.add_argument("--side", type=int, default=224)
parser.add_argument("--no-compile", action="store_true")
args = parser.parse_args()
begun = time.monotonic()
GPU = args.device != "cpu"
found = {"left_out": [], "failed": []}
torch.manual_seed(0)


def left():
    return args.minutes * 60 - (time.monotonic() - begun)


def fits(what, seconds):
    """Is there time for it? If not, that is told in the end."""
    if left() < seconds:
        found["left_out"].append(what)
    return left() >= seconds


def asked(what, command):
    """The JSON that a command prints; None, and a line for the end, if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(left(), 1))
    except subprocess.TimeoutExpired:
        found["left_out"].append(what)
        return None
    if done.returncode != 0:
        found["failed"].append(f"{what}: {done.stderr.strip()[-300:] or done.returncode}")
        return None
    try:
        return json.loads(done.stdout)
    except ValueError:
        found["failed"].append(f"{what}: no JSON")
        return None


def synced():
    if GPU:
        torch.cuda.synchronize()


def timed(work, burst=1, times=5):
    """Median seconds of one call; the device is waited for once a burst."""
    for _ in range(3):
        work()
    synced()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        for _ in range(burst):
            work()
        synced()
        taken.append((time.perf_counter() - start) / burst)
    return statistics.median(taken)


def tried(what, work):
    """What PyTorch makes of it; running out of memory is a result too."""
    try:
        return work()
    except torch.OutOfMemoryError:
        found["failed"].append(f"{what}: PyTorch's memory ran out")
    except Exception as error:  # torch.compile fails in many ways
        found["failed"].append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
    finally:
        if GPU:
            torch.cuda.empty_cache()
    return None


def mix(logits, shares):
    """The loss of `pipe bench --loss`: 0.3 cross-entropy + 0.3 focal + 0.4 soft F1."""
    logs = logits.log_softmax(1)
    p = logs.exp()
    entropy = -(shares * logs).sum(1).mean()
    focal = (0.25 * (1 - p) ** 2 * -p.clamp_min(1e-7).log() * shares).sum(1).mean()
    hit = (p * shares).sum(0)
    soft_f1 = 1 - (2 * hit / (p.sum(0) + shares.sum(0) + 1e-7)).mean()
    return 0.3 * entropy + 0.3 * focal + 0.4 * soft_f1


def copy_bandwidth():
    """Bytes a second of a copy, read and write counted."""
    count = 2**28 if GPU else 2**24
    a = torch.empty(count, device=args.device); b = torch.empty_like(a)
    return 2 * 4 * count / timed(lambda: b.copy_(a), burst=5)


def losses():
    rows_of = []
    for rows, classes in SHAPES:
        name = f"{rows}x{classes}"
        if (args.shapes and name not in args.shapes) or not fits(f"loss {name}", 15):
            continue
        ours = asked(f"loss {name}", [args.pipe, "bench", "--loss", name, "--device", args.device, "--format", "json"])
        logits = torch.randn(rows, classes, device=args.device, requires_grad=True)
        shares = torch.nn.functional.one_hot(torch.arange(rows, device=args.device) % classes, classes).float()

        def passes(of):
            def one():
                logits.grad = None
                of(logits, shares).backward()
            return one

        eager = tried(f"loss {name}, eager", lambda: timed(passes(mix), burst=20) * 1e6)
        compiled = None
        if not args.no_compile and fits(f"loss {name}, torch.compile", 40):
            # rows and classes fixed, as compiled best
            work = passes(torch.compile(mix, dynamic=False))
            compiled = tried(f"loss {name}, torch.compile", lambda: timed(work, burst=20) * 1e6)
        took = ours and ours["forward_backward_us"]
        # once forward and once backward the logits, the gradient written, the targets read in both
        moved = 5 * 4 * rows * classes
        rows_of.append({"shape": name, "ours_us": took, "eager_us": eager, "compiled_us": compiled,
                        "of_copy": took and moved / (took * 1e-6) / found["copy_bytes_per_s"]})
        del logits, shares
    found["losses"] = rows_of


def peer_step(timm_name, batch, precision, compiled):
    import timm
    form = torch.channels_last
    network = timm.create_model(timm_name, pretrained=False, num_classes=4).to(args.device, memory_format=form).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, weight_decay=0.01)
    images = torch.randn(batch, 3, args.side, args.side, device=args.device).to(memory_format=form)
    hot = torch.nn.functional.one_hot(torch.arange(batch, device=args.device) % 4, 4).float()
    torch.backends.cuda.matmul.allow_tf32 = False; torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    forward = torch.compile(network, dynamic=False) if compiled else network

    def step():
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=precision == "bf16"):
            logits = forward(images)
        loss = mix(logits.float(), hot)
        loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return batch / timed(step, times=7)


def precisions():
    """Those that this pipe computes in, on this device."""
    if not GPU:
        return ["f32"]
    told = subprocess.run([args.pipe, "bench", "--help"], capture_output=True, text=True).stdout
    return [one for one in ("f32", "bf16") if re.search(rf"\b{one}\b", told)]


def trainings():
    ours_in, rows_of = precisions(), []
    if "bf16" not in ours_in:
        found["left_out"].append("our bf16: here this pipe computes in f32 only; PyTorch's figure stands alone")
    plan = [(network, batch, precision) for batch in args.batches for precision in ("f32", "bf16") for network in NETWORKS]
    for (name, timm_name), batch, precision in plan:
        what = f"{name}, batch {batch}, {precision}"
        if (args.networks and name not in args.networks) or not fits(what, 20):
            continue
        ours = None
        if precision in ours_in:
            ours = asked(what, [args.pipe, "bench", name, "--batch", str(batch), "--side", str(args.side), "--device",
                                args.device, "--precision", precision, "--format", "json", "--quiet"])
        eager = tried(f"{what}, PyTorch", lambda: peer_step(timm_name, batch, precision, False))
        compiled = None
        if not args.no_compile and precision == "bf16" and fits(f"{what}, torch.compile", 90):
            compiled = tried(f"{what}, torch.compile", lambda: peer_step(timm_name, batch, precision, True))
        rows_of.append({"what": what, "ours": ours and ours["images_per_s"], "eager": eager, "compiled": compiled})
    found["trainings"] = rows_of


def figure(record):
    """The headline figure of a record, wherever this version keeps it."""
    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("macro_f1"), (int, float)):
                return value["macro_f1"]
            return next((one for one in map(walk, value.values()) if one is not None), None)
        if isinstance(value, list):
            return next((one for one in map(walk, value) if one is not None), None)
        return None
    return walk(record["evaluation"])


def studies():
    """A whole study on the device and on the processor, into stores of their own: a step's key does not name the device."""
    rows_of = []
    for device in dict.fromkeys([args.device, "cpu"]):
        what = f"{args.study} on {device}"
        if not fits(what, 60):
            continue
        with tempfile.TemporaryDirectory() as place:
            command = [args.pipe, "run", args.study, "--device", device, "--out", f"{place}/out", "--store", f"{place}/store", "--quiet"]
            start = time.monotonic()
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=max(left(), 1))
            except subprocess.TimeoutExpired:
                found["left_out"].append(what)
                continue
            seconds = time.monotonic() - start
            if done.returncode != 0:
                found["failed"].append(f"{what}: {done.stderr.strip()[-300:]}")
                continue
            with open(f"{place}/out/record.json") as file:
                rows_of.append({"what": what, "seconds": seconds, "macro_f1": figure(json.load(file))})
    found["studies"] = rows_of


def checks():
    if not args.tests:
        found["left_out"].append("the checks of the kernels: no --tests")
        return
    done = subprocess.run([args.tests, "gpu_"], capture_output=True, text=True, timeout=max(left(), 1))
    summary = [line for line in done.stdout.splitlines() if line.startswith("test result")]
    found["checks"] = summary[-1] if summary else "no result"
    if done.returncode != 0:
        found["failed"].append("the checks of the kernels: " + done.stdout[-600:])


def shown(value, digits=1):
    return "–" if value is None else f"{value:.{digits}f}"


doctor = asked("pipe doctor", [args.pipe, "doctor", "--format", "json"]) or {}
found["devices"] = [one["name"] for one in doctor.get("devices", [])]
found["torch"] = torch.__version__
found["card"] = torch.cuda.get_device_name() if GPU else "the processor"
checks()
found["copy_bytes_per_s"] = copy_bandwidth()
losses(); studies(); trainings()
found["seconds"] = time.monotonic() - begun
with open(args.out, "w") as file:
    json.dump(found, file, indent=1)

print(f"{found['card']}, PyTorch {found['torch']}, copy {found['copy_bytes_per_s'] / 1e9:.0f} GB/s, {found['seconds']:.0f} s in all")
print(f"\nchecks: {found.get('checks', 'not run')}")
print("\n| loss, forward and backward | ours, µs | eager, µs | torch.compile, µs | of the copy bandwidth |\n|---|---|---|---|---|")
for row in found["losses"]:
    share = "–" if row["of_copy"] is None else f"{100 * row['of_copy']:.0f} %"
    print(f"| {row['shape']} | {shown(row['ours_us'])} | {shown(row['eager_us'])} | {shown(row['compiled_us'])} | {share} |")
print("\n| training | ours, images/s | PyTorch, channels_last | torch.compile |\n|---|---|---|---|")
for row in found["trainings"]:
    print(f"| {row['what']} | {shown(row['ours'])} | {shown(row['eager'])} | {shown(row['compiled'])} |")
print("\n| study | seconds | macro-F1 |\n|---|---|---|")
for row in found["studies"]:
    print(f"| {row['what']} | {shown(row['seconds'])} | {shown(row['macro_f1'], 3)} |")
for kind in ("left_out", "failed"):
    for line in found[kind]:
        print(f"\n{kind.replace('_', ' ')}: {line}")
sys.exit(1 if found["failed"] else 0)
