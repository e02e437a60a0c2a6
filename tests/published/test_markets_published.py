"""Published counts, shares and indices come out again; inputs and values stand in each case."""
import numpy as np
import pytest
from siliconomics import markets
from siliconomics.tables import table

OMDIA = [150, 150, 50, 50, 50, 50, 40, 30, 25, 20, 20, 15]  # thousand H100 by buyer, 2023


def units(maker=None, year=None, chips=None, column="units"):
    frame = markets.shipments()
    keep = frame.start.str[:4] == str(year)
    if maker:
        keep &= frame.maker == maker
    if chips:
        keep &= frame.chip.isin(chips)
    return frame[keep].groupby("maker")[column].sum()


@pytest.mark.parametrize("shares, normalise, want", [
    pytest.param([83, 13, 5], False, 7083, id="HHI bonding tools, raw: CSET/ETO"),
    pytest.param([83, 13, 5], True, 6943, id="HHI bonding tools, normalised: computed"),
    pytest.param([100], False, 10_000, id="HHI EUV lithography: CSET/ETO"),
    pytest.param(OMDIA, True, 1400, id="HHI H100 buyers 2023: Omdia"),
])
def test_hhi(shares, normalise, want):
    assert markets.hhi(shares, normalise) == pytest.approx(want, rel=2e-4)


def test_buyers_of_2023_by_omdia():
    rows = [row["units"] for row in table("gpu_buyers") if row["source"] == ("omdia_h100_2023",)]
    assert sorted(rows) == sorted(1000 * v for v in OMDIA) and sum(rows) == 650_000
    assert sum(sorted(rows)[-2:]) / sum(rows) == pytest.approx(0.4615, abs=5e-5)
    assert markets.gini(rows) == pytest.approx(0.3923, abs=5e-5)


def test_epochs_buyers_are_the_buyers_of_its_own_counts():
    """Purchases of a year lie inside what was shipped, and end in the owners' stock: two other files of the same export."""
    rows = {(row["buyer"], row["chip"], row["year"]): row for row in table("gpu_buyers") if row["source"] == ("epoch_chips_2026",)}
    assert all(row["units_p05"] is None or row["units_p05"] < row["units"] < row["units_p95"] for row in rows.values()) and len(rows) == 14
    assert rows["China", "H100 SXM", 2023]["units"] == pytest.approx(units("NVIDIA", 2023, ("H800",))["NVIDIA"], abs=1)
    assert rows["Google", "TPU", 2024]["units"] == units("Google", 2024)["Google"]
    for owner in ("Microsoft", "Meta", "Amazon", "Google"):
        before, after = ({row["date"]: row for row in table("owners") if (row["owner"], row["maker"]) == (owner, "NVIDIA")}[f"{y}-12-31"] for y in (2023, 2024))
        chips, equivalents = (after[key] - before[key] for key in ("units", "h100e"))
        blackwell = (equivalents - chips) / (5000 / 1979 - 1)  # of 2024 are only H100 with H200, and B200 at 5,000 TFLOP/s
        assert rows[owner, "Hopper", 2024]["units"] == pytest.approx(chips - blackwell, rel=0.02)


def test_where_omdia_and_epoch_part():
    """The span that chapter 12 names, from the figures of both by hand."""
    ratios = [224_450 / 150_000, 117_754 / 150_000, 85_640 / 50_000, 115_429 / (50_000 + 30_000 + 25_000 + 20_000), 363_050 / 224_000, 79_969 / 96_000]
    rows = {(row["buyer"], row["chip"], row["year"], "epoch_chips_2026" in row["source"]): row["units"] for row in table("gpu_buyers")}
    china = sum(rows[b, "H100 SXM", 2023, False] for b in ("Tencent", "Baidu", "Alibaba", "ByteDance"))
    found = [rows[b, c, y, True] / rows[b, c, y, False] for b, c, y in (
        ("Microsoft", "H100 SXM", 2023), ("Meta", "H100 SXM", 2023), ("Google", "H100 SXM", 2023), ("Meta", "Hopper", 2024), ("Microsoft", "MI300X", 2024))]
    found.insert(3, rows["China", "H100 SXM", 2023, True] / china)
    assert found == pytest.approx(ratios)


def test_a_quarter_of_nvidia_is_not_a_quarter_of_the_calendar():
    """Epoch's medians for the fiscal quarters that end in October 2023 and January 2024: H100 and H800 by hand."""
    said = {row["quantity"]: row["value"] for row in table("company_events")}
    assert said["H100 and H800 from August to October 2023"] == 287_660 + 62_251
    assert said["H100 and H800 from November 2023 to January 2024"] == 479_327
    assert (287_660 + 62_251) / 400_000 == pytest.approx(0.875, abs=5e-4)


@pytest.mark.parametrize("year, chips, want", [
    pytest.param(2023, ("H100", "H800"), 1_007_084, id="NVIDIA H100 and H800 2023: Epoch AI"),
    pytest.param(2024, None, 3_837_761, id="NVIDIA 2024: Epoch AI"),
    pytest.param(2024, ("H100",), 2_678_614, id="NVIDIA H100 2024: Epoch AI"),
    pytest.param(2025, ("B200",), 1_717_823, id="NVIDIA B200 2025: Epoch AI"),
    pytest.param(2025, ("B300",), 1_500_691, id="NVIDIA B300 2025: Epoch AI"),
])
def test_nvidia_units(year, chips, want):
    assert units("NVIDIA", year, chips)["NVIDIA"] == want


@pytest.mark.parametrize("quarter, want", [("2023-01-01", 63_982), ("2023-04-01", 183_329), ("2023-07-01", 316_421), ("2023-10-01", 443_352)])
def test_hopper_by_quarter_2023(quarter, want):
    frame = markets.shipments()
    assert frame[(frame.start == quarter) & frame.chip.isin(["H100", "H800"])].units.sum() == want


@pytest.mark.parametrize("column, want", [
    pytest.param("units", {"NVIDIA": 52.8, "Google": 30.3, "AMD": 6.6, "Amazon": 10.4}, id="shares 2024 by units: Epoch AI"),
    pytest.param("h100e", {"NVIDIA": 67.8, "Google": 14.9, "AMD": 11.2, "Amazon": 6.1}, id="shares 2024 by compute: Epoch AI"),
])
def test_shares_of_2024(column, want):
    got = markets.shares(units(year=2024, column=column).to_dict())
    assert {k: round(100 * v, 1) for k, v in got.items()} == want


@pytest.mark.parametrize("chip, want", [
    pytest.param("A100 SXM 80GB", 0.3153, id="A100 in H100: Epoch AI"),
    pytest.param("H20", 0.1496, id="H20 in H100: Epoch AI"),
    pytest.param("GB200 (per GPU)", 2.526, id="B200 in H100: Epoch AI, which takes 5 PFLOP/s"),
    pytest.param("TPU v5e", 0.1986, id="TPU v5e in H100: Epoch AI"),
])
def test_h100_equivalents(chip, want):
    assert markets.h100_equivalents(1, chip, "flops", "int8") == pytest.approx(want, rel=5e-4)


def test_epochs_b200_is_not_the_hgx_part():
    assert markets.h100_equivalents(1, "B200 SXM", "flops", "int8") == pytest.approx(2.274, rel=1e-3)  # 4.5 PFLOP/s dense; Epoch's factor is 11 % above


def test_the_tables_factor_is_one_number_a_chip():
    frame = markets.shipments()
    factor = frame[frame.chip == "B200"].h100e / frame[frame.chip == "B200"].units
    assert np.allclose(factor, 2.5265, rtol=1e-3)
