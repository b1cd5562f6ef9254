"""What runs left behind: read from run folders or published tables, checked, and collected."""
