"""Decode + grey + CLAHE + Lanczos to 224 on one thread: `pipe bench --images` beside Pillow + OpenCV, for BENCHMARKS.md.

    cargo build --release --locked
    pip install numpy pillow opencv-python-headless
    python benches/images.py --pipe target/release/pipe [--folder IMAGES ...]

Draws films of 256 and 1024 pixels as JPEG and PNG, grey and colour, and takes real folders beside them, read in place
(of each at most --most files, linked). Both sides read every file first, then time passes over the bytes; the fastest
pass of each counts, and they take turns so that a busy machine slows both.
"""
import argparse, io, json, subprocess, tempfile, time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("--pipe", required=True)
parser.add_argument("--folder", action="append", default=[], type=Path)
parser.add_argument("--most", type=int, default=100)
parser.add_argument("--rounds", type=int, default=5)
args = parser.parse_args()
cv2.setNumThreads(1)
SIDE = 224


def film(side, number):
    """Soft shapes and noise: compresses about as a film does."""
    random = np.random.default_rng(number)
    coarse = random.uniform(20, 230, (side // 32, side // 32)).astype(np.float32)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.normal(0, 3, (side, side)), 0, 255).astype(np.uint8)


def draw(folder, side, form, colour, count):
    for number in range(count):
        image = Image.fromarray(film(side, number)).convert("RGB" if colour else "L")
        image.save(folder / f"{number:03}.{form}", **({"quality": 90} if form == "jpg" else {}))


def peer(files):
    clahe = cv2.createCLAHE(2.0, (8, 8))
    begun = time.perf_counter()
    for data in files:
        grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        Image.fromarray(clahe.apply(grey)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return len(files) / (time.perf_counter() - begun)


def ours(folder):
    command = [args.pipe, "bench", "--images", str(folder), "--side", str(SIDE), "--steps", "1", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def row(name, folder):
    files = [path.read_bytes() for path in sorted(folder.iterdir())]
    best = {"images_per_s": 0.0}
    theirs = 0.0
    for _ in range(args.rounds):
        best = max(best, ours(folder), key=lambda told: told["images_per_s"])
        theirs = max(theirs, peer(files))
    rate = best["images_per_s"]
    kilobytes = sum(map(len, files)) / len(files) / 1000
    print(f"| {name}, {kilobytes:.0f} kB | {len(files)} | {rate:.0f} | {theirs:.0f} | {rate / theirs:.2f} "
          f"| {best['decode_ms']:.2f} | {best['prepare_ms']:.2f} |", flush=True)


print(f"Pillow {Image.__version__}, OpenCV {cv2.__version__}\n")
print("| images | files | pipe, images/s | Pillow + OpenCV | times | decode, ms | prepare, ms |\n|---|---|---|---|---|---|---|")
for side, form, colour, count in [(256, "jpg", False, 100), (256, "jpg", True, 100), (256, "png", False, 100),
                                  (1024, "jpg", False, 30), (1024, "png", False, 30), (1024, "png", True, 20)]:
    with tempfile.TemporaryDirectory() as place:
        draw(Path(place), side, form, colour, count)
        row(f"drawn, {side} px, {'colour' if colour else 'grey'} {form.upper()}", Path(place))
for folder in args.folder:
    with tempfile.TemporaryDirectory() as place:
        found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".png", ".jpg", ".jpeg")]
        for number, path in enumerate(found[:args.most]):
            (Path(place) / f"{number:04}{path.suffix}").symlink_to(path.resolve())
        row(f"`{folder.parent.name}`", Path(place))
