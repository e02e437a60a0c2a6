"""Every claim that can be computed gives the number that its inputs give by hand, and the verdict that the rules give."""
import math
from pathlib import Path

import numpy as np
import pytest
import siliconomics as si
from booktools import notebooks
from siliconomics import claims, measurements
from siliconomics.tables import table

ROOT = Path(__file__).resolve().parents[2]
LEDGER = {row["id"]: row for row in table("claims")}
SETTLED = claims.settled()
BY_HAND = {  # the claim's own round inputs: 70e9 parameters, 140 GB
    "M01": 6 + 6 * 80 * 64 * 128 * 4096 / 68_976_648_192, "M02": 2.0,
    "S15": 100e9 / (8 * 2.039e12) / 0.9, "B02": 989.4e12 / 3.35e12, "B04": 2 * 70e9 / 0.030 / (2 * 989.4e12),
    "B05": 0.15 * 8 * 2.039e12 / 140e9, "B06": 70e9 / 0.030, "B07": 2.039e12 / 70e9, "B08": 3.35e12 / 70e9, "B09": 30 * 70e9 / (2 * 3.35e12),
    "S01": 20_000 * 2190.0, "F18": 20_000 * 2190.0, "S02": 2500 * 250_000.0, "S04": 2.15e25 / (989.4e12 * 0.40 * 90 * 86_400),
    "S05": 3.14e23 / 1.92e21, "S06": 3.14e23 / 1.12e23, "S07": 1.12e23 / 1.92e21, "O01": 50 / 70, "F11": 1.1e11, "F12": 711 / 365.25,
    "M06": (989.4e12 / 3.35e12) / (312e12 / 2.039e12), "M16": 1978.9 / 312, "B01": 989.4e12 / 3.35e12, "B03": (1.75e15 / 8e12) / (989.4e12 / 3.35e12),
    "S11": (3.8e26 / 2.1e25) ** (365.25 / 715) / (2.1e25 / 1.92e21) ** (365.25 / 1490), "S21": (1_594_414 / 303_403) ** 0.5, "M09": 2.46 * 3e11 / 3.6e6 / 10_791,
    "M11": 9.894e19, "M12": 0.25, "D01": 11.2 / 500 / (6 * 70e9 * 2e6 / (7000 * 989.4e12 * 0.4)), "D02": 19, "D03": 9e6 / 2.08188e8,
    "D04": (8 / 7) ** 10, "D05": 1.59e9 * 0.078, "D06": 20_480 * 1.389 * 0.8 * 1.25 * 8760 * 0.083, "D07": 90e12 / 8760, "D08": 14 * 1.8e12,
    "S03": 20_000 * 95 * 86_400 * 312e12 * 0.34, "S12": 6 * 70e9 * 2e12 / (1000 * 312e12 * 0.4347) / 86_400, "S13": 4e6,
    "S17": 6 * 20e24 / (312e12 * 0.511) / 3600 * 1.5, "S18": 6 * 20e26 / (312e12 * 0.511) / 3600 * 1.5,
    "S19": 6 * 70e9 * 1.4e12 / (312e12 * 0.4347) / 3600 * 1.5, "M03": 200 / 312, "M07": 54 / 34 - 1, "B23": 0.998 / 0.61 / (0.002 / 0.39),
    "M04": 1007 * (6 * 64_862_437_376 + 12 * 80 * 8192 * 2048) / 989.4e12, "M15": 238_300 * (6 * 540.36e9 + 12 * 118 * 48 * 256 * 2048) / (6144 * 275e12),
    "M05": 1.42 / 3600 / 1.95e-6 * (6 * 405_853_388_800 + 6 * 126 * 16_384 * 8192) / 989.4e12,
    "M10": 1.42 / 3600 / 1.95e-6 * (6 * 405_853_388_800 + 12 * 126 * 16_384 * 8192) / 989.4e12,
    "M08": 300e9 * (6 * 174_566_105_088 + 12 * 96 * 12_288 * 2048) / (0.395 * 1978.9e12) / 3600 * 1.42,
    "S05": 3.14e23 / 1.92e21, "S06": 3.14e23 / 1.12e23, "S07": 1.12e23 / 1.92e21, "S08": 1.12e23 / 1.92e21,
    "S09": 2.1e25 / 3.14e23, "S10": 5e25 / 2.1e25, "S14": 3.76 / 2.578, "O01": 50 / 70, "F11": 1.1e11, "F12": 711 / 365.25,
    "S20": 7 * 694_444 / 4.336e6, "B11": (137.953296384e9 / 26.8e12 + 512 * 2048 * 327_680 / 26.8e12) / (2 * 68_976_648_192 * 512 / 7.9152e15 + 512 * 2048 * 327_680 / 26.8e12),
    "B16": sum(0.8**i for i in range(5)) / (0.4 + 5), "B17": sum(0.8**i for i in range(6)) / 1.25, "F01": 694_444 / 195e6 / (162.45e9 / (320_000 * 365 * 86_400)),
    "F02": 28_936 * 24.0, "F03": 694_444 / 195e6 * 320_000 * 365 * 86_400, "F04": 162.45e9 / (320_000 * 365 * 86_400), "F16": 69,
    "M13": 794.5 / 989.4, "M14": 0.40 * 0.38, "B18": 540e9 / 0.029 / (64 * 1.2e12), "T01": 1_235_545, "T02": 197 / 459, "T04": (1_236_936 + 3_812_878) / (3_151_494 + 264_522),
    "T05": 197e12, "T06": (68_976_648_192 + 32 * 8192 * 163_840) / (8 * 819.2e9), "T07": 197 / 1.2 / (989.4 / 10.8), "T08": 700 / 540,
    "T09": (44 + 366 + 76) / 365.25, "T10": 7.37 / 8, "T12": 16 * 20 * 28.0, "T13": 872 / 365.25,
    "B19": 8 * 9 * 8, "B20": 227.82, "C10": 5300 / 3320, "C11": 270_000 - 32_010 - 8 * 3320, "C21": 20e9, "F05": 101_527 / 8 / (62_351.6 / 16), "F06": 0,
    "F07": 5e9, "F08": 1307.4 / 989.4, "F09": 3 / (35 / 12), "F13": 0.5 / (0.74 * 30),
    "C07": 423_514 + 19_838, "C08": 16_000 / (3.14159265358979 * 9e4 / (4 * 814) - 3.14159265358979 * 300 / 1628**0.5) / ((1 - math.exp(-0.814)) / 0.814) ** 2,
    "C09": 80 * 15.0, "C20": 8e9 / (31.8 * 1_048_576),
    "C01": 260_088 + 56_333, "C02": 1_007_084, "C03": 3_837_761, "C04": 6_119 + 32_481 + 1_007_084 + 2_678_614,
    "C05": 834_956 + 1_293_973 + 2_631_539, "T03": (1_236_936 + 3_812_878) / (3_151_494 + 264_522), "T11": 600_000 * 5 * 8760 * 1.6,
    "F10": 0.4, "F14": 4_424 / 100_000, "C12": 0.95, "C13": 0.83, "C15": 6, "C16": 1506 / 365.25, "C17": 0.91,
    "F15": 74, "O02": 8e11, "O03": 0.5 * 34.1e9 / 8.33 / 2, "O04": 14e9, "O05": 1350 / 3320, "O06": 835 / 365.25,
    "O07": 2 * 8 / 3600 * (137_953_296_384 + 256 * 327_680 * 2048) / (8 * 3.35e12) / 256 * 1e6, "O08": 496 / 365.25,
    "B12": 250 / 60 / 0.75, "B13": 8 * 3.35e12 / 2e12, "B14": 8 * 3.35e12 / 33.33 / 2, "B22": 0.5,
}

