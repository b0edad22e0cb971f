"""Photographs: Fashion-MNIST, CIFAR-10 and CIFAR-100, and scikit-learn's digits as a tiny stand-in.

`load` looks in the folder it is given (by default `data/`), for Fashion-MNIST also where Debian's
package puts it, and then asks the published source.  What is found is checked against checksums
before it is used; what is downloaded gets its name only once it is complete.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvlib.checks import BadInput, require
from mvlib.image_archives import read_cifar, read_idx

DATASETS = ("fashion-mnist", "cifar-10", "cifar-100", "digits")
DATA = Path(__file__).resolve().parent.parent / "data"  # of this clone
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SOURCE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
# Of the published .gz files, and of what is in them (packers differ: Debian packed them again).
MD5 = ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
       "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310")  # fmt: skip
SHA256 = ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
          "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
          "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
          "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34")  # fmt: skip
CIFAR_MD5 = {10: "c58f30108f718f92721af3b95e74349a", 100: "eb9058c3a382ffc7106e4002c42a8d85"}
GET_FASHION = "install Debian's package dataset-fashion-mnist, or put the four idx files into data/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Labelled photographs in their official split.

    Attributes:
        train_pixels, test_pixels: uint8 (n, channels, height, width), 0 black to 255 white.
        train_labels, test_labels: int64 (n,), 0 to n_classes - 1.
        n_classes: k.

    Raises:
        BadInput: if shapes do not belong together or a label is out of range.
    """

    train_pixels: np.ndarray
    train_labels: np.ndarray
    test_pixels: np.ndarray
    test_labels: np.ndarray
    n_classes: int

    def __post_init__(self) -> None:
        k, again = self.n_classes, "get the files again"
        for part in ("train", "test"):
            pixels, labels = getattr(self, f"{part}_pixels"), getattr(self, f"{part}_labels")
            like = f"have shape (n, {', '.join(map(str, self.train_pixels.shape[1:]))})"
            fits = pixels.ndim == 4 and pixels.shape[1:] == self.train_pixels.shape[1:]
            require(fits, f"{part}_pixels", "X", pixels.shape, like, again)
            require(labels.shape == (len(pixels),), f"{part}_labels", "y", labels.shape,
                    f"have shape ({len(pixels)},), one label an image", again)  # fmt: skip
            for label in (int(labels.min(initial=0)), int(labels.max(initial=0))):
                require(0 <= label < k, f"{part}_labels", "y", label, f"lie in [0, {k - 1}]", again)


def load(name: str, folder: str | Path | None = None) -> Images:
    """One of `DATASETS`, by name; read once in a process.

    Args:
        folder: where the files are, instead of `data/` (and, for Fashion-MNIST, Debian's folder
            and the published source).

    Raises:
        BadInput: if the name is unknown, or the files are missing or damaged.
    """
    require(name in DATASETS, "dataset", "name", name, f"be one of {DATASETS}", "pick one")
    return _load(name, None if folder is None else Path(folder))


@functools.lru_cache(maxsize=2)
def _load(name: str, folder: Path | None) -> Images:
    if name == "digits":
        return digits()
    if name == "fashion-mnist":
        return fashion_mnist(folder)
    k = int(name.removeprefix("cifar-"))
    return cifar((folder or DATA) / f"cifar-{k}-python.tar.gz", k)


def here(name: str) -> bool:
    """Whether `load(name)` would find its files on this machine without a network."""
    if name == "fashion-mnist":
        return any(_complete(folder) for folder in (DATA, DEBIAN))
    return name == "digits" or (DATA / f"{name}-python.tar.gz").exists()


# ---------------------------------------------------------------- Fashion-MNIST


def fashion_mnist(folder: Path | None = None, *, sha256: Sequence[str] | None = SHA256) -> Images:
    """60,000 + 10,000 grey images of 28 x 28 pixels, ten kinds of clothing.

    Args:
        folder: with the four idx files, packed (.gz) or not; by default `data/`, then Debian's
            folder, then the published source.
        sha256: of the four files' unpacked contents; None does not check.

    Raises:
        BadInput: if a file is missing, truncated or not the published one.
    """
    if folder is None:
        folder = next((f for f in (DATA, DEBIAN) if _complete(f)), None) or download_fashion_mnist()
    else:
        require(_complete(folder), "folder", "fashion-mnist", str(folder),
                f"hold {', '.join(PARTS)}, each -ubyte or -ubyte.gz", GET_FASHION)  # fmt: skip
    contents = [_unpacked(_part(folder, part)) for part in PARTS]
    for part, content, known in zip(PARTS, contents, sha256 or (None,) * 4, strict=True):
        found = hashlib.sha256(content).hexdigest()
        require(known in (None, found), f"checksum of {_part(folder, part)}", "sha256", found,
                f"be {known}", f"it is not the published file: {GET_FASHION}")  # fmt: skip
    arrays = [read_idx(c, _part(folder, p)) for p, c in zip(PARTS, contents, strict=True)]
    for part, array, dimensions in zip(PARTS, arrays, (3, 1, 3, 1), strict=True):
        require(array.ndim == dimensions, f"{part}-ubyte", "idx", array.shape,
                f"have {dimensions} dimension(s)", GET_FASHION)  # fmt: skip
    return Images(
        train_pixels=arrays[0][:, None],
        train_labels=arrays[1].astype(np.int64),
        test_pixels=arrays[2][:, None],
        test_labels=arrays[3].astype(np.int64),
        n_classes=10,
    )


