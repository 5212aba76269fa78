"""The UseFor dialect as a server, for guardians of the synthetic population. Its files are OFDs without a seal.

``python -m adapters.ecert_usefor.simulator --app-key key``; a hub that verifies what it fetches refuses these files, as it should:
this simulator is there for the dialect.
"""

from __future__ import annotations

import base64
import hmac
import io
import zipfile

from fastapi import FastAPI, Request, Response

from adapters.ecert_usefor import mapping
from adapters.json_wire import JsonObject, maybe_text, read_object, text, write_object
from adapters.population import find_family
from adapters.simulation import Simulation, argument_parser, run
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata
from schemas.numbers import EcertIdentifier


class Refused(Exception):
    """With the dialect's code."""


def certificate(request: JsonObject, seed: int) -> EcertMetadata:
    """The holder's certificate of the type; whose number ends so is in no state of trouble here."""
    kind = next((one for one in ecert_types().values() if one.code == maybe_text(request, "CertificateType")), None)
    if kind is None:
        raise Refused("1003")
    found = find_family(text(request, "CertificateHolderCode"), seed=seed)
    if found is None:
        raise Refused("1001")
    if not text(request, "UseFor") or not text(request, "orgName") or not text(request, "itemName"):
        raise Refused("1002")
    person = next(one for one in (found.student, found.guardian) if one.id_number == request["CertificateHolderCode"])
    return EcertMetadata(
        identifier=str(EcertIdentifier.assign(kind.code, found.school.region, f"{found.index:09d}")),
        type_code=kind.code,
        type_name=kind.title_zh,
        number=f"{found.school.region}{found.index:06d}",
        holder_name=person.name,
        holder_code=person.id_number,
        holder_code_type="111",
        issuer_name="示例颁发机构",
        issuer_code=found.school.region,
        issued_on="2021-1-5",
    )


def document(metadata: EcertMetadata) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("OFD.xml", "<OFD/>")
        archive.writestr("metadata.json", metadata.model_dump_json())
    return packed.getvalue()


def create_app(app_key: str, seed: int) -> FastAPI:
    app = FastAPI(openapi_url=None)

    def answer(path: str, request: JsonObject) -> JsonObject:
        if path == "ping":
            return {"version": "2"}
        found = certificate(request, seed)
        if path == "query":
            return {**mapping.metadata_to_wire(found), "CertificateStatus": "1"}
        if maybe_text(request, "CertificateID") != found.identifier:
            raise Refused("1001")
        return {"FileData": base64.b64encode(document(found)).decode()}

    @app.post("/certificate/{path}")
    async def operation(path: str, request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("appkey", "").encode(), app_key.encode()):
            return _reply("2001", None)
        if path not in ("ping", "query", "file"):
            return Response(status_code=404)
        try:
            return _reply("0", answer(path, read_object(await request.body())))
        except Refused as refused:
            return _reply(str(refused), None)
        except ValueError:
            return _reply("1002", None)

    return app


def _reply(code: str, data: JsonObject | None) -> Response:
    return Response(write_object({"code": code, "msg": "", "data": data}), media_type="application/json")


def fault_body() -> tuple[str, bytes]:
    """A refusal in this dialect: HTTP 200 all the same."""
    return "application/json", write_object({"code": "1002", "msg": "无权限", "data": None})


def main() -> None:
    parser = argument_parser("外省电子证照库 (模拟) / another province's e-certificate library, simulated")
    parser.add_argument("--app-key", required=True)
    given = parser.parse_args()
    simulation = Simulation(given.journal, fault_body=fault_body)
    run(
        create_app(given.app_key, given.seed),
        simulation,
        host=given.host,
        port=given.port,
        control_port=given.control_port,
    )


if __name__ == "__main__":
    main()