ROUND = {"M04", "M08", "M15"}  # inputs that the catalogue holds with more digits


def test_ledger_is_complete_and_well_formed():
    assert len(LEDGER) == 128
    for row in LEDGER.values():
        assert row["relation"] in ("equal", "about", "at_least", "at_most", "none")
        assert row["ruling"] in (None, "reproduced", "partly", "refuted", "computed", "dated", "open", "summary-error")
        assert "01" <= row["chapter"] <= "15"


@pytest.mark.parametrize("id", [id for id in BY_HAND if id in SETTLED])
def test_computed_value_by_hand(id):
    assert si.verdict(id).computed == pytest.approx(BY_HAND[id], rel=5e-4 if id in ROUND else 1e-9)


@pytest.mark.parametrize("id, passes, want", [
    ("S06", 1, 3.14e23 / (6 * 2.6e9 * 61e9)), ("S06", 164, 3.14e23 / (6 * 2.6e9 * 61e9 * 164)), ("S05", 1, 3.14e23 / (6 * 1.5e9 * 40e9 / 5 / 0.75)), ("S07", 100, 1.12e23 / (600 * 1.5e9 * 40e9 / 5 / 0.75))])
def test_forgotten_passes_over_the_data(id, passes, want):
    assert si.verdict(id, other_passes=passes).computed == pytest.approx(want, rel=1e-6)


