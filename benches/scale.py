"""How cost grows with images, folds, variants and nodes: time and memory of `pipe check`, `plan` and of preparing images.

    cargo build --release --locked
    python benches/scale.py --pipe target/release/pipe

Tables and images (small PNGs, each another one) are drawn into a temporary folder; checks remember nothing (`PIPE_CACHE=`).
Nothing is trained: a run is stopped when its images are prepared. Seconds are of all cores together, since a busy machine says
little by the clock; memory is the most a process held.
"""
import argparse, os, random, signal, struct, subprocess, tempfile, threading, zlib
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--pipe", required=True)
parser.add_argument("--images", type=int, nargs="*", default=[1_000, 10_000, 100_000])
parser.add_argument("--folds", type=int, nargs="*", default=[2, 5, 10, 20])
parser.add_argument("--variants", type=int, nargs="*", default=[1, 10, 100])
parser.add_argument("--nodes", type=int, nargs="*", default=[100, 1_000, 10_000])
args = parser.parse_args()
PIPE = str(Path(args.pipe).resolve())
SIDE = 32


def png(number):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    noise = random.Random(number)
    rows = b"".join(b"\0" + noise.randbytes(SIDE) for _ in range(SIDE))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def draw(folder, images):
    """Two images a patient, five classes."""
    lines = ["image,label,patient"]
    for number in range(images):
        place = folder / f"{number // 1000:03}"
        place.mkdir(exist_ok=True)
        (place / f"{number:06}.png").write_bytes(png(number))
        patient = number // 2
        lines.append(f"{place.name}/{number:06}.png,c{patient % 5},p{patient}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def study(folder, folds=5, vary=""):
    (folder / "s.pipe").write_text(f"""pipe "2026"
study s {{
  data {{
    table = csv("labels.csv")
    image = file(`image`, under = ".")
    label = `label`
    group = `patient`
  }}
  split {{ cv = stratified_group_kfold({folds}) }}
  images {{ prepare = [grayscale(), clahe(), resize({SIDE}), normalize(half)] }}
  model {{ backbone = resnet18() }}
  train {{ batch = 2 }}
  {vary}
}}
""")


def measure(folder, *command, until=None):
    """CPU seconds and MiB of a command; one that shall only say something is stopped then."""
    process = subprocess.Popen([PIPE, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "PIPE_CACHE": ""})
    said, stopped = [], False
    reader = threading.Thread(target=lambda: said.append(process.stdout.read()))
    reader.start()
    for line in process.stderr:
        said.append(line)
        if until and until in line:
            process.send_signal(signal.SIGINT)
            stopped, until = True, None
    reader.join()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert stopped or (process.returncode == 0 and not until), "".join(said)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, "".join(said)


def nodes(text):
    head, _, rest = text.partition("\nsteps\n")
    return sum(1 for line in rest.split("\n\n")[0].splitlines() if line.startswith("  ")) - 1


def row(what, folder, store="store", prepare=False):
    cells = [measure(folder, "check", "s.pipe")]
    cells.append(measure(folder, "plan", "s.pipe", "--store", store))
    if prepare:
        cells.append(measure(folder, "run", "s.pipe", "--store", store, "--out", "out", until="decode and prepare"))
        cells.append(measure(folder, "plan", "s.pipe", "--store", store))
    words = " | ".join(f"{seconds:.2f} s, {mebibytes:.0f} MiB" for seconds, mebibytes, _ in cells)
    print(f"| {what} | {nodes(cells[1][2])} | {words} |", flush=True)


with tempfile.TemporaryDirectory() as place:
    place = Path(place)
    print("| images | nodes | check | plan, every image read | images prepared | plan again |\n|---|---|---|---|---|---|")
    for count in args.images:
        folder = place / str(count)
        folder.mkdir()
        draw(folder, count)
        study(folder)
        row(f"{count:,}", folder, prepare=True)
    folder = place / str(min(args.images))
    print("\n| of the least images | nodes | check | plan |\n|---|---|---|---|")
    for folds in args.folds:
        study(folder, folds)
        row(f"{folds} folds", folder)
    for variants in args.variants:
        study(folder, 5, f"vary seed = 1..={variants}" if variants > 1 else "")
        row(f"{variants} variants, each dealt anew", folder)
    for count in args.nodes:
        # 45 nodes of a variant of 20 folds, of which the first four are shared
        study(folder, 20, f"vary train.epochs = 1..={max(2, round(count / 43))}")
        row(f"about {count:,} nodes", folder)
