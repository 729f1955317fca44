"""Chains as engines of the mRPC service (Phoenix): it runs them between programs and its transport."""
