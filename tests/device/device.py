"""A pen and an IPL unit that share no code with Dermatel: paho-mqtt, and protobuf classes that protoc made from proto/.

They publish one treatment session each, with one stroke that is too deep and one pulse that is too strong, keep what has no
PUBACK, and send it again after every reconnect. At the end they print, as one line of JSON, what they sent, so that the
test can compare it with what was stored. Everything here is written from docs/firmware.md alone.
"""
import argparse
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
parser.add_argument("--deep-um", type=int, default=2900, help="the one stroke that is too deep")
parser.add_argument("--strong-mj", type=int, default=30000, help="fluence of the one pulse that is too strong, mJ/cm2")
parser.add_argument("--mqtt", choices=["3", "5"], default="5")
parser.add_argument("--deadline-s", type=float, default=60)
args = parser.parse_args()

sys.path.insert(0, args.proto)
from dermatel.v1 import frame_pb2 as pb  # noqa: E402

STROKES = 120
SETPOINT_UM = 500
FLUENCE_SET = 12000
SPOT_MM2 = 480


class Device:
    """One connection with its own outbox: a frame leaves it with its PUBACK and not before."""

    def __init__(self, device, secret):
        self.device = device
        self.topic = f"dermatel/v1/{args.tenant}/{args.clinic}/{device}/telemetry"
        self.boot = int.from_bytes(os.urandom(8), "little")
        self.started = time.monotonic()
        self.sequence = 0
        self.session = os.urandom(16)
        self.visit = os.urandom(16)
        self.session_started_us = 0
        self.outbox = {}  # sequence -> bytes
        self.in_flight = {}  # packet id -> sequence
        self.lock = threading.Lock()
        self.refused = []
        self.reconnects = -1
        protocol = mqtt.MQTTv5 if args.mqtt == "5" else mqtt.MQTTv311
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"{args.tenant}-{device}", protocol=protocol)
        if secret:
            self.client.username_pw_set(f"{args.tenant}/{device}", secret)
        self.client.on_connect = self.on_connect
        self.client.on_publish = self.on_publish
        self.client.reconnect_delay_set(min_delay=1, max_delay=2)
        self.client.max_inflight_messages_set(1000)

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

    def on_connect(self, client, userdata, flags, reason, properties):
        if reason != 0:
            self.refused.append(f"CONNACK {reason}")
            return
        with self.lock:
            self.reconnects += 1
            self.in_flight.clear()
            for sequence in sorted(self.outbox):
                self.send(sequence)

    def on_publish(self, client, userdata, packet_id, reason, properties):
        with self.lock:
            sequence = self.in_flight.pop(packet_id, None)
            if sequence is None:
                return
            if getattr(reason, "is_failure", False):
                self.refused.append(f"PUBACK {reason}")
            self.outbox.pop(sequence, None)

    def send(self, sequence):
        info = self.client.publish(self.topic, self.outbox[sequence], qos=1)
        if info.rc == mqtt.MQTT_ERR_SUCCESS:
            self.in_flight[info.mid] = sequence

    def uptime_us(self):
        return int((time.monotonic() - self.started) * 1e6)

    def frame(self, in_session=True):
        frame = pb.Frame()
        header = frame.header
        header.schema_version = 1
        header.device_id = self.device
        header.boot_id = self.boot
        header.sequence = self.sequence
        header.uptime_us = self.uptime_us()
        header.wall_time_us = int(time.time() * 1e6)
        header.wall_time_source = pb.WALL_TIME_SOURCE_NTP
        if in_session:
            header.session_id = self.session
            header.visit_id = self.visit
            header.session_start_uptime_us = self.session_started_us
        return frame

    def publish(self, frame):
        with self.lock:
            self.outbox[self.sequence] = frame.SerializeToString()
            if self.client.is_connected():
                self.send(self.sequence)
            self.sequence += 1
        time.sleep(args.pause_ms / 1000)

    def drain(self, deadline):
        while time.monotonic() < deadline:
            with self.lock:
                if not self.outbox:
                    return True
            time.sleep(0.05)
        return False


