"""A pen and an IPL unit that share no code with Dermatel: paho-mqtt, and protobuf classes that protoc made from proto/.

They publish one treatment session each, with one stroke that is too deep and one pulse that is too strong, keep what has no
PUBACK, and send it again after every reconnect. The sessions have just ended: each frame carries the time at which its
readings were made, as from an outbox. At the end they print, as one line of JSON, what they sent, so that the test can compare
it with what was stored. Everything here is written from docs/firmware.md alone.
"""
import argparse
import collections
import json
import os
import sys
import threading
import time

import paho.mqtt.client as mqtt

parser = argparse.ArgumentParser()
parser.add_argument("--proto", required=True, help="folder with protoc's output")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--tenant", required=True)
parser.add_argument("--clinic", required=True)
parser.add_argument("--pen", required=True)
parser.add_argument("--pen-secret", default="")
parser.add_argument("--ipl", required=True)
parser.add_argument("--ipl-secret", default="")
parser.add_argument("--batches", type=int, default=20, help="stroke batches, 120 strokes each")
parser.add_argument("--pulses", type=int, default=30)
parser.add_argument("--pause-ms", type=int, default=20, help="between two frames")
parser.add_argument("--ended-s-ago", type=float, default=0, help="how long ago the sessions ended")
parser.add_argument("--deep-um", type=int, default=2900, help="the one stroke that is too deep")
parser.add_argument("--strong-mj", type=int, default=14800, help="fluence of the one pulse that is too strong, mJ/cm2")
parser.add_argument("--garbage", type=int, default=0, help="1: the pen sends three frames in the end that no server can take")
parser.add_argument("--mqtt", choices=["3", "5"], default="5")
parser.add_argument("--deadline-s", type=float, default=60)
args = parser.parse_args()

sys.path.insert(0, args.proto)
from dermatel.v1 import frame_pb2 as pb  # noqa: E402
from dermatel.v1 import status_pb2 as status_pb  # noqa: E402

STROKES = 120
SETPOINT_UM = 500
FLUENCE_SET = 12000
SPOT_MM2 = 480
BATCH_US = 1_000_000
PULSE_US = 1_500_000
SESSION_AT_US = 600_000_000  # the session starts ten minutes after boot
QUOTA_EXCEEDED = 0x97
NOW_US = int(time.time() * 1e6)


