"""Photographs: Fashion-MNIST, CIFAR-10 and CIFAR-100, and scikit-learn's digits as a tiny stand-in.

What `load` finds in the data folder, as torchvision, an archive or an unpacking by hand left it, is
compared with published checksums, and nothing that is unpickled can act.  Not by torchvision:
beside the CPU build of torch that this project pins, its wheels on PyPI fail to import.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import itertools
import os
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mvlib.core.checks import BadInput, require
from mvlib.core.folders import data_folder

# The parts of each collection and the MD5 of what is in them, packed or not.
PARTS = {
    "fashion-mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    "cifar-10": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    "cifar-100": {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
}
DATASETS = (*PARTS, "digits")
# What the labels 0, 1, ... mean; CIFAR-100's fine ones are in the alphabet's order.
CLASSES = {
    "fashion-mnist": "T-shirt, trousers, pullover, dress, coat, sandal, shirt, sneaker, bag, boot",
    "cifar-10": "airplane, car, bird, cat, deer, dog, frog, horse, ship, truck",
    "cifar-100": """apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle,
        bowl, boy, bridge, bus, butterfly, camel, can, castle, caterpillar, cattle, chair,
        chimpanzee, clock, cloud, cockroach, couch, crab, crocodile, cup, dinosaur, dolphin,
        elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn
        mower, leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse,
        mushroom, oak tree, orange, orchid, otter, palm tree, pear, pickup truck, pine tree,
        plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray, road, rocket, rose, sea,
        seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar,
        sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout,
        tulip, turtle, wardrobe, whale, willow tree, wolf, woman, worm""",
    "digits": "zero, one, two, three, four, five, six, seven, eight, nine",
}
# Where in a folder they may lie, torchvision's place first; CIFAR's parts also in its archive.
PLACES = {
    "fashion-mnist": ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "raw", ""),
    "cifar-10": ("cifar-10-batches-py", "cifar-10-python/cifar-10-batches-py", "cifar-10", ""),
    "cifar-100": ("cifar-100-python", "cifar-100-python/cifar-100-python", "cifar-100", ""),
}
ARCHIVES = {"cifar-10": "cifar-10-python.tar", "cifar-100": "cifar-100-python.tar"}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SOURCE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
# Of the packed files there; Debian packed the same contents again.
SOURCE_MD5 = ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
              "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310")  # fmt: skip
AGAIN = "the file is damaged or another one: get it again"


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled photographs in their official split.

    Raises:
        BadInput: if shapes do not belong together or a label is out of range.
    """

    train_pixels: np.ndarray  # uint8 (n, channels, height, width), 0 black to 255 white
    train_labels: np.ndarray  # int64 (n,), 0 to n_classes - 1
    test_pixels: np.ndarray
    test_labels: np.ndarray
    n_classes: int

    def __post_init__(self) -> None:
        k, like, again = self.n_classes, self.train_pixels.shape[1:], "get the files again"
        for part in ("train", "test"):
            pixels, labels = getattr(self, f"{part}_pixels"), getattr(self, f"{part}_labels")
            fits, bound = pixels.ndim == 4 and pixels.shape[1:] == like, f"be n images {like}"
            require(fits, f"{part}_pixels", "X", pixels.shape, bound, again)
            bound = f"have shape ({len(pixels)},), one label an image"
            require(len(labels) == len(pixels), f"{part}_labels", "y", labels.shape, bound, again)
            for label in (int(labels.min(initial=0)), int(labels.max(initial=0))):
                require(0 <= label < k, f"{part}_labels", "y", label, f"lie in [0, {k - 1}]", again)


def load(name: str, folder: str | Path | None = None, *, check: bool = True) -> Images:
    """One of `DATASETS`, by name; read once in a process.

    Args:
        folder: where the files are; by default the data folder (see `folders`), and for
            Fashion-MNIST Debian's and the published source.
        check: False also takes well-formed files that are not the published ones.

    Raises:
        BadInput: if the name is unknown, or the files are missing, damaged or others.
    """
    require(name in DATASETS, "dataset", "name", name, f"be one of {DATASETS}", "pick one")
    if folder is None and not here(name) and name == "fashion-mnist":
        download_fashion_mnist()
    return _load(name, (Path(folder),) if folder else (data_folder(), DEBIAN), check)


