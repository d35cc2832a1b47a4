# SPDX-License-Identifier: MPL-2.0
"""Development sign-in: tokens that this API and the gateway accept."""

# No `from __future__ import annotations`: FastAPI could not resolve those of a callable object.
import time
from typing import NamedTuple

import jwt
from fastapi import HTTPException, Request

TOKEN_SECONDS = 12 * 60 * 60


class Principal(NamedTuple):
    """Who sent the request; an empty id is nobody."""

    user_id: str


class Tokens:
    """HS256 with the gateway's secret; `sub` is the user's id."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def issue(self, user_id: str, name: str) -> str:
        now = int(time.time())
        claims = {
            "sub": user_id,
            "name": name,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            # The page shows who else is looking at the board.
            "presence": ["board"],
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def anyone(self, request: Request) -> Principal:
        """Dependency: who it is, if anybody. 401 for a token that is not good."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return Principal("")
        try:
            if scheme.lower() != "bearer":
                raise jwt.InvalidTokenError("not a bearer token")
            claims = jwt.decode(
                token.strip(),
                self._secret,
                algorithms=["HS256"],
                options={"require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise _unauthorized(f"token refused: {error}") from None
        return Principal(str(claims["sub"]))

    async def signed_in(self, request: Request) -> Principal:
        """Dependency: 401 for nobody, too."""
        principal = await self.anyone(request)
        if not principal.user_id:
            raise _unauthorized("sign in first: POST /api/login")
        return principal


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
