"""JSON Schemas of the YAML files that people write; the readers say more, and in words."""