class Device:
    """One connection with its own outbox: a frame leaves it with its PUBACK and not before."""

    def __init__(self, device, secret, session_us):
        self.device = device
        base = f"dermatel/v1/{args.tenant}/{args.clinic}/{device}"
        self.topic, self.status_topic = f"{base}/telemetry", f"{base}/status"
        self.boot = int.from_bytes(os.urandom(8), "little")
        ended = NOW_US - int(args.ended_s_ago * 1e6)
        self.booted_wall_us = ended - session_us - SESSION_AT_US
        self.sequence = 0
        self.session = os.urandom(16)
        self.visit = os.urandom(16)
        self.outbox = {}  # sequence -> bytes
        self.in_flight = {}  # packet id -> sequence
        self.acks = collections.deque()
        self.connections = 0
        self.sent_to = 0  # the connection that was given the outbox
        self.refused = []
        protocol = mqtt.MQTTv5 if args.mqtt == "5" else mqtt.MQTTv311
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"{args.tenant}-{device}", protocol=protocol)
        if secret:
            self.client.username_pw_set(f"{args.tenant}/{device}", secret)
        self.client.will_set(self.status_topic, self.status(status_pb.PRESENCE_LOST), qos=1, retain=True)
        self.client.on_connect = self.on_connect
        self.client.on_publish = self.on_publish
        self.client.reconnect_delay_set(min_delay=0.2, max_delay=1)
        self.client.max_inflight_messages_set(1000)

    def status(self, presence):
        status = status_pb.Status()
        status.presence = presence
        status.boot_id = self.boot
        return status.SerializeToString()

    def connect(self, deadline):
        while True:
            try:
                self.client.connect(args.host, args.port, keepalive=10)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self.client.loop_start()

    # The callbacks run in paho's thread, under its locks: they only note what came, and the device's own thread acts on it.

    def on_connect(self, client, userdata, flags, reason, properties):
        if reason != 0:
            self.refused.append({"sequence": None, "code": getattr(reason, "value", reason), "what": f"CONNACK {reason}"})
        else:
            self.connections += 1

    def on_publish(self, client, userdata, packet_id, reason, properties):
        self.acks.append((packet_id, reason, properties))

    def act(self):
        """Takes the PUBACKs that came, and sends the outbox again after a reconnect, the oldest first."""
        while self.acks:
            self.acknowledged(*self.acks.popleft())
        if self.sent_to != self.connections:
            self.sent_to = self.connections
            self.in_flight.clear()
            self.client.publish(self.status_topic, self.status(status_pb.PRESENCE_ONLINE), qos=1, retain=True)
            for sequence in sorted(self.outbox):
                self.send(sequence)

    def acknowledged(self, packet_id, reason, properties):
        sequence = self.in_flight.pop(packet_id, None)
        if sequence is None:
            return
        if getattr(reason, "is_failure", False):
            self.refused.append({"sequence": sequence, "code": reason.value, "what": getattr(properties, "ReasonString", "")})
            if reason.value == QUOTA_EXCEEDED:
                return  # not kept there: it stays in the outbox
        self.outbox.pop(sequence, None)

    def send(self, sequence):
        info = self.client.publish(self.topic, self.outbox[sequence], qos=1)
        if info.rc == mqtt.MQTT_ERR_SUCCESS:
            self.in_flight[info.mid] = sequence

    def wall_us(self, uptime_us):
        return self.booted_wall_us + uptime_us

    def frame(self, uptime_us, in_session=True):
        frame = pb.Frame()
        header = frame.header
        header.schema_version = 1
        header.device_id = self.device
        header.boot_id = self.boot
        header.sequence = self.sequence
        header.uptime_us = uptime_us
        header.wall_time_us = self.wall_us(uptime_us)
        header.wall_time_source = pb.WALL_TIME_SOURCE_NTP
        if in_session:
            header.session_id = self.session
            header.visit_id = self.visit
            header.session_start_uptime_us = SESSION_AT_US
        return frame

    def publish(self, frame):
        self.publish_bytes(frame.SerializeToString())

    def publish_bytes(self, payload):
        self.act()
        self.outbox[self.sequence] = payload
        if self.sent_to > 0:
            self.send(self.sequence)
        self.sequence += 1
        time.sleep(args.pause_ms / 1000)

    def drain(self, deadline):
        resend = time.monotonic() + 1
        while self.outbox and time.monotonic() < deadline:
            self.act()
            if time.monotonic() > resend:
                resend = time.monotonic() + 1
                for sequence in sorted(set(self.outbox) - set(self.in_flight.values())):
                    self.send(sequence)
            time.sleep(0.02)

    def leave(self):
        if self.client.is_connected():
            last = self.client.publish(self.status_topic, self.status(status_pb.PRESENCE_OFFLINE), qos=1, retain=True)
            try:
                last.wait_for_publish(5)
            except (RuntimeError, ValueError):
                pass
        self.client.disconnect()
        self.client.loop_stop()


def birth(device, kind):
    frame = device.frame(SESSION_AT_US - 1_000_000, in_session=False)
    frame.birth.kind = kind
    frame.birth.model = "independent"
    frame.birth.firmware = "py-1"
    device.publish(frame)


