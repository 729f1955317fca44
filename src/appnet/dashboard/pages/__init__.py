"""The pages of the dashboard, one module each: what is asked for becomes a `Page`."""
