"""How every kernel is compiled, and where its machine code is kept."""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Float = NDArray[np.floating]
Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
settings: Any = numba.config


def jit(function: Function) -> Function:
    """Compile a kernel on its first call.

    Dask is the parallelism, so kernels release the GIL and use one thread. Reassociation lets LLVM vectorise sums; NaN
    and infinity keep their meaning, since NaN marks what is undefined.
    """
    compiler = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
    given = settings.CACHE_DIR
    # read as a function is decorated; that of other packages stays where it is
    settings.CACHE_DIR = str(CACHE)
    try:
        return cast(Function, compiler(function))
    finally:
        settings.CACHE_DIR = given


def cache_folder() -> Path:
    """Folder of the machine code of these very kernels, on this node: processes of other nodes never meet in it.

    Its name tells what all kernels were compiled from, since Numba looks at one file only, and kernels call those of others.
    Numba loads what lies there, so nobody else may write to it. `NUMBA_CACHE_DIR` puts it elsewhere.
    """
    sources = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    name = hashlib.sha256(sources + numba.__version__.encode()).hexdigest()[:16]
    if settings.CACHE_DIR:
        return Path(settings.CACHE_DIR) / name
    own = Path(tempfile.gettempdir()) / f"daskglass-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if own.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        warnings.warn(f"{own}: others may write there: kernels are compiled anew; set NUMBA_CACHE_DIR", stacklevel=2)
        own = Path(tempfile.mkdtemp(prefix="daskglass-"))
    return own / name


CACHE = cache_folder()