def pen_session(pen):
    birth(pen, pb.DEVICE_KIND_PEN)
    frame = pen.frame(SESSION_AT_US)
    frame.session_start.cartridge_serial = f"PY-{pen.boot:016x}"
    frame.session_start.cartridge_lot = "LOT-PY-7"
    frame.session_start.skin_type = pb.SKIN_TYPE_II
    pen.publish(frame)
    report = {"strokes": 0, "windows": args.batches, "deepest_um": 0, "depth_sum_um": 0, "deep_ordinal": None}
    for batch in range(args.batches):
        first_us = SESSION_AT_US + batch * BATCH_US
        frame = pen.frame(first_us + BATCH_US)
        strokes = frame.stroke_batch
        strokes.first_ordinal = report["strokes"]
        strokes.first_uptime_us = first_us
        strokes.duration_us = BATCH_US
        strokes.zone = pb.ZONE_CHEEK
        strokes.depth_setpoint_um = SETPOINT_UM
        depths = [SETPOINT_UM + (7 * i) % 21 - 10 for i in range(STROKES)]
        strokes.flush_reason = pb.FLUSH_REASON_PERIOD
        if batch == args.batches // 2 and args.deep_um:
            depths[60] = args.deep_um
            strokes.flush_reason = pb.FLUSH_REASON_LIMIT
            report["deep_ordinal"] = report["strokes"] + 60
            report["deep_at_us"] = pen.wall_us(first_us + 60 * BATCH_US // STROKES)
        strokes.depth_um.extend(depths)
        report["deepest_um"] = max(report["deepest_um"], max(depths))
        report["depth_sum_um"] += sum(depths)
        report["strokes"] += STROKES
        pen.publish(frame)
    end_us = SESSION_AT_US + args.batches * BATCH_US
    frame = pen.frame(end_us)
    frame.session_end.strokes_total = report["strokes"]
    frame.session_end.reason = pb.SESSION_END_REASON_OPERATOR
    pen.publish(frame)
    if args.garbage:
        frames_nobody_can_take(pen, end_us)
    return report


def frames_nobody_can_take(pen, uptime_us):
    other = pen.frame(uptime_us)
    other.header.device_id = "somebody-else"
    other.heartbeat.in_session = False
    pen.publish(other)
    newer = pen.frame(uptime_us)
    # A body of a later schema: field 999, two bytes.
    pen.publish_bytes(newer.SerializeToString() + bytes([0xBA, 0x3E, 0x02, 0x08, 0x01]))
    pen.publish_bytes(bytes([0xFF] * 40))


def ipl_session(ipl):
    birth(ipl, pb.DEVICE_KIND_IPL)
    frame = ipl.frame(SESSION_AT_US)
    frame.session_start.skin_type = pb.SKIN_TYPE_II
    ipl.publish(frame)
    report = {"pulses": args.pulses, "strongest_mj_per_cm2": 0, "fluence_sum": 0}
    for ordinal in range(args.pulses):
        at_us = SESSION_AT_US + ordinal * PULSE_US
        frame = ipl.frame(at_us)
        pulse = frame.pulse_batch.pulses.add()
        pulse.ordinal = ordinal
        pulse.uptime_us = at_us
        measured = FLUENCE_SET + 10 * (ordinal % 5)
        if ordinal == args.pulses // 2 and args.strong_mj:
            measured = args.strong_mj
            report["strong_at_us"] = ipl.wall_us(at_us)
        pulse.fluence_set_mj_per_cm2 = FLUENCE_SET
        pulse.fluence_measured_mj_per_cm2 = measured
        pulse.energy_set_mj = FLUENCE_SET * SPOT_MM2 // 100
        pulse.energy_measured_mj = measured * SPOT_MM2 // 100
        pulse.width_us = 15000
        pulse.filter_cutoff_nm = 560
        pulse.spot_area_mm2 = SPOT_MM2
        pulse.zone = pb.ZONE_CHEEK
        pulse.skin_type = pb.SKIN_TYPE_II
        pulse.fired = True
        report["strongest_mj_per_cm2"] = max(report["strongest_mj_per_cm2"], measured)
        report["fluence_sum"] += measured
        ipl.publish(frame)
    frame = ipl.frame(SESSION_AT_US + args.pulses * PULSE_US)
    frame.session_end.pulses_total = args.pulses
    frame.session_end.reason = pb.SESSION_END_REASON_OPERATOR
    ipl.publish(frame)
    return report


def run(device, session, deadline, report):
    device.connect(deadline)
    report.update(session(device))
    device.drain(deadline)
    report["session"] = device.session.hex()
    report["visit"] = device.visit.hex()
    report["frames"] = device.sequence
    report["reconnects"] = device.connections - 1
    report["refused"] = device.refused
    report["unacknowledged"] = len(device.outbox)
    device.leave()


def main():
    deadline = time.monotonic() + args.deadline_s
    pen = Device(args.pen, args.pen_secret, args.batches * BATCH_US)
    ipl = Device(args.ipl, args.ipl_secret, args.pulses * PULSE_US)
    report = {"pen": {}, "ipl": {}}
    threads = [
        threading.Thread(target=run, args=(pen, pen_session, deadline, report["pen"]), daemon=True),
        threading.Thread(target=run, args=(ipl, ipl_session, deadline, report["ipl"]), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline + 10 - time.monotonic()))
    print(json.dumps(report), flush=True)
    return 0 if all(device.get("unacknowledged") == 0 for device in report.values()) else 1


sys.exit(main())
