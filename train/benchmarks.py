"""Reads the public splits that LightGCN is measured on, in the formats in which they are passed around."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segue.errors import InputError
from segue.files import canonical_json, sha256_bytes, sha256_file
from train.interactions import Interactions

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A fixed split.

    Attributes:
        train: What may be learnt from.
        test: What is measured on, once.
        digest: ``sha256:…`` of both files' sha256.
    """

    train: Interactions
    test: Interactions
    digest: str


def load_benchmark(folder: Path) -> Benchmark:
    """Return the split in ``folder``: a file ``train`` and a file ``test``, each in one of three formats.

    ``.npz`` holds the arrays ``user`` and ``item``; ``.txt`` (or ``.txt.gz``) has a user's number and then their items'
    on each line, as in LightGCN's own repository; ``.tsv`` (or ``.tsv.gz``) has user, item and a count on each line.

    Raises:
        InputError: A file is missing or holds something else.
    """
    files = [_find(folder, side) for side in ("train", "test")]
    (train_users, train_items), (test_users, test_items) = (_read(file) for file in files)
    n_users = 1 + int(max(train_users.max(), test_users.max()))
    n_items = 1 + int(max(train_items.max(), test_items.max()))
    digest = sha256_bytes(canonical_json([sha256_file(file) for file in files]))
    return Benchmark(
        Interactions.of(train_users, train_items, n_users, n_items),
        Interactions.of(test_users, test_items, n_users, n_items),
        f"sha256:{digest}",
    )


def _find(folder: Path, side: str) -> Path:
    names = [f"{side}{suffix}" for suffix in (".npz", ".txt", ".txt.gz", ".tsv", ".tsv.gz")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise InputError(f"The benchmark's folder {folder} has no {side} file; put one of {', '.join(names)} there.")
    return found


def _read(file: Path) -> Pairs:
    try:
        if file.suffix == ".npz":
            with np.load(file) as arrays:
                users, items = arrays["user"].astype(np.int64), arrays["item"].astype(np.int64)
        else:
            data = file.read_bytes()
            text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
            users, items = _lists(text) if ".txt" in file.suffixes else _rows(text)
    except (OSError, EOFError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"The benchmark's file {file} cannot be read ({error}); fetch it again.") from error
    if len(users) == 0 or len(users) != len(items) or min(users.min(), items.min()) < 0:
        raise InputError(f"The benchmark's file {file} holds no list of users with their items; fetch it again.")
    return users, items


def _lists(text: str) -> Pairs:
    lines = [np.array(line.split(), np.int64) for line in text.splitlines() if line.strip()]
    lengths = [len(line) - 1 for line in lines]
    return np.repeat([line[0] for line in lines], lengths), np.concatenate([line[1:] for line in lines])


def _rows(text: str) -> Pairs:
    pairs = np.array([line.split()[:2] for line in text.splitlines() if line.strip()], np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
