# SPDX-License-Identifier: MPL-2.0
"""The page, as Vite built it: files as they are, everything else is the page itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Not built yet</title>
<body style="font:16px/1.5 system-ui;max-width:40em;margin:10vh auto;padding:0 1em">
<h1>The page is not built yet</h1>
<p>The API runs, for example <a href="/api/projects">/api/projects</a>. For the page:</p>
<pre>./dev run</pre><p>builds and serves everything; or, by hand:</p>
<pre>cd examples/projects/web
npm ci && npm run build</pre>
"""


class Pages(StaticFiles):
    def __init__(self, dist: Path) -> None:
        super().__init__(directory=dist, check_dir=False)
        self._index = dist / "index.html"

    async def check_config(self) -> None:
        """The page may be built while this runs: a folder that is missing is no error."""

    async def get_response(self, path: str, scope: Any) -> Response:
        if path.split("/")[0] == "api":
            raise HTTPException(404)
        if not self._index.is_file():
            return HTMLResponse(NOT_BUILT, 503, headers={"Cache-Control": "no-store"})
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            # A path without a suffix is a place inside the page, a file that is missing is missing.
            if error.status_code != 404 or os.path.splitext(path)[1]:
                raise
            path, response = "", await super().get_response("index.html", scope)
        hashed = path.startswith("assets/")  # Vite puts a digest of the content into these names.
        control = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Cache-Control"] = control
        return response
