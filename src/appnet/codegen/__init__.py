"""Match-action form to the source of something that runs: one folder for each target language."""
