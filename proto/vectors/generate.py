#!/usr/bin/env python3
"""Writes the golden vectors of the wire: for each, the bytes (<name>.hex) and what they mean (<name>.json).

Nothing here reads Dermatel's Rust code. Bytes come from Google's protobuf (classes compiled by protoc from the .proto files) or
are put together by hand; meanings are written by hand. `cargo test -p telemetry` reads both and compares.

    pip install -r proto/vectors/requirements.txt
    python3 proto/vectors/generate.py            # writes
    python3 proto/vectors/generate.py --check    # fails if a checked-in vector differs or is left over
"""
import importlib
import json
import pathlib
import re
import sys
import tempfile

from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent
FILES = ["frame", "status", "pipeline", "alerting"]


def compile_schema():
    out = tempfile.mkdtemp()
    arguments = ["protoc", f"-I{PROTO}", f"--python_out={out}"]
    if protoc.main(arguments + [f"dermatel/v1/{name}.proto" for name in FILES]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    return [importlib.import_module(f"dermatel.v1.{name}_pb2") for name in ("frame", "status")]


F, S = compile_schema()

TOPIC = "dermatel/v1/acme/acme-north/pen-0042/telemetry"
STATUS_TOPIC = "dermatel/v1/acme/acme-north/pen-0042/status"
SESSION = bytes(range(0x10, 0x20))
VISIT = bytes(range(0xA0, 0xB0))
BOOT = 0x1122334455667788

VECTORS = []


def header(**more):
    return F.Header(schema_version=1, device_id="pen-0042", boot_id=BOOT, sequence=7, uptime_us=5_000_000, **more)


def header_meaning(**more):
    return {"schema_version": 1, "device": "pen-0042", "boot": "1122334455667788", "sequence": 7, "uptime_us": 5_000_000} | more


def frame(**body):
    return F.Frame(header=header(), **body).SerializeToString()


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def field(number, wire_type, content=b""):
    """One field put together by hand; a length goes before content of wire type 2."""
    key = varint(number << 3 | wire_type)
    return key + (varint(len(content)) if wire_type == 2 else b"") + content


def accepted(name, about, payload, body, header=None, unknown=(0, 0), topic=TOPIC):
    meaning = {"header": header or header_meaning(), "body": body}
    meaning["unknown"] = {"fields": unknown[0], "enum_values": unknown[1]}
    VECTORS.append((name, about, payload, topic, {"accepted": meaning}))


def rejected(name, about, payload, reason, where, topic=TOPIC):
    VECTORS.append((name, about, payload, topic, {"rejected": {"reason": reason, "field": where}}))


def status(name, about, payload, meaning, unknown=(0, 0)):
    counts = {"fields": unknown[0], "enum_values": unknown[1]}
    VECTORS.append((name, about, payload, STATUS_TOPIC, {"status": meaning, "unknown": counts}))


HEADER = field(1, 2, header().SerializeToString())


def by_hand(number, body):
    """A frame of a good header and a body put together by hand."""
    return HEADER + field(number, 2, body)


# --- every body, as a firmware engineer would send it ----------------------------------------------------------------------
accepted(
    "birth",
    "The first frame after boot: who the pen is and how it was calibrated.",
    frame(birth=F.Birth(kind=F.DEVICE_KIND_PEN, model="NP-25", firmware="2.4.1+b77", serial="NP25-104417", depth_offset_um=-35,
                        depth_sigma_um=18, calibrated_day=20_500, cartridge_serial="C:900.1_x")),
    {"birth": {"kind": "pen", "model": "NP-25", "firmware": "2.4.1+b77", "serial": "NP25-104417", "depth_offset_um": -35,
               "depth_sigma_um": 18, "calibrated_day": 20_500, "cartridge": "C:900.1_x"}},
)
accepted(
    "birth_ipl",
    "An IPL unit's birth: a lamp and its shots instead of a needle.",
    frame(birth=F.Birth(kind=F.DEVICE_KIND_IPL, lamp_serial="L-1", lamp_shot_count=123_456)),
    {"birth": {"kind": "ipl", "lamp": "L-1", "lamp_shots": 123_456}},
)
FULL_HEADER = dict(wall_time_us=1_790_000_000_000_000, wall_time_source=F.WALL_TIME_SOURCE_NTP, session_id=SESSION,
                   session_start_uptime_us=4_000_000, visit_id=VISIT, oldest_unacknowledged_sequence=5)
accepted(
    "stroke_batch",
    "Four strokes in a session, with intervals; the third was not read, so its value (0) is no depth.",
    F.Frame(header=header(**FULL_HEADER), stroke_batch=F.StrokeBatch(
        first_ordinal=1_000, first_uptime_us=4_900_000, duration_us=32_000, zone=F.ZONE_CHEEK, depth_setpoint_um=900,
        depth_limit_um=1_200, depth_um=[880, 905, 0, 1_210], interval_us=[0, 8_000, 8_100, 7_900], unread_index=[2],
        flush_reason=F.FLUSH_REASON_LIMIT, cartridge_serial="C-77")).SerializeToString(),
    {"stroke_batch": {"first_ordinal": 1_000, "first_uptime_us": 4_900_000, "duration_us": 32_000, "zone": "cheek",
                      "setpoint_um": 900, "device_limit_um": 1_200, "flush_reason": "limit", "cartridge": "C-77",
                      "strokes": [[1_000, 4_900_000, 880], [1_001, 4_908_000, 905], [1_002, 4_916_100, None],
                                  [1_003, 4_924_000, 1_210]],
                      "next_ordinal": 1_004, "rate_mhz": 125_000}},
    header=header_meaning(wall={"at_us": 1_790_000_000_000_000, "source": "ntp"},
                          session={"id": "101112131415161718191a1b1c1d1e1f", "started_us": 4_000_000},
                          visit="a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", oldest_unacknowledged=5),
)
EVEN = {"first_ordinal": 0, "first_uptime_us": 4_000_000, "duration_us": 40_000,
        "strokes": [[0, 4_000_000, 0], [1, 4_008_000, 500], [2, 4_016_000, 500], [3, 4_024_000, 500], [4, 4_032_000, 501]],
        "next_ordinal": 5, "rate_mhz": 125_000}
accepted(
    "stroke_batch_even",
    "Five strokes without intervals are evenly spaced over the duration. No zone and no setpoint: accepted, judged by the "
    "strictest limit later. A depth of 0 that was read is a depth of 0.",
    frame(stroke_batch=F.StrokeBatch(first_ordinal=0, first_uptime_us=4_000_000, duration_us=40_000, depth_um=[0, 500, 500, 500, 501])),
    {"stroke_batch": EVEN},
)
accepted(
    "stroke_batch_512",
    "As many strokes as a batch may hold.",
    frame(stroke_batch=F.StrokeBatch(first_ordinal=9, first_uptime_us=1_024_000, duration_us=1_024_000, depth_um=[300] * 512)),
    {"stroke_batch": {"first_ordinal": 9, "first_uptime_us": 1_024_000, "duration_us": 1_024_000,
                      "strokes": [[9 + n, 1_024_000 + 2_000 * n, 300] for n in range(512)],
                      "next_ordinal": 521, "rate_mhz": 500_000}},
)
accepted(
    "pulse_batch",
    "Two pulses: the first with all it can say, the second fired but measured zero energy, which is the anomaly and no absence.",
    frame(pulse_batch=F.PulseBatch(flush_reason=F.FLUSH_REASON_PERIOD, pulses=[
        F.Pulse(ordinal=3, uptime_us=4_000_000, energy_set_mj=38_400, energy_measured_mj=39_100, fluence_set_mj_per_cm2=8_000,
                fluence_measured_mj_per_cm2=8_145, width_us=15_000, sub_pulse_count=2, sub_pulse_delay_us=10_000,
                filter_cutoff_nm=560, spot_area_mm2=480, zone=F.ZONE_CHEEKBONE, skin_type=F.SKIN_TYPE_III,
                skin_temperature_mdegc=33_500, tip_temperature_mdegc=-250, lamp_shot_count=41_000, fired=True),
        F.Pulse(ordinal=5, uptime_us=5_000_000, energy_set_mj=38_400, energy_measured_mj=0, fired=True)])),
    {"pulse_batch": {"flush_reason": "period", "pulses": [
        {"ordinal": 3, "uptime_us": 4_000_000, "energy_set_mj": 38_400, "energy_measured_mj": 39_100, "fluence_set_mj_per_cm2": 8_000,
         "fluence_measured_mj_per_cm2": 8_145, "width_us": 15_000, "sub_pulses": 2, "sub_pulse_delay_us": 10_000, "filter_nm": 560,
         "spot_mm2": 480, "zone": "cheekbone", "skin_type": "III", "skin_temperature_mdegc": 33_500,
         "tip_temperature_mdegc": -250, "lamp_shots": 41_000, "fired": True},
        {"ordinal": 5, "uptime_us": 5_000_000, "energy_set_mj": 38_400, "energy_measured_mj": 0, "fired": True}]}},
)
accepted(
    "session_start",
    "A session starts with a fresh cartridge.",
    frame(session_start=F.SessionStart(cartridge_serial="C-77", cartridge_lot="LOT.9", pack_expiry_day=20_900,
                                       skin_type=F.SKIN_TYPE_VI, days_since_last_treatment=0)),
    {"session_start": {"cartridge": "C-77", "cartridge_lot": "LOT.9", "pack_expiry_day": 20_900, "skin_type": "VI",
                       "days_since_last_treatment": 0}},
)
accepted(
    "session_end",
    "A session ends; zero pulses is a statement, not an absence.",
    frame(session_end=F.SessionEnd(strokes_total=4_212, pulses_total=0, reason=F.SESSION_END_REASON_OPERATOR)),
    {"session_end": {"strokes_total": 4_212, "pulses_total": 0, "reason": "operator"}},
)
accepted(
    "sterilization_cycle",
    "A cycle of another device, told by the sender.",
    frame(sterilization_cycle=F.SterilizationCycle(
        cycle_id="1187", sterilizer_id="autoclave-1", items=["tip-1", "NP25:7"], outcome=F.OUTCOME_PASS,
        ended_at_us=1_790_000_000_000_000, hold_temperature_mdegc=134_200, hold_time_s=210)),
    {"sterilization_cycle": {"cycle": "1187", "sterilizer": "autoclave-1", "items": ["tip-1", "NP25:7"], "outcome": "pass",
                             "ended_at_us": 1_790_000_000_000_000, "hold_temperature_mdegc": 134_200, "hold_time_s": 210}},
)
accepted(
    "disinfection",
    "A wipe without items is of the sender itself.",
    frame(disinfection=F.Disinfection(level=F.DISINFECTION_LEVEL_INTERMEDIATE, contact_time_s=60)),
    {"disinfection": {"items": [], "level": "intermediate", "contact_time_s": 60}},
)
accepted(
    "indicator_result",
    "A spore test, read days after its cycle, failed.",
    frame(indicator_result=F.IndicatorResult(kind=F.INDICATOR_KIND_BIOLOGICAL, cycle_id="1187", outcome=F.OUTCOME_FAIL,
                                             cycle_ended_at_us=-1)),
    {"indicator_result": {"kind": "biological", "cycle": "1187", "outcome": "fail", "cycle_ended_at_us": -1}},
)
accepted(
    "heartbeat",
    "A sign of life with an empty battery and nothing queued: zeros that mean something.",
    frame(heartbeat=F.Heartbeat(in_session=False, battery_percent=0, queued_frames=0, dropped_frames=3)),
    {"heartbeat": {"in_session": False, "battery_percent": 0, "queued_frames": 0, "dropped_frames": 3}},
)
accepted("heartbeat_empty", "A heartbeat that says nothing is a heartbeat.", frame(heartbeat=F.Heartbeat()), {"heartbeat": {}})
accepted(
    "fault",
    "The device cut itself out at its own limit.",
    frame(fault=F.Fault(code=F.FAULT_CODE_LIMIT_CUTOFF, vendor_code=4_711)),
    {"fault": {"code": "limit-cutoff", "vendor_code": 4_711}},
)
status("status_online", "What a device writes when it connects.",
       S.Status(presence=S.PRESENCE_ONLINE, boot_id=BOOT).SerializeToString(), {"presence": "online", "boot": "1122334455667788"})
status("status_offline", "A good-bye.",
       S.Status(presence=S.PRESENCE_OFFLINE, boot_id=0).SerializeToString(), {"presence": "offline", "boot": "0000000000000000"})
status("status_lost", "The last will: it may lack the boot.", S.Status(presence=S.PRESENCE_LOST).SerializeToString(), {"presence": "lost"})
status("status_empty", "No bytes are a status that says nothing.", b"", {})
status("status_newer", "A presence and a field of a newer schema.", field(1, 0, varint(9)) + field(3, 2, b"new"), {}, unknown=(1, 1))
rejected("status_malformed", "A boot id (fixed64) that is cut off.", field(2, 1, b"\x88\x77"), "malformed", "payload", STATUS_TOPIC)
rejected("status_on_telemetry_topic", "A status on the topic for frames: its field 1 is no header.",
         S.Status(presence=S.PRESENCE_ONLINE).SerializeToString(), "malformed", "payload")

# --- newer schemas: kept and counted, never refused ---------------------------------------------------------------------------
HEARTBEAT = field(18, 2, b"")
accepted("unknown_field_in_frame", "Field 200 of a newer schema beside the body.", HEADER + HEARTBEAT + field(200, 2, b"future"),
         {"heartbeat": {}}, unknown=(1, 0))
accepted("unknown_field_in_header", "Field 99 of a newer schema in the header.",
         field(1, 2, header().SerializeToString() + field(99, 0, varint(5))) + HEARTBEAT, {"heartbeat": {}}, unknown=(1, 0))
accepted("unknown_fields_at_every_depth", "A varint, a fixed32, a fixed64 and a text, in frame, header, body and pulse.",
         field(1, 2, header().SerializeToString() + field(99, 5, b"\x01\x02\x03\x04"))
         + field(12, 2, field(1, 2, F.Pulse(ordinal=0, uptime_us=1).SerializeToString() + field(77, 1, b"\x00" * 8))
                 + field(78, 2, b"x")) + field(201, 0, varint(1)),
         {"pulse_batch": {"pulses": [{"ordinal": 0, "uptime_us": 1}]}}, unknown=(4, 0))
accepted("unknown_group", "A group (wire types 3 and 4) with a field inside is one unknown field.",
         HEADER + HEARTBEAT + field(200, 3) + field(1, 0, varint(7)) + field(200, 4), {"heartbeat": {}}, unknown=(1, 0))
accepted("unknown_enum_value", "A zone of a newer schema: as if missing, and counted.",
         by_hand(11, field(1, 0, varint(0)) + field(2, 0, varint(4_000_000)) + field(3, 0, varint(40_000)) + field(4, 0, varint(250))
                 + field(7, 2, b"".join(varint(d) for d in (0, 500, 500, 500, 501)))),
         {"stroke_batch": EVEN}, unknown=(0, 1))
accepted("negative_enum_value", "An enum of -1 takes ten bytes and is unknown.",
         by_hand(19, field(1, 0, varint((1 << 64) - 1)) + field(2, 0, varint(1))), {"fault": {"vendor_code": 1}}, unknown=(0, 1))
accepted("enum_unspecified", "An enum of 0 is absence, not an unknown value.", by_hand(19, field(1, 0, b"\x00")), {"fault": {}})
rejected("unknown_body", "A body of a newer schema: kept in quarantine until an update.", HEADER + field(30, 2, b"\x08\x01"),
         "unknown_body", "body")
rejected("no_body", "A header alone.", HEADER, "unknown_body", "body")

# --- encodings that protobuf allows ----------------------------------------------------------------------------------------
UNPACKED = b"".join(field(7, 0, varint(depth)) for depth in (0, 500, 500, 500, 501))
accepted("unpacked_column", "A repeated column that was not packed.",
         by_hand(11, field(1, 0, varint(0)) + field(2, 0, varint(4_000_000)) + field(3, 0, varint(40_000)) + UNPACKED),
         {"stroke_batch": EVEN})
accepted("mixed_packing", "A column in two packed pieces and a loose value, with other fields in between and out of order.",
         by_hand(11, field(7, 2, varint(0) + varint(500)) + field(3, 0, varint(40_000)) + field(7, 0, varint(500))
                 + field(2, 0, varint(4_000_000)) + field(7, 2, varint(500) + varint(501)) + field(1, 0, varint(0))),
         {"stroke_batch": EVEN})
accepted("body_before_header", "Fields come in any order.", HEARTBEAT + HEADER, {"heartbeat": {}})
accepted("header_in_two_parts", "A message that comes twice is merged.",
         field(1, 2, F.Header(device_id="pen-0042", boot_id=1, uptime_us=5_000_000).SerializeToString()) + HEARTBEAT
         + field(1, 2, F.Header(schema_version=1, boot_id=BOOT, sequence=7).SerializeToString()), {"heartbeat": {}})
accepted("two_bodies", "Of two bodies the last one counts.", HEADER + field(19, 2, b"") + HEARTBEAT, {"heartbeat": {}})
accepted("varint_of_ten_bytes_for_a_small_number", "An overlong varint: battery 5 in ten bytes.",
         by_hand(18, field(2, 0, b"\x85" + b"\x80" * 8 + b"\x00")), {"heartbeat": {"battery_percent": 5}})
accepted("depth_beyond_32_bits", "A uint32 keeps the lower 32 bits, as protobuf says: 2^32 + 501 reads as 501.",
         by_hand(11, field(1, 0, varint(0)) + field(2, 0, varint(4_000_000)) + field(3, 0, varint(40_000))
                 + field(7, 2, b"".join(varint(d) for d in (0, 500, 500, 500, (1 << 32) + 501)))), {"stroke_batch": EVEN})
accepted("empty_texts", "nanopb sends an empty string for one that was never set: absence.",
         frame(birth=F.Birth(model="", serial="", firmware="1")), {"birth": {"firmware": "1"}})
accepted("empty_session_id", "The same for bytes: no session.",
         F.Frame(header=header(session_id=b"", visit_id=b"", session_start_uptime_us=1), heartbeat=F.Heartbeat()).SerializeToString(),
         {"heartbeat": {}})
accepted("duration_absent", "Without duration and intervals all strokes are at one time.",
         frame(stroke_batch=F.StrokeBatch(first_ordinal=0, first_uptime_us=10, depth_um=[1, 2])),
         {"stroke_batch": {"first_ordinal": 0, "first_uptime_us": 10, "duration_us": 0, "strokes": [[0, 10, 1], [1, 10, 2]],
                           "next_ordinal": 2}})
accepted("duration_shorter_than_its_intervals", "The intervals say how long the batch was at least.",
         frame(stroke_batch=F.StrokeBatch(first_ordinal=0, first_uptime_us=10, duration_us=5, depth_um=[1, 2], interval_us=[9, 8_000])),
         {"stroke_batch": {"first_ordinal": 0, "first_uptime_us": 10, "duration_us": 8_000, "strokes": [[0, 10, 1], [1, 8_010, 2]],
                           "next_ordinal": 2, "rate_mhz": 250_000}})
accepted("all_unread", "A batch of which no stroke was read still counts its strokes.",
         frame(stroke_batch=F.StrokeBatch(first_ordinal=4, first_uptime_us=10, duration_us=20_000, depth_um=[9, 9], unread_index=[0, 1])),
         {"stroke_batch": {"first_ordinal": 4, "first_uptime_us": 10, "duration_us": 20_000, "strokes": [[4, 10, None], [5, 10_010, None]],
                           "next_ordinal": 6, "rate_mhz": 100_000}})

# --- bytes that are no protobuf of this schema --------------------------------------------------------------------------------
WHOLE = frame(fault=F.Fault(code=F.FAULT_CODE_MOTOR, vendor_code=300))
rejected("empty", "No bytes: no header.", b"", "missing_field", "header")
rejected("truncated", "The last byte is missing.", WHOLE[:-1], "malformed", "payload")
rejected("truncated_in_header", "Cut in the middle of the header.", WHOLE[:9], "malformed", "payload")
rejected("trailing_byte", "One byte too many.", WHOLE + b"\x08", "malformed", "payload")
rejected("wire_type_6", "A wire type that does not exist.", HEADER + field(200, 6), "malformed", "payload")
rejected("wire_type_7", "A wire type that does not exist.", HEADER + field(18, 7), "malformed", "payload")
rejected("wrong_wire_type", "A depth column as fixed64.", by_hand(11, field(7, 1, b"\x00" * 8)), "malformed", "payload")
rejected("group_without_end", "A group that never ends.", HEADER + HEARTBEAT + field(200, 3), "malformed", "payload")
rejected("group_end_without_start", "A group that never started.", HEADER + HEARTBEAT + field(200, 4), "malformed", "payload")
rejected("varint_of_eleven_bytes", "A varint may have ten bytes.", by_hand(18, field(2, 0, b"\x80" * 10 + b"\x01")), "malformed", "payload")
rejected("varint_beyond_64_bits", "The tenth byte may be 0 or 1.", by_hand(18, field(4, 0, b"\xff" * 9 + b"\x02")), "malformed", "payload")
rejected("field_number_zero", "There is no field 0.", HEADER + b"\x00\x01", "malformed", "payload")
rejected("not_utf8", "A serial that is no UTF-8.", by_hand(10, field(4, 2, b"\xff\xfe")), "malformed", "payload")
rejected("length_beyond_the_end", "A length of 2^63 bytes.", HEADER + b"\x92\x01" + varint(1 << 63), "malformed", "payload")
rejected("json", "Somebody sent JSON.", b'{"depth_um": 500}', "malformed", "payload")
rejected("too_large", "65,537 bytes, one more than allowed.", b"\x00" * 65_537, "too_large", "payload")

# --- what must be there -----------------------------------------------------------------------------------------------------
rejected("missing_header", "A body alone.", HEARTBEAT, "missing_field", "header")


def without(name):
    """A heartbeat whose header lacks one field."""
    lacking = header()
    lacking.ClearField(name)
    return F.Frame(header=lacking, heartbeat=F.Heartbeat()).SerializeToString()


for name in ("device_id", "boot_id", "sequence", "uptime_us"):
    rejected(f"missing_{name}", f"The header lacks {name}.", without(name), "missing_field", f"header.{name}")
accepted("missing_schema_version", "A header without a version is of version 0.", without("schema_version"), {"heartbeat": {}},
         header=header_meaning(schema_version=0))
BATCH = dict(first_ordinal=0, first_uptime_us=4_000_000, duration_us=40_000, depth_um=[500, 500])


def batch(**changes):
    fields = {name: value for name, value in (BATCH | changes).items() if value is not None}
    return frame(stroke_batch=F.StrokeBatch(**fields))


rejected("strokes_without_ordinal", "Ordinal 0 must be written.", batch(first_ordinal=None), "missing_field", "stroke_batch.first_ordinal")
rejected("strokes_without_uptime", "No time of the first stroke.", batch(first_uptime_us=None), "missing_field", "stroke_batch.first_uptime_us")
rejected("strokes_without_strokes", "A batch of nothing.", batch(depth_um=None), "missing_field", "stroke_batch.depth_um")
rejected("pulses_without_pulses", "A batch of nothing.", frame(pulse_batch=F.PulseBatch()), "missing_field", "pulse_batch.pulses")
rejected("pulse_without_ordinal", "A pulse that cannot be told from another.",
         frame(pulse_batch=F.PulseBatch(pulses=[F.Pulse(uptime_us=1)])), "missing_field", "pulse.ordinal")
rejected("pulse_without_uptime", "A pulse without a time.", frame(pulse_batch=F.PulseBatch(pulses=[F.Pulse(ordinal=1)])), "missing_field", "pulse.uptime_us")

# --- identity -----------------------------------------------------------------------------------------------------------------
rejected("wrong_device", "The payload names another device than the topic.", WHOLE, "identity_mismatch", "header.device_id",
         "dermatel/v1/acme/acme-north/pen-0043/telemetry")
rejected("wrong_channel", "A frame on the status topic.", WHOLE, "malformed", "payload", STATUS_TOPIC)
rejected("command_topic", "Devices do not publish commands.", WHOLE, "topic", "topic", "dermatel/v1/acme/acme-north/pen-0042/command")
rejected("unknown_channel", "The last level is none of ours.", WHOLE, "topic", "topic", "dermatel/v1/acme/acme-north/pen-0042/events")
rejected("topic_too_deep", "One level too many.", WHOLE, "topic", "topic", TOPIC + "/x")
rejected("topic_with_upper_case", "Ids in topics are lower case.", WHOLE, "topic", "topic", "dermatel/v1/Acme/acme-north/pen-0042/telemetry")
rejected("topic_of_another_version", "Version 2 does not exist.", WHOLE, "topic", "topic", "dermatel/v2/acme/acme-north/pen-0042/telemetry")


def heartbeat_from(**changes):
    changed = header()
    for name, value in changes.items():
        setattr(changed, name, value)
    return F.Frame(header=changed, heartbeat=F.Heartbeat()).SerializeToString()


rejected("device_id_with_slash", "A device id that would break out of its topic level.", heartbeat_from(device_id="pen/0042"),
         "bad_id", "header.device_id")
rejected("device_id_empty", "An empty device id.", heartbeat_from(device_id=""), "bad_id", "header.device_id")
rejected("session_id_of_15_bytes", "Session ids have 16 bytes.", heartbeat_from(session_id=SESSION[:15]), "bad_id", "header.session_id")
rejected("visit_id_of_17_bytes", "Visit ids have 16 bytes.", heartbeat_from(visit_id=VISIT + b"\x00"), "bad_id", "header.visit_id")
rejected("serial_with_newline", "A line break would break whatever is written line by line.",
         batch(cartridge_serial="C-1\nx"), "bad_id", "stroke_batch.cartridge_serial")
rejected("serial_of_65", "A serial has at most 64 characters.", batch(cartridge_serial="C" * 65), "bad_id", "stroke_batch.cartridge_serial")
rejected("model_with_quote", "A text has no quotes.", frame(birth=F.Birth(model='N"P')), "bad_id", "birth.model")
rejected("empty_item", "An item without a name.", frame(disinfection=F.Disinfection(items=["tip-1", ""])), "bad_id", "disinfection.items")

# --- columns and counts --------------------------------------------------------------------------------------------------------
rejected("unequal_columns", "Two depths and one interval.", batch(interval_us=[0]), "columns", "stroke_batch.interval_us")
rejected("unread_index_outside", "Stroke 2 of 2 does not exist: indices start at 0.", batch(unread_index=[2]), "columns", "stroke_batch.unread_index")
rejected("unread_index_twice", "Indices ascend.", batch(unread_index=[1, 1]), "columns", "stroke_batch.unread_index")
rejected("unread_index_descending", "Indices ascend.", batch(unread_index=[1, 0]), "columns", "stroke_batch.unread_index")
rejected("strokes_513", "One stroke too many.", batch(depth_um=[1] * 513), "too_many", "stroke_batch.depth_um")
rejected("pulses_65", "One pulse too many.", frame(pulse_batch=F.PulseBatch(pulses=[F.Pulse(ordinal=n, uptime_us=n) for n in range(65)])),
         "too_many", "pulse_batch.pulses")
rejected("pulses_out_of_order", "Ordinals are strictly ascending.",
         frame(pulse_batch=F.PulseBatch(pulses=[F.Pulse(ordinal=4, uptime_us=1), F.Pulse(ordinal=4, uptime_us=2)])), "columns", "pulse.ordinal")
rejected("items_257", "One item too many.", frame(sterilization_cycle=F.SterilizationCycle(items=["i"] * 257)), "too_many", "sterilization_cycle.items")

# --- numbers that are not physically possible -----------------------------------------------------------------------------------
for name, value, where in [
    ("depth_above_10_mm", batch(depth_um=[500, 10_001]), "stroke_batch.depth_um"),
    ("depth_of_minus_one", batch(depth_um=[500, 0xFFFF_FFFF]), "stroke_batch.depth_um"),
    ("setpoint_above_10_mm", batch(depth_setpoint_um=10_001), "stroke_batch.depth_setpoint_um"),
    ("device_limit_above_10_mm", batch(depth_limit_um=4_000_000_000), "stroke_batch.depth_limit_um"),
    ("batch_of_two_seconds", batch(duration_us=2_000_000), "stroke_batch.duration_us"),
    ("intervals_of_two_seconds", batch(interval_us=[0, 2_000_000]), "stroke_batch.duration_us"),
    ("ordinal_2_to_the_48", batch(first_ordinal=1 << 48), "stroke_batch.first_ordinal"),
    ("uptime_of_a_century", batch(first_uptime_us=1 << 63), "stroke_batch.first_uptime_us"),
    ("header_uptime_of_a_century", heartbeat_from(uptime_us=1 << 62), "header.uptime_us"),
    ("sequence_2_to_the_63", heartbeat_from(sequence=1 << 63), "header.sequence"),
    ("oldest_unacknowledged_2_to_the_63", heartbeat_from(oldest_unacknowledged_sequence=1 << 63), "header.oldest_unacknowledged_sequence"),
    ("strokes_total_2_to_the_63", frame(session_end=F.SessionEnd(strokes_total=1 << 63)), "session_end.strokes_total"),
    ("battery_101", frame(heartbeat=F.Heartbeat(battery_percent=101)), "heartbeat.battery_percent"),
    ("dropped_2_to_the_63", frame(heartbeat=F.Heartbeat(dropped_frames=1 << 63)), "heartbeat.dropped_frames"),
    ("calibration_offset_of_a_metre", frame(birth=F.Birth(depth_offset_um=-1_000_000)), "birth.depth_offset_um"),
    ("calibration_sigma_of_a_metre", frame(birth=F.Birth(depth_sigma_um=1_000_000)), "birth.depth_sigma_um"),
    ("calibrated_in_the_year_2600", frame(birth=F.Birth(calibrated_day=230_000)), "birth.calibrated_day"),
    ("pack_expiry_in_the_year_2600", frame(session_start=F.SessionStart(pack_expiry_day=230_000)), "session_start.pack_expiry_day"),
    ("treated_1000_years_ago", frame(session_start=F.SessionStart(days_since_last_treatment=365_000)), "session_start.days_since_last_treatment"),
    ("hold_of_a_year", frame(sterilization_cycle=F.SterilizationCycle(hold_time_s=31_536_000)), "sterilization_cycle.hold_time_s"),
    ("hold_at_900_degrees", frame(sterilization_cycle=F.SterilizationCycle(hold_temperature_mdegc=900_000)), "sterilization_cycle.hold_temperature_mdegc"),
    ("contact_of_a_year", frame(disinfection=F.Disinfection(contact_time_s=31_536_000)), "disinfection.contact_time_s"),
]:
    rejected(name, "Not physically possible, so something else is meant.", value, "out_of_range", where)
for name, value in {
    "uptime_us": 1 << 62, "energy_set_mj": 1_000_001, "energy_measured_mj": 1_000_001, "fluence_set_mj_per_cm2": 200_001,
    "fluence_measured_mj_per_cm2": 200_001, "width_us": 10_000_001, "sub_pulse_count": 1_001, "sub_pulse_delay_us": 10_000_001,
    "filter_cutoff_nm": 199, "spot_area_mm2": 0, "skin_temperature_mdegc": 300_001, "tip_temperature_mdegc": -50_001,
    "lamp_shot_count": 1 << 48,
}.items():
    pulse = F.Pulse(ordinal=0, uptime_us=1)
    setattr(pulse, name, value)
    rejected(f"pulse_{name}", "Not physically possible, so something else is meant.",
             frame(pulse_batch=F.PulseBatch(pulses=[pulse])), "out_of_range", f"pulse.{name}")


# --- writing ----------------------------------------------------------------------------------------------------------------
def hex_text(about, payload):
    """Hexadecimal bytes, 32 a line; a line of one repeated byte as XX*N."""
    lines = [f"# {about}", f"# {len(payload)} bytes"]
    if len(payload) > 1_000 and len(set(payload)) == 1:
        lines.append(f"{payload[0]:02x}*{len(payload)}")
    else:
        lines += [payload[at:at + 32].hex(" ") for at in range(0, len(payload), 32)]
    return "\n".join(lines) + "\n"


def files():
    made = {}
    for name, about, payload, topic, meaning in VECTORS:
        assert f"{name}.hex" not in made, name
        made[f"{name}.hex"] = hex_text(about, payload)
        text = json.dumps({"about": about, "topic": topic} | meaning, indent=1)
        # One stroke, one line.
        made[f"{name}.json"] = re.sub(r"\[\s+(\d+),\s+(\d+),\s+(\d+|null)\s+\]", r"[\1, \2, \3]", text) + "\n"
    return made


def main():
    made = files()
    there = {path.name: path for path in HERE.iterdir() if path.suffix in (".hex", ".json")}
    if "--check" in sys.argv:
        wrong = [name for name, text in made.items() if name not in there or there[name].read_text() != text]
        wrong += [name for name in there if name not in made]
        if wrong:
            sys.exit("differ from what generate.py writes: " + ", ".join(sorted(wrong)))
        return
    for name, path in there.items():
        if name not in made:
            path.unlink()
    for name, text in made.items():
        (HERE / name).write_text(text)
    print(f"{len(VECTORS)} vectors")


main()
