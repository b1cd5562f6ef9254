"""What a language model still knows after it has learned to act: with the adapter on and off, on the same items."""
