"""Files of a Delta table are read by Arrow alone: its threads outlive whoever asked, and may not wait for Python."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_deploy.tables.dataset import ForeignFiles, dataset

PRODUCT = Path(__file__).resolve().parents[2] / "agent_deploy"


def test_no_file_is_read_through_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a filesystem of Python's")

    write_deltalake(tmp_path, pa.table({"number": [1, 2]}))
    monkeypatch.setattr(pyarrow.fs, "PyFileSystem", refuse)
    assert dataset(DeltaTable(tmp_path), tmp_path).to_table().num_rows == 2


def test_every_route_reads_tables_in_this_way() -> None:
    ways = ("to_pyarrow_dataset", "to_pyarrow_table", "to_pandas")
    used = {
        str(path.relative_to(PRODUCT))
        for path in PRODUCT.rglob("*.py")
        if any(f".{way}(" in path.read_text() for way in ways)
    }
    assert used == {"tables/dataset.py"}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(keys=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), min_size=1, unique=True))
def test_partitions_of_any_name_are_found(tmp_path: Path, keys: list[str]) -> None:
    folder = tmp_path / "a table"
    shutil.rmtree(folder, ignore_errors=True)
    write_deltalake(folder, pa.table({"key": keys, "number": range(len(keys))}), partition_by=["key"])
    rows = dataset(DeltaTable(folder), folder).to_table().to_pylist()
    # An empty text as a partition's value is read as none, as Delta's protocol has it.
    assert {row["number"]: row["key"] or "" for row in rows} == dict(enumerate(keys))


def _linked_file(folder: Path, elsewhere: Path) -> None:
    (file,) = folder.glob("*.parquet")
    file.rename(elsewhere / file.name)
    file.symlink_to(elsewhere / file.name)


def _linked_folder(folder: Path, elsewhere: Path) -> None:
    _rename_in_log(folder, lambda name: f"sub/{name}")
    (file,) = folder.glob("*.parquet")
    file.rename(elsewhere / file.name)
    (folder / "sub").symlink_to(elsewhere)


def _parent(folder: Path, elsewhere: Path) -> None:
    (file,) = folder.glob("*.parquet")
    file.rename(elsewhere / file.name)
    _rename_in_log(folder, lambda name: f"../{elsewhere.name}/{name}")


def _address(folder: Path, elsewhere: Path) -> None:
    (file,) = folder.glob("*.parquet")
    file.rename(elsewhere / file.name)
    _rename_in_log(folder, lambda name: f"file://{elsewhere}/{name}")


def _rename_in_log(folder: Path, rename: Callable[[str], str]) -> None:
    (log,) = (folder / "_delta_log").glob("*.json")
    name = log.read_text().split('"path":"')[1].split('"')[0]
    log.write_text(log.read_text().replace(name, rename(name)))


@pytest.mark.parametrize("moved", [_linked_file, _linked_folder, _parent, _address])
def test_files_outside_of_the_folder_are_not_read(tmp_path: Path, moved: Callable[[Path, Path], None]) -> None:
    folder, elsewhere = tmp_path / "table", tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_deltalake(folder, pa.table({"secret": ["of others"]}))
    moved(folder, elsewhere)
    with pytest.raises(ForeignFiles):
        dataset(DeltaTable(folder), folder)
