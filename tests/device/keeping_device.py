#!/usr/bin/env python3
"""A device that keeps its frames until the far end has them: asks for AckUpTo in each, publishes frames given as hexadecimal digits,
writes "published" into --progress when all have their PUBACK, and ends when an AckUpTo covers the last. Shares no code with
Dermatel: paho-mqtt, and protobuf classes made by protoc."""
import argparse
import json
import sys
import threading

import paho.mqtt.client as mqtt

parser = argparse.ArgumentParser()
for name in ("proto", "host", "port", "name", "secret", "topic", "frames", "progress"):
    parser.add_argument(f"--{name}", required=True)
args = parser.parse_args()
sys.path.insert(0, args.proto)
from dermatel.v1 import command_pb2, frame_pb2  # noqa: E402

frames = []
for digits in args.frames.split(","):
    frame = frame_pb2.Frame()
    frame.ParseFromString(bytes.fromhex(digits))
    frame.header.wants_ack_up_to = True
    frame.header.oldest_unacknowledged_sequence = 0
    frames.append(frame)
last = frames[-1].header
kept_no_more = threading.Event()
acks = []


def on_connect(client, userdata, flags, reason, properties):
    client.subscribe(f"{args.topic}/command", qos=1)


def on_subscribe(client, userdata, mid, reasons, properties):
    for frame in frames:
        client.publish(f"{args.topic}/telemetry", frame.SerializeToString(), qos=1)


published = 0


def on_publish(client, userdata, mid, reason, properties):
    global published
    published += 1
    if published == len(frames):
        with open(args.progress, "w", encoding="utf-8") as file:
            file.write("published")


def on_message(client, userdata, message):
    command = command_pb2.DeviceCommand()
    command.ParseFromString(message.payload)
    if command.WhichOneof("command") != "ack_up_to":
        return
    ack = command.ack_up_to
    if ack.boot_id == last.boot_id:
        acks.append(ack.sequence)
        if ack.sequence >= last.sequence:
            kept_no_more.set()


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.name, protocol=mqtt.MQTTv5)
client.username_pw_set(args.name, args.secret)
client.on_connect, client.on_subscribe = on_connect, on_subscribe
client.on_publish, client.on_message = on_publish, on_message
client.connect(args.host, int(args.port))
client.loop_start()
came = kept_no_more.wait(90)
client.disconnect()
client.loop_stop()
print(json.dumps({"acks": acks, "last": last.sequence, "published": published}))
sys.exit(0 if came else 1)
