"""The numbers of a dataset's table of features, as the projector reads them beside the text."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_processing.dataset import Dataset

FEATURES = "features.npy"
"""The file in which stage ``text`` keeps them."""
_MOST = 4.0
"""Standard deviations from the mean, at most: a tempo of 9,999 is a mistake, and shall not outweigh all words."""


def numeric_columns(dataset: Dataset) -> list[str]:
    """Return the names of the numeric columns of the dataset's features, in their order; none without features."""
    return _numeric(dataset.features())


def standardised(dataset: Dataset) -> NDArray[np.float16]:
    """Return (N, F): each numeric column in standard deviations from its mean, 0 where a track has no finite number.

    Mean and deviation are of the tracks that a training playlist holds, which are all that the projector learns from:
    of a column that is the same for all of these nothing can be learnt, and it is left out, or chance would say what
    it means for the others.
    """
    table = dataset.features()
    held = dataset.tracks(["train_count"])["train_count"].to_numpy() > 0
    columns = [] if table is None else [_column(table, name, held) for name in _numeric(table)]
    kept = [column for column in columns if column.any()]
    return np.ascontiguousarray(np.array(kept, np.float16).reshape(len(kept), len(held)).T)


def _numeric(table: pa.Table | None) -> list[str]:
    return [] if table is None else [field.name for field in table.schema if pa.types.is_floating(field.type)]


def _column(table: pa.Table, name: str, held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a column (N,), standardised; all zeros where it does not differ among the tracks that are ``held``."""
    values = np.full(len(held), np.nan)
    values[table["track"].to_numpy()] = table[name].to_numpy()
    known = np.isfinite(values)
    learnt = values[known & held]
    if not len(learnt) or learnt.min() == learnt.max():
        return np.zeros(len(held))
    return np.where(known, ((values - learnt.mean()) / learnt.std()).clip(-_MOST, _MOST), 0)
