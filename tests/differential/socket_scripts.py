"""What both stats sockets are asked: two equal configurations, and commands line by line."""

from __future__ import annotations

HAPROXY = """
global
    stats socket {directory}/theirs level admin
    stats socket {directory}/theirs-operator
    stats socket {directory}/theirs-user level user
    stats socket ipv4@127.0.0.1:{their_cli} level operator
defaults
    mode tcp
    maxconn 500
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend fe
    bind 127.0.0.1:{their_fe}
    default_backend be
backend be
    stick-table type ip size 10
    stick on dst
    server s1 127.0.0.1:{first} check inter 200ms
    server s2 127.0.0.1:{second} weight 2 maxconn 3
    server s3 127.0.0.1:{third} disabled
frontend web
    mode http
    bind 127.0.0.1:{their_web}
    default_backend webs
backend webs
    mode http
    server w1 127.0.0.1:{first}
frontend spare
    bind 127.0.0.1:{their_spare}
    default_backend be
"""
OURS = """
[global]
stats-socket = {directory}/ours level=admin
stats-socket = {directory}/ours-operator
stats-socket = {directory}/ours-user level=user
stats-socket = 127.0.0.1:{our_cli} level=operator
[defaults]
maxconn = 500
timeout-connect = 5s
timeout-client = 30s
timeout-server = 30s
[frontend fe]
protocol = tcp
bind = 127.0.0.1:{our_fe}
backend = be
[backend be]
check = tcp interval=200ms
stick = dst size=10
server s1 = 127.0.0.1:{first}
server s2 = 127.0.0.1:{second} weight=2 maxconn=3 check=off
server s3 = 127.0.0.1:{third} disabled check=off
[frontend web]
protocol = http
bind = 127.0.0.1:0
backend = webs
[backend webs]
server w1 = 127.0.0.1:{first}
[frontend spare]
protocol = tcp
bind = 127.0.0.1:0
backend = be
"""

