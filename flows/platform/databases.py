"""The databases of Prefect, MLflow and answers: a damaged one is moved aside, one begun anew."""

import contextlib
import sqlite3
import time
from pathlib import Path

DATABASES = ("mlflow.db", "prefect/prefect.db", "answers.db")
# a whole look takes a second per 100 MB or so; a larger file is looked at where its tables are read
WHOLE_LOOK = 500 * 2**20
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a file


def move_damaged_aside(runtime: Path) -> list[str]:
    """Move databases that SQLite cannot read out of the way, and return a line for each.

    Nothing is deleted: what `sqlite3 file .recover` gets out of it is there to be got.
    """
    told = []
    for file in (runtime / name for name in DATABASES):
        if not file.exists() or not (fault := _fault(file)):
            continue
        aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        file.rename(aside)
        for ending in BESIDE:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{file}{ending}").rename(f"{aside}{ending}")
        told.append(f"{file} was damaged ({fault}); moved to {aside.name}, a new one is begun")
    return told


def _fault(file: Path) -> str:
    whole = file.stat().st_size < WHOLE_LOOK
    look = "PRAGMA quick_check(1)" if whole else "SELECT count(*) FROM sqlite_master"
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as database:
            [found] = database.execute(look).fetchone()
    except sqlite3.OperationalError:  # it is locked, or may not be read: not damaged for that
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" or not whole else str(found)
