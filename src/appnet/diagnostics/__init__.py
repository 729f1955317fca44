"""What users wrote, and what they are told about it."""
