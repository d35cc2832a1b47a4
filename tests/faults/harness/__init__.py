# SPDX-License-Identifier: MPL-2.0
"""What the fault tests stand on. See ../README.md."""
