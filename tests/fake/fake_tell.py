"""What fake_worker.py prints instead of serving: --describe and --devices."""

import json
import os
import sys

from fake_script import Script, count_start, leave, sleep_for_ever, wait_for_file


def describe(path):
    try:
        script = Script.read(path, 0)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        leave(10, "config", f"open {path}: {error}")
    if script.has("describe_hang"):
        sleep_for_ever()
    if script.has("describe_exit"):
        code, *reason = script.args("describe_exit")
        leave(int(code), "config", " ".join(reason))
    if script.has("describe_text"):
        print(script.text("describe_text"))
        return
    record = {
        "name": os.path.splitext(os.path.basename(path))[0],
        "architecture": "fake",
        "parameters": 1000,
        "quantisation": "F32",
        "size_bytes": os.path.getsize(path),
        "context_tokens": 2048,
        "vocab": 256,
        "layers": 1,
        "template": "chatml",
    }
    for key, value in script.all("describe"):
        try:
            record[key] = json.loads(value)
        except ValueError:
            record[key] = value
    print(json.dumps(record))


DEVICES_BY_DEFAULT = "device 0000:03:00.0"


def list_devices():
    """What --devices tells is not in a model's file, since there is none: in `devices` beside us."""
    path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "devices")
    if os.path.exists(path):
        script = Script.read(path, count_start(path, "-"))
    else:
        script = Script(os.path.dirname(path), 1)
        script.read_line(path, DEVICES_BY_DEFAULT)
        script.choose(0)
    if script.has("devices_gate"):
        wait_for_file(script.path("devices_gate"))
    if script.has("devices_hang"):
        sleep_for_ever()
    if script.has("devices_exit"):
        code, name, *reason = script.args("devices_exit")
        leave(int(code), name, " ".join(reason))
    if script.has("devices_text"):
        print(script.text("devices_text"))
        return
    devices = []
    for index, (pci, *fields) in enumerate(script.all("device")):
        device = {"index": index, "vendor": "amd", "pci": pci, "uuid": f"GPU-fake-{pci}",
                  "name": f"Fake GPU {index}", "architecture": "gfx1100", "memory_bytes": 8 << 30,
                  "free_bytes": 8 << 30, "usable": True, "reason": None}
        device.update(json.loads(fields[0]) if fields else {})
        devices.append(device)
    print(json.dumps({"devices": devices, "reason": script.text("devices_reason", None)}))
