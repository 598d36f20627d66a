"""The twistd command, and the built-in plugins by name. Nothing heavy is imported here."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

from vipproxy.plugins import Plugin

service = ServiceMaker(
    "vipproxy", "vipproxy.tap", "A load-balancing proxy for highly available clusters.", "vipproxy"
)

tcp_protocol = Plugin("protocol", "tcp", "vipproxy.protocols.tcp:TcpProtocol")
http_protocol = Plugin("protocol", "http", "vipproxy.protocols.http.factory:HttpProtocol")
mysql_protocol = Plugin("protocol", "mysql", "vipproxy.protocols.mysql:MysqlProtocol")
stats_protocol = Plugin("protocol", "stats", "vipproxy.protocols.stats:StatsProtocol")

tcp_check = Plugin("check", "tcp", "vipproxy.checks.tcp:TcpCheck")
http_check = Plugin("check", "http", "vipproxy.checks.http:HttpCheck")
mysql_check = Plugin("check", "mysql", "vipproxy.checks.mysql:MysqlCheck")
galera_check = Plugin("check", "galera", "vipproxy.checks.galera:GaleraCheck")

ssl_hello_check = Plugin("check", "ssl-hello", "vipproxy.checks.handshakes:SslHelloCheck")
smtp_check = Plugin("check", "smtp", "vipproxy.checks.handshakes:SmtpCheck")
pgsql_check = Plugin("check", "pgsql", "vipproxy.checks.handshakes:PgsqlCheck")
redis_check = Plugin("check", "redis", "vipproxy.checks.handshakes:RedisCheck")
ldap_check = Plugin("check", "ldap", "vipproxy.checks.handshakes:LdapCheck")

roundrobin = Plugin("balancer", "roundrobin", "vipproxy.backends.balance:RoundRobinBalancing")
leastconn = Plugin("balancer", "leastconn", "vipproxy.backends.balance:LeastConnBalancing")
first = Plugin("balancer", "first", "vipproxy.backends.balance:FirstBalancing")
random = Plugin("balancer", "random", "vipproxy.backends.balance:RandomBalancing")
source = Plugin("balancer", "source", "vipproxy.backends.balance_hash:SourceBalancing")
uri = Plugin("balancer", "uri", "vipproxy.backends.balance_hash:UriBalancing")
hdr = Plugin("balancer", "hdr", "vipproxy.backends.balance_hash:HeaderBalancing")
url_param = Plugin("balancer", "url_param", "vipproxy.backends.balance_hash:ParameterBalancing")
