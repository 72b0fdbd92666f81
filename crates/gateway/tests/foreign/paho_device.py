"""A device on paho-mqtt: publishes, waits for its PUBACKs, takes one command.

usage: paho_device.py PORT VERSION DEVICE PASSWORD COUNT
Prints one JSON object: what was acknowledged, the reason codes seen, and the command.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt

port, version, device, password, count = sys.argv[1:]
base = f"dermatel/v1/acme/soho/{device}"
five = version == "5"
acknowledged, codes = [], []
ready, commanded, done = threading.Event(), threading.Event(), threading.Event()
command = []

client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=device,
    protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
)
client.username_pw_set(device, password)
client.will_set(f"{base}/status", b"offline", qos=1, retain=True)


def on_connect(client, userdata, flags, reason, properties):
    codes.append(f"connack {reason}")
    client.subscribe(f"{base}/command", qos=1)


def on_subscribe(client, userdata, mid, reasons, properties):
    codes.append("suback " + ",".join(str(reason) for reason in reasons))
    ready.set()


def on_publish(client, userdata, mid, reason, properties):
    acknowledged.append(mid)
    codes.append(f"puback {reason}")
    if len(acknowledged) == int(count):
        done.set()


def on_message(client, userdata, message):
    command.append(message.payload.decode())
    commanded.set()


client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_publish = on_publish
client.on_message = on_message
client.connect("127.0.0.1", int(port), keepalive=30)
client.loop_start()
ok = ready.wait(10)
for number in range(int(count)):
    client.publish(f"{base}/telemetry", f"stroke {number}".encode(), qos=1)
ok = ok and done.wait(10) and commanded.wait(10)
client.disconnect()
client.loop_stop()
print(json.dumps({"ok": ok, "acknowledged": len(acknowledged), "codes": sorted(set(codes)), "command": command}))
