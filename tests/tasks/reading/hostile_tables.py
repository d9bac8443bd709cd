"""JSONL, saved Hugging Face data sets and Parquet shards that someone may send us, by name.

Each is a function that writes it into a data folder, beside which lies what it must not reach, and
a pattern for the reason or the message that reading it has to give (any, where it is empty).
"""

import json
import os
import random
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.records.rows import SAMPLES, sample_row, write_shards
from tests.tasks.reading.folders import GOOD, GOOD_SAMPLE, PLAIN, PNG

Case = tuple[Callable[[Path], object], str]
LOCAL = "http://127.0.0.1:9/a.png"
GOOD_LINE = json.dumps(GOOD).encode()
ADDRESS, LEAVES = "picture is an address", "picture path leaves the data folder"
CLOSED, MISSING = "picture file cannot be opened", "picture file is missing"
PIPE, FIELD = "a pipe, a device or a socket", "neither text nor a number"
PATHS = {
    "/etc/passwd": LEAVES, "../secret.png": LEAVES, "pictures/../../secret.png": LEAVES,
    "/dev/zero": LEAVES, "/dev/stdin": LEAVES, "/proc/self/environ": LEAVES, "..": LEAVES,
    "/proc/self/fd/0": LEAVES, "up/secret.png": LEAVES, "link.png": LEAVES, "passwd.png": LEAVES,
    "zero.png": LEAVES, "chain.png": LEAVES, "pictures/red.png/../../../secret.png": LEAVES,
    LOCAL: ADDRESS, "HTTPS://127.0.0.1/a": ADDRESS, "file:///etc/passwd": ADDRESS,
    "s3://a/b.png": ADDRESS, "hf://datasets/a/b": ADDRESS, f"zip://a.png::{LOCAL}": ADDRESS,
    "data:image/png;base64,AAAA": ADDRESS, "ftp://127.0.0.1/a.png": ADDRESS,
    "\0": CLOSED, "a\0.png": CLOSED, "x" * 5000: CLOSED, "a/" * 3000: CLOSED, "loop.png": CLOSED,
    "\ud800": CLOSED, "~/a.png": MISSING, "pictures": MISSING, ".": MISSING, "": MISSING,
    "\\\\server\\a.png": MISSING, "pictures/red.png/a": MISSING, "gone.png": MISSING,
    "\x1b[31m\n.png": MISSING, "pipe.png": PIPE, "socket.png": PIPE, "sparse.png": "256 MB",
}  # fmt: skip


def traps(folder: Path) -> None:
    """Write a picture, and files that a record may name, each of them a trap."""
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "red.png").write_bytes(PNG)
    links = {"up": "..", "link.png": "../secret.png", "passwd.png": "/etc/passwd",
             "zero.png": "/dev/zero", "loop.png": "loop.png", "gone.png": "nowhere",
             "chain.png": "up/data/up/data/link.png"}  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    place = os.getcwd()
    os.chdir(folder)  # the path of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
    os.chdir(place)
    with open(folder / "sparse.png", "wb") as sparse:
        sparse.truncate(2**40)


def lines(folder: Path, *records: object) -> None:
    traps(folder)
    raw = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    (folder / "x.jsonl").write_bytes(b"\n".join([GOOD_LINE, *raw]))


