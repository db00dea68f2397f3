"""What the tests share: a server to start, and a client that knows JSON-RPC and nothing of Greenroom."""
