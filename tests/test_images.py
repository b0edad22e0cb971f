"""Loaders of photographs: what they read, and what they refuse in one sentence."""

import gzip
import hashlib
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

from mvlib import images
from mvlib.checks import BadInput
from mvlib.image_archives import read_idx
from mvlib.images import PARTS, Images, cifar, digits, download_fashion_mnist, fashion_mnist, load

# 3 images of 2 x 2 pixels, by hand: 00 00 08, three dimensions, 3, 2, 2, then twelve values.
BY_HAND = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, *range(12)])


def idx(array: np.ndarray) -> bytes:
    shape = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def write(folder: Path, *, packed: bool = True, **changed: bytes) -> Path:
    """Four idx files of 12 training and 4 test images, some replaced."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        n = 12 if part.startswith("train") else 4
        array = np.arange(n) % 10 if "labels" in part else np.arange(n * 64).reshape(n, 8, 8)
        content = changed.get(part.split("-")[0] + "_" + part.split("-")[1], idx(array))
        name = f"{part}-ubyte"
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def refused(function: Callable[[], Any], *words: str) -> str:
    with pytest.raises(BadInput) as caught:
        function()
    said = str(caught.value)
    assert all(word in said for word in words), said
    assert "\n" not in said and said.endswith("."), said
    return said


# ---------------------------------------------------------------- idx and Fashion-MNIST


def test_an_idx_file_by_hand() -> None:
    found = read_idx(BY_HAND)
    assert found.dtype == np.uint8 and found.shape == (3, 2, 2)
    assert found[2].tolist() == [[8, 9], [10, 11]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["idx header"]),
        (b"\x89PNG" + BY_HAND, ["idx header", "00 00 08"]),
        (b"\0\0\x0d" + BY_HAND[3:], ["idx header"]),  # floats
        (BY_HAND[:9], ["idx header"]),
        (BY_HAND[:-1], ["= 11", "be 12", "(3, 2, 2)"]),
        (BY_HAND + b"!", ["= 13", "be 12"]),
    ],
)
def test_a_damaged_idx_file_is_refused(content: bytes, words: list[str]) -> None:
    refused(lambda: read_idx(content, "file"), "file", "get it again", *words)


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_of_idx_files(tmp_path: Path, packed: bool) -> None:
    found = fashion_mnist(write(tmp_path, packed=packed), sha256=None)
    assert found.train_pixels.shape == (12, 1, 8, 8) and found.test_pixels.shape == (4, 1, 8, 8)
    assert found.train_labels.tolist() == [*range(10), 0, 1] and found.n_classes == 10
    assert found.train_pixels[1, 0, 0, 0] == 64


def test_checksums_are_of_the_content(tmp_path: Path) -> None:
    folder = write(tmp_path)
    contents = [gzip.decompress((folder / f"{p}-ubyte.gz").read_bytes()) for p in PARTS]
    right = [hashlib.sha256(content).hexdigest() for content in contents]
    fashion_mnist(folder, sha256=right)
    refused(lambda: fashion_mnist(folder, sha256=[*right[:3], "0" * 64]), "checksum", PARTS[3],
            "dataset-fashion-mnist")  # fmt: skip
    refused(lambda: fashion_mnist(folder), "checksum", images.SHA256[0])


def test_bad_folders(tmp_path: Path) -> None:
    refused(lambda: fashion_mnist(tmp_path), str(tmp_path), *PARTS, "dataset-fashion-mnist")
    folder = write(tmp_path)
    packed = folder / f"{PARTS[2]}-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-20])
    refused(lambda: fashion_mnist(folder, sha256=None), PARTS[2], "complete gzip")
    write(folder, train_labels=idx(np.full(12, 10)))
    refused(lambda: fashion_mnist(folder, sha256=None), "train_labels", "= 10", "[0, 9]")
    write(folder, t10k_labels=idx(np.arange(3)))
    refused(lambda: fashion_mnist(folder, sha256=None), "test_labels", "(3,)", "(4,)")
    write(folder, t10k_images=idx(np.zeros((4, 7, 8))))
    refused(lambda: fashion_mnist(folder, sha256=None), "test_pixels", "(n, 1, 8, 8)")
    write(folder, train_images=idx(np.zeros(12)))
    refused(lambda: fashion_mnist(folder, sha256=None), PARTS[0], "3 dimension")


def test_images_must_belong_together() -> None:
    pixels, labels = np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.int64)
    good = dict(train_pixels=pixels, train_labels=labels, test_pixels=pixels, test_labels=labels,
                n_classes=2)  # fmt: skip
    Images(**good)
    refused(lambda: Images(**good | {"train_labels": labels - 1}), "train_labels", "= -1")


def test_unknown_names() -> None:
    refused(lambda: load("mnist"), "dataset", "'mnist'", "fashion-mnist")


@pytest.mark.skipif(not images.here("fashion-mnist"), reason="Fashion-MNIST is not installed")
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


def test_a_wrong_download_leaves_nothing(server: str, tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    refused(lambda: download_fashion_mnist(tmp_path, source=server), PARTS[0], "checksum is wrong")
    assert list(tmp_path.iterdir()) == []


def test_no_network(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    nobody = "http://127.0.0.1:9/"  # the discard port: nobody listens
    refused(lambda: download_fashion_mnist(tmp_path, source=nobody), "ConnectionError",
            "dataset-fashion-mnist", "data/")  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_what_was_fetched_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pooch")
    write(tmp_path)
    found = [hashlib.md5((tmp_path / f"{p}-ubyte.gz").read_bytes()).hexdigest() for p in PARTS]
    monkeypatch.setattr(images, "MD5", found)
    assert download_fashion_mnist(tmp_path, source="http://127.0.0.1:9/") == tmp_path


def test_without_optional_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(images, "DEBIAN", tmp_path)
    monkeypatch.setattr(images, "DATA", tmp_path)
    refused(fashion_mnist, "pip install pooch", "dataset-fashion-mnist")
    refused(digits, "pip install scikit-learn")
    assert not images.here("fashion-mnist") and images.here("digits")


def test_digits_are_doubled() -> None:
    pytest.importorskip("sklearn")
    found = digits()
    assert found.train_pixels.shape[1:] == (1, 16, 16)
    assert len(found.train_labels) + len(found.test_labels) == 1797
    image = found.train_pixels[0, 0]
    assert np.array_equal(image[::2, ::2], image[1::2, 1::2]) and image.max() > 200


# ---------------------------------------------------------------- CIFAR


def batch(n: int, key: bytes, *, first: int = 0, k: int = 10) -> dict[bytes, object]:
    data = np.arange(n * 3072).reshape(n, 3072).astype(np.uint8)
    return {b"data": data, key: [(first + i) % k for i in range(n)], b"batch_label": b"x"}


def archive(path: Path, batches: dict[str, object]) -> Path:
    """A small archive in the official format: pickles of protocol 2 in a tar.gz."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in batches.items():
            pickled = pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"cifar-batches-py/{name}")
            member.size = len(pickled)
            tar.addfile(member, io.BytesIO(pickled))
    return path