def test_verdicts_hang_on_the_passes_that_nobody_published():
    assert [si.verdict("S07", other_passes=n).verdict for n in (12, 20, 100)] == ["reproduced", "reproduced", "refuted"]
    assert si.verdict("S05", other_passes=1).verdict == "partly" and si.verdict("S06", other_passes=1).verdict == "refuted"


def test_a_tiny_fraction_of_gpt3_is_a_third():
    assert si.verdict("S08").verdict == "refuted"
    assert si.verdict("S08", other="GPT-3 175B").computed == pytest.approx(1.12 / 3.14, rel=1e-12)


def test_what_hangs_on_sizes_never_published_stays_open():
    """GPT-3.5 in both: a method that works, or a ratio that speaks against the claim, settles nothing."""
    assert [si.verdict(id).verdict for id in ("S14", "S15")] == ["open", "open"]


def test_the_range_of_gpt4_turns_two_verdicts(monkeypatch):
    """90 % of what Epoch thinks possible: 8.2e24 to 4.4e25."""
    rows = [row | {"flop": row["low"]} if row["model"] == "GPT-4" else row for row in table("training_runs")]
    assert [si.verdict(id).verdict for id in ("S09", "S10")] == ["partly", "refuted"]
    monkeypatch.setattr(claims, "table", lambda name: rows if name == "training_runs" else table(name))
    assert [si.verdict(id).verdict for id in ("S09", "S10")] == ["refuted", "partly"]
    assert [round(si.verdict(id).computed, 1) for id in ("S09", "S10")] == [26.1, 6.1]


@pytest.mark.parametrize("inputs, published", [({}, 0.9522), ({"inference_tokens": 0}, 1.0)])
def test_serving_rewards_a_smaller_model_as_sardana_publishes(inputs, published):
    assert si.verdict("S16", **inputs).computed == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("count, want", [("units", (52.8, 30.3, 10.4, 6.6)), ("h100e", (67.8, 14.9, 6.1, 11.2))])
def test_shares_of_2024_as_published_from_the_same_table(count, want):
    found = [100 * si.verdict("C06", maker=maker, count=count).computed for maker in ("NVIDIA", "Google", "Amazon", "AMD")]
    assert found == pytest.approx(want, abs=0.06) and sum(found) == pytest.approx(100)


def test_google_has_half_of_the_claimed_share_by_memory():
    """2024 by hand, millions of chips x GB: v5e, v5p, v6e against H100, H20, B200."""
    google = 1.461534 * 16 + 0.525728 * 95 + 0.214293 * 32
    nvidia = 2.678614 * 80 + 0.958410 * 96 + 0.200737 * 180
    found = [si.verdict("C06", maker=maker, count="memory").computed for maker in ("Google", "NVIDIA", "Amazon", "AMD")]
    assert found[0] / found[1] == pytest.approx(google / nvidia, rel=1e-5) and sum(found) == pytest.approx(1)
    assert found[:2] == pytest.approx([0.145, 0.620], abs=5e-4)