def _part(folder: Path, part: str) -> Path:
    packed = folder / f"{part}-ubyte.gz"
    return packed if packed.exists() else folder / f"{part}-ubyte"


def _complete(folder: Path) -> bool:
    return all(_part(folder, part).exists() for part in PARTS)


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise BadInput(
            f"{path} ({len(content)} bytes) must be a complete gzip file ({error}); {GET_FASHION}."
        ) from error


def download_fashion_mnist(folder: Path | None = None, *, source: str = SOURCE) -> Path:
    """Fetch the published files that are not there yet; returns their folder (by default
    `data/`).  A file gets its name once it is complete and has the published checksum.

    Raises:
        BadInput: if pooch is not installed, the source does not answer, or what it sends is not
            what was published.
    """
    folder = folder or DATA
    try:
        import pooch
    except ImportError as error:
        raise BadInput(
            f"dataset = 'fashion-mnist' must be on this machine, or pooch to fetch it; "
            f"{GET_FASHION}, or pip install pooch."
        ) from error
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        for part, md5 in zip(PARTS, MD5, strict=True):
            name = f"{part}-ubyte.gz"
            pooch.retrieve(source + name, known_hash=f"md5:{md5}", fname=name, path=folder)
    except (OSError, ValueError) as error:  # requests' exceptions are OSErrors
        why = type(error).__name__ if isinstance(error, OSError) else "its checksum is wrong"
        raise BadInput(
            f"dataset = 'fashion-mnist' must be on this machine or at {source} ({name}: {why}); "
            f"{GET_FASHION}."
        ) from error
    finally:
        logger.setLevel(level)
    return folder


# ---------------------------------------------------------------- digits


def digits() -> Images:
    """scikit-learn's 1,797 grey digits of 8 x 8 pixels, each pixel doubled to 16 x 16; every
    fourth is a test image.  For trying things out: most networks err on few of them.

    Raises:
        BadInput: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise BadInput(
            "dataset = 'digits' must come with scikit-learn, which is missing; "
            "pip install scikit-learn."
        ) from error
    found = load_digits()
    doubled = np.kron(found.images, np.ones((1, 2, 2)))
    pixels = (doubled * (255 / 16)).round().astype(np.uint8)[:, None]
    labels = found.target.astype(np.int64)
    test = np.arange(len(labels)) % 4 == 3
    return Images(train_pixels=pixels[~test], train_labels=labels[~test],
                  test_pixels=pixels[test], test_labels=labels[test], n_classes=10)  # fmt: skip


# ---------------------------------------------------------------- CIFAR


def cifar(archive: Path, n_classes: int, *, md5: str | None = "official") -> Images:
    """CIFAR-10 or CIFAR-100 from the official archive "python version" (.tar.gz), 50,000 + 10,000
    colour images of 32 x 32 pixels.  Nothing is unpacked to the disk.

    Args:
        n_classes: 10, or 100 (fine labels).
        md5: of the archive; "official" is the published one, None does not check.

    Raises:
        BadInput: if the archive is missing, damaged or another one (see `read_cifar`).
    """
    get = f"download the python version of CIFAR-{n_classes} from its authors' page"
    require(archive.exists(), "archive", f"cifar-{n_classes}", str(archive), "exist", get)
    content = archive.read_bytes()
    known = CIFAR_MD5[n_classes] if md5 == "official" else md5
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    require(known in (None, found), f"checksum of {archive}", "md5", found, f"be {known}", get)
    train, test = read_cifar(content, str(archive), n_classes)
    return Images(train_pixels=train[0], train_labels=train[1], test_pixels=test[0],
                  test_labels=test[1], n_classes=n_classes)  # fmt: skip
