"""Published figures of the supply chain and the export rule: one case per figure."""
import pytest
import siliconomics as si
from siliconomics.chain import concentration, export_class, performance_density, tpp

# --- export rule: 87 FR 62186 and 88 FR 73458; rates and areas as printed by the makers ---------------------------------

CHIPS = [  # name, dense TOPS, bits, die mm2, GB/s in both directions, consumer, TPP, PD, class of 2022, class of 2023
    ("A100", 624, 8, 826, 600, False, 4992, 6.04, ".a", ".a"),
    ("A100 in 16 bits", 312, 16, 826, 600, False, 4992, 6.04, ".a", ".a"),
    ("A800", 624, 8, 826, 400, False, 4992, 6.04, "free", ".a"),
    ("H100 SXM", 1978.9, 8, 814, 900, False, 15831, 19.45, ".a", ".a"),
    ("H800 SXM", 1978.9, 8, 814, 400, False, 15831, 19.45, "free", ".a"),
    ("H20", 296, 8, 814, 900, False, 2368, 2.91, "free", "free"),
    ("L40S", 733, 8, 608.5, 64, False, 5864, 9.64, "free", ".a"),
    ("L40", 362, 8, 608.5, 64, False, 2897, 4.76, "free", ".b"),
    ("L4", 242.5, 8, 294.5, 64, False, 1940, 6.59, "free", ".a"),
    ("L20", 239, 8, 608.5, 64, False, 1912, 3.14, "free", "free"),
    ("L2", 193, 8, 294.5, 64, False, 1544, 5.24, "free", "free"),
    ("RTX 4090", 660.6, 8, 608.5, 64, True, 5285, 8.68, "free", "nac"),
    ("RTX 4090D", 588.4, 8, 608.5, 64, True, 4707, 7.74, "free", "free"),
    ("MI300X", 2614.9, 8, 2400, 896, False, 20919, 8.72, ".a", ".a"),
    ("B200 in 4 bits", 9000, 4, 1600, 1800, False, 36000, 22.5, ".a", ".a"),
    ("B200 in 8 bits", 4500, 8, 1600, 1800, False, 36000, 22.5, ".a", ".a"),
    ("V100", 125, 16, 815, 300, False, 2000, 2.45, "free", "free"),
    ("Ascend 910B", 640, 8, 665.6, 392, False, 5120, 7.69, "free", ".a"),
]
DTYPE = {16: "fp16", 8: "int8", 4: "fp4"}


@pytest.mark.parametrize("name, tops, bits, die, io, consumer, points, density, in_2022, in_2023", CHIPS, ids=[f"F31 {c[0]} | BIS" for c in CHIPS])
def test_export_rule(name, tops, bits, die, io, consumer, points, density, in_2022, in_2023):
    chip = si.Chip(f"{name}, as printed", {DTYPE[bits]: tops * 1e12}, 1e9, 1e12, die_mm2=die)
    assert tpp(chip) == pytest.approx(points, abs=1.0)  # the table rounds
    assert performance_density(chip) == pytest.approx(density, abs=0.0051)
    assert export_class(tpp(chip), performance_density(chip), rule="2022", io_gbs=io) == in_2022
    assert export_class(tpp(chip), performance_density(chip), consumer=consumer) == in_2023


@pytest.mark.parametrize("name, points", [("A100 SXM 80GB", 4992), ("A800 SXM 80GB", 4992), ("H100 SXM", 15831), ("H800 SXM", 15831), ("H20", 2368),
                                          ("L40S", 5864), ("MI300X", 20919), ("B200", 36000), ("RTX 4090", 5285), ("V100 SXM2 32GB", 2000)])
def test_tpp_from_the_catalogue(name, points):
    assert tpp(name) == pytest.approx(points, abs=1.0)


def test_h20_stays_32_points_under_the_line():
    assert 2400 - tpp("H20") == pytest.approx(32)
    assert export_class(tpp("H20"), performance_density("H20", 814)) == "free"


# --- the book's own chain: single figures of CSET/ETO ----------------------------------------------------------------------

OWN = [
    ("F23 EUV scanners | CSET ETO", "euv_scanner", "country", False, 10_000, 1e-12),
    ("F23 bonding tools 83, 13, 5, raw | CSET ETO", "wafer_bonder", "country", False, 7083, 1e-9),
    ("F23 bonding tools, normalised | CSET ETO", "wafer_bonder", "country", True, 6943, 1e-4),
    ("F23 ArF immersion scanners | CSET ETO", "arf_scanner", "firm", False, 8362, 1e-9),
    ("F23 HBM 62, 21, 17 | Counterpoint, second quarter of 2025", "hbm", "firm", False, 62**2 + 21**2 + 17**2, 1e-9),
]


@pytest.mark.parametrize("node, by, normalise, published, tolerance", [c[1:] for c in OWN], ids=[c[0] for c in OWN])
def test_own_concentration(node, by, normalise, published, tolerance):
    assert concentration(node, by, normalise=normalise).hhi == pytest.approx(published, rel=tolerance)


@pytest.mark.parametrize("node, published", [("track", 9222), ("batch_deposition", 7155), ("eda", 9228), ("pvd", 8515), ("conductor_etch", 7313), ("dicing", 7320)])
def test_a_leading_share_alone_bounds_the_index(node, published):
    """One country is cited, not the whole row: the published index lies between the bounds, as far as its shares sum to 100."""
    found = concentration(node)
    assert found.hhi <= published <= found.hhi_most + 25


@pytest.mark.parametrize("name, points", [("H200 SXM", 15_832), ("MI325X", 20_800)], ids=["H200 | Tom's Hardware, 2026", "MI325X | Tom's Hardware, 2026"])
def test_tpp_as_the_press_computed_it_in_2026(name, points):
    assert tpp(name) == pytest.approx(points, rel=0.006) and tpp(name) < 21_000


@pytest.mark.parametrize("name, density", [("H100 SXM", 19.4), ("H20", 2.9)], ids=["H100 | SMBOM, 2024", "H20 | SMBOM, 2024"])
def test_density_as_the_trade_press_printed_it(name, density):
    """Printed as TFLOP/s over area, which is an eighth of it: the error of exercise 14.3."""
    assert performance_density(name) == pytest.approx(density, abs=0.06)
