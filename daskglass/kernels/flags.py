"""How every kernel is compiled, and where its machine code is kept."""

import hashlib
import os
import stat
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Float = NDArray[np.floating]
Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
settings: Any = numba.config

REMEDY = "set NUMBA_CACHE_DIR to a folder of your own, with room"
_warning = threading.Lock()
_warned = False


def jit(function: Function) -> Function:
    """Compile a kernel on its first call.

    Dask is the parallelism, so kernels release the GIL and use one thread. Reassociation lets LLVM vectorise sums; NaN
    and infinity keep their meaning, since NaN marks what is undefined. Numba's own variables hold: `NUMBA_CPU_NAME` and
    `NUMBA_CPU_FEATURES` choose the instructions, and kept code is found again by them.
    """
    compiled = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})(function)
    if CACHE is not None and not settings.DISABLE_JIT:
        _keep(compiled, function)
    return cast(Function, compiled)


class _Place(FunctionCache._impl_class):  # type: ignore[valid-type, misc]
    """Nowhere but in `CACHE`: other places that Numba tries know nothing of the files that a kernel calls."""

    _locator_classes: ClassVar = [
        each for each in FunctionCache._impl_class._locator_classes if "UserProvided" in each.__name__
    ]


class _Cache(FunctionCache):
    """Numba's cache, whose failure is no error: a kernel can always be compiled."""

    _impl_class = _Place

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        # a file cut short fails in whatever way its bytes happen to read
        except Exception as error:
            _warn(self.cache_path, error)
            self._start_anew()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn(self.cache_path, error)
            self.disable()

    def _start_anew(self) -> None:
        try:
            self.flush()
        except OSError:
            self.disable()


def _keep(compiled: Any, function: Callable[..., Any]) -> None:
    """Keep the machine code of a kernel in `CACHE`."""
    given = settings.CACHE_DIR
    # read as the cache is made; that of other packages stays where it is
    settings.CACHE_DIR = str(CACHE)
    try:
        compiled._cache = _Cache(function)
    # numba asks whether it can write there
    except (OSError, RuntimeError) as error:
        _warn(CACHE, error)
    finally:
        settings.CACHE_DIR = given


def _warn(folder: object, error: BaseException | str) -> None:
    """Say once what is wrong with the cache: kernels are many."""
    global _warned
    with _warning:
        first, _warned = not _warned, True
    if first:
        cause = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        warnings.warn(
            f"{folder}: machine code cannot be kept there or read from there ({cause}): kernels are compiled anew, which "
            f"takes some seconds; {REMEDY}",
            RuntimeWarning,
            stacklevel=3,
        )


def cache_folder() -> Path | None:
    """Folder of the machine code of these very kernels, on this node: processes of other nodes never meet in it.

    Its name is of what all kernels were compiled from, since Numba looks at one file only, and kernels call those of others;
    and how, since Numba does not look at its own settings but those of the processor. Numba loads what lies there, so nobody
    else may write to it. `NUMBA_CACHE_DIR` puts it elsewhere. None where there can be no such folder.
    """
    sources = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    how = f"{numba.__version__} {settings.BOUNDSCHECK} {settings.OPT}".encode()
    name = hashlib.sha256(sources + how).hexdigest()[:16]
    given = settings.CACHE_DIR
    parent = Path(given) if given else Path(tempfile.gettempdir()) / f"daskglass-{os.getuid()}"
    try:
        if given:
            parent.mkdir(parents=True, exist_ok=True)
            _check_safe(parent)
        else:
            parent.mkdir(mode=0o700, exist_ok=True)
            _check_own(parent)
        folder = parent / name
        folder.mkdir(mode=0o700, exist_ok=True)
        _check_own(folder)
    except OSError as error:
        _warn(parent, error.strerror or str(error))
        return None
    return folder


def _check_own(folder: Path) -> None:
    """Refuse a folder where others could put code.

    Raises
    ------
    PermissionError
        If it is a link, another user's, or open to others.
    """
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder}: others may write there")


def _check_safe(parent: Path) -> None:
    """Refuse a folder whose entries others could replace; see `_check_own`."""
    mode = parent.stat().st_mode
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise PermissionError(f"{parent}: others may write there: chmod go-w")


CACHE = cache_folder()
