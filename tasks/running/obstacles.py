"""What libraries raise when something stands in their way that a user can move: one table.

A row is recognised by the system's number, by the exception's class, or by words of a library that
wraps others' errors.
"""

import errno
from dataclasses import dataclass

LONGEST_REASON = 300  # characters; SQLAlchemy quotes whole statements


@dataclass(frozen=True)
class Obstacle:
    """One row: how it is recognised, what happened, and what to do about it.

    Attributes:
        classes: Full names, so that no library is imported to compare with.
    """

    what: str
    todo: str
    numbers: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def stands_behind(self, error: BaseException) -> bool:
        """Return whether the error is of this row."""
        mine = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
        text = str(error)
        return (
            getattr(error, "errno", None) in self.numbers
            or bool(mine & set(self.classes))
            or any(words in text for words in self.words)
        )


def reason_of(error: BaseException) -> str:
    """Return what an error says, in one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} …"


OBSTACLES = (
    Obstacle(
        "The disk is full",
        "free some space and start again; the stage continues where it stopped",
        numbers=(errno.ENOSPC, errno.EDQUOT),
        words=("disk is full", "No space left on device"),
    ),
    Obstacle(
        "A file or folder may not be used as it has to be",
        "make it accessible (`outputs/` and `.runtime/` must be writable) and start again",
        numbers=(errno.EROFS, errno.EACCES, errno.EPERM),
        words=("readonly database",),
    ),
    Obstacle(
        "The disk cannot be read or written",
        "look after the disk (`dmesg` says more), then start again",
        numbers=(errno.EIO,),
        words=("disk I/O error",),
    ),
    Obstacle(
        "Too many files are open",
        "raise the limit (`ulimit -n 65536`), or end other programs, and start again",
        numbers=(errno.EMFILE, errno.ENFILE),
        words=("Too many open files",),
    ),
    Obstacle(
        "Memory has run out",
        "lower the batch or the answer's length of this stage, use a smaller model or smaller "
        "pictures, or end other programs, and start again; it continues where it stopped",
        numbers=(errno.ENOMEM,),
        classes=("builtins.MemoryError", "torch.OutOfMemoryError", "pyarrow.lib.ArrowMemoryError"),
        words=("can't allocate memory", "CUDA out of memory"),
    ),
    Obstacle(
        "A database was locked by another program for too long",
        "end what uses it (an open `sqlite3`, a backup, a second `make up`) and start again",
        words=("database is locked", "database table is locked"),
    ),
    Obstacle(
        "A database is damaged",
        "run `make doctor`: it moves a damaged one aside and begins a new one",
        words=("database disk image is malformed", "file is not a database"),
    ),
    Obstacle(
        "MLflow's database was written by another version",
        "run `mlflow db upgrade sqlite:///.runtime/mlflow.db` after a copy, or move it aside",
        words=("out-of-date database schema", "Can't locate revision identified by"),
    ),
    Obstacle(
        "A server refuses to answer without a password, or with this one",
        "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or PREFECT_API_AUTH_STRING",
        words=("401 Unauthorized", "401 Client Error", "error code 401", "403 Client Error"),
    ),
    Obstacle(
        "A server cannot be reached",
        "check that it runs and that MLFLOW_TRACKING_URI and PREFECT_API_URL name it, or unset "
        "them to work with this checkout's own",
        numbers=(errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH),
        classes=(
            "requests.exceptions.ConnectionError", "requests.exceptions.Timeout",
            "httpx.ConnectError", "httpx.ConnectTimeout", "httpx.ReadTimeout", "socket.gaierror",
        ),
        words=("Max retries exceeded", "Failed to reach API", "Name or service not known"),
    ),
    Obstacle(
        "A file of weights is damaged or cut",
        "pull or download the model again (`make pull` for the embedded ones)",
        classes=("safetensors._safetensors_rust.SafetensorError",),
    ),
    Obstacle(
        "A chat template cannot be used",
        "save a template that works with the model, or choose an instruction-tuned model",
        classes=("jinja2.exceptions.TemplateError",),
    ),
    Obstacle(
        "A Parquet or Arrow file is damaged",
        "restore it (`make pull` for the embedded data), or write it again",
        classes=("pyarrow.lib.ArrowInvalid",),
    ),
    Obstacle(
        "A YAML file cannot be read",
        "mend it at the place named, or take it from git again (`git checkout dvc.yaml dvc.lock`)",
        classes=("yaml.error.YAMLError", "ruamel.yaml.error.YAMLError"),
    ),
)  # fmt: skip