def class_names(name: str) -> tuple[str, ...]:
    """What the labels 0, 1, ... of one of `DATASETS` mean, in words.

    Raises:
        BadInput: if the name is unknown.
    """
    require(name in DATASETS, "dataset", "name", name, f"be one of {DATASETS}", "pick one")
    return tuple(" ".join(word.split()) for word in CLASSES[name].split(","))


def here(name: str) -> bool:
    """Whether `load(name)` would find its files on this machine without a network."""
    return name == "digits" or not _find(name, (data_folder(), DEBIAN))[1]


@functools.lru_cache(maxsize=2)
def _load(name: str, folders: tuple[Path, ...], check: bool) -> Images:
    if name == "digits":
        return digits()
    files, missing = _find(name, folders)
    if missing:
        said = f"dataset = {name!r} must be in {folders[0]}, which lacks {', '.join(missing)}"
        raise BadInput(f"{said}; {_remedy(name, folders[0])}.")
    parts = {str(path): _unpacked(path) for path in files.values()}
    if ARCHIVES.get(name) in files:
        ((archive, content),) = parts.items()
        members = _tar_members(content, archive, list(PARTS[name]))
        parts = {f"{part} of {archive}": content for part, content in members.items()}
    for (part, content), md5 in zip(parts.items(), PARTS[name].values(), strict=True):
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        remedy = "it is not the published file: get that, or use this one by load(check=False)"
        require(not check or found == md5, f"checksum of {part}", "md5", found, f"be {md5}", remedy)
    if name == "fashion-mnist":
        X, y, X_test, y_test = (
            read_idx(content, part, 3 if "images" in Path(part).name else 1)
            for part, content in parts.items()
        )
        train, test = (X[:, None], y.astype(np.int64)), (X_test[:, None], y_test.astype(np.int64))
        return Images(*train, *test, n_classes=10)
    *batches, test = (read_batch(content, part) for part, content in parts.items())
    pixels, labels = map(np.concatenate, zip(*batches, strict=True))
    return Images(pixels, labels, *test, n_classes=100 if name == "cifar-100" else 10)


def _find(name: str, folders: tuple[Path, ...]) -> tuple[dict[str, Path], list[str]]:
    """Files of a collection by name: all parts or the archive, in the first place with either, or
    else what is in the place with most parts; and the parts that are missing."""
    best: dict[str, Path] = {}
    archive = ARCHIVES.get(name)
    for folder, place in itertools.product(folders, PLACES[name]):
        there = {part: file for part in PARTS[name] if (file := _file(folder / place / part))}
        if len(there) == len(PARTS[name]):
            return there, []
        if archive and (file := _file(folder / place / archive)):
            return {archive: file}, []
        best = max(best, there, key=len)
    return best, [part for part in PARTS[name] if part not in best]


def _file(path: Path) -> Path | None:
    """The file of that name, packed (.gz) or not, or inside of a folder of its own name, as some
    programs unpack it."""
    packed = path.with_name(f"{path.name}.gz")
    tried = itertools.product((path.parent, path, packed), (path.name, packed.name))
    return next((place / name for place, name in tried if os.path.isfile(place / name)), None)


def _remedy(name: str, folder: Path) -> str:
    archive = ARCHIVES.get(name)
    what = f"{archive}.gz" if archive else "train-images-idx3-ubyte.gz and its three fellows"
    debian = "" if archive else "install Debian's package dataset-fashion-mnist, or "
    return f"{debian}put {what} into {folder}, or say by --data or MVLIB_DATA which folder has them"


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (EOFError, OSError, zlib.error) as error:
        raise BadInput(f"{path} must be readable and complete ({error}); {AGAIN}.") from error


def _tar_members(content: bytes, name: str, wanted: list[str]) -> dict[str, bytes]:
    """The wanted files of a tar archive, in whatever folders they lie but `__MACOSX`, where that
    system puts its own notes under the same names."""
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.name in wanted and "__MACOSX" not in path.parts:
                    if file := tar.extractfile(member):  # folders have none
                        found[path.name] = file.read()
    except (tarfile.TarError, KeyError, OSError) as error:
        raise BadInput(f"archive = {name!r} must be readable ({error}); {AGAIN}.") from error
    missing = [part for part in wanted if part not in found]
    require(not missing, "archive", "", name, f"hold {', '.join(missing)}", AGAIN)
    return {part: found[part] for part in wanted}


