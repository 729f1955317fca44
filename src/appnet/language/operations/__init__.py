"""What programs compute with: each operator and built-in function, declared once, one file a family."""
