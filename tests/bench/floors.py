"""The two floors of the hub's figures: a bare FastAPI echo under the hub's own uvicorn options, and a bare durable insert."""

from __future__ import annotations

import argparse
import time

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, Request, Response

from hub import interpreter
from hub.access.tls_auth import server_options
from hub.config import Settings
from hub.engine import WRITER, make_engine


def echo_app() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post("/v1/transfers")
    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    return app


def durable_inserts(url: str, body: bytes, seconds: float) -> list[float]:
    """One connection, one row of that size in each commit; gives how long each took, in seconds."""
    engine = make_engine(sa.make_url(url)).execution_options(**WRITER)
    table = sa.Table(
        "bench_floor", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("body", sa.LargeBinary)
    )
    taken: list[float] = []
    try:
        with engine.connect() as conn:
            table.create(conn, checkfirst=True)
            conn.commit()
            end = time.perf_counter() + seconds
            while (begin := time.perf_counter()) < end:
                conn.execute(sa.insert(table).values(body=body))
                conn.commit()
                taken.append(time.perf_counter() - begin)
            table.drop(conn)
            conn.commit()
    finally:
        engine.dispose()
    return taken


def main() -> None:
    """Serve the echo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = server_options(Settings(port=parser.parse_args().port))
    server = uvicorn.Server(uvicorn.Config(echo_app(), log_config=None, **options))
    interpreter.tune()
    server.run()


if __name__ == "__main__":
    main()
