# SPDX-License-Identifier: MPL-2.0
__version__ = "0.1.0"
