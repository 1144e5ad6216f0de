"""The same service on FastAPI: one chain for the life of the application, closed when it ends.

    pip install fastapi uvicorn
    uvicorn --app-dir examples --timeout-graceful-shutdown 20 fastapi_service:app

On SIGTERM uvicorn stops listening and lets the requests under way end, for as long as the chain's deadline allows them; then the lifespan closes
the chain. Cancelling needs no code: when a client hangs up, the server cancels the handler, and that ends the attempt under way. Started as a
script it calls its own handlers once, without a server. Prints:

    answer: I cannot look that up just now. Please ask again in a few minutes.
    stream: I cannot look that up just now. Please ask again in a few minutes.
    health: ok
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

from fastapi import Body, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse

from resilient_ai import CallError, ResilientModel

FILE = Path(__file__).parent / "config" / "offline.toml"


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with ResilientModel.from_config(FILE, chain="support") as model:
        app.state.model = model
        yield


app = FastAPI(lifespan=lifespan)


def model_of(request: Request) -> ResilientModel:
    model = request.app.state.model
    assert isinstance(model, ResilientModel)
    return model


@app.exception_handler(CallError)
def unavailable(request: Request, error: CallError) -> JSONResponse:
    """Nobody answered: what kind of failure it was, and when to come back. Nothing of the question stands in either."""
    wait = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:.0f}"}
    return JSONResponse({"error": error.kind}, 503, wait)


@app.post("/answer")
async def answer(
    request: Request,
    question: Annotated[str, Body(min_length=1)],
    x_deadline: Annotated[float | None, Header(gt=0, le=20)] = None,
) -> dict[str, object]:
    reply = await model_of(request).agenerate(question, deadline=x_deadline)
    return {"text": reply.text, "model": reply.model, "degraded": reply.degraded}


@app.post("/stream")
async def stream(request: Request, question: Annotated[str, Body(min_length=1)]) -> StreamingResponse:
    words = model_of(request).astream(question)
    await words.__aenter__()  # to the first word: what fails before it is still a status, not a broken body

    async def body() -> AsyncGenerator[str]:
        async with contextlib.aclosing(words):
            async for (
                chunk
            ) in words:  # if it breaks, so does the body: a reader must not take half an answer for all of it
                yield chunk.text

    return StreamingResponse(body(), media_type="text/plain")


@app.get("/health")
async def health(request: Request) -> dict[str, str]:
    status = model_of(request).health().status
    if status == "down":  # for a load balancer: send nobody here
        raise HTTPException(503, status)
    return {"status": status}


async def main() -> None:
    request = Request({"type": "http", "app": app, "headers": []})
    async with lifespan(app):
        told = await answer(request, "Where is my parcel?")
        print(f"answer: {told['text']}")
        response = await stream(request, "Where is my parcel?")
        print("stream: " + "".join([str(piece) async for piece in response.body_iterator]))
        print(f"health: {(await health(request))['status']}")


if __name__ == "__main__":
    asyncio.run(main())
