"""The figures of chapter 11 a second way: paper and measured ratios, the price a challenger may ask, and machines of SRAM."""
import math

import numpy as np
import pytest
import siliconomics as si
from siliconomics.tables import table

PEAKS = {(row["chip"], row["quantity"], row["dtype"]): row["value"] for row in table("device_peaks")}
ACHIEVED = table("achieved")


def served(chip, work, date):
    return [row["value"] / row["chips"] for row in ACHIEVED if (row["chip"], row["work"], row["date"]) == (chip, work, date)]


# --- paper and measured ---------------------------------------------------------------------------------------------

def test_mi300x_over_h100_on_paper_and_in_matrix_products():
    """The curriculum's figures: 1.32 FLOP, 1.58 bandwidth, 2.40 capacity, products 0.84."""
    amd, nvidia = si.chip("MI300X"), si.chip("H100 SXM")
    found = [amd.peak["bf16"] / nvidia.peak["bf16"], amd.bandwidth / nvidia.bandwidth, amd.memory_bytes / nvidia.memory_bytes,
             PEAKS["MI300X", "matmul_flops", "bf16"] / PEAKS["H100 SXM", "matmul_flops", "bf16"]]
    assert [round(ratio, 2) for ratio in found] == [1.32, 1.58, 2.40, 0.84]


def test_mlperf_ratios_by_hand():
    work = "Llama 2 70B offline"
    old, new = served("MI300X", work, "2024-08")  # with two processors
    assert [old / served("H100 SXM", work, "2024-08")[0], new / served("H100 SXM", work, "2024-08")[0]] == pytest.approx([23_514.8 / 24_524.9, 24_109.8 / 24_524.9])
    assert served("MI300X", work, "2025-09")[0] / new - 1 == pytest.approx(0.153, abs=5e-4)
    assert served("MI300X", work, "2025-09")[0] / served("H100 SXM", work, "2025-09")[0] == pytest.approx(27_803.9 / 31_175.8)


def test_the_mi355x_against_its_peers_of_the_same_round():
    amd = served("MI355X", "Llama 2 70B offline", "2026")[0]
    assert [round(amd / served(peer, "Llama 2 70B offline", "2026")[0], 2) for peer in ("B300 SXM", "GB300 (per GPU)")] == [0.97, 0.81]
    assert si.chip("MI355X").bandwidth == si.chip("B300 SXM").bandwidth and si.chip("MI355X").tdp_watts == si.chip("GB300 (per GPU)").tdp_watts


def test_the_maker_stands_for_its_own_chip_where_it_submitted():
    """Of v6.1 NVIDIA submitted B300, GB200, GB300 and Rubin itself, and AMD the MI355X; nobody but Nebius and others the B200."""
    round_ = {(row["chip"], row["work"]): row["locator"].split("/")[1] for row in ACHIEVED if row["date"] == "2026"}
    assert {chip for (chip, _), by in round_.items() if by not in ("NVIDIA", "AMD")} == {"B200 SXM"}
    rubin, gb200 = (served(chip, "DeepSeek-R1 offline", "2026")[0] for chip in ("Rubin (per GPU)", "GB200 (per GPU)"))
    assert rubin / gb200 == pytest.approx(1_183_327 / 523_790) and gb200 * 72 / 289_712 - 1 == pytest.approx(0.808, abs=5e-4)


def test_one_evening_of_software():
    """615.9 to 731.0 TFLOP/s in the same search, then 758.3 with more shapes; the H100 738.6 to 792.1 by the shapes alone."""
    amd, nvidia = ([row["value"] / 1e12 for row in ACHIEVED if row["work"] == "matmul" and row["chip"] == chip] for chip in ("MI300X", "H100 SXM"))
    assert amd[:3] == pytest.approx([615.9, 731.0, 758.3]) and nvidia[:2] == pytest.approx([738.6, 792.1])


def test_press_reports_agree_with_the_logs():
    """EE Times gave AMD's first result as 23,514.80 tokens/s offline, within 3 to 4 % of NVIDIA's on eight H100."""
    amd, nvidia = (8 * served(chip, "Llama 2 70B offline", "2024-08")[0] for chip in ("MI300X", "H100 SXM"))
    assert amd == pytest.approx(23_514.80) and 0.03 < 1 - amd / nvidia < 0.045


def test_no_product_beats_its_data_sheet():
    for row in ACHIEVED:
        assert si.chip(row["chip"]).name == row["chip"]
        if row["work"] == "matmul":
            assert 0.4 < row["value"] / si.chip(row["chip"]).peak[row["dtype"]] < 1


def test_no_stated_speed_beats_one_chip_at_a_time():
    stated = [row for row in ACHIEVED if row["work"].endswith("one user")]
    assert len(stated) == 5
    for row in stated:
        model = si.model(row["work"].removesuffix(" one user"))
        assert row["value"] * si.memory_floor(model.weight_bytes_read(1, "int8"), row["chip"]) < 1


def test_announced_chips_are_marked_in_the_data():
    for name in ("Rubin (per GPU)", "MI455X"):
        facts = si.chip_facts(name).set_index("field").confidence
        assert (facts[[f for f in facts.index if f.startswith("peak")] + ["bandwidth"]] == "unconfirmed").all()
    sold = si.chip_facts().query("field == 'bandwidth' and confidence == 'unconfirmed'").chip
    assert set(sold) == {"Rubin (per GPU)", "MI455X", "Graphcore Bow"}


# --- the price that a challenger may ask ----------------------------------------------------------------------------

