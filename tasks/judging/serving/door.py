"""The door of the judging server: who is let in, how much may be carried in, and how it says no.

>>> refusal(404, "There is no model policy.", "model_not_found").status_code
404

Whoever does not know the key stays outside before a byte of the body is read, and a body that is
too large is left where it is. Refusals have the form that clients of OpenAI's API read.
"""

import hmac

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.running.errors import UserError

BODY = 64 * 2**20  # bytes of a request: 48 MB of pictures, as base64 takes 4 bytes for 3
HOSTS = ("127.0.0.1", "localhost")
KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class Refused(Exception):
    """A request that gets no answer.

    Attributes:
        status: Of HTTP.
        code: Why, in a word for programs.
    """

    def __init__(self, message: str, code: str, status: int = 400):
        super().__init__(message)
        self.message, self.code, self.status = message, code, status


def refusal(status: int, message: str, code: str) -> JSONResponse:
    """Return an error as OpenAI's clients read it."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    told = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": told}, status)


class Door:
    """An ASGI application in front of another."""

    def __init__(self, app: ASGIApp, key: str, most: int = BODY):
        self.app, self.most = app, most
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer why not."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers, left = Headers(scope=scope), self.most
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        if not hmac.compare_digest(headers.get("authorization", "").encode(), self._expected):
            told = "The key is missing or wrong: send it as `Authorization: Bearer <key>`."
            return await refusal(401, told, "invalid_api_key")(scope, receive, send)
        if int(headers.get("content-length", 0)) > self.most:
            no = self._too_large()
            return await refusal(no.status_code, no.detail, "too_large")(scope, receive, send)

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:  # of a length that it did not say
                raise self._too_large()
            return message

        await self.app(scope, bounded, send)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"A request may have {self.most // 2**20} MiB.")


def guard(app: FastAPI, key: str, most: int = BODY) -> None:
    """Put the door before an application, and let it say no in one form."""
    app.add_middleware(Door, key=key, most=most)
    # outermost: a page whose name was bound to 127.0.0.1 gets nothing
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return refusal(error.status, error.message, error.code)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return refusal(400, _first(error), "malformed")

    @app.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, str(error.detail), "http_error")

    @app.exception_handler(UserError)
    async def failed(request: Request, error: UserError) -> JSONResponse:
        return refusal(503, f"{error.what}: {error.why}.", "judge_failed")


def _first(error: RequestValidationError) -> str:
    """Say what is wrong without what was sent, which may be a picture of megabytes."""
    wrong = error.errors()
    where = ".".join(str(part) for part in wrong[0]["loc"] if part != "body")
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{where or 'The body'}: {wrong[0]['msg']}{more}"
