# SPDX-License-Identifier: MPL-2.0
"""The example application: projects, teams and notifications, live in every browser.

`application.py` puts it together, `routes.py` is what an application of your own would look like.
"""
