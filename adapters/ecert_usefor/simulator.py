"""The UseFor dialect as a server: ``python -m adapters.ecert_usefor.simulator --app-key KEY --keys DIR``.

``DIR`` gets the test authority that seals the files, where it does not hold one yet. Who holds what follows from the synthetic
population: see :mod:`adapters.holdings`. Faults and counts: adapters/simulation.py.
"""

from __future__ import annotations

import hmac

from fastapi import FastAPI, Request, Response

from adapters.contract import Endpoint
from adapters.ecert_usefor import mapping
from adapters.ecert_usefor.server import Refused, UseforServer
from adapters.json_wire import JsonObject, read_object, write_object
from adapters.library_simulation import holdings_of, library_parser
from adapters.simulation import Simulation, run

SETTINGS = {"org_name": "山东省教育厅", "username": "exchange-hub", "business_code": "B-01"}


def endpoint(url: str, app_key: str, *, endpoint_id: str = "other-library", region: str = "370000") -> Endpoint:
    """How the hub reaches the simulator that runs at ``url`` with this key."""
    return Endpoint(endpoint_id, region, url, SETTINGS, {"app_key": app_key})


def create_app(server: UseforServer, app_key: str) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post("/certificate/{operation:path}")
    async def operate(operation: str, request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("appkey", "").encode(), app_key.encode()):
            return _reply("2001")
        try:
            return _reply(mapping.OK, server.answer(operation, read_object(await request.body())))
        except Refused as refused:
            return _reply(str(refused))
        except ValueError:
            return _reply("1005")

    return app


def _reply(code: str, data: JsonObject | None = None) -> Response:
    return Response(write_object({"code": code, "msg": "", "data": data}), media_type="application/json")


def fault_body() -> tuple[str, bytes]:
    """A refusal in this dialect: HTTP 200 all the same."""
    return "application/json", write_object({"code": "1002", "msg": "无权限", "data": None})


def main() -> None:
    """See ``--help``."""
    parser = library_parser("外省电子证照库 (模拟) / another province's e-certificate library, simulated")
    parser.add_argument("--app-key", required=True)
    given = parser.parse_args()
    holdings = holdings_of(given, organisation="外省电子证照库演示印章中心")
    server = UseforServer(holdings, authorize_after_s=given.authorize_after)
    simulation = Simulation(given.journal, fault_body=fault_body)
    app = create_app(server, given.app_key)
    run(app, simulation, host=given.host, port=given.port, control_port=given.control_port)


if __name__ == "__main__":
    main()
