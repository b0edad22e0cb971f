"""Loaders of photographs: what they read, and what they refuse in one sentence."""

import gzip
import hashlib
import importlib
import io
import os
import pickle
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvlib.core import folders
from mvlib.core.checks import BadInput
from mvlib.core.folders import choose_data_folder, data_folder, results_folder
from mvlib.deep import photographs as images
from mvlib.deep.photographs import (
    PARTS,
    Images,
    class_names,
    digits,
    download_fashion_mnist,
    here,
    load,
    read_batch,
    read_idx,
)

FASHION = tuple(PARTS["fashion-mnist"])
# 3 images of 2 x 2 pixels, by hand: 00 00 08, three dimensions, 3, 2, 2, then twelve values.
BY_HAND = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, *range(12)])
Contents = dict[str, bytes]


def idx(array: np.ndarray) -> bytes:
    shape = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def fashion() -> Contents:
    """Four idx files of 12 training and 4 test images."""
    made = {}
    for part in FASHION:
        n = 12 if part.startswith("train") else 4
        array = np.arange(n) % 10 if "labels" in part else np.arange(n * 64).reshape(n, 8, 8)
        made[part] = idx(array)
    return made


def batch(n: int, *, first: int = 0, k: int = 10, key: str = "labels") -> dict[str, Any]:
    data = np.arange(n * 3072).reshape(n, 3072).astype(np.uint8)
    return {"data": data, key: [(first + i) % k for i in range(n)], "batch_label": "x"}


def cifar_10(**changed: Any) -> Contents:
    parts: dict[str, Any] = {f"data_batch_{i}": batch(2, first=2 * i) for i in range(1, 6)}
    parts |= {"test_batch": batch(3)} | changed
    return {name: pickle.dumps(part, protocol=2) for name, part in parts.items()}


def cifar_100() -> Contents:
    train = batch(4, first=97, k=100, key="fine_labels") | {"coarse_labels": [1, 2, 3, 4]}
    parts = {"train": train, "test": batch(2, k=100, key="fine_labels")}
    return {name: pickle.dumps(part, protocol=2) for name, part in parts.items()}


MADE = {"fashion-mnist": fashion, "cifar-10": cifar_10, "cifar-100": cifar_100}


