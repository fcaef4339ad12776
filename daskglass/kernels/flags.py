"""How every kernel is compiled."""

import numba

# Dask is the parallelism, so kernels release the GIL and use one thread. Reassociation lets LLVM vectorise sums;
# NaN and infinity keep their meaning, since NaN marks what is undefined.
jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "arcp", "nsz"})
