# SPDX-License-Identifier: MPL-2.0
"""The Redis scripts that the C and the Python cache share, copied from cache/lua by
clients/python/generate."""

from __future__ import annotations

from importlib import resources


def script(name: str) -> bytes:
    """The text of one script, for example "acquire"."""
    try:
        return resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
    except FileNotFoundError as error:
        raise RuntimeError(
            "freshwire is incomplete: run clients/python/generate, or install the package"
        ) from error
