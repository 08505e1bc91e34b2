"""Server: how does a collection get to other processes and machines?

The same collection over Arrow Flight: `service` answers, `client` asks, `wire` is the one encoding that both use.
docs/protocol.md describes it for clients that know nothing of Nearrow.
"""
