"""Language retention: compare a language model before training and after, on the same items."""