def ten() -> dict[str, object]:
    parts: dict[str, object] = {
        f"data_batch_{i}": batch(2, b"labels", first=2 * i) for i in range(1, 6)
    }
    return parts | {"test_batch": batch(3, b"labels")}


def test_cifar_10(tmp_path: Path) -> None:
    path = archive(tmp_path / "cifar-10-python.tar.gz", ten())
    found = cifar(path, 10, md5=None)
    assert found.train_pixels.shape == (10, 3, 32, 32) and found.test_pixels.shape == (3, 3, 32, 32)
    assert found.train_labels.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert found.train_pixels[1, 2, 31, 31] == (2 * 3072 - 1) % 256  # blue comes last
    refused(lambda: cifar(path, 10), "md5", images.CIFAR_MD5[10])
    refused(lambda: load("cifar-10", tmp_path), "md5")


def test_cifar_100_has_fine_labels(tmp_path: Path) -> None:
    parts = {"train": batch(4, b"fine_labels", first=97, k=100), "test": batch(2, b"fine_labels")}
    found = cifar(archive(tmp_path / "c", {**parts}), 100, md5=None)
    assert found.train_labels.tolist() == [97, 98, 99, 0] and found.n_classes == 100


class Acts:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_an_archive_cannot_act(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = archive(tmp_path / "c", ten() | {"test_batch": Acts(made)})
    refused(lambda: cifar(path, 10, md5=None), "mkdir", "no image needs")
    assert not made.exists()


def test_bad_archives(tmp_path: Path) -> None:
    def read(batches: dict[str, object]) -> Images:
        return cifar(archive(tmp_path / "c", batches), 10, md5=None)

    refused(lambda: cifar(tmp_path / "none.tar.gz", 10), "none.tar.gz", "exist", "CIFAR-10")
    less = ten()
    del less["data_batch_3"]
    refused(lambda: read(less), "data_batch_3")
    narrow = {b"data": np.zeros((2, 99), np.uint8), b"labels": [0, 1]}
    refused(lambda: read(ten() | {"test_batch": narrow}), "(2, 99)", "3072")
    refused(lambda: read(ten() | {"test_batch": [1, 2]}), "test_batch", "NoneType")
    refused(lambda: read(ten() | {"test_batch": batch(2, b"labels", first=10, k=20)}),
            "test_labels", "[0, 9]")  # fmt: skip
    path = archive(tmp_path / "c", ten())
    path.write_bytes(path.read_bytes()[:300])
    refused(lambda: cifar(path, 10, md5=None), "readable")