SERVERS = """
set server
set server be
set server be/s1
set server be/nope
set server nope/s1
set server be/s1 foo
set server be/s1 state
set server be/s1 state foo
set server be/s1 weight
set server be/s1 weight 5
get weight be/s1
set server be/s1 weight 50%
get weight be/s1
set server be/s1 weight 300%
get weight be/s1
set server be/s1 weight 30000%
get weight be/s1
set server be/s1 weight 300
set server be/s1 weight -1
set server be/s1 weight foo
set server be/s1 weight 5foo
set server be/s1 weight %
set server be/s1 weight -5%
set weight be/s1
set weight be/s1 3
get weight be/s1
set weight be
set weight
set weight be/nope 3
set weight nope/s1 3
get weight
get weight be
get weight be/nope
get weight nope/s1
set server be/s1 health
set server be/s1 health foo
set server be/s2 health up
set server be/s1 agent
set server be/s1 agent up
set server be/s1 agent-addr 127.0.0.1
set server be/s1 agent-port 1
set server be/s1 agent-send x
set server be/s1 fqdn
set server be/s1 fqdn foo.bar
set server be/s1 ssl on
set server be/s1 addr
set server be/s1 addr foo
set server be/s1 addr 127.0.0.1
set server be/s1 addr 127.0.0.2
set server be/s1 addr 127.0.0.2 port
set server be/s1 addr 127.0.0.2 port foo
set server be/s1 addr 127.0.0.2 foo
set server be/s1 addr 127.0.0.2 port {second}
set server be/s1 addr 127.0.0.1 port {first}
set server be/s1 addr 127.0.0.1 port {first}
set server be/s1 addr ::1
set server be/s1 addr 127.0.0.1
set server be/s1 check-addr
set server be/s1 check-addr foo
set server be/s1 check-addr 127.0.0.1 port {first}
set server be/s2 check-addr 127.0.0.1
set server be/s1 check-port
set server be/s1 check-port foo
set server be/s1 check-port 70000
set server be/s1 check-port {first}
set server be/s2 check-port {first}
enable server
enable server be
enable server be/nope
enable server nope/x
disable server be/s1
disable server be/s1
enable server be/s1
enable health
enable health be/nope
enable health be/s1
enable health be/s2
disable health be/s1
disable health be/s2
enable health be/s1
enable agent
enable agent be/nope
enable agent be/s1
disable agent be/s1
set maxconn server
set maxconn server be
set maxconn server be/s1
set maxconn server be/s1 foo
set maxconn server be/s1 0
set maxconn server be/s1 5
set maxconn server be/nope 5
set maxconn server nope/s1 5
shutdown sessions server
shutdown sessions server be
shutdown sessions server be/nope
shutdown sessions server nope/x
shutdown sessions server be/s1
show servers state nope
show servers conn nope
"""
ADDED = """
add server
add server be
add server be/
add server nope/x 127.0.0.1:{third}
add server be/s1 127.0.0.1:{third}
add server be/n1
add server be/b@d 127.0.0.1:{third}
add server be/n1 127.0.0.1:99999
add server be/n1 127.0.0.1:{third} wieght 3
add server be/n1 127.0.0.1:{third} cookie a
add server be/n1 127.0.0.1:{third} init-addr none
add server be/n1 127.0.0.1:{third} weight 3 maxconn 7
add server be/n1 127.0.0.1:{third}
add server be/n2 127.0.0.1:{third} backup
add server be/n3 127.0.0.1:{third} enabled
get weight be/n1
del server
del server be
del server be/nope
del server nope/x
del server be/n3
disable server be/n3
del server be/n3
del server be/s3
enable server be/n1
set server be/n1 state drain
del server be/n1
add server be/n4 [::1]:{third}
enable health be/n4
"""
FRONTENDS = """
disable frontend
disable frontend nope
disable frontend be
disable frontend fe
disable frontend fe
enable frontend fe
enable frontend fe
enable frontend
enable frontend nope
set maxconn
set maxconn foo
set maxconn frontend
set maxconn frontend fe
set maxconn frontend fe -1
set maxconn frontend nope 10
set maxconn frontend fe 10
set maxconn global
set maxconn global 100
set maxconn global 100000000
set maxconn global 0
set rate-limit connections global
set rate-limit connections global 1000
set rate-limit sessions global 1000
set rate-limit connections global -1
set rate-limit connections global 0
set rate-limit sessions global 0
shutdown frontend
shutdown frontend nope
shutdown frontend spare
shutdown frontend spare
enable frontend spare
disable frontend spare
"""
TABLES = """
show table nope
show table be key
show table be foo
show table be key 1.2.3.4
show table be data.server_id
show table be data.server_id foo 1
show table be data.server_id eq
show table be data.server_id eq x
show table be data.conn_cnt eq 1
show table be data.foo eq 1
set table
set table be
set table be foo
set table be key
set table nope key 1
set table be key 127.0.0.1 data.foo 1
set table be key 127.0.0.1 data.conn_cnt 1
set table be key 127.0.0.1 data.server_id abc
set table be key 127.0.0.1 data.server_id
clear table
clear table nope
clear table be foo
clear table be key
clear table be key 1.2.3.4
clear table be data.server_id
clear table be data.foo eq 1
clear table be data.server_id eq
clear table be
show table be
show table be data.server_id eq 1
"""
USERS = """
show backend
show cli level
show env PATH
show env NOPE
set timeout
set timeout cli
set timeout cli foo
set timeout cli 0
set timeout cli 10
set timeout cli 10s
set timeout cli 99999999999
set timeout foo 10
shutdown session
shutdown session foo
shutdown session 0x123
show sess 0x123
show errors nope
clear counters
clear counters all
operator
user
operator;show cli level
user;show cli level;operator;show cli level
prompt
quit
show cli level;quit;show cli level
show cli level;prompt;show cli level
show\\ cli level
"""
AS_OPERATOR = """
set server
set server be/s1 state ready
set weight be/s1 1
get weight be/s1
enable server be/s1
disable frontend fe
set maxconn global 10
set rate-limit foo
add server be/x 127.0.0.1:1
del server be/x
shutdown session 0x1
shutdown sessions server be/s1
clear counters
clear counters all
clear table be
show env NOPE
show cli level
operator
"""
