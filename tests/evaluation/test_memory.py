"""How much of the memory EASE may have."""

from pathlib import Path

import pytest

from evaluation.memory import ease_rows

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "limit", "rows"),
    [
        (64 * GIB, None, 46_000),
        (64 * GIB, "max", 46_000),  # a container without a limit
        (64 * GIB, str(4 * GIB), 11_000),
        (16 * GIB, str(64 * GIB), 23_000),  # a limit above what there is
        (GIB // 64, None, 1000),
    ],
)
def test_a_quarter_of_the_memory_holds_the_matrix_and_its_inverse(
    tmp_path: Path, memory: int, limit: str | None, rows: int
) -> None:
    """Eight bytes of each entry, in whole thousands of rows."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal:       {memory // 1024} kB\nMemFree:        1024 kB\n")
    if limit is not None:
        (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
        (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{limit}\n")
    assert ease_rows(tmp_path) == rows
    assert rows == 1000 or 8 * rows**2 <= min(memory, int(limit) if limit and limit.isdigit() else memory) / 4


def test_a_kernel_that_does_not_say_gets_the_rows_that_take_a_minute(tmp_path: Path) -> None:
    assert ease_rows(tmp_path) == 12_000
