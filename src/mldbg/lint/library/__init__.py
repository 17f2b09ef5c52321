"""What the functions and classes of other packages do: tables, no logic. Adding a function is adding a row."""
