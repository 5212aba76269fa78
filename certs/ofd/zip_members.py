"""The content of one member of a ZIP archive, straight from its bytes (PKWARE APPNOTE 4.3): a sixth of what ``zipfile`` takes.

``zipfile`` has read the central directory. Here the local header must agree with it, the sizes must be true, and the CRC must
hold: archives that two readers may read differently are refused. Stored and deflated members only.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Final

from certs.der import Malformed

_LOCAL: Final = struct.Struct("<4sHHHHHLLLHH")  # 4.3.7
_SIGNATURE: Final = b"PK\x03\x04"
_ENCRYPTED, _UTF8 = 0x0041, 0x0800  # 4.4.4: bits 0 and 6; bit 11


def member_content(archive: bytes, info: zipfile.ZipInfo) -> bytes:
    """The unpacked bytes, at most ``info.file_size`` of them in memory; Malformed where anything does not agree."""
    try:
        signature, _, flags, method, *_, name_size, extra_size = _LOCAL.unpack_from(archive, info.header_offset)
    except struct.error:
        raise Malformed("压缩包内的文件已损坏", "a file in the archive is damaged") from None
    begin = info.header_offset + _LOCAL.size
    packed = archive[begin + name_size + extra_size :][: info.compress_size]
    if info.header_offset < 0 or signature != _SIGNATURE or len(packed) != info.compress_size:
        raise Malformed("压缩包内的文件已损坏", "a file in the archive is damaged")
    if (flags | info.flag_bits) & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Malformed(
            "压缩包内的文件已加密，或其压缩方法不受支持",
            "a file in the archive is encrypted or packed in a way that is not taken",
        )
    name = archive[begin : begin + name_size].decode("utf-8" if info.flag_bits & _UTF8 else "cp437", "replace")
    if name != info.orig_filename or method != info.compress_type:
        raise Malformed(
            "压缩包内的文件与目录所载不是同一文件", "a file in the archive is another one than its directory says"
        )
    content = packed if method == zipfile.ZIP_STORED else _inflated(packed, info.file_size)
    if len(content) != info.file_size:
        raise Malformed(
            "压缩包内的文件长度与目录所载不符", "a file in the archive is not as long as its directory says"
        )
    if zlib.crc32(content) != info.CRC:
        raise Malformed("压缩包内的文件已损坏", "a file in the archive is damaged")
    return content


def _inflated(packed: bytes, size: int) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(
            packed, size + 1
        )  # one more than stated tells a false size, and 0 would mean no limit
        if not unpacker.eof and len(content) <= size:  # the last block may still be empty
            content += unpacker.decompress(unpacker.unconsumed_tail, 1)
    except zlib.error:
        raise Malformed("压缩包内的文件已损坏", "a file in the archive is damaged") from None
    if len(content) <= size and not unpacker.eof:
        raise Malformed("压缩包内的文件不完整", "a file in the archive is cut off")
    return content
