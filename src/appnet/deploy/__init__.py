"""Where applications stand: a folder for each environment."""
