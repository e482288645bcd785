"""The plain PyTorch + timm script that `pipelines/chest_xray.pipe` replaces, for BENCHMARKS.md.

    pipe split pipelines/chest_xray.pipe --set root=CXR --format csv > folds.csv
    python benches/peer_chest_xray.py CXR folds.csv LITE0.safetensors [--cache-features] [--folds 0 1 ...]

Same folds, same network and first weights, same loss, optimiser, schedule and epochs; every epoch decodes its
images and runs the network over them, as such scripts do. `--cache-features` computes the frozen features once
instead, which few scripts do. Needs torch, timm, scikit-learn, Pillow, numpy. Two threads.
"""
import argparse, csv, math, time
import numpy as np, timm, torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score, f1_score

arguments = argparse.ArgumentParser()
arguments.add_argument("root"); arguments.add_argument("folds"); arguments.add_argument("weights")
arguments.add_argument("--cache-features", action="store_true")
arguments.add_argument("--folds-to-run", type=int, nargs="*")
arguments.add_argument("--epochs", type=int, default=22); arguments.add_argument("--frozen", type=int, default=20)
arguments.add_argument("--side", type=int, default=160); arguments.add_argument("--lr", type=float, default=3e-3)
arguments.add_argument("--batch", type=int, default=32)
args = arguments.parse_args()
torch.set_num_threads(2)

rows = list(csv.DictReader(open(args.folds)))
names = sorted({row["label"] for row in rows})
labels = torch.tensor([names.index(row["label"]) for row in rows])
fold_of = np.array([int(row["fold"]) for row in rows])
patients = [row["patient"] for row in rows]


def image(index):
    grey = Image.open(f"{args.root}/{rows[index]['image']}").convert("L").resize((args.side, args.side), Image.LANCZOS)
    tensor = torch.from_numpy(np.asarray(grey)).float().div(255).sub(0.5).div(0.5)
    return tensor[None].repeat(3, 1, 1)


class Images(torch.utils.data.Dataset):
    def __init__(self, indices): self.indices = indices
    def __len__(self): return len(self.indices)
    def __getitem__(self, at): return image(self.indices[at]), int(self.indices[at])


def loss_of(logits, target):
    p = torch.softmax(logits, 1)
    y = torch.nn.functional.one_hot(target, len(names)).float()
    clipped = p.clamp(1e-7, 1 - 1e-7)
    focal = (0.25 * (1 - clipped) ** 2 * -(y * clipped.log())).sum(1).mean()
    tp, fp, fn = (y * p).sum(0), ((1 - y) * p).sum(0), (y * (1 - p)).sum(0)
    precision, recall = tp / (tp + fp + 1e-7), tp / (tp + fn + 1e-7)
    return 0.6 * focal + 0.4 * (1 - (2 * precision * recall / (precision + recall + 1e-7)).mean())


def network():
    net = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    net.load_state_dict(load_file(args.weights))
    net.reset_classifier(len(names))
    return net


def frozen_features(net, images):
    return net.forward_head(net.forward_features(images), pre_logits=True)


begun = time.time()
table = None
if args.cache_features:
    with torch.no_grad():
        net = network().eval()
        loader = torch.utils.data.DataLoader(Images(np.arange(len(rows))), args.batch)
        table = torch.cat([frozen_features(net, images) for images, _ in loader])
    print(f"features of {len(rows)} images: {time.time() - begun:.1f} s", flush=True)

probabilities = np.zeros((len(rows), len(names)))
scored = []
for fold in args.folds_to_run or sorted(set(fold_of)):
    torch.manual_seed(fold)
    train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), args.lr, weight_decay=1e-4)
    steps = math.ceil(len(train) / args.batch)
    for epoch in range(args.epochs):
        start = time.time()
        frozen = epoch < args.frozen
        net.eval()  # batch norms keep the statistics of the first weights, also when everything learns
        for parameter in net.parameters(): parameter.requires_grad_(not frozen)
        for parameter in net.classifier.parameters(): parameter.requires_grad_(True)
        order = torch.randperm(len(train)).numpy()
        loader = torch.utils.data.DataLoader(Images(train[order]), args.batch)
        batches = ((None, torch.from_numpy(train[order][i:i + args.batch])) for i in range(0, len(train), args.batch)) \
            if frozen and table is not None else loader
        for step, (images, which) in enumerate(batches):
            at = epoch * steps + step
            for group in optimiser.param_groups:
                group["lr"] = args.lr * (1 + math.cos(math.pi * at / (args.epochs * steps))) / 2
            if frozen:
                with torch.no_grad():
                    features = table[which] if table is not None else frozen_features(net, images)
            else:
                features = frozen_features(net, images)
            logits = net.classifier(torch.nn.functional.dropout(features, 0.2))
            loss = loss_of(logits, labels[which])
            optimiser.zero_grad(); loss.backward(); optimiser.step()
        print(f"fold {fold} epoch {epoch + 1} {'frozen' if frozen else 'all'} {time.time() - start:.1f} s", flush=True)
    net.eval()
    with torch.no_grad():
        for images, which in torch.utils.data.DataLoader(Images(test), args.batch):
            probabilities[which] = torch.softmax(net(images), 1).numpy()
    scored.extend(test)
    score = balanced_accuracy_score(labels[test], probabilities[test].argmax(1))
    print(f"fold {fold} balanced accuracy (images) {score:.4f}  after {time.time() - begun:.0f} s", flush=True)

units = {}
for index in scored: units.setdefault((patients[index], int(labels[index])), []).append(index)
truth = [label for _, label in units]
answer = [probabilities[where].mean(0).argmax() for where in units.values()]
of = probabilities[scored].argmax(1)
print(f"images:   balanced accuracy {balanced_accuracy_score(labels[scored], of):.4f}  macro-F1 {f1_score(labels[scored], of, average='macro'):.4f}")
print(f"patients: balanced accuracy {balanced_accuracy_score(truth, answer):.4f}  macro-F1 {f1_score(truth, answer, average='macro'):.4f}")
print(f"whole script {time.time() - begun:.0f} s")
