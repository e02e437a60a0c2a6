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
    rows = [row["units"] for row in table("gpu_buyers") if row["year"] == 2023]
    assert sorted(rows) == sorted(1000 * v for v in OMDIA) and sum(rows) == 650_000
    assert sum(sorted(rows)[-2:]) / sum(rows) == pytest.approx(0.4615, abs=5e-5)
    assert markets.gini(rows) == pytest.approx(0.3923, abs=5e-5)


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
