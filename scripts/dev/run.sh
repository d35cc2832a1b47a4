# run.sh - ./dev run.   SPDX-License-Identifier: MPL-2.0
