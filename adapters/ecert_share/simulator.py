"""The provincial e-certificate library as a real server: ``python -m adapters.ecert_share.simulator --keys DIR``.

``DIR`` gets, where it does not hold them yet: ``access.json`` (access id and key, SM2 keys of both sides, for whoever
registers the endpoint; see :func:`endpoint`) and ``authority/`` (the test authority that seals the files). Who holds what
follows from the synthetic population: see :mod:`adapters.holdings`.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adapters.contract import Endpoint
from adapters.ecert_share.collections import Collections
from adapters.ecert_share.library import MAX_FILE_BYTES
from adapters.ecert_share.server import NO_PERMISSION, Access, LibraryServer, Options, reply
from adapters.holdings import Holdings
from adapters.library_simulation import holdings_of, library_parser
from adapters.population import family
from adapters.simulation import Simulation, run
from certs import sm2
from schemas.ecert_types import ecert_types

_ACCESS_FILE: Final = "access.json"


def create_app(server: LibraryServer, files_url: str | None = None) -> FastAPI:
    """The dialect over HTTP. ``files_url`` is where links point; default: where the request came to."""
    app = FastAPI(openapi_url=None)

    async def operation(request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_FILE_BYTES:
            return Response(status_code=413)
        base = files_url or str(request.base_url).rstrip("/")
        return JSONResponse(server.answer(request.url.path.lstrip("/"), body, base))

    async def file(link: str) -> Response:
        content = server.file(link)
        if content is None:
            return Response("链接已失效", 403, media_type="text/plain; charset=utf-8")
        return Response(content, media_type="application/ofd")

    app.add_api_route("/CertShare/{name}", operation, methods=["POST"])
    app.add_api_route("/CertCollect/{name}", operation, methods=["POST"])
    app.add_api_route("/ChannelVerify/{part}/{name}", operation, methods=["POST"])
    app.add_api_route("/files/{link}", file, methods=["GET"])
    return app


def load_access(folder: Path) -> dict[str, str]:
    """``access.json`` of the keys' folder, made where it is not there. Keys in hexadecimal."""
    path = folder / _ACCESS_FILE
    if not path.exists():
        library, hub = sm2.generate(), sm2.generate()
        made = {
            "access_id": "exchange-hub",
            "access_key": secrets.token_hex(16),
            "library_private_key": library.hex(),
            "sm2_public_key": sm2.public_key(library).hex(),
            "sm2_private_key": hub.hex(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(json.dumps(made, indent=2), encoding="utf-8")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def endpoint(url: str, folder: Path, *, endpoint_id: str = "ecert-library", region: str = "370000") -> Endpoint:
    """How the hub reaches the simulator that runs at ``url`` with these keys."""
    access = load_access(folder)
    settings = {name: access[name] for name in ("access_id", "sm2_public_key")}
    return Endpoint(endpoint_id, region, url, settings, {n: access[n] for n in ("access_key", "sm2_private_key")})


def fault_body() -> tuple[str, bytes]:
    """A refusal in this dialect: HTTP 200 all the same."""
    return "application/json", json.dumps(reply(NO_PERMISSION), ensure_ascii=False).encode()


def main() -> None:
    """See ``--help``."""
    parser = library_parser("省电子证照库共享接口 (模拟) / provincial e-certificate library, simulated")
    parser.add_argument("--prepare", type=int, default=0, help="seal the certificates of so many families at the start")
    parser.add_argument("--prepare-region", default="370202", help="of which county")
    parser.add_argument("--pinyin", action="store_true", help="metadata in pinyin initials")
    parser.add_argument("--token-seconds", type=float, default=7200.0, help="how long an accessToken is taken")
    parser.add_argument("--token-says", type=int, help="how long the library says that it is taken; default: the truth")
    parser.add_argument("--one-token", action="store_true", help="a new accessToken ends the former one")
    parser.add_argument("--stale-links", type=int, default=0, help="so many links are expired when they are given out")
    parser.add_argument("--files-url", help="where download links point; default: this server")
    args = parser.parse_args()

    keys, holdings = load_access(args.keys), holdings_of(args)
    prepare(holdings, args.prepare_region, args.prepare, seed=args.seed)
    access = Access(
        keys["access_id"],
        keys["access_key"],
        bytes.fromhex(keys["library_private_key"]),
        sm2.public_key(bytes.fromhex(keys["sm2_private_key"])),
    )
    options = Options(
        args.pinyin, args.token_seconds, args.token_says, args.one_token, args.stale_links, args.authorize_after
    )
    simulation = Simulation(args.journal, fault_body=fault_body)
    app = create_app(LibraryServer(holdings, access, options, Collections(simulation)), args.files_url)
    run(app, simulation, host=args.host, port=args.port, control_port=args.control_port)


def prepare(holdings: Holdings, region: str, count: int, *, seed: int) -> None:
    """Seal what a transfer asks for, so that a measurement does not measure the sealing."""
    kinds = [ecert_types()[key] for key in ("household-register", "real-estate-title", "id-card")]
    for index in range(count):
        holder = holdings.holder(family(region, index, seed=seed).guardian.id_number, "111")
        for kind in kinds if holder else ():
            for holding in holdings.of(holder, kind) if holder else ():
                holdings.file(holding)


if __name__ == "__main__":
    main()
