"""A subscriber: takes signed CloudEvents, refuses unsigned ones, and counts each event once however often it comes.

``python -m adapters.cloudevents.simulator --hub-key-file hub.pub.pem``; faults and counts: adapters/simulation.py. ``GET /events``
lists what came.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response

from adapters.cloudevents import mapping
from adapters.json_wire import JsonObject, read_object, write_object
from adapters.simulation import Simulation, argument_parser, run, signature_refusal
from certs.keys import PublicKey

EVENTS_KEPT: Final = 10_000


def create_app(simulation: Simulation, hub_key: PublicKey) -> FastAPI:
    app = FastAPI(openapi_url=None)
    came: deque[JsonObject] = deque(maxlen=EVENTS_KEPT)

    @app.get("/events")
    async def events() -> Response:
        return Response(write_object({"events": list(came)}), media_type="application/json")

    @app.options("/{path:path}")
    async def allow(request: Request, path: str) -> Response:
        if reason := signature_refusal(request, b"", hub_key):
            return Response(reason, 401)
        return Response(status_code=200, headers={"Allow": "POST", "WebHook-Allowed-Origin": "exchange-hub"})

    @app.post("/{path:path}")
    async def take(request: Request, path: str) -> Response:
        body = await request.body()
        if reason := signature_refusal(request, body, hub_key):
            return Response(reason, 401)
        if not request.headers.get("content-type", "").startswith("application/cloudevents+json"):
            return Response(status_code=415)
        try:
            record = read_object(body)
            event = mapping.event_from_wire(record, request.headers.get("idempotency-key", ""))
        except ValueError as fault:
            return Response(str(fault), 400)
        if event.idempotency_key not in simulation.effects:  # source and id name the event, and the key stands for both
            simulation.effect(event.idempotency_key)
            came.append(record)
        return Response(status_code=204)

    return app


def fault_body() -> tuple[str, bytes]:
    """A web hook has no refusal inside a 200: whatever stands in it, the event was taken."""
    return "text/plain", b"ok"


def main() -> None:
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--hub-key-file", type=Path, required=True, help="PEM of the hub's public key")
    given = parser.parse_args()
    simulation = Simulation(given.journal, fault_body=fault_body)
    app = create_app(simulation, PublicKey.from_pem(given.hub_key_file.read_bytes()))
    run(app, simulation, host=given.host, port=given.port, control_port=given.control_port)


if __name__ == "__main__":
    main()
