"""One connection attempt: on Twisted's reactor, or by the native transport."""
