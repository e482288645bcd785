"""Draws the images of folder_of_images.pipe: eight discs and eight squares, 24 pixels a side, grey PNG.

Needs nothing but Python:  python make_folder_of_images.py
"""
import random, struct, zlib
from pathlib import Path

here = Path(__file__).parent / "folder_of_images"
draw = random.Random(20260817)
SIDE = 24


def png(rows):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


for name in ("disc", "square"):
    (here / name).mkdir(exist_ok=True)
    for index in range(8):
        x, y, r = draw.uniform(9, 15), draw.uniform(9, 15), draw.uniform(4, 8)
        ground, figure = draw.randint(20, 70), draw.randint(150, 230)
        inside = (lambda i, j: (i - x) ** 2 + (j - y) ** 2 <= r * r) if name == "disc" else \
                 (lambda i, j: max(abs(i - x), abs(j - y)) <= r * 0.85)
        rows = [[(figure if inside(i, j) else ground) + draw.randint(-12, 12) for i in range(SIDE)] for j in range(SIDE)]
        (here / name / f"{name}_{index}.png").write_bytes(png(rows))
