"""The controller: gives every proxy its resources and its chains, and knows which of them it runs."""
