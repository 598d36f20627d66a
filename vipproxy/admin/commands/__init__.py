"""The commands of the stats socket, in HAProxy's words (management guide, 9.3).

A module for each group; a further command is a function and a line in its group's table.
"""

from __future__ import annotations

from vipproxy.admin.commands.command import Command, Console, Level
from vipproxy.admin.commands.table import COMMANDS, execute

__all__ = ["COMMANDS", "Command", "Console", "Level", "execute"]
