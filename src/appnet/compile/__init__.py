"""The one road from an application to what its processors load, and what keeps an application from it."""
