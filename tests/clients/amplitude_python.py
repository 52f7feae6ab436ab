"""Sends an install, purchases and an identify with amplitude-analytics.

Arguments: where to send, the API key, the plan as JSON.
"""

import json
import sys
import threading

from amplitude import Amplitude, BaseEvent, EventOptions, Identify, Revenue

host, api_key, text = sys.argv[1:4]
plan = json.loads(text)
expected = 2 + len(plan["purchases"])
lock, done, codes = threading.Lock(), threading.Event(), []


def answered(event, code, message):
    with lock:
        codes.append(code)
        if len(codes) >= expected:
            done.set()


client = Amplitude(api_key)
client.configuration.server_url = f"{host}/2/httpapi"
client.configuration.flush_interval_millis = 50
client.configuration.flush_queue_size = 3
client.configuration.callback = answered
who = {"device_id": plan["device"], "user_id": plan["user"]}
client.track(BaseEvent("[Amplitude] Application Installed", time=plan["installed"], **who))
for purchase in plan["purchases"]:
    revenue = Revenue(price=purchase["revenue"] / 2, quantity=2, product_id="boots")
    client.revenue(revenue, EventOptions(time=purchase["time"], **who))
identify = Identify()
identify.set("plan", "pro")
identify.add("logins", 2)
client.identify(identify, EventOptions(**who))
client.flush()
finished = done.wait(120)
client.shutdown()
sys.exit(0 if finished and all(code == 200 for code in codes) else 1)
