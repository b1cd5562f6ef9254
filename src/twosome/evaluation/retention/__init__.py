"""Language retention: compare a language model with its adapter on and off, on the same items."""
