"""Sends an install, purchases and an identify with segment-analytics-python.

Arguments: where to send, the write key, the plan as JSON, `gzip` or `plain`.
"""

import json
import sys
from datetime import datetime, timezone

from segment.analytics.client import Client

host, write_key, text, compression = sys.argv[1:5]
plan = json.loads(text)


def at(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)


client = Client(write_key, host=host, gzip=compression == "gzip", upload_size=3, max_retries=10)
who = {"anonymous_id": plan["device"], "user_id": plan["user"]}
client.track(event="Application Installed", timestamp=at(plan["installed"]), **who)
for purchase in plan["purchases"]:
    properties = {"revenue": purchase["revenue"], "currency": "EUR"}
    client.track(event="Order Completed", timestamp=at(purchase["time"]), properties=properties, **who)
client.identify(traits={"plan": "pro"}, **who)
client.shutdown()