def pen_session(pen):
    frame = pen.frame(in_session=False)
    frame.birth.kind = pb.DEVICE_KIND_PEN
    frame.birth.model = "independent"
    frame.birth.firmware = "py-1"
    pen.publish(frame)
    pen.session_started_us = pen.uptime_us()
    frame = pen.frame()
    frame.session_start.cartridge_serial = f"PY-{pen.boot:016x}"
    frame.session_start.skin_type = pb.SKIN_TYPE_II
    pen.publish(frame)
    ordinal, deepest = 0, 0
    for batch in range(args.batches):
        frame = pen.frame()
        strokes = frame.stroke_batch
        strokes.first_ordinal = ordinal
        strokes.first_uptime_us = pen.session_started_us + batch * 1_000_000
        strokes.duration_us = 1_000_000
        strokes.zone = pb.ZONE_CHEEK
        strokes.depth_setpoint_um = SETPOINT_UM
        depths = [SETPOINT_UM + (7 * i) % 21 - 10 for i in range(STROKES)]
        strokes.flush_reason = pb.FLUSH_REASON_PERIOD
        if batch == args.batches // 2:
            depths[60] = args.deep_um
            strokes.flush_reason = pb.FLUSH_REASON_LIMIT
        strokes.depth_um.extend(depths)
        deepest = max(deepest, max(depths))
        ordinal += STROKES
        pen.publish(frame)
    frame = pen.frame()
    frame.session_end.strokes_total = ordinal
    frame.session_end.reason = pb.SESSION_END_REASON_OPERATOR
    pen.publish(frame)
    return {"strokes": ordinal, "windows": args.batches, "deepest_um": deepest}


def ipl_session(ipl):
    frame = ipl.frame(in_session=False)
    frame.birth.kind = pb.DEVICE_KIND_IPL
    frame.birth.model = "independent"
    frame.birth.firmware = "py-1"
    ipl.publish(frame)
    ipl.session_started_us = ipl.uptime_us()
    frame = ipl.frame()
    frame.session_start.skin_type = pb.SKIN_TYPE_II
    ipl.publish(frame)
    for ordinal in range(args.pulses):
        frame = ipl.frame()
        pulse = frame.pulse_batch.pulses.add()
        pulse.ordinal = ordinal
        pulse.uptime_us = ipl.session_started_us + ordinal * 1_500_000
        measured = args.strong_mj if ordinal == args.pulses // 2 else FLUENCE_SET + 10 * (ordinal % 5)
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
        ipl.publish(frame)
    frame = ipl.frame()
    frame.session_end.pulses_total = args.pulses
    frame.session_end.reason = pb.SESSION_END_REASON_OPERATOR
    ipl.publish(frame)
    return {"pulses": args.pulses, "strongest_mj_per_cm2": args.strong_mj}


def main():
    deadline = time.monotonic() + args.deadline_s
    devices = {"pen": Device(args.pen, args.pen_secret), "ipl": Device(args.ipl, args.ipl_secret)}
    for device in devices.values():
        device.connect(deadline)
    report = {}
    threads = [
        threading.Thread(target=lambda: report.update(pen=pen_session(devices["pen"]))),
        threading.Thread(target=lambda: report.update(ipl=ipl_session(devices["ipl"]))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drained = all([device.drain(deadline) for device in devices.values()])
    for name, device in devices.items():
        report[name]["session"] = device.session.hex()
        report[name]["frames"] = device.sequence
        report[name]["reconnects"] = device.reconnects
        report[name]["refused"] = device.refused
        report[name]["unacknowledged"] = len(device.outbox)
        device.client.disconnect()
        device.client.loop_stop()
    print(json.dumps(report), flush=True)
    return 0 if drained else 1


sys.exit(main())
