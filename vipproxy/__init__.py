"""vipproxy: a load-balancing proxy framework on Twisted."""

__version__ = "0.1.0"
