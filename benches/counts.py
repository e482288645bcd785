"""Instructions of the hot kernels, counted by callgrind: a slowdown shows on a busy machine too.

    cargo build --release --locked
    python benches/counts.py --pipe target/release/pipe            stores benches/counts.json
    python benches/counts.py --pipe target/release/pipe --check    compares with it; exit 1 where one grew by more than 3 %

Needs valgrind (3.19 was used) and some minutes. Valgrind knows no AVX-512, so the AVX2 code is counted, whatever the
processor has; one thread. Counts say nothing of memory and of what waits for what: a change that should make something faster is timed as well.
Of each workload the total is compared; of one that grew, the functions that grew most are named. Images are the stored ones
of the tests and PNGs drawn here.
"""
import argparse, json, os, random, re, shutil, struct, subprocess, sys, tempfile, zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("--pipe", required=True)
parser.add_argument("--check", action="store_true", help="compare with what is stored instead of storing")
parser.add_argument("--file", type=Path, default=HERE / "counts.json")
parser.add_argument("--tolerance", type=float, default=3.0, metavar="PERCENT")
parser.add_argument("--only", default="", help="workloads whose name contains this")
args = parser.parse_args()
PIPE = str(Path(args.pipe).resolve())
NETWORK = "--side 64 --batch 2 --threads 1 --quiet".split()
FUNCTIONS = 15


def png(side, random):
    """A film: soft shapes and a little noise, its rows filtered by the row above."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows, above = b"", bytes(side)
    for y in range(side):
        row = bytes((x * (side - x) * 400 // side ** 2 + y * 90 // side + random.randrange(9)) & 255 for x in range(side))
        rows += b"\2" + bytes((new - old) & 255 for new, old in zip(row, above))
        above = row
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def draw(folder):
    """Folders of films and of JPEGs, and a study of 1,000 small films."""
    noise = random.Random(7)
    for name in ("films", "jpegs", "study"):
        (folder / name).mkdir()
    for number in range(4):
        (folder / "films" / f"{number}.png").write_bytes(png(256 if number else 512, noise))
    for path in sorted((HERE.parent / "tests/fixtures/images").glob("decode_*.jpg")):
        shutil.copy(path, folder / "jpegs")
    lines = ["image,label,patient"]
    for number in range(1000):
        (folder / "study" / f"{number}.png").write_bytes(png(16, noise))
        lines.append(f"{number}.png,c{number // 2 % 5},p{number // 2}")
    (folder / "study" / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "study" / "s.pipe").write_text("""pipe "2026"
study s {
  data {
    table = csv("labels.csv")
    image = file(`image`, under = ".")
    label = `label`
    group = `patient`
  }
  split { cv = stratified_group_kfold(5) }
  images { prepare = [grayscale(), clahe(), resize(64), normalize(half)] }
  model { backbone = resnet18() }
  vary train.epochs = 1..=20
}
""")


def workloads(folder):
    """Commands, and how often their work is done: what it costs to begin is left out by doing it once and so often."""
    return {
        "films to 224 pixels": (["bench", "--images", str(folder / "films")], 5),
        "JPEGs to 32 pixels": (["bench", "--images", str(folder / "jpegs"), "--side", "32"], 50),
        "plan of 1,000 images, 20 variants": (["plan", str(folder / "study/s.pipe"), "--store", str(folder / "store")], None),
        "loss of 32 x 100": (["bench", "--loss", "32x100", "--threads", "1"], 5),
        **{f"{name}, 64 pixels": (["bench", name, *NETWORK], 4) for name in ("resnet18", "mobilenetv2", "efficientnet_b0")},
    }


def work(command, often, place):
    """Instructions of the work alone, and of the functions with most of them."""
    if often is None:
        total, functions = count(command, place)
    else:
        total, functions = count([*command, "--steps", str(often)], place)
        beginning, of_it = count([*command, "--steps", "1"], place)
        total -= beginning
        functions = {name: number - of_it.get(name, 0) for name, number in functions.items()}
    most = sorted(functions.items(), key=lambda pair: -pair[1])[:FUNCTIONS]
    return {"instructions": total, "functions": dict(most)}


def count(command, place):
    """Instructions in all, and of each function."""
    out = place / "callgrind.out"
    told = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", PIPE, *command],
                          capture_output=True, text=True, env={**os.environ, "PIPE_CACHE": "", "RAYON_NUM_THREADS": "1"})
    if told.returncode:
        sys.exit(f"{' '.join(command)}: {told.stderr.strip()}")
    text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", "--tree=none", str(out)], check=True, capture_output=True, text=True).stdout
    total = int(re.search(r"([\d,]+) .*PROGRAM TOTALS", text)[1].replace(",", ""))
    functions = {}
    for number, name in re.findall(r"^ *([\d,]+) \( *[\d.]+%\) +(.*?)(?: \[[^\]]*\])?$", text, re.MULTILINE):
        # without the file, the depth of recursion, and the hash that differs from build to build
        name = re.sub(r"^[^:]*:(?!:)|'\d+$|::h[0-9a-f]{16}", "", name)
        functions[name] = functions.get(name, 0) + int(number.replace(",", ""))
    functions.pop("PROGRAM TOTALS", None)
    return total, functions


def grown(name, old, new):
    """Says how a workload changed; did it grow by more than is allowed?"""
    change = 100 * (new["instructions"] / old["instructions"] - 1)
    print(f"{name}: {old['instructions'] / 1e6:,.1f} million, now {new['instructions'] / 1e6:,.1f} ({change:+.2f} %)", flush=True)
    if change <= args.tolerance:
        return False
    more = {function: number - old["functions"].get(function, 0) for function, number in new["functions"].items()}
    for function, number in sorted(more.items(), key=lambda pair: -pair[1])[:5]:
        if number > 0:
            print(f"    {number / 1e6:+,.1f} million in {function}")
    return True


stored = json.loads(args.file.read_text()) if args.file.exists() else {}
slower = []
with tempfile.TemporaryDirectory() as place:
    draw(Path(place))
    for name, (command, often) in workloads(Path(place)).items():
        if args.only not in name:
            continue
        found = work(command, often, Path(place))
        if not args.check:
            stored[name] = found
            args.file.write_text(json.dumps(stored, indent=1) + "\n")
            print(f"{name}: {found['instructions'] / 1e6:,.1f} million", flush=True)
        elif name not in stored:
            sys.exit(f"{args.file} does not know {name}; store it first")
        elif grown(name, stored[name], found):
            slower.append(name)
sys.exit(f"grew by more than {args.tolerance} %: {', '.join(slower)}" if slower else 0)
