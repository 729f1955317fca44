"""What editors ask about elements, and the language server that answers."""
