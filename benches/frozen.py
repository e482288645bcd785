"""A grid on a frozen backbone, end to end with nothing in the store, beside the PyTorch script a user would write.

    python benches/frozen.py --pipe target/release/pipe --root CXR --weights FOLDER [--epochs-timed 2]

`benches/frozen.pipe`: five folds, four losses, twenty epochs. First what `pipe plan --measure` says it will take, then the
run with an empty store, then again with a full one. The peer decodes its images and runs the frozen timm network over
them in every epoch of every fold and loss, as such scripts do; --epochs-timed of its epochs are timed over all images of
a fold's training and the rest is reckoned. Needs torch, timm, Pillow, numpy. Two threads.
"""
import argparse, csv, json, subprocess, tempfile, time
from pathlib import Path

import numpy as np, timm, torch
from PIL import Image
from safetensors.torch import load_file

parser = argparse.ArgumentParser()
parser.add_argument("--pipe", required=True); parser.add_argument("--root", required=True, type=Path)
parser.add_argument("--weights", required=True, type=Path); parser.add_argument("--epochs-timed", type=int, default=2)
args = parser.parse_args()
FOLDS, LOSSES, EPOCHS, SIDE, BATCH = 5, 4, 20, 224, 32
study = Path(__file__).with_name("frozen.pipe")


def pipe(command, *more):
    words = [args.pipe, command, str(study), "--set", f"root={args.root.resolve()}", "--weights", str(args.weights.resolve())]
    begun = time.perf_counter()
    out = subprocess.run([*words, *more], check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - begun, out


with tempfile.TemporaryDirectory() as store, tempfile.TemporaryDirectory() as out:
    _, plan = pipe("plan", "--measure", "--store", store)
    print("plan:", next((line.strip() for line in plan.splitlines() if "about" in line), plan))
    cold, _ = pipe("run", "--store", store, "--out", out)
    warm, _ = pipe("run", "--store", store, "--out", out)
print(f"pipe, cold: {cold:.0f} s; again: {warm:.1f} s", flush=True)

torch.set_num_threads(2)
torch.manual_seed(0)
rows = list(csv.DictReader(open(args.root / "labels.csv")))
names = sorted({row["label"] for row in rows})
# a fold's training: four of five patients, less a tenth for validation
patients = sorted({row["patient"] for row in rows})
held = set(patients[::FOLDS]) | set(patients[1::10])
train = [row for row in rows if row["patient"] not in held]
rest = [row for row in rows if row["patient"] in held]


class Images(torch.utils.data.Dataset):
    def __init__(self, rows): self.rows = rows
    def __len__(self): return len(self.rows)

    def __getitem__(self, at):
        grey = Image.open(args.root / self.rows[at]["image"]).convert("L").resize((SIDE, SIDE), Image.LANCZOS)
        tensor = torch.from_numpy(np.asarray(grey)).float().div(255).sub(0.5).div(0.5)
        return tensor[None].repeat(3, 1, 1), names.index(self.rows[at]["label"])


network = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
network.load_state_dict(load_file(next(args.weights.glob("tf_efficientnet_lite0*.safetensors"))))
network.reset_classifier(len(names))
for name, parameter in network.named_parameters():
    parameter.requires_grad = name.startswith("classifier")
optimizer = torch.optim.AdamW(network.classifier.parameters(), 3e-3, weight_decay=1e-4)
loader = torch.utils.data.DataLoader(Images(train), BATCH, shuffle=True, num_workers=0)
validation = torch.utils.data.DataLoader(Images(rest[:len(rest) // 3]), BATCH, num_workers=0)


def epoch():
    network.eval(); network.classifier.train()
    for images, labels in loader:
        loss = torch.nn.functional.cross_entropy(network(images), labels, label_smoothing=0.1)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    network.eval()
    with torch.inference_mode():
        for images, _ in validation:
            network(images)


epoch()
taken = []
for _ in range(args.epochs_timed):
    begun = time.perf_counter(); epoch(); taken.append(time.perf_counter() - begun)
peer = float(np.median(taken)) * FOLDS * LOSSES * EPOCHS
print(f"PyTorch: {np.median(taken):.1f} s an epoch of {len(train)} + {len(validation.dataset)} images, so {peer:.0f} s for the grid")
print(json.dumps({"pipe_s": cold, "again_s": warm, "torch_s": peer, "times": peer / cold}))
