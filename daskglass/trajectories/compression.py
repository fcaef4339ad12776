"""Open files, plain or compressed, as streams with an upper limit; names do not matter."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from daskglass.errors import TrajectoryError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# by the first bytes of a file
COMPRESSIONS: Mapping[bytes, tuple[str, Callable[[BinaryIO], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": ("zstd", zstd.ZstdFile),
}
FREE = 10_000_000  # bytes that any file may unpack to
MOST = 200  # times its own bytes that a file may unpack to beyond them; dumps do to 2 to 20
PIECE = 1 << 20


def check_unpacked(path: Path, unpacked: int, size: int, remedy: str) -> None:
    """Refuse a file that expands to more than a multiple of its size: such files exhaust a machine.

    Parameters
    ----------
    path : the file
    unpacked : bytes after unpacking
    size : bytes before
    remedy : for real trajectories

    Raises
    ------
    TrajectoryError
        If `unpacked` exceeds 10 MB and 200 times `size`.
    """
    if unpacked > FREE + MOST * size:
        raise TrajectoryError(
            f"{size / 1e6:.3g} MB of it expand to {unpacked / 1e6:.0f} MB or more, over {MOST} times as much; "
            "trajectories never do",
            file=path,
            remedy=f"if this is one, {remedy}",
        )


@contextmanager
def opened(path: Path, buffer: int = PIECE) -> Iterator[io.BufferedReader[Any]]:
    """Open a file for reading its unpacked bytes, a buffer at a time; supports seeking forwards.

    Raises
    ------
    TrajectoryError
        If the file is missing or cannot be read, its compression is damaged or cut short, or it expands to more than
        `check_unpacked` allows.
    """
    if not path.is_file():
        raise TrajectoryError("not a file" if path.exists() else "no such file", file=path)
    try:
        with path.open("rb") as file:
            head = file.peek(8)
            known = next((COMPRESSIONS[magic] for magic in COMPRESSIONS if head.startswith(magic)), None)
            text: Any = file if known is None else _Unpacked(path, file, *known)
            with io.BufferedReader(text, buffer) as reader:
                yield reader
    except OSError as error:
        raise TrajectoryError(f"cannot be read: {error.strerror or error}", file=path) from error


class _Unpacked(io.RawIOBase):
    """Unpacked bytes of a compressed file, within the limit."""

    def __init__(self, path: Path, file: BinaryIO, name: str, unpack: Callable[[BinaryIO], Any]) -> None:
        self.path, self.file, self.name, self.place = path, file, name, 0
        self.text = unpack(file)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        try:
            # one read at a time: data before the damage is not lost
            piece: bytes = self.text.read1(len(buffer))
        except (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._damaged(error) from error
        except MemoryError as error:
            raise TrajectoryError(
                f"unpacking it with {self.name} needs more memory than this machine has", file=self.path
            ) from error
        self.place += len(piece)
        check_unpacked(self.path, self.place, self.file.tell(), f"unpack it with {self.name}")
        buffer[: len(piece)] = piece
        return len(piece)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or place < self.place:
            raise io.UnsupportedOperation("compressed files are read forwards")
        while left := place - self.place:
            if not self.readinto(bytearray(min(left, PIECE))):
                break
        return self.place

    def _damaged(self, error: Exception) -> TrajectoryError:
        return TrajectoryError(f"{self.name} file damaged or cut short: {error}", file=self.path)
