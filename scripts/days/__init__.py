"""A day of three stores and a web shop in virtual time: see `scripts/day --help`."""