def test_verdicts_of_chapter_1_and_its_examples():
    words = {"reproduced": "S01 S02 S04 S07 O01", "partly": "C06", "refuted": "S05 S06", "dated": "F11 F12", "summary-error": "F18"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words


def test_verdicts_of_chapter_10():
    words = {"reproduced": "M13 M14 B18 T05 T10 T12", "partly": "T01 T02 T07", "refuted": "T04", "computed": "T06", "dated": "T09 T13", "open": "T08"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words
    assert {row["id"] for row in LEDGER.values() if row["chapter"] == "10"} == set(" ".join(words.values()).split())


def test_what_else_the_claims_of_chapter_10_say():
    """The other figures of M13, T01 and T04, the rent of M14 with its peaks cancelled, the 17 ms of the scaling book and the 85 s of PaLM."""
    assert [round(si.verdict("M13", chip=c).computed, 3) for c in ("B200 SXM", "GB200 (per GPU)", "MI300X")] == [0.776, 0.729, 0.511]
    assert [si.verdict("M14", lower_cost=0.52, chip=c).computed for c in ("TPU v7", "TPU v6e")] == pytest.approx([0.192, 0.192], rel=1e-12)
    assert si.verdict("T01", until="2023-12-31").computed == 816_448 and si.verdict("T01", until="2025-12-31").computed == pytest.approx(2.37e6, rel=0.005)
    ours = [max(r["mfu"] for r in si.timed(chip=chip, test="gemm", dtype="bf16")) for chip in ("H100 SXM", "H200 SXM")]
    core = max(row["flops_per_second"] for row in table("tpu_measurements") if row["test"] == "matmul") / (si.chip("TPU v7").peak["bf16"] / 2)
    assert [round(x, 2) for x in (*ours, core)] == [0.81, 0.76, 0.83]
    ratios = [si.verdict("T04", date=f"{year}-12-31").computed for year in (2023, 2024, 2025)]
    assert ratios == pytest.approx([(117_444 + 208_719) / 307_857, (434_378 + 951_445) / (1_130_363 + 106_473), 5_049_814 / 3_416_016], rel=1e-9)
    own = {row["date"]: row["value"] for row in table("company_events") if row["quantity"] == "power of its compute"}
    factors = [si.owned(day)["Google"] * 1389 / watts for day, watts in own.items()]  # each H100-equivalent at the watts of an H100
    assert factors == pytest.approx([2.27, 3.21, 3.69], abs=0.006) and max(factors) / (312 / 989.4 * 700 / 400) < 10
    assert [si.verdict("T07", than_usd=3.29).computed, 819.2 / 1.2 / (3350 / 3.29)] == pytest.approx([0.55, 0.67], abs=0.005)
    assert round(1e3 * si.verdict("T06").computed) == 17 and si.verdict("B18", seconds=0.0285).computed == pytest.approx(7.03 / 28.5, rel=1e-3)
    assert 2 * 540e9 * 512 * 2048 / (64 * si.chip("TPU v4").peak["bf16"] * 0.76) == pytest.approx(85, rel=0.005)
    assert si.verdict("T10").inputs["than"] == "GB200" and si.verdict("T08", than="TPU v5e").computed == pytest.approx(700 / 225)


def test_verdicts_of_chapter_6():
    words = {"reproduced": "S21 M09 M12 D03 D04 D05 D06 D07", "refuted": "S11", "partly": "M11 D08", "computed": "D01", "dated": "D02"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words


def test_what_else_the_claims_of_chapter_6_say():
    """Figures beside the one that rules: 28 households in bf16, 36.9 steps of waiting, 10.8 TB at 6 bytes, the range of GPT-4's compute."""
    assert si.verdict("M09", joules_per_token=3.63).computed == pytest.approx(28, rel=0.005)
    assert si.verdict("D01", local_steps=1).computed == pytest.approx(11.2 / 0.30321, rel=1e-4)
    assert si.verdict("D08", bytes_per_param=6).computed == pytest.approx(10.8e12)
    assert si.verdict("M11", dtype="fp8").computed / (20_000 * 312e12) == pytest.approx(31.7, abs=0.05)
    assert si.verdict("D07").computed / 1389 == pytest.approx(7.3e6, rel=0.02)
    edges = {first: [si.verdict("S11", first=first, flop_between=flop) for flop in (4.4e25, 8.2e24)] for first in ("GPT-2 1.5B", "GPT-3 175B")}
    assert {first: [(edge.verdict, round(edge.ratio, 2)) for edge in found] for first, found in edges.items()} == {
        "GPT-2 1.5B": [("refuted", 0.26), ("refuted", 0.91)], "GPT-3 175B": [("refuted", 0.51), ("reproduced", 2.21)]}
    assert si.verdict("S11", first="GPT-3 175B").ratio == pytest.approx(0.976, abs=5e-4)
    assert [si.verdict("S21", year=year).computed ** 0.5 for year in (2023, 2024)] == pytest.approx([1.514, 1.421], abs=1e-3)
def test_verdicts_of_chapter_5():
    words = {"reproduced": "S01 S02 S04 S17 S18 S19 M03 M04 M07 M08 M10 M15 B23", "partly": "S03 S12", "refuted": "S13", "dated": "M05"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words
    assert {row["id"] for row in LEDGER.values() if row["chapter"] == "05"} == set(" ".join(words.values()).split())


def test_verdicts_of_chapter_15():
    words = {"reproduced": "O01 O03 O04", "partly": "F15", "refuted": "O02", "open": "O05", "dated": "O06 O08", "computed": "O07"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words
    assert {row["id"] for row in LEDGER.values() if row["chapter"] == "15"} == set(" ".join(words.values()).split())


def test_what_else_the_claims_of_chapter_15_say():
    """70B in bf16 on a phone, 4 B in int4, the other bill, the half-life by a strict rule on size, 1.8 times the compute."""
    assert si.verdict("O01", weights="bf16").computed == pytest.approx(50 / 140)
    assert si.verdict("O03", weights="int4").computed == pytest.approx(4.09e9, rel=1e-3)
    assert si.verdict("O05", by="Weibo post").computed == pytest.approx(0.5)
    assert [si.verdict("F15", room=room).computed for room in (1.0, 1.1, 2.0)] == [144, 74, 74]
    assert si.verdict("F15", room=1.0).verdict == "refuted" and si.verdict("F15", until="2026-11-26").computed == 74
    assert 3.8e25 / 2.1e25 == pytest.approx(1.8, abs=0.01)
    with pytest.raises(si.UnknownName, match="iPhone 14"):
        si.verdict("O03", device="iPhone14")


def test_readings_of_chapter_5_under_other_inputs():
    assert si.verdict("S12", chip="H100 SXM", mfu=0.229).ratio == pytest.approx(1, abs=0.01)
    assert si.verdict("S12", mfu=0.725).ratio == pytest.approx(1, abs=0.01) and 1 < si.verdict("S12", mfu=0.60).ratio < 1.5
    assert si.verdict("S19", mfu=0.45).ratio == pytest.approx(1, abs=0.005)
    assert si.verdict("S19", params=30e9).computed == pytest.approx(326e3, rel=0.02)
    assert si.verdict("S19", params=30e9, mfu=0.45).computed == pytest.approx(326e3, rel=0.02)
    assert si.verdict("S03", mfu=0.42).ratio == pytest.approx(1, abs=0.01)
    assert si.verdict("S03", chips=25_000).computed == pytest.approx(2.18e25, rel=0.002)
    epoch, = (row["usd"] for row in table("training_costs") if (row["model"], row["basis"], row["edition"]) == ("GPT-4", "purchase", "2026"))
    assert epoch * 20_000 / 25_000 == pytest.approx(645e6, rel=1e-3)
    assert si.verdict("S04", mfu=0.346).computed == pytest.approx(8077, abs=1)
    assert [si.verdict("S17", mfu=mfu).verdict for mfu in (0.4, 0.6)] == ["partly", "partly"]
    assert si.verdict("M07", before=0.295, after=0.395).computed == pytest.approx(0.34, abs=0.005)
    assert si.verdict("M10", context=None).computed == pytest.approx(0.498, abs=5e-4)
    assert si.verdict("M04", tokens_per_second_per_chip=410, chip="A100 SXM 80GB").computed == pytest.approx(0.533, abs=0.002)


def test_verdicts_of_chapter_11():
    words = {"reproduced": "F05", "partly": "B19 B20 C10 C11 C21 F06 F08", "refuted": "F07", "dated": "F09", "computed": "F13"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words
    assert {row["id"] for row in LEDGER.values() if row["chapter"] == "11"} == set(" ".join(words.values()).split())


def test_readings_of_chapter_11_under_other_inputs():
    assert [si.verdict("C10", part=part).computed for part in ("logic", "memory", "packaging")] == pytest.approx([2, 2900 / 1350, 1.6])
    assert si.verdict("F05", chip="GB200 (per GPU)").computed == pytest.approx(51_736.9 / 4 / (62_351.6 / 16))
    assert si.verdict("F08", chip="Gaudi 3").computed == pytest.approx(1677 / 989.4)
    assert si.verdict("F06", first="2024-10-01", last="2024-12-31").computed == 200_737
    assert si.verdict("F13", chips_a_year=485_000, usd_per_chip=26_268).computed == pytest.approx(0.0392, abs=5e-5)
    assert si.verdict("B20", weights="int8").computed == pytest.approx(279.35)
    assert si.verdict("F09", last="B200 SXM", steps=2).computed == pytest.approx(2 / (26 / 12))


def test_large_work_is_shown_as_a_power_of_ten():
    assert si.verdict("S03").shown == "1.74e25 FLOP" and "FLOP" in si.verdict("M01").shown and "e" not in si.verdict("M01").shown


def test_the_rent_of_the_gpt4_run_a_second_way():
    """From the work instead of the calendar: 2.15e25 FLOP at the MFU that 20,000 A100 need to do it in three months."""
    mfu = 2.15e25 / (20_000 * 312e12 * 91.25 * 86_400)
    run = si.train_run(2.15e25 / 6e12, "A100 SXM 40GB", 20_000, 1e12, mfu, usd_per_chip_hour=1)
    assert 0.43 < mfu < 0.44 and run.usd == pytest.approx(si.verdict("S01").computed, rel=1e-9)


def test_dollars_are_shown_with_a_prefix_and_inputs_in_words():
    assert [si.verdict("S01", chips=n, days=1, usd_per_chip_hour=1).shown for n in (100, 1e5, 1e9)] == ["$2,400", "$2.40M", "$24.0B"]
    assert si.verdict("S01").given == "chips 20,000, days 91.25, usd per chip hour 1"
    assert si.verdict("S06").given == "model GPT-3 175B, other Meena"  # what is left open is not shown
    assert si.verdict("S06", other_passes=1).given.endswith("other passes 1")


def test_cost_of_batch_one_by_hand():
    weights, cache = 2 * 68_976_648_192, 2048 * 327_680
    assert si.verdict("B15").computed == pytest.approx(256 * (weights + cache) / (weights + 256 * cache), rel=1e-9)


def test_median_of_measured_mbu_by_hand():
    values = [m[1] for m in (si.measured_mbu(row) for row in si.measured(chips=1, batch=1, weights=("bf16", "fp16")))]
    values.sort()
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    assert len(values) >= 5 and si.verdict("B10").computed == pytest.approx(middle, rel=1e-12)


@pytest.mark.parametrize("quantity, seconds", [("tokens_per_second_per_user", 1 / 50), ("tokens_per_second", 8 / 50), ("seconds_per_token", 50)])
def test_measured_seconds_of_every_quantity(monkeypatch, quantity, seconds):
    row = si.measured()[0] | dict(quantity=quantity, value=50.0, batch=8.0)
    monkeypatch.setattr(measurements, "table", lambda name: (row,))
    assert si.measured()[0]["seconds"] == pytest.approx(seconds, rel=1e-12)


def test_measured_mbu_with_its_interval_by_hand():
    """gpt-fast, Llama 2 7B on one A100: 104.9 tokens/s after a prompt of 5, 200 tokens out."""
    [row] = si.measured(id="DE001")
    weights, table, cache = 2 * 6_738_415_616, 2 * 32_000 * 4096, 2 * 2 * 32 * 32 * 128
    read = [weights - table + 5 * cache, weights + 105 * cache, weights + 205 * cache]
    assert si.measured_mbu(row) == pytest.approx([b * 104.9 / 2.039e12 for b in read], rel=1e-12)


def rule(row, ratio):
    """The rules of the book, written again: within 5 % (10 % if said roughly), within 1.5x, or an inequality."""
    if row["relation"] == "at_least":
        return "reproduced" if ratio >= 1 else "refuted"
    if row["relation"] == "at_most":
        return "reproduced" if ratio <= 1 else "refuted"
    if abs(ratio - 1) <= (0.10 if row["relation"] == "about" else 0.05):
        return "reproduced"
    return "partly" if 1 / 1.5 <= ratio <= 1.5 else "refuted"


@pytest.mark.parametrize("id", SETTLED)
def test_ratio_and_verdict_follow_the_rules(id):
    row, found = LEDGER[id], si.verdict(id)
    assert math.isfinite(found.computed) and found.shown and found.inputs and found.source == row["source"]
    if found.ratio is not None:
        low, high = min(row["claimed_value"]), max(row["claimed_value"])
        assert found.ratio == pytest.approx(found.computed / min(max(found.computed, low), high), rel=1e-12)
    if row["ruling"]:
        assert found.verdict == row["ruling"]
    else:
        assert found.verdict == ("computed" if found.ratio is None else rule(row, found.ratio))


@pytest.mark.parametrize("relation, claimed, computed, word", [
    ("equal", (100.0,), 104.9, "reproduced"), ("equal", (100.0,), 95.1, "reproduced"), ("equal", (100.0,), 105.1, "partly"), ("equal", (100.0,), 149.9, "partly"), ("equal", (100.0,), 150.1, "refuted"),
    ("equal", (100.0,), 66, "refuted"), ("equal", (100.0,), 67, "partly"), ("about", (100.0,), 109, "reproduced"), ("about", (100.0,), 91, "reproduced"),
    ("about", (100.0,), 110.1, "partly"), ("at_least", (100.0,), 100, "reproduced"), ("at_least", (100.0,), 99, "refuted"),
    ("at_most", (100.0,), 100, "reproduced"), ("at_most", (100.0,), 101, "refuted"), ("equal", (40.0, 50.0), 45, "reproduced"),
    ("equal", (40.0, 50.0), 52, "reproduced"), ("equal", (40.0, 50.0), 60, "partly"), ("equal", (40.0, 50.0), 38.5, "reproduced")])
def test_rules_at_their_edges(monkeypatch, relation, claimed, computed, word):
    row = LEDGER["B07"] | dict(relation=relation, claimed_value=claimed, claimed_unit="token/s", ruling=None)
    monkeypatch.setattr(claims, "_row", lambda id: row)
    monkeypatch.setitem(claims._registry, "B07", (lambda value=computed: value, "token/s"))
    assert si.verdict("B07").verdict == word


def test_a_percentage_is_compared_as_a_fraction():
    found = si.verdict("B22")
    assert (found.computed, found.ratio, found.shown, found.verdict) == (0.5, 1.0, "50.0 %", "reproduced")


def test_no_ratio_between_different_units():
    assert si.verdict("S15").ratio is None


def test_an_input_can_be_changed():
    assert si.verdict("B07", chip="H100 SXM").computed == pytest.approx(3.35e12 / 70e9)
    assert si.verdict("B07", chip=si.chip("T4"), weights="int4").computed == pytest.approx(si.chip("T4").bandwidth / 35e9)
    assert si.verdict("B07", params=35e9).inputs["params"] == 35e9
    assert si.verdict("B07").inputs["params"] == 70e9


def test_what_is_not_computed_says_so():
    for id in LEDGER.keys() - set(SETTLED):
        found = si.verdict(id)
        assert found.computed is None and found.ratio is None and found.shown == ""
        assert found.verdict == (LEDGER[id]["ruling"] or "not yet computed")


def test_verdict_as_text():
    assert str(si.verdict("B08")).startswith("B08: claimed ") and "47.9 tokens/s" in str(si.verdict("B08"))


def test_table_of_one_chapter_and_of_all():
    assert list(si.claim_table("07").index) == [id for id, row in LEDGER.items() if row["chapter"] == "07"]
    assert len(si.claim_table()) == 128
    assert si.claim_table("07").map(lambda cell: isinstance(cell, str)).all(axis=None)
    assert si.claim_table("07").loc["B08", "computed"] == "47.9 tokens/s"


def test_a_written_chapter_leaves_none_of_its_claims_without_a_verdict():
    written = {path.name[:2] for path in notebooks.chapters(ROOT)}
    assert {"01", "02", "03", "07"} <= written
    assert {"01", "03", "04", "07"} <= written
    assert [id for id, row in LEDGER.items() if row["chapter"] in written and si.verdict(id).verdict == "not yet computed"] == []
    assert {id for id, row in LEDGER.items() if row["chapter"] in written} - {"B21", "F17", "C14", "C18", "C19"} <= set(SETTLED)  # words and a date, no number


@pytest.mark.parametrize("change, flops, word", [({"causal": False}, 6 + 12 * 80 * 64 * 128 * 4096 / 68_976_648_192, "partly"), ({"context": 0}, 6, "reproduced")])
def test_six_flops_depend_on_what_attention_counts(change, flops, word):
    found = si.verdict("M01", **change)
    assert (found.computed, found.verdict) == (pytest.approx(flops, rel=1e-12), word)


def test_two_flops_hold_for_one_token_of_any_model():
    assert all(si.verdict("M02", model=name).computed == pytest.approx(2, rel=1e-12) for name in ("Llama 2 70B", "Mixtral 8x7B", "DeepSeek-V3"))
    assert si.verdict("M02", batch=64).computed == 128 and si.verdict("M02", batch=64, model="Mixtral 8x7B").computed < 64


def test_chapter_02_has_its_claims_settled():
    """The four verdicts, and what the readings say beside them: growth like for like, P100 to H100, H200 and A100 80GB."""
    assert {id: si.verdict(id).verdict for id, row in LEDGER.items() if row["chapter"] == "02"} == {
        "M06": "reproduced", "M16": "partly", "B01": "partly", "B03": "partly"}
    assert si.verdict("M16", dtype="bf16").computed == pytest.approx(3.171, rel=1e-3)
    assert si.verdict("M16", than="P100 SXM2", than_dtype="fp16", dtype="bf16").computed == pytest.approx(46.7, rel=1e-3)
    assert [si.verdict("B03", chip=new, than=old).computed < 1 for new, old in (("H200 SXM", "H100 SXM"), ("A100 SXM 80GB", "A100 SXM 40GB"))] == [True, True]
    assert si.verdict("B01", dtype="fp8").computed == pytest.approx(590.7, abs=0.05)


def test_verdicts_of_chapter_8_and_what_turns_them():
    words = {"reproduced": "F02 F03", "partly": "S20 B11 B16 B17 F04", "computed": "F01 F16", "summary-error": "F17"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words
    assert si.verdict("S20", basis="amortised").ratio > 2 and si.verdict("S20", usd_per_day=6e5).ratio < 1
    assert si.verdict("B16", batches=0.1).ratio > 1 and si.verdict("B17", acceptance=0.7).ratio > 1
    assert si.verdict("B17", acceptance=0.5).ratio < 1 and si.verdict("B11", batch=64).computed == pytest.approx(1, rel=1e-12)


def test_figures_beside_those_that_rule_in_chapter_8():
    """0.356 cents a query, 512,820 servers, 1.06 cents of cost at Google's margin, and the batch of Mixtral by hand."""
    day, searches = si.verdict("F02").computed, si.verdict("F03").computed
    assert day / 195e6 == pytest.approx(0.00356, abs=5e-6) and searches / 8760 / 8 == pytest.approx(512_820, rel=1e-5)
    assert si.verdict("F04").computed * (1 - 0.3415) == pytest.approx(0.0106, rel=1e-3)
    assert si.verdict("F04", searches_per_second=5e12 / 31_536_000).computed == pytest.approx(0.03249, rel=1e-12)

    def paid(batch):  # bytes of the experts that the batch touches, and of its caches, at $4 an hour for both chips
        touched = 8 * (1 - (1 - 2 / 8) ** batch)
        shape = si.model("Mixtral 8x7B")
        weights = 2 * (shape.shared_params + shape.moe_layers * shape.expert_params * touched)
        return 4 / 3600 * (weights + batch * 2048 * 131_072) / 6.7e12 / batch * 1e6

    assert paid(68) > 0.27 >= paid(69) and si.verdict("F16", stack="calibrated").computed > 69


def test_bandwidth_of_our_card_rises_with_the_batch():
    """The reading of B11: on one H100 at a context of 2,048 the share of the bandwidth grows from batch 1 to 128."""
    rows = si.timed(run="H100-2", test="decode", model="Llama 3.1 8B", graph=1, dtype="bf16", context=2048)
    mbu = {row["batch"]: row["bytes"] / row["seconds"] / si.chip("H100 SXM").bandwidth for row in rows}
    assert mbu[1] == pytest.approx(0.726, abs=5e-4) and mbu[128] == pytest.approx(0.816, abs=5e-4)


def test_continuous_batching_of_chapter_8_by_formula():
    """With random lengths the time with k at work is 1/k: 3.85 times the tokens, simulated in the chapter."""
    at_work = np.arange(1, 65)
    seconds = 137.953296384e9 / 26.8e12 + at_work * 2048 * 327_680 / 26.8e12
    assert (seconds / at_work).sum() / seconds[-1] == pytest.approx(3.85, abs=0.01)


def test_verdicts_of_chapter_13():
    words = {"reproduced": "C07", "partly": "C06 C09 C20", "computed": "C08"}
    assert {word: " ".join(id for id in ids.split() if si.verdict(id).verdict == word) for word, ids in words.items()} == words
    assert {row["id"] for row in LEDGER.values() if row["chapter"] == "13"} == set(" ".join(words.values()).split())


def test_readings_of_chapter_13():
    """Groq's die, the lower ends of Epoch's ranges, the bill of materials, SRAM at 3 nm and its cells alone."""
    assert si.verdict("C08", area_mm2=725, wafer_usd=6000).computed == pytest.approx(163, abs=0.5)
    assert sum(row["units_p05"] for row in table("shipments") if row["start"] == "2023-10-01" and row["chip"] in ("H100", "H800")) == 370_815
    assert si.verdict("C07", first="2023-07-01", last="2023-09-30").verdict == "refuted"
    memory = si.bill_of_materials("H100 SXM").usd["memory"]
    assert memory / 1150 == pytest.approx(1.17, abs=0.005) and si.verdict("C09", usd_per_gb=memory / 80).verdict == "partly"
    facts = {(row["item"], row["subject"]): row["value"] for row in table("silicon")}
    assert 8e9 * facts["area of an SRAM cell", "TSMC N5"] / 1e6 == pytest.approx(168)
    assert si.verdict("C20").inputs["mib_per_mm2"] == facts["density of SRAM", "TSMC N3E"]
    assert 100 / si.verdict("C20", mib_per_mm2=facts["density of SRAM", "TSMC N3B"]).computed == pytest.approx(0.44, abs=0.005)


def test_claim_functions_are_short():
    import inspect
    for function, _ in claims._registry.values():
        assert len(inspect.getsource(function).splitlines()) <= 8, function.__name__
