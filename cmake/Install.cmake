# Install rules: see the packaging helper.
