"""Hop indicator and labels of a run, against numpy with sliding windows and scipy particle by particle."""

import numpy as np
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import find_peaks

import daskglass as dg
from benchmarks.timing import compare


def main() -> None:
    """Print the ratios."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(scale=0.07, size=(501, 2000, 3)), axis=0).astype(np.float32)
    position = xr.DataArray(walk, dims=("time", "particle", "xyz"), coords={"time": np.arange(501.0)})
    species = xr.DataArray(np.zeros(2000, np.int8), dims="particle", attrs={"names": ["A"]})

    def windows() -> np.ndarray:
        x = walk - walk.mean(axis=1, keepdims=True, dtype=np.float64)
        view = sliding_window_view(x, 6, axis=0)
        mean, variance = view.mean(axis=-1), view.var(axis=-1).sum(axis=-1)
        gap = ((mean[:-5] - mean[5:]) ** 2).sum(axis=-1)
        return np.sqrt((variance[:-5] + gap) * (variance[5:] + gap))

    hop = dg.hop_indicator(position)
    series = hop.values[5:-5]

    def peaks() -> list[np.ndarray]:
        both = ((series, {"height": 0.2, "distance": 10}), (-series, {"height": -0.05, "distance": 80}))
        return [find_peaks(values[:, i], **options)[0] for values, options in both for i in range(series.shape[1])]

    compare("hop indicator", lambda: dg.hop_indicator(position), windows, "numpy with sliding windows")
    compare("labels", lambda: dg.rearrangement_labels(hop, species), peaks, "scipy.signal.find_peaks per particle")


if __name__ == "__main__":
    main()
