"""Loading a language model, and scoring actions with it."""
