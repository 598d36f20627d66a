"""Wire formats without I/O, for whoever needs them: protocols, checks, the connector, tests."""
