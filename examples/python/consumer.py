"""Reads every order by Server-Sent Events, also over restarts of this program; one in hand when it dies comes once more:
python3 consumer.py [http://127.0.0.1:8080/stream]
"""

import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/stream"
FILE = "cursor.txt"


def events(response):
    """Yields the data and the id of each event; the server also sends ids alone."""
    data, last = [], None
    for line in response:
        field, _, value = line.decode().rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "id":
            last = value
        elif field == "retry":
            events.retry = int(value) / 1000
        elif not field and not value and (data or last):
            yield json.loads("\n".join(data)) if data else None, last
            data = []


events.retry = 2.0  # seconds, until the server says how long


def follow(cursor):
    """Reads one stream to its end, and yields the cursor behind each message."""
    request = urllib.request.Request(URL + "?" + urllib.parse.urlencode({"topics": "ord.>"}), headers={"Accept": "text/event-stream"})
    if cursor:
        request.add_header("Last-Event-ID", cursor)
    with urllib.request.urlopen(request, timeout=60) as response:  # a heartbeat comes every 15 seconds
        for message, last in events(response):
            if message and message.get("op") == "ack":
                for topic in message.get("topics", []):
                    if cursor and not topic.get("recovered"):
                        print("lost orders of", topic["t"], "after", cursor, file=sys.stderr)
                for error in message.get("errors", []):
                    sys.exit(error["t"] + ": " + error["msg"])
            elif message and message.get("op") == "gap":
                print("lost orders of", message["t"], message["why"], file=sys.stderr)
            elif message and "op" not in message and message.get("k") != "snap":
                print(message["t"], message["s"], json.dumps(message["d"]), flush=True)
            if last:
                yield last


cursor = ""
try:
    with open(FILE) as file:
        cursor = file.read()
except FileNotFoundError:
    pass  # the first start
while True:
    try:
        for cursor in follow(cursor):
            with open(FILE + ".new", "w") as file:
                file.write(cursor)
            os.replace(FILE + ".new", FILE)  # the orders before it are taken care of
    except urllib.error.HTTPError as error:
        if error.code in (400, 401, 403):
            sys.exit(error.read().decode())
        events.retry = float(error.headers.get("Retry-After") or events.retry)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
    time.sleep(events.retry * (1 + random.random() / 2))
