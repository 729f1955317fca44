"""What a user types: `appnetctl`."""
