"""Cut from shared libraries what no running program reads: ``strip.py FOLDER``, of a site-packages folder.

Debuggers read it: symbol tables, debug information, and the table of sections that says where they are. Wheels come
with them, a tenth of an image's weight. Compilers put them behind all that is loaded, so a library ends where its last
segment ends; one that was changed afterwards so that a segment lies behind them stays as it is. This is what binutils'
``strip`` does, which base images do not have.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_LITTLE_ENDIAN_64 = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NOT_IN_THE_FILE = 8


def cut(path: Path) -> int:
    """Cut what is behind the last segment of ``path``; returns the number of bytes, 0 where it is no such library."""
    with path.open("r+b") as file:
        start = file.read(_HEADER.size)
        if len(start) < _HEADER.size or not start.startswith(_LITTLE_ENDIAN_64):
            return 0
        header = list(_HEADER.unpack(start))
        segments = _table(file, _SEGMENT, header[5], header[10])
        sections = _table(file, _SECTION, header[6], header[12])
        end = max((offset + size for _, _, offset, _, _, size, _, _ in segments), default=0)
        last = max((one[4] + one[5] for one in sections if one[1] != _NOT_IN_THE_FILE), default=0)
        size = file.seek(0, os.SEEK_END)
        # What stands behind all that ELF knows of is somebody's own, and read by whoever put it there.
        if not segments or header[6] < end or size > max(last, header[6] + _SECTION.size * len(sections)):
            return 0
        header[6] = header[12] = header[13] = 0  # no table of sections
        file.seek(0)
        file.write(_HEADER.pack(*header))
        return size - file.truncate(end)


def _table(file: BinaryIO, entry: struct.Struct, offset: int, count: int) -> list[tuple[int, ...]]:
    file.seek(offset)
    return list(entry.iter_unpack(file.read(entry.size * count)))


def main() -> int:
    """Cut every library below the folder; print what that saved."""
    saved = 0
    for folder, _, names in os.walk(sys.argv[1]):
        saved += sum(cut(Path(folder, name)) for name in names if ".so" in name and not Path(folder, name).is_symlink())
    print(f"strip: {saved / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
