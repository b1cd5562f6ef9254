"""The figures and tables: one module for each."""