def write(folder: Path, contents: Contents, pattern: str = "{}") -> Path:
    """The files, each at the pattern's place; packed where the pattern says .gz."""
    for part, content in contents.items():
        path = folder / pattern.format(part, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return folder


def tar(path: Path, contents: Contents, mode: Any = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as made:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return path


def refused(function: Callable[[], Any], *words: str) -> str:
    with pytest.raises(BadInput) as caught:
        function()
    said = str(caught.value)
    assert all(word in said for word in words), said
    assert "\n" not in said and said.endswith("."), said
    return said


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no file of Debian's."""
    monkeypatch.setenv("MVLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(images, "DEBIAN", tmp_path / "none")
    return tmp_path / "data"


# ---------------------------------------------------------------- where files lie


@pytest.mark.parametrize(("kind", "folder"), [("data", data_folder), ("results", results_folder)])
def test_where_files_lie(
    kind: str, folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option before the variable, the variable before the clone, the clone before the user's
    folder, and never a folder among installed packages."""
    variable = f"MVLIB_{kind.upper()}"
    monkeypatch.delenv(variable, raising=False)
    assert folder() == Path(__file__).resolve().parents[2] / kind
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(folders, "files", lambda name: tmp_path / "site-packages" / name)
    installed = folder()
    assert installed.name == kind and "site-packages" not in installed.parts
    if sys.platform == "linux":
        assert installed == tmp_path / "share" / "mvlib" / kind
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "pyproject.toml").write_text('name = "somebody\'s"')
    assert folder() == installed
    monkeypatch.setenv(variable, "~/pictures")
    assert folder() == Path.home() / "pictures"
    assert folder(tmp_path) == tmp_path
    monkeypatch.setenv(variable, "")
    assert folder() == installed
    (tmp_path / "file").touch()
    refused(lambda: folder(tmp_path / "file"), f"--{kind} ({variable})", "be a folder")


def test_a_chosen_folder_is_for_the_processes_that_follow(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path, fashion(), "mine/{}").resolve())
    assert not here("fashion-mnist")
    choose_data_folder("mine")
    assert os.environ["MVLIB_DATA"] == str(tmp_path.resolve() / "mine")
    monkeypatch.chdir("/")
    assert here("fashion-mnist") and data_folder() == tmp_path.resolve() / "mine"


LAYOUTS = [
    ("fashion-mnist", "{}"),
    ("fashion-mnist", "{}.gz"),
    ("fashion-mnist", "FashionMNIST/raw/{}"),
    ("fashion-mnist", "FashionMNIST/raw/{}.gz"),
    ("fashion-mnist", "fashion-mnist/{}.gz"),
    ("fashion-mnist", "raw/{}.gz"),  # where --data names torchvision's folder of the collection
    ("fashion-mnist", "{}/{}"),
    ("fashion-mnist", "{}.gz/{}"),
    ("cifar-10", "cifar-10-batches-py/{}"),
    ("cifar-10", "cifar-10-python/cifar-10-batches-py/{}"),
    ("cifar-10", "cifar-10/{}/{}"),
    ("cifar-10", "{}"),
    ("cifar-100", "cifar-100-python/{}"),
    ("cifar-100", "cifar-100-python/cifar-100-python/{}"),
    ("cifar-100", "{}"),
]


@pytest.mark.parametrize(("name", "pattern"), LAYOUTS)
def test_layouts(name: str, pattern: str, data: Path) -> None:
    contents = MADE[name]()
    expected = load(name, write(data.parent / "plain", contents), check=False)
    assert not here(name)
    write(data, contents, pattern)
    others = {part: b"\0\5\x16\7 Mac OS X" for part in contents}  # its notes beside every file
    write(data, others, "__MACOSX/._{}")
    write(data, others, "__MACOSX/{}")
    write(data, others, "MNIST/raw/{}")  # other images under the same names
    found = load(name, check=False)
    assert here(name)
    for field in ("train_pixels", "train_labels", "test_pixels", "test_labels"):
        assert np.array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("place", ["", "cifar-10", "cifar-10-python.tar.gz"])
@pytest.mark.parametrize("inside", ["cifar-10-batches-py/", ""])
def test_archives(mode: str, place: str, inside: str, data: Path) -> None:
    name = "cifar-10-python.tar" + (".gz" if mode == "w:gz" else "")
    contents = {f"{inside}{part}": content for part, content in cifar_10().items()}
    others = {f"__MACOSX/{part}": b"notes" for part in contents}
    place = place if mode == "w:gz" or place != "cifar-10-python.tar.gz" else name
    tar(data / place / name, contents | others, mode)
    assert here("cifar-10") and not here("cifar-100")
    found = load("cifar-10", check=False)
    assert found.train_pixels.shape == (10, 3, 32, 32) and found.test_pixels.shape == (3, 3, 32, 32)
    assert found.train_labels.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert found.train_pixels[1, 2, 31, 31] == (2 * 3072 - 1) % 256  # blue comes last


def test_debians_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DEBIAN", write(data.parent / "debian", fashion(), "{}.gz"))
    assert here("fashion-mnist") and len(load("fashion-mnist", check=False).train_labels) == 12
    images._load.cache_clear()
    # The reader's own copy goes before it.
    write(data, fashion() | {FASHION[1]: idx(np.full(12, 3))}, "FashionMNIST/raw/{}")
    assert set(load("fashion-mnist", check=False).train_labels.tolist()) == {3}


@pytest.mark.parametrize("name", PARTS)
def test_what_is_missing_is_said(name: str, tmp_path: Path) -> None:
    contents = MADE[name]()
    *_, last = contents
    del contents[last]
    said = refused(lambda: load(name, write(tmp_path, contents)), name, str(tmp_path),
                   f"lacks {last};", "--data", "MVLIB_DATA", f"into {tmp_path}")  # fmt: skip
    assert ("dataset-fashion-mnist" in said) == (name == "fashion-mnist")
    assert ("python.tar.gz" in said) == (name != "fashion-mnist")


@pytest.mark.parametrize("function", [load, class_names])
def test_unknown_names(function: Callable[[str], Any]) -> None:
    refused(lambda: function("mnist"), "dataset", "'mnist'", "fashion-mnist")


@pytest.mark.parametrize(("name", "k"), [("fashion-mnist", 10), ("cifar-10", 10), ("digits", 10),
                                         ("cifar-100", 100)])  # fmt: skip
def test_classes_have_names(name: str, k: int) -> None:
    names = class_names(name)
    assert len(set(names)) == k
    if name == "cifar-100":
        assert list(names) == sorted(names) and (names[52], names[97]) == ("oak tree", "wolf")


# ---------------------------------------------------------------- idx and Fashion-MNIST


def test_an_idx_file_by_hand() -> None:
    found = read_idx(BY_HAND, "file", 3)
    assert found.dtype == np.uint8 and found.shape == (3, 2, 2)
    assert found[2].tolist() == [[8, 9], [10, 11]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["idx header"]),
        (b"\x89PNG" + BY_HAND, ["idx header", "00 00 08 03"]),
        (b"\0\0\x0d" + BY_HAND[3:], ["idx header"]),  # floats
        (idx(np.zeros(12)), ["idx header"]),  # labels
        (BY_HAND[:9], ["idx header"]),
        (BY_HAND[:-1], ["= 11", "be 12", "(3, 2, 2)"]),
        (BY_HAND + b"!", ["= 13", "be 12"]),
    ],
)
def test_a_damaged_idx_file_is_refused(content: bytes, words: list[str]) -> None:
    refused(lambda: read_idx(content, "file", 3), "file", "get it again", *words)


def test_a_folder_of_idx_files(tmp_path: Path) -> None:
    found = load("fashion-mnist", write(tmp_path, fashion()), check=False)
    assert found.train_pixels.shape == (12, 1, 8, 8) and found.test_pixels.shape == (4, 1, 8, 8)
    assert found.train_labels.tolist() == [*range(10), 0, 1] and found.n_classes == 10
    assert found.train_pixels[1, 0, 0, 0] == 64


@pytest.mark.parametrize("pattern", ["{}", "{}.gz"])
def test_checksums_are_of_the_content(
    tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, contents = write(tmp_path / "a", fashion(), pattern), fashion()
    right = {part: hashlib.md5(content).hexdigest() for part, content in contents.items()}
    refused(lambda: load("fashion-mnist", folder), "checksum", "check=False", right[FASHION[0]])
    monkeypatch.setitem(PARTS, "fashion-mnist", right)
    load("fashion-mnist", folder)
    contents[FASHION[3]] = idx(np.arange(4)[::-1])
    folder = write(tmp_path / "b", contents, pattern)
    refused(lambda: load("fashion-mnist", folder), "checksum", FASHION[3], right[FASHION[3]])


@pytest.mark.parametrize(
    ("part", "content", "words"),
    [
        (1, idx(np.full(12, 10)), ["train_labels", "= 10", "[0, 9]"]),
        (3, idx(np.arange(3)), ["test_labels", "(3,)", "(4,)"]),
        (2, idx(np.zeros((4, 7, 8))), ["test_pixels", "(1, 8, 8)"]),
        (0, idx(np.zeros(12)), [FASHION[0], "idx header"]),
    ],
)
def test_files_that_do_not_belong_together(
    part: int, content: bytes, words: list[str], tmp_path: Path
) -> None:
    folder = write(tmp_path, fashion() | {FASHION[part]: content})
    refused(lambda: load("fashion-mnist", folder, check=False), *words)


def test_truncated_and_misnamed_files(tmp_path: Path) -> None:
    packed = write(tmp_path, fashion(), "{}.gz") / f"{FASHION[2]}.gz"
    whole = packed.read_bytes()
    for damaged in (whole[:-20], whole[:2], whole[:20] + b"!!" + whole[22:]):
        packed.write_bytes(damaged)
        refused(lambda: load("fashion-mnist", tmp_path, check=False), FASHION[2], "complete")
    for other in (b"", b"<html>not found"):
        packed.write_bytes(other)
        refused(lambda: load("fashion-mnist", tmp_path, check=False), FASHION[2], "idx header")
    packed.write_bytes(fashion()[FASHION[2]])  # some browsers unpack and leave the name
    assert len(load("fashion-mnist", tmp_path, check=False).test_pixels) == 4


def test_images_must_belong_together() -> None:
    pixels, labels = np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.int64)
    good = dict(train_pixels=pixels, train_labels=labels, test_pixels=pixels, test_labels=labels,
                n_classes=2)  # fmt: skip
    Images(**good)
    refused(lambda: Images(**good | {"train_labels": labels - 1}), "train_labels", "= -1")


@pytest.mark.skipif(not here("fashion-mnist"), reason="Fashion-MNIST is not installed")
def test_the_published_files() -> None:
    found = load("fashion-mnist")
    assert found.train_pixels.shape == (60000, 1, 28, 28) and len(found.test_labels) == 10000
    assert np.bincount(found.train_labels).tolist() == [6000] * 10
    assert load("fashion-mnist") is found, "read once in a process"


# ---------------------------------------------------------------- downloads


@pytest.fixture
def server() -> Iterator[str]:
    """Answers every request with a few bytes that are not what was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"not an image")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_wrong_download_leaves_nothing(
    server: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pooch")
    monkeypatch.setattr(images, "SOURCE", server)
    refused(download_fashion_mnist, FASHION[0], "hash")
    assert list(data.iterdir()) == []


def test_no_network(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pooch")
    nobody = "http://127.0.0.1:9/"  # the discard port: nobody listens
    monkeypatch.setattr(images, "SOURCE", nobody)
    refused(lambda: load("fashion-mnist"), "ConnectionError", nobody, "dataset-fashion-mnist",
            f"into {data}", "--data", "MVLIB_DATA")  # fmt: skip
    assert list(data.iterdir()) == []


def test_what_was_fetched_is_kept(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pooch")
    write(data, fashion(), "{}.gz")
    found = [hashlib.md5((data / f"{p}.gz").read_bytes()).hexdigest() for p in FASHION]
    monkeypatch.setattr(images, "SOURCE_MD5", found)
    monkeypatch.setattr(images, "SOURCE", "http://127.0.0.1:9/")
    assert download_fashion_mnist() == data


def test_without_optional_packages(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    refused(lambda: load("fashion-mnist"), "pooch", "dataset-fashion-mnist", str(data))
    refused(digits, "pip install scikit-learn")
    assert not here("fashion-mnist") and here("digits")


def test_digits_are_doubled() -> None:
    pytest.importorskip("sklearn")
    found = digits()
    assert found.train_pixels.shape[1:] == (1, 16, 16)
    assert len(found.train_labels) + len(found.test_labels) == 1797
    image = found.train_pixels[0, 0]
    assert np.array_equal(image[::2, ::2], image[1::2, 1::2]) and image.max() > 200


# ---------------------------------------------------------------- CIFAR


def test_cifar_100_has_fine_labels(data: Path) -> None:
    found = load("cifar-100", write(data, cifar_100()), check=False)
    assert found.train_labels.tolist() == [97, 98, 99, 0] and found.n_classes == 100
    refused(lambda: load("cifar-100", data), "checksum", PARTS["cifar-100"]["train"])


# As Python 2 wrote them: words are bytes, numpy's modules have their old names, flags are integers.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
    b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01"
    b"\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00"
    + bytes(range(256)) * 12
    + b"tbU\x06labelsq\x08]q\x09K\x07au."
)


def test_a_batch_of_python_2() -> None:
    pixels, labels = read_batch(PYTHON_2, "batch")
    assert pixels.shape == (1, 3, 32, 32) and pixels[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert labels.tolist() == [7]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "key",
    [str, str.encode, np.str_, lambda k: np.bytes_(k.encode())],
    ids=["words", "bytes", "numpy's words", "numpy's bytes"],
)
@pytest.mark.parametrize("labels", [list, tuple, np.array, lambda y: [np.uint8(i) for i in y]])
def test_batches_of_any_python(
    protocol: int, key: Callable[[str], Any], labels: Callable[[list[int]], Any]
) -> None:
    made = batch(2) | {"labels": labels([3, 4])}
    content = pickle.dumps({key(k): v for k, v in made.items()}, protocol=protocol)
    pixels, found = read_batch(content, "batch")
    assert np.array_equal(pixels.reshape(2, 3072), made["data"])
    assert found.tolist() == [3, 4] and found.dtype == np.int64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [[1], [2, 3]]}, ["labels", "object", "be 2 integers"]),
        ({"labels": ["cat", "dog"]}, ["labels", "be 2 integers"]),
        ({"labels": "ab"}, ["labels", "be 2 integers"]),
        ({"labels": [[1, [2]], 3]}, ["labels", "object", "be 2 integers"]),
        ({"labels": [np.zeros(2), np.zeros(3)]}, ["labels", "object", "be 2 integers"]),
        ({"labels": np.array([1, "x"], object)}, ["labels", "object", "be 2 integers"]),
        ({"labels": {0: 1, 1: 2}}, ["labels", "object", "be 2 integers"]),
        ({"labels": [2**70, 1]}, ["labels", "object", "be 2 integers"]),
        ({"labels": [1.5, 2.0]}, ["labels", "float64"]),
        ({"labels": [1, 2, 3]}, ["labels", "(3,)"]),
        ({"labels": [[1, 0], [0, 1]]}, ["labels", "(2, 2)"]),
        ({"labels": None}, ["labels", "object"]),
        ({"data": np.zeros((2, 99), np.uint8)}, ["data", "(2, 99)", "3072"]),
        ({"data": np.zeros((2, 3072))}, ["data", "float64"]),
        ({"data": [[1], [2, 3]]}, ["data", "object"]),
        ({"data": None}, ["data", "object"]),
    ],
)
def test_bad_batches(change: dict[str, Any], words: list[str]) -> None:
    refused(lambda: read_batch(pickle.dumps(batch(2) | change), "batch 7"), "batch 7", *words)


class Asks:
    """Unpickling it would call a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.asked = function, arguments

    def __reduce__(self) -> Any:
        return self.asked


@pytest.mark.parametrize(
    ("function", "words"),
    [(os.mkdir, "mkdir"), (importlib.import_module, "import_module"), (np.fromfile, "fromfile")],
)
def test_a_batch_cannot_act(function: Callable[..., Any], words: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    content = pickle.dumps(Asks(function, str(made)))
    refused(lambda: read_batch(content, "batch"), "batch", words, "no image needs")
    assert not made.exists()


@pytest.mark.parametrize("content", [b"", b"<html>", pickle.dumps(batch(1))[:500], b"\x80\x02]."])
def test_damaged_batches(content: bytes) -> None:
    refused(lambda: read_batch(content, "batch"), "batch", "get it again")


def test_bad_archives(tmp_path: Path) -> None:
    def read() -> Images:
        return load("cifar-10", tmp_path, check=False)

    path = tmp_path / "cifar-10-python.tar.gz"
    less = cifar_10()
    del less["data_batch_3"]
    tar(path, less)
    refused(read, "data_batch_3", str(path))
    tar(path, cifar_10(test_batch=batch(2, first=10, k=20)))
    refused(read, "test_labels", "[0, 9]")
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    refused(read, str(path), "complete")
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:5000]))
    refused(read, str(path), "get it again")
    path.write_bytes(gzip.compress(b"<html>"))
    refused(read, str(path), "readable")
