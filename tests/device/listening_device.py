#!/usr/bin/env python3
"""A device that listens: subscribes to its command topic, publishes frames given as hexadecimal digits, and prints the first
advisory that comes down, as JSON. Shares no code with Dermatel: paho-mqtt, and protobuf classes made by protoc."""
import argparse
import json
import sys
import threading

import paho.mqtt.client as mqtt

parser = argparse.ArgumentParser()
for name in ("proto", "host", "port", "name", "secret", "topic", "frames"):
    parser.add_argument(f"--{name}", required=True)
args = parser.parse_args()
sys.path.insert(0, args.proto)
from dermatel.v1 import command_pb2  # noqa: E402

advised = threading.Event()
said = {}


def on_connect(client, userdata, flags, reason, properties):
    client.subscribe(f"{args.topic}/command", qos=1)


def on_subscribe(client, userdata, mid, reasons, properties):
    for frame in args.frames.split(","):
        client.publish(f"{args.topic}/telemetry", bytes.fromhex(frame), qos=1)


def on_message(client, userdata, message):
    command = command_pb2.DeviceCommand()
    command.ParseFromString(message.payload)
    advisory = command.advisory
    said.update(
        alert=advisory.alert_id.hex(), priority=advisory.priority, happened=advisory.happened,
        what_to_do=advisory.what_to_do, show_for_s=advisory.show_for_s, qos=message.qos, retained=message.retain,
    )
    advised.set()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.name, protocol=mqtt.MQTTv5)
client.username_pw_set(args.name, args.secret)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect(args.host, int(args.port))
client.loop_start()
came = advised.wait(60)
client.disconnect()
client.loop_stop()
print(json.dumps(said))
sys.exit(0 if came else 1)
