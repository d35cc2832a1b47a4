# SPDX-License-Identifier: MPL-2.0
"""The wire messages, generated from proto/freshwire/v1 by clients/python/generate."""
