"""The commands, a module each: its `command` has the options, and does the work."""
