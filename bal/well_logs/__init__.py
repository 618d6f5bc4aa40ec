"""The domain: two curves over depth, and scans of the paper they were drawn on."""
