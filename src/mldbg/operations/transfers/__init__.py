"""How shapes go through operations: small pure functions, one row for each qualified name."""
