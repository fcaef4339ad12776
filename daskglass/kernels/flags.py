"""How every kernel is compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Float = NDArray[np.floating]
Int = NDArray[np.integer]
Bool = NDArray[np.bool_]


def jit(function: Function) -> Function:
    """Compile a kernel on its first call.

    Dask is the parallelism, so kernels release the GIL and use one thread. Reassociation lets LLVM vectorise sums; NaN
    and infinity keep their meaning, since NaN marks what is undefined.
    """
    compiler = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
    return cast(Function, compiler(function))
