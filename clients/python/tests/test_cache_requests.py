# SPDX-License-Identifier: MPL-2.0
"""Keys and tags, paths, headers and the freshness token of a request."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from freshwire.cache import (
    BYPASS,
    CacheHeaders,
    Status,
    cache_control,
    current,
    parse_fresh,
    should_cache,
)
from freshwire.cache._algorithm import Plan
from freshwire.cache._breaker import Breaker
from freshwire.cache._template import Template, limit_key
from freshwire.cache.context import Read

# ---- templates


@pytest.mark.parametrize("text", ["{}", "{0}", "{a!r}", "{a:>5}", "{a[0]}", "{a.}", "{", "}"])
def test_template_that_could_surprise_is_refused(text):
    with pytest.raises(ValueError):
        Template(text)


def test_unknown_name_is_an_error_when_the_function_is_decorated():
    template = Template("x:{team_id}:{user.id}")
    template.check({"team_id", "user", "more"}, "function")
    with pytest.raises(ValueError, match="function takes no user"):
        template.check({"team_id"}, "function")


def test_object_without_a_text_of_its_own_is_no_part_of_a_key():
    """Its address would be the key: a miss each time, or another object's entry."""
    with pytest.raises(TypeError, match="no text of its own"):
        Template("x:{session}").key({"session": object()})


def test_nothing_is_not_the_text_none():
    template = Template("user:{user_id}")
    assert template.key({"user_id": None}) not in {
        template.key({"user_id": text}) for text in ("None", "%", "", "null")
    }


def test_items_of_a_dict_are_named_as_attributes_are():
    assert Template("project:{row.id}").tag({"row": {"id": 4}}) == "project:4"


def test_no_value_reaches_into_the_part_of_another():
    template = Template("a:{x}:{y}")
    keys = {
        template.key({"x": x, "y": y})
        for x, y in [
            ("1:2", "3"),
            ("1", "2:3"),
            ("1%3A2", "3"),
            ("1", "2"),
            ("1 2", "3"),
            ("é", "*"),
        ]
    }
    assert len(keys) == 6
    assert template.key({"x": 1, "y": "a-b_c.d"}) == "a:1:a-b_c.d"


def test_attributes_are_followed_and_tags_are_what_publishers_write():
    user = SimpleNamespace(id="u:1", team=SimpleNamespace(id=4))
    assert Template("user:{user.id}:{user.team.id}").key({"user": user}) == "user:u%3A1:4"
    assert Template("user:{user.id}").tag({"user": user}) == "user:u:1"
    assert Template("literal {{x}}").tag({}) == "literal {x}"


def test_long_key_keeps_its_beginning_and_stays_unique():
    first, second = limit_key("k" * 600 + "1"), limit_key("k" * 600 + "2")
    assert first != second
    assert first.startswith("k" * 400)
    assert len(first) <= 512
    assert limit_key("k" * 512) == "k" * 512
    assert len(limit_key("é" * 600).encode()) <= 512


# ---- policy


def test_live_paths_of_the_seed_are_not_cached():
    for path in ("/api/v1/projects", "/projects/4", "/users/me", "/notifications", "/api/teams/1"):
        assert not should_cache(path)
    for path in ("/api/v1/settings", "/users/4", "/health", ""):
        assert should_cache(path)
    assert not should_cache("/own/path", ["/own"])
    assert should_cache("/projects", [])


def test_cache_control_follows_the_path():
    for path in ("/api/v1/projects/4", "/users/me", "/notifications", "/teams/1", "/api/dashboard"):
        assert cache_control(path) == "private, no-store"
    assert cache_control("/analytics/x", live_control="private, no-cache") == "private, no-cache"
    assert cache_control("/health", static_seconds=5) == "public, max-age=5"
    assert cache_control("/anything", default_seconds=0) == "private, max-age=0"
    assert cache_control("/health") == "public, max-age=60"
    assert cache_control("/docs") == "public, max-age=60"
    assert cache_control("/anything") == "private, max-age=10"


# ---- the freshness token


def test_token_that_cannot_be_read_bypasses():
    assert parse_fresh(None) == parse_fresh("") == parse_fresh(" 0 ") == 0
    assert parse_fresh("1732270000122456") == 1732270000122456
    for text in ("bypass", "BYPASS", "-1", "1.5", "0x10", "1" * 21, "\u0661\u0662", "now", "1,2"):
        assert parse_fresh(text) is BYPASS


