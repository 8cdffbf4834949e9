"""Predicted times: the rule, what it is held against, and the tables made of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from graspnext.deploy.devices import CHECKS, DEVICES, SPREAD, Device, Timing, ampere, cpu, fit_rule, rules

ROOT = Path(__file__).parents[2]
SMALL = Device("small", "cpu", {"fp32": 50.0, "bf16": 400.0}, "")
LARGE = Device("large", "cpu", {"fp32": 200.0, "bf16": 3200.0}, "")


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("device_tables", ROOT / "scripts" / "device_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["device_tables"] = module
    spec.loader.exec_module(module)
    return module


def test_the_fit_finds_what_times_were_made_of() -> None:
    """7 ms, and 40 % of the peak."""
    timings = [Timing(str(gmacs), gmacs, 1000, 7.0 + gmacs / (0.4 * 3200.0) * 1e3) for gmacs in (1.0, 10.0, 50.0)]
    rule = fit_rule(LARGE, "bf16", timings)
    assert rule.fixed_ms == pytest.approx(7.0)
    assert rule.share == pytest.approx(0.4)
    assert rule.predict(LARGE, gmacs=10.0, pixels=1000) == pytest.approx(timings[1].ms)


def test_what_a_prediction_grows_with() -> None:
    rule = fit_rule(LARGE, "bf16", [Timing("a", 1.0, 1000, 8.0), Timing("b", 11.0, 1000, 18.0)])
    assert rule.predict(LARGE, gmacs=0.0, pixels=4000) == pytest.approx(4 * rule.fixed_ms)
    assert rule.predict(SMALL, gmacs=0.0, pixels=1000) == pytest.approx(4 * rule.fixed_ms)  # a fourth of the fp32 peak
    assert rule.predict(SMALL, gmacs=5.0, pixels=0) == pytest.approx(8 * rule.predict(LARGE, gmacs=5.0, pixels=0))


def test_peaks_are_those_of_data_sheets() -> None:
    """NVIDIA counts sparse int8: twice dense ones, which are twice those of fp16; a product and a sum each."""
    for device, tops in (
        (ampere("Orin Nano", cuda_cores=1024, ghz=0.625), 40),
        (ampere("Orin Nano Super", cuda_cores=1024, ghz=1.02), 67),
        (ampere("AGX Orin 64 GB", cuda_cores=2048, ghz=1.3), 170),
    ):
        assert device.gmacs_per_s["fp16"] * 2 * 2 * 2 / 1e3 == pytest.approx(tops, rel=0.03)
    assert cpu("", cores=4, ghz=2.4, macs_per_cycle={"fp32": 8}).gmacs_per_s["fp32"] == pytest.approx(76.8)


def test_published_times_lie_within_the_range_that_is_claimed() -> None:
    same_kind = []
    for device, precision, timing, _ in CHECKS:
        rule = rules()[device.kind, precision]
        ratio = timing.ms / rule.predict(device, gmacs=timing.gmacs, pixels=timing.pixels)
        least, most = SPREAD[device.kind]
        assert least <= ratio <= most, (timing.network, ratio)
        if "Orin NX" in device.name:
            same_kind.append(ratio)
    assert len(same_kind) == 5
    assert 0.85 < min(same_kind) < max(same_kind) < 1.15


def test_no_device_is_predicted_twice() -> None:
    assert len({device.name for device in DEVICES}) == len(DEVICES)


def test_the_tables_of_the_document_are_up_to_date() -> None:
    script = load_script()
    assert script.main(["--check"]) == 0, "python scripts/device_tables.py writes docs/devices.md anew"


def test_a_benchmark_becomes_a_table(tmp_path: Path) -> None:
    script = load_script()
    result = {"model": "fast", "runtime": "openvino", "ran_precision": "bf16", "cold_start_s": 1.234}
    times = {"network_ms_p50": 61.25, "end_to_end_ms_p50": 99.0, "end_to_end_ms_p99": None, "peak_memory_mb": 512.3}
    content = {
        "machine": {"cpu": "a processor", "instructions": {"fp32": "AVX2", "bf16": None}},
        "conditions": {"threads": 2, "size": 1200},
        "results": [result | times],
    }
    (tmp_path / "one.json").write_text(json.dumps(content))
    (tmp_path / "roofline.json").write_text(json.dumps({"rooflines": []}))
    text = script.measured(tmp_path)
    assert "**a processor**, 2 threads (fp32: AVX2)" in text
    assert "| `fast` | openvino | bf16 | 61.2 | 99.0 |  | 1.2 | 512 |" in text
    assert text.count("\n\n") == 1
