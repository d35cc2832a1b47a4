# Requests over HTTP.
fw_integration_test(fetch fw::fetch)
