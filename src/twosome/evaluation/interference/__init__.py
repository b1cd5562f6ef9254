"""suite=interference: how far one update moves the policy in situations that the update did not contain."""
