"""Frontend types, and their framing without I/O."""
