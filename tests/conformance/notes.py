"""Below the table: what is not exact, and why. One line a method."""

NOTES = ()