def read_idx(content: bytes, name: str, n_dimensions: int) -> np.ndarray:
    """The array in an idx file of unsigned bytes: 00 00 08, the number of dimensions, each of them
    as a big-endian 32-bit integer, then the values.

    Raises:
        BadInput: if the header is not that, or values are missing or left over.
    """
    start = 4 + 4 * n_dimensions
    head = bytes([0, 0, 8, n_dimensions])
    well_formed = content[:4] == head and len(content) >= start
    require(well_formed, name, "idx header", content[:4], f"be {head.hex(' ')} and a shape", AGAIN)
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    found, size = len(content) - start, int(np.prod(shape, dtype=object))
    require(found == size, name, "bytes", found, f"be {size}, for shape {shape}", AGAIN)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


class _OnlyArrays(pickle.Unpickler):
    """Unpickles numbers, words, lists, dictionaries and numpy arrays, and nothing that acts."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        # What numpy itself asks for, by the names of its modules in any version.
        made = np.zeros(1).__reduce_ex__(2), np.zeros(1).__reduce_ex__(5), np.uint8(1).__reduce__()
        for allowed in (np.ndarray, np.dtype, *(asked[0] for asked in made)):
            if module.partition(".")[0] == "numpy" and name == getattr(allowed, "__name__", ""):
                return allowed
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs")


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


def read_batch(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 3, 32, 32) and labels (n,), of CIFAR-100 the fine ones, of a batch pickled by any
    Python: a dictionary with "data" and "labels" or "fine_labels", words or bytes.

    Raises:
        BadInput: if it cannot be unpickled, holds anything but arrays, or other arrays.
    """
    try:
        batch = _OnlyArrays(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # on damaged bytes pickle and numpy raise whatever they meet
        said = " ".join(str(error).split())
        raise BadInput(f"{name} must be a pickled batch ({said}); {AGAIN}.") from error
    require(isinstance(batch, dict), name, "batch", type(batch).__name__, "be a dict", AGAIN)
    batch = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
    data = _array(batch.get("data"))
    labels = _array(batch.get("labels", batch.get("fine_labels")))
    shown, bound = (data.dtype.name, data.shape), "be uint8 of shape (n, 3072): 3 x 32 x 32 pixels"
    require(data.dtype == np.uint8 and data.shape[1:] == (3072,), name, "data", shown, bound, AGAIN)
    shown, bound = (labels.dtype.name, labels.shape), f"be {len(data)} integers, one an image"
    fits = np.issubdtype(labels.dtype, np.integer) and labels.shape == (len(data),)
    require(fits, name, "labels", shown, bound, AGAIN)
    return data.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return np.empty(len(value), object)


def download_fashion_mnist() -> Path:
    """Fetch the published files that are not in the data folder yet; returns that folder.  A file
    gets its name once it is complete and has the published checksum.

    Raises:
        BadInput: if pooch is not installed, the source does not answer, or what it sends is not
            what was published.
    """
    folder = data_folder()
    try:
        import pooch

        for part, md5 in zip(PARTS["fashion-mnist"], SOURCE_MD5, strict=True):
            file = f"{part}.gz"
            pooch.retrieve(SOURCE + file, known_hash=f"md5:{md5}", fname=file, path=folder)
    except (ImportError, OSError, ValueError) as error:  # requests' exceptions are long OSErrors
        why = type(error).__name__ if isinstance(error, OSError) else error
        raise BadInput(
            f"dataset = 'fashion-mnist' must be in {folder}, or fetched from {SOURCE} by pooch "
            f"({why}); {_remedy('fashion-mnist', folder)}."
        ) from error
    return folder


def digits() -> Images:
    """scikit-learn's 1,797 grey digits of 8 x 8 pixels, each pixel doubled to 16 x 16; every
    fourth is a test image.

    Raises:
        BadInput: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise BadInput("dataset = 'digits' must come with scikit-learn, which is missing; "
                       "pip install scikit-learn.") from error  # fmt: skip
    found = load_digits()
    doubled = np.kron(found.images, np.ones((1, 2, 2)))
    pixels = (doubled * (255 / 16)).round().astype(np.uint8)[:, None]
    labels = found.target.astype(np.int64)
    test = np.arange(len(labels)) % 4 == 3
    return Images(pixels[~test], labels[~test], pixels[test], labels[test], n_classes=10)
