"""`protocol = http`: a factory for a frontend, a client for each connection, an exchange for each
request, and connections to servers that several exchanges use, one after the other."""