# ---- the middleware


def serve(app, path="/x", method="GET", headers=(), **options):
    """Runs one request through the middleware; returns status, headers and body."""
    sent = []

    async def run():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        await CacheHeaders(app, **options)(scope, receive, send)

    asyncio.run(run())
    found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def application(status=200, headers=(), reads=(), seen=None):
    async def app(scope, receive, send):
        if seen is not None:
            seen.append(current().fresh)
        current().reads.extend(Read(status, Plan("k", ("",), ("e",), 1, 2)) for status in reads)
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def test_headers_follow_path_method_and_status():
    cases = [
        ("/projects", "GET", 200, "private, no-store"),
        ("/health", "GET", 200, "public, max-age=60"),
        ("/other", "GET", 200, "private, max-age=10"),
        ("/other", "HEAD", 200, "private, max-age=10"),
        ("/projects", "GET", 304, "private, no-store"),
        ("/health", "GET", 503, "no-store"),
        ("/other", "GET", 404, "no-store"),
        ("/projects", "POST", 201, "no-store"),
    ]
    for path, method, status, expected in cases:
        _, headers, body = serve(application(status), path, method)
        assert headers["cache-control"] == expected, (path, method, status)
        assert body == b"ok"
    assert serve(application(), "/projects")[1]["vary"] == "Authorization, Cookie"
    assert "vary" not in serve(application(), "/health")[1]


def test_what_was_read_from_a_cache_is_never_used_by_browsers_without_asking():
    _, headers, _ = serve(application(reads=[Status.HIT]), "/not-in-any-list")
    assert headers["cache-control"] == "private, no-cache"
    assert headers["x-cache"] == "HIT"
    assert "etag" not in headers  # It did not say that this was all.
    _, headers, _ = serve(application(reads=[Status.HIT]), "/projects")
    assert headers["cache-control"] == "private, no-store"


def test_x_cache_says_the_worst_of_all_reads():
    worst = [
        ([Status.HIT, Status.HIT], "HIT"),
        ([Status.HIT, Status.MISS], "MISS"),
        ([Status.BYPASS, Status.MISS], "BYPASS"),
        ([Status.STALE_REJECTED, Status.BYPASS], "STALE-REJECTED"),
    ]
    for reads, expected in worst:
        assert serve(application(reads=reads))[1]["x-cache"] == expected
    assert "x-cache" not in serve(application())[1]


def test_what_the_application_says_stands():
    own = [(b"Cache-Control", b"max-age=5"), (b"Vary", b"Accept")]
    _, headers, _ = serve(application(headers=own), "/projects")
    assert headers["cache-control"] == "max-age=5"
    assert headers["vary"] == "Accept"


def test_policy_can_be_changed():
    _, headers, _ = serve(application(), "/mine", live=["/mine"])
    assert headers["cache-control"] == "private, no-store"
    _, headers, _ = serve(application(), "/projects", live_control="private, no-cache")
    assert headers["cache-control"] == "private, no-cache"
    _, headers, _ = serve(application(), "/projects", live=[], default_seconds=3)
    assert headers["cache-control"] == "private, max-age=3"


def test_token_reaches_the_application_and_ends_with_the_request():
    seen = []
    serve(application(seen=seen), headers=[(b"x-freshwire-fresh", b"123")])
    serve(application(seen=seen), headers=[(b"X-Freshwire-Fresh", b"bypass")])
    serve(application(seen=seen))
    assert seen == [123, BYPASS, 0]
    assert current() is None


def test_other_protocols_pass_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], current()))

    asyncio.run(CacheHeaders(app)({"type": "websocket"}, None, None))
    assert seen == [("websocket", None)]


# ---- the breaker


def test_redis_that_fails_is_left_alone_for_a_second_then_tried_by_one():
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(10.0)
        assert breaker.allows(10.0)
    breaker.failed(10.0)
    assert not breaker.allows(10.9)
    assert breaker.allows(11.0)
    assert not breaker.allows(11.1)  # The others wait for that one.
    breaker.succeeded()
    assert breaker.allows(11.1)
    breaker.failed(12.0)
    assert breaker.allows(12.0)  # One failure is none.
