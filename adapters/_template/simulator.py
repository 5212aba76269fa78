"""The peer as a server. FILL IN: let it answer as the real one does, its refusals included.

``python -m adapters._template.simulator --token secret``; faults and counts: adapters/simulation.py.
"""

from __future__ import annotations

import hmac

from fastapi import FastAPI, Request, Response

from adapters._template import mapping
from adapters.contract import DeliveryStatus, StatusAnswer
from adapters.json_wire import JsonObject, read_object, write_object
from adapters.simulation import Simulation, argument_parser, run


def create_app(simulation: Simulation, token: str) -> FastAPI:
    app = FastAPI(openapi_url=None)

    def admitted(request: Request) -> bool:
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {token}".encode())

    async def take(request: Request) -> tuple[JsonObject, str]:
        return read_object(await request.body()), request.headers.get("idempotency-key", "")

    @app.get("/health")
    async def health(request: Request) -> Response:
        return _answer({"version": "1"}) if admitted(request) else Response(status_code=401)

    @app.post("/steps")
    async def step(request: Request) -> Response:
        if not admitted(request):
            return Response(status_code=401)
        try:
            key = mapping.step_from_wire(*await take(request)).idempotency_key
        except ValueError as fault:
            return Response(str(fault), 400)
        simulation.effect(key)
        return _answer({"reference": f"R-{key}"}, 202)

    @app.post("/cancellations")
    async def cancellation(request: Request) -> Response:
        if not admitted(request):
            return Response(status_code=401)
        try:
            key = mapping.cancellation_from_wire(*await take(request)).idempotency_key
        except ValueError as fault:
            return Response(str(fault), 400)
        simulation.effect(key)
        return _answer({"reference": f"R-{key}"})

    @app.get("/status/{key}")
    async def status(request: Request, key: str) -> Response:
        if not admitted(request):
            return Response(status_code=401)
        known = key in simulation.effects
        answer = StatusAnswer(
            status=DeliveryStatus.RECEIVED if known else DeliveryStatus.UNKNOWN,
            peer_reference=f"R-{key}" if known else None,
        )
        return _answer(mapping.status_to_wire(answer))

    return app


def fault_body() -> tuple[str, bytes]:
    """FILL IN: how this peer refuses inside an HTTP 200."""
    return "application/json", write_object({"error": "database away"})


def _answer(record: JsonObject, status: int = 200) -> Response:
    return Response(write_object(record), status, media_type="application/json")


def main() -> None:
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--token", required=True)
    given = parser.parse_args()
    simulation = Simulation(given.journal, fault_body=fault_body)
    app = create_app(simulation, given.token)
    run(app, simulation, host=given.host, port=given.port, control_port=given.control_port)


if __name__ == "__main__":
    main()