def test_price_to_match_by_hand():
    assert si.price_to_match(0.84, 26_268, 7_709, 7_855) == pytest.approx(0.84 * 33_977 - 7_855)
    assert si.price_to_match([0.5, 1, 2], 100, 20, 20, 10).tolist() == [30, 90, 210]
    assert si.price_to_match(1, 100, 20, 20) == 100 and si.price_to_match(0.1, 100, 20, 20) < 0


def test_at_that_price_the_work_costs_the_same():
    """The other way round: dollars an hour of owning each, from `tco`, over the work."""
    work, usd, watts, years = 0.84, 26_268.0, 1_275.0, 4
    power = si.energy_cost(si.site_energy(1, watts, years * 8760 * 3600, 0.8, 1.25), 0.083)
    asked = si.price_to_match(work, usd, power, power)
    ours, theirs = (si.tco(price, years, watts, 0.083, 0.8, 1.25).usd_per_hour for price in (asked, usd))
    assert ours / work == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("argument, value", [("performance", 0), ("performance", -1), ("rival_usd", -1), ("other", "much"), ("switching", math.nan)])
def test_price_to_match_refuses(argument, value):
    with pytest.raises(si.BadValue, match=argument):
        si.price_to_match(**{"performance": 1.0, "rival_usd": 100.0} | {argument: value})


def test_margins_as_published():
    dgx = next(row["usd"] for row in table("prices") if row["provider"] == "NVIDIA" and row["chip"] == "H100 SXM")
    assert 8 * dgx == pytest.approx(32_010 + 195_000 + 42_000, abs=10)
    cost = {row["product"]: row["usd"] for row in table("bom") if (row["part"], row["by"]) == ("total", "Silicon Analysts")}
    price = {row["chip"]: row["usd"] for row in table("prices") if (row["provider"], row["date"]) == ("Epoch AI", "2024-12-31")}
    assert [round(1 - cost[name] / price[name], 3) for name in ("H100 SXM", "MI300X")] == [0.874, 0.567]
    assert price["GB200 (per GPU)"] / price["H100 SXM"] == pytest.approx(1.51, abs=0.005)


def test_average_prices_are_geometric_means_of_their_ranges():
    bounds = {"H100 SXM": (23, 30), "GB200 (per GPU)": (35, 45), "MI300X": (10, 15), "MI325X": (10, 20), "MI355X": (25, 30)}
    found = {row["chip"]: row["usd"] for row in table("prices") if row["provider"] == "Epoch AI"}
    assert found == pytest.approx({name: 1e3 * math.sqrt(low * high) for name, (low, high) in bounds.items()}, rel=1e-4)


def test_nvidia_can_meet_a_rival_at_the_price_of_its_parts():
    """The inverse of `price_to_match`: at 7,930 dollars an H100 does a product as cheaply as an MI300X at 5,300."""
    met = (5_300 + 7_855) / 0.84128 - 7_709
    assert si.price_to_match(0.84128, met, 7_709, 7_855) == pytest.approx(5_300) and 1 - met / 26_268 == pytest.approx(0.698, abs=5e-4)


# --- machines of SRAM -----------------------------------------------------------------------------------------------

def test_the_groq_fleet():
    lpu = si.chip("Groq LPU v1")
    assert 576 * lpu.memory_bytes == pytest.approx(132.5e9, rel=2e-4)
    assert np.ceil(si.model("Mixtral 8x7B").weight_bytes("bf16") / lpu.memory_bytes) == np.ceil(93.405585408 / 0.23) == 407
    assert si.max_batch("Mixtral 8x7B", lpu, 576, 1) == (132_480_000_000 - 93_405_585_408) // 131_072 == 298_114
    assert 25 * 29 == lpu.die_mm2


def test_power_of_a_byte_in_sram():
    lpu, h100 = si.chip("Groq LPU v1"), si.chip("H100 SXM")
    assert [lpu.tdp_watts, h100.tdp_watts] == [215, 700] and (215 / 0.23) / (700 / 80) == pytest.approx(106.8, abs=0.1)
    assert (lpu.bandwidth / 215) / (h100.bandwidth / 700) == pytest.approx(77.8, abs=0.1)


def test_widths_of_the_wafers_units_give_their_rates():
    """The Next Platform: four 16-bit lanes a core in the WSE-2 of 850,000 cores, eight in the WSE-3 of 900,000; 1.1 GHz is assumed."""
    for name, cores, lanes in (("Cerebras WSE-2", 850_000, 4), ("Cerebras WSE-3", 900_000, 8)):
        assert si.chip(name).peak["fp16"] == pytest.approx(cores * lanes * 2 * 1.1e9, rel=0.005)


@pytest.mark.parametrize("tokens, lengths, chip, share", [(23_000, 1, "H100 SXM", 0.203), (23_000, 17, "H100 SXM", 3.46), (500_000, 1, "B200 SXM", 1.94)])
def test_what_a_stated_rate_asks_of_one_chip(tokens, lengths, chip, share):
    need = tokens * lengths * 2 * 70e9 / 8 / si.chip(chip).peak["fp8"]
    assert need == pytest.approx(share, abs=0.005)


def test_achieved_is_a_rate_of_one_chip_and_the_larger_of_two():
    rows = [row["value"] / row["chips"] for row in ACHIEVED if (row["chip"], row["work"], row["date"]) == ("MI300X", "Llama 2 70B offline", "2024-08")]
    assert len(rows) == 2 and si.achieved("MI300X", "Llama 2 70B offline", "2024-08") == max(rows) > min(rows)
    with pytest.raises(si.BadValue, match="no such run"):
        si.achieved("MI300X", "Llama 2 70B offline", "1999")
