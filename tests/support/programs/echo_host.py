"""Accepts connections on one address: argv[1] is {"address", "port"}. Prints "listening" once it does."""

import json
import socket
import sys

request = json.loads(sys.argv[1])
with socket.create_server((request["address"], request["port"])) as server:
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