def in_json() -> dict[str, Case]:
    deep, wide = "[" * 900 + "]" * 900, "[],"
    records: dict[str, tuple[object, str]] = {
        "endless line": (b"{" + b" " * (100 * 2**20), "line is longer than 64 MB"),
        "deep line": (b"[" * 10**6, "line is not JSON"),
        "deep object": (b'{"a":' * 10**6, "line is not JSON"),
        "long number": (b"1" * 10**6, "line is not JSON"),
        "zeros": (bytes(1000), "line is not JSON"),
        "UTF-16": (json.dumps(PLAIN).encode("utf-16"), "line is not UTF-8"),
        "null": (None, "not a JSON object"),
        "nothing": ({}, "empty prompt"),
        "prompt of messages": (PLAIN | {"prompt": [{"role": "user"}]}, "neither text nor parts"),
        "answer of texts": (PLAIN | {"answer": ["a", "b"]}, "list of several"),
        "turns without end": ({"messages": [{"role": "user", "content": "a"}] * 10**5}, "several"),
        "parts without end": (
            {"messages": [{"role": "user", "content": [{"type": "image"}] * 10**5}]},
            "100000 marks",
        ),
        "parts in parts": (
            {"messages": [{"role": "user", "content": json.loads("[" * 500 + "]" * 500)}]},
            "neither text nor a picture",
        ),
        "role of roles": ({"messages": [{"role": ["user"], "content": "a"}]}, "no known role"),
        "picture in a part elsewhere": (
            {"messages": [{"role": "user",
                           "content": [{"type": "image", "path": "../secret.png"}]}]},
            "picture path leaves the data folder",
        ),
        "frame of frames": (
            PLAIN | {"image": "pictures/red.png", "boxes": [[1, 2, 3, 4]], "box_frame": [[1], 5]},
            "box_frame is neither",
        ),
        "long id": (PLAIN | {"id": "x" * 10**6}, "id or task of more than"),
        "long task": (PLAIN | {"task": "x" * 10**6}, "id or task of more than"),
        "escape in the split": (PLAIN | {"split": "\x1b[31m\n" * 99}, r"unknown split '\\x1b\[31m"),
        "half a character in the task": (PLAIN | {"task": "\ud800"}, "wrong type"),
        "boxes beyond floats": (b'{"prompt":"p","boxes":[[1e999,-1e999,0,1' + b"0" * 999 + b"]]}",
                                "corners"),
        "a million boxes": (GOOD | {"id": "b", "boxes": [[1, 2, 3, 99]] * 10**5}, "outside"),
        "deep details": (
            b'{"prompt":"p","answer":"a","details":{"a":' + deep.encode() + b"}}", "details",
        ),
        "deep details in text": (PLAIN | {"details": "[" * 10**6}, "wrong type"),
        "wide details": (
            b'{"prompt":"p","answer":"a","details":{"a":[' + wide.encode() * 10**5 + b"1]}}", "",
        ),
        "many pictures": (PLAIN | {"images": ["pictures/red.png"] * 1001}, "more than 1000"),
        "pictures in pictures": (PLAIN | {"images": [[["pictures/red.png"]]]}, "neither a path"),
        "address in an object": (PLAIN | {"image": {"path": LOCAL}}, ADDRESS),
        "bytes that are text": (PLAIN | {"image": {"bytes": "AAAA"}}, MISSING),
    }  # fmt: skip
    made: dict[str, Case] = {
        f"JSONL {name}": (_lines(record), reason) for name, (record, reason) in records.items()
    }
    for number, (path, reason) in enumerate(PATHS.items()):
        made[f"JSONL path {number:02} {ascii(path[:20])}"] = _lines(PLAIN | {"image": path}), reason
    return made


def _lines(*records: object) -> Callable[[Path], object]:
    return lambda folder: lines(folder, *records)


