"""Small PDFs for tests, and messages put into them."""

from __future__ import annotations

import io
from collections.abc import Callable

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import PdfSignedData


def blank() -> bytes:
    writer = PdfFileWriter()
    content = writer.add_object(generic.StreamObject(stream_data=b"q Q"))
    page = PageObject(
        contents=content, media_box=generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 99, 99)])
    )
    writer.insert_page(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def embed(pdf: bytes, make: Callable[[bytes], bytes], field: str, subfilter: str = "/ETSI.CAdES.detached") -> bytes:
    """One more revision with a signature; ``make`` gets the bytes of the ByteRange and gives the message."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    protocol = PdfCMSEmbedder(new_field_spec=SigFieldSpec(field)).write_cms(field_name=field, writer=writer)
    next(protocol)
    kind = generic.pdf_name("/DocTimeStamp" if subfilter == "/ETSI.RFC3161" else "/Sig")
    placeholder = PdfSignedData(obj_type=kind, subfilter=SigSeedSubFilter.PADES, bytes_reserved=16384)
    placeholder[generic.pdf_name("/SubFilter")] = generic.pdf_name(subfilter)
    protocol.send(SigObjSetup(sig_placeholder=placeholder))
    prepared, output = protocol.send(SigIOSetup(md_algorithm="sha256", in_place=False))
    whole = output.getbuffer()
    signed = bytes(whole[: prepared.reserved_region_start]) + bytes(whole[prepared.reserved_region_end :])
    whole.release()
    protocol.send(make(signed))
    return bytes(output.getvalue())
