"""How bytes move between two sockets; knows neither pools nor protocols."""