def instead(name: str, kind: str, content: bytes = b"") -> Callable[[Path], object]:
    """Return what writes a file that is no file: a link, a pipe, a folder, a socket."""

    def write(folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            content = file.read_bytes()
            file.unlink()
            (folder.parent / f"secret-{file.name}").write_bytes(content)
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        elif kind == "cut":
            file.write_bytes(content[: len(content) // 2])
        elif kind == "same":
            file.symlink_to(folder.parent / f"secret-{file.name}")
        else:
            file.symlink_to(kind)

    return write


LINK, KINDS = "is a link that is not followed", {
    "pipe": PIPE, "folder": "folder", "/dev/zero": "is a link that is not followed",
    "/etc/passwd": "is a link that is not followed", "nowhere": "missing", "x.jsonl": "cannot be",
}  # fmt: skip


def linked() -> dict[str, Case]:
    made = {f"JSONL that is {k}": (instead("x.jsonl", k), r) for k, r in KINDS.items()}
    made["JSONL linked"] = instead("x.jsonl", "../secret.jsonl"), LINK
    for kind in ("pipe", "folder", "/dev/zero", "/etc/passwd", "../secret.parquet"):
        name = f"Parquet that is {kind}".replace("/", "_")
        made[name] = instead("part-00000.parquet", kind), KINDS.get(kind, LINK)
    return {name.replace("/", "_"): case for name, case in made.items()}


def arrow(folder: Path, table: pa.Table, name: str = "d.arrow", state: object = None,
          features: object = None, **options) -> None:  # fmt: skip
    """Write what looks like the work of `save_to_disk`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        pa.OSFile(str(folder / name), "wb") as file,
        pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out,
    ):
        out.write_table(table)
    state = {"_data_files": [{"filename": name}]} if state is None else state
    (folder / "state.json").write_text(state if isinstance(state, str) else json.dumps(state))
    info = features if isinstance(features, str) else json.dumps({"features": features})
    (folder / "dataset_info.json").write_text(info)


def column(name: str, *values: object, kind: object = None) -> pa.Table:
    """Return a table of good rows but for one column."""
    text = ["p"] * len(values)
    columns = {"prompt": text, "answer": text, name: pa.array(values, kind)}
    return pa.table(columns)


def in_saved() -> dict[str, Case]:
    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = column("image", {"bytes": PNG, "path": None}, kind=picture)
    good = table.to_pylist()
    made: dict[str, Case] = {}

    def case(name: str, pattern: str, *args, **options) -> None:
        made[f"saved {name}"] = (lambda folder: arrow(folder, *args, **options)), pattern

    names = {"parent": "../secret.arrow", "root": "/etc/passwd", "address": LOCAL, "dots": "..",
             "here": ".", "empty": "", "number": 5, "nul": "a\0", "drive": "C:a"}  # fmt: skip
    for name, value in names.items():
        state = {"_data_files": [{"filename": value}]}
        case(f"file {name}", "no paths, no addresses", table, state=state)
        made[f"saved split {name}"] = (partial(splits, names=[value])), "no paths, no addresses"
    for name, value in {"none": None, "object": {}, "text": "train", "list": [["a"]]}.items():
        made[f"saved splits {name}"] = partial(splits, names=value), "no paths, no addresses"
        case(f"files {name}", "no paths, no addresses", table, state={"_data_files": value})
    twice = {"_data_files": [{"filename": "d.arrow"}] * 2}
    case("file twice", "each once", table, state=twice)
    case("file missing", "missing", table, state={"_data_files": [{"filename": "e.arrow"}]})
    for name, value in {"deep": "[" * 10**6, "garbage": "\0\1", "list": "[]"}.items():
        case(f"state {name}", "not JSON|must be names", table, state=value)
        case(f"features {name}", "not JSON" if name != "list" else "", table, features=value)
    made["saved split linked"] = linked_split, LINK
    for path, reason in {LOCAL: ADDRESS, "file:///etc/passwd": ADDRESS, "/etc/passwd": LEAVES,
                         "../secret.png": LEAVES}.items():  # fmt: skip
        rows = [good[0], good[0] | {"image": {"bytes": None, "path": path}}]
        feature = {"image": {"_type": "Image"}}
        one = pa.Table.from_pylist(rows, table.schema)
        case(f"picture {ascii(path)}".replace("/", "_"), reason, one, features=feature)
        for kind in ("Image", "Audio", "Video", "Pdf", "Nifti"):
            nested = column("extra", {"pic": [{"bytes": None, "path": path}]})
            feature = {"extra": {"pic": {"_type": "List", "feature": {"_type": kind}}}}
            case(f"nested {kind} {ascii(path)}".replace("/", "_"), "", nested, features=feature)
    asked = column("details", {"pic": {"bytes": None, "path": LOCAL}})
    case("details with a picture", "", asked, features={"details": {"pic": {"_type": "Image"}}})
    case("details with bytes", "details that JSON", column("details", {"a": b"\xff"}))
    case("prompt that is a sound", FIELD, pa.table({"prompt": [{"path": LOCAL}], "answer": ["a"]}),
         features={"prompt": {"_type": "Audio"}})  # fmt: skip
    case("unknown kind", "", table, features={"x": {"_type": "__import__"}})
    case("deep kind", "", table, features=json.dumps({"features": nest(200)}))
    case("too deep kind", "not JSON", table, features='{"features":' + '{"feature":' * 10**5)
    case("classes without names", "does not describe", column("label", 1),
         features={"label": {"_type": "ClassLabel", "names": 5}})  # fmt: skip
    case("class of no name", "number of no class", column("label", 0, 10**9, -9),
         features={"label": {"_type": "ClassLabel", "names": ["a"]}})  # fmt: skip
    many = pa.table({f"c{i}": pa.array([1]) for i in range(20_000)})
    case("20,000 columns", "no column with the question", many, features=dict.fromkeys("ab"))
    twins = pa.Table.from_arrays([pa.array(["a"])] * 4, ["prompt", "prompt", "answer", "answer"])
    case("columns twice", "", twins)
    case(
        "times beyond Python",
        "Python cannot hold",
        column("answer", 2**62, 1, kind=pa.timestamp("s")),
    )
    case("time in no zone", "Python cannot", column("answer", 2, kind=pa.timestamp("s", "../../a")))
    case("compressed", "compressed", table, compression="zstd")
    nulls = pa.ListArray.from_arrays(pa.array([0, 2**31 - 2], pa.int32()), pa.nulls(2**31 - 2))
    case("two billion nulls", "parts", pa.table({"prompt": ["p"], "answer": ["a"], "boxes": nulls}))
    case("rows of nothing", "more rows than bytes", pa.table({"prompt": pa.nulls(10**9)}))
    case("one text for all", "not read", dictionary(["p" * 10**8], 100))
    case("views", "not read", column("answer", "a", kind=pa.string_view()))
    case("not UTF-8", "cannot be read", pa.table({"prompt": pa.array([b"\xff"]).view(pa.string())}))
    deep = pa.array([1])
    for _ in range(60):
        deep = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), deep)
    case("deep lists", "", pa.table({"prompt": ["p"], "answer": ["a"], "boxes": deep}))
    for kind in ("cut", "pipe", "folder", "same", "/dev/zero", "nowhere"):
        made[f"saved Arrow {kind}".replace("/", "_")] = (
            replaced("d.arrow", kind, table),
            ("is a link that is not followed|cannot be read"),
        )
        made[f"saved state {kind}".replace("/", "_")] = replaced("state.json", kind, table), ""
    for number in range(25):
        made[f"saved Arrow damaged {number:02}"] = partial(damaged_arrow, seed=number), ""
    return made


def splits(folder: Path, names: object) -> None:
    folder.mkdir(parents=True)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": names}))


def linked_split(folder: Path) -> None:
    splits(folder, ["train"])
    arrow(folder.parent / "secret", pa.table({"prompt": ["CANARY"], "answer": ["a"]}))
    (folder / "train").symlink_to("../secret")


def nest(depth: int) -> dict:
    feature: dict = {"_type": "Image"}
    for _ in range(depth):
        feature = {"feature": feature, "_type": "List"}
    return {"image": feature}


def dictionary(values: list[str], rows: int) -> pa.Table:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), values)
    return pa.table({"prompt": column, "answer": ["a"] * rows})


def replaced(name: str, kind: str, table: pa.Table) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        arrow(folder, table)
        instead(name, kind)(folder)

    return write


def damaged_arrow(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    arrow(folder, pa.Table.from_pylist([GOOD | {"images": [{"bytes": PNG}]}] * 3))
    damage(folder / "d.arrow", rng)


def damage(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(rng.randrange(1, 30)):
        data[rng.randrange(len(data))] = rng.choice((0, 255, rng.randrange(256)))
    file.write_bytes(data)


def in_parquet() -> dict[str, Case]:
    made: dict[str, Case] = {}
    row = sample_row(GOOD_SAMPLE)

    def case(name: str, pattern: str, table: pa.Table, **options) -> None:
        def write(folder: Path) -> None:
            folder.mkdir(parents=True)
            pq.write_table(table, folder / "part-00000.parquet", **options)

        made[f"Parquet {name}"] = write, pattern

    for name, content in {"empty": b"", "garbage": b"PAR1" + bytes(99) + b"PAR1"}.items():
        made[f"Parquet {name}"] = _file("part-0.parquet", content), "cannot be read"
    for seed in range(25):
        made[f"Parquet damaged {seed:02}"] = partial(damaged_parquet, seed=seed), ""
    one = pa.array(["p"] * 2_000_000)
    case("one row for all", "more rows than bytes", pa.table({"prompt": one}), compression="zstd")
    texts = dictionary(["p" * 20_000_000], 40)
    for name in ("task", "split"):
        texts = texts.append_column(name, pa.array(["train"] * 40))
    case("one text for all", "text of more than", texts, compression="zstd", store_schema=False)
    case("of other columns", "", pa.table({"a": [1, 2]}))
    case("of views", "", pa.table({"prompt": pa.array(["p"], pa.string_view())}))
    case("of numbers", "", pa.table({name: [1] for name in SAMPLES}))
    case("of texts", "", pa.table({name: ["/etc/passwd"] for name in SAMPLES}))
    for path in (LOCAL, "/etc/passwd", "../secret.png"):
        bad = row | {"id": "b", "images": [{"bytes": None, "path": path}]}
        made[f"Parquet path {ascii(path)}".replace("/", "_")] = (
            (lambda folder, bad=bad: write_shards([row, bad], folder, SAMPLES)),
            "images",
        )
    return made


def _file(name: str, content: bytes) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return write


def damaged_parquet(folder: Path, seed: int) -> None:
    rows = [sample_row(GOOD_SAMPLE) | {"id": str(i)} for i in range(5)]
    write_shards(rows, folder, SAMPLES)
    damage(folder / "part-00000.parquet", random.Random(seed))
