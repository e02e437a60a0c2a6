"""Published bills of serving, added up from their parts by hand."""
import pytest
import siliconomics as si
from siliconomics.tables import table

ROWS = {(row["service"], row["quantity"]): row for row in table("services")}


def day(quantity, service="DeepSeek-V3/R1"):
    return ROWS[service, quantity]["value"]


def test_deepseeks_day_adds_up():
    """226.75 nodes of eight at $2 an hour; hits, misses and answers at list price; 545 % over cost."""
    assert si.rent(day("nodes") * day("chips per node"), 86_400, day("rent")) == day("cost") == 226.75 * 8 * 24 * 2 == 87_072
    billed = 342e3 * 0.14 + 266e3 * 0.55 + 168e3 * 2.19
    found = [day("input tokens from cache") * day("price of input from cache"), day("output tokens") * day("price of output"),
             (day("input tokens") - day("input tokens from cache")) * day("price of input")]
    assert sum(found) / 1e6 == pytest.approx(billed) and billed == pytest.approx(day("revenue"), rel=2e-4)
    assert day("revenue") / day("cost") - 1 == pytest.approx(5.45, abs=0.005)
    assert day("input tokens from cache") / day("input tokens") == pytest.approx(0.563, abs=0.001)


def test_deepseeks_rates_ask_for_the_nodes_that_it_had():
    reads, writes = 608e9 / 86_400 / 73_700, 168e9 / 86_400 / 14_800
    assert reads + writes == pytest.approx(day("nodes"), rel=0.001)
    assert (day("input rate of a node"), day("output rate of a node")) == (73_700, 14_800)
    low, high = ROWS["DeepSeek-V3/R1", "output rate of a user"]["low"], ROWS["DeepSeek-V3/R1", "output rate of a user"]["high"]
    assert (low + high) / 2 == day("output rate of a user")


def test_kernels_and_exchange_bracket_the_published_token():
    """The chapter's sum: kernels of one chip of 144 alone are shorter, with the exchange after them longer than the 47.6 ms of 21 tokens/s."""
    shape, users = si.model("DeepSeek-V3"), 14_800 / 21 * 18
    parts = si.forward_parts(shape, si.chip("H800 SXM"), si.Load(users, 4989.0), si.Shard(1, attention_data=144), "fp8", "bf16")
    kernels = sum(float(parts[name]) for name in ("products", "experts", "attention"))
    exchange = users / 144 * 8 * 7168 * 3 * 58 / 50e9 * 143 / 144
    assert exchange == pytest.approx(17.5e-3, rel=0.005)
    assert kernels < 1 / 21 < kernels + exchange and kernels + exchange == pytest.approx(1 / 21, rel=0.15)


@pytest.mark.parametrize("context, users", [(2048, 748), (8192, 187), (32768, 46)])
def test_users_that_fit_by_hand(context, users):
    assert (640e9 - 2 * 68_976_648_192) // (context * 327_680) == users == si.max_batch("Llama 2 70B", "H100 SXM", 8, context)


def test_prices_of_one_provider_and_quarter():
    """What section 8.7 compares: Google Cloud's list of early 2025, the latest price of each chip."""
    listed = [row for row in table("prices") if row["provider"] == "Google Cloud" and row["terms"] == "on demand" and row["date"] > "2025"]
    assert {row["chip"]: row["usd"] for row in sorted(listed, key=lambda row: row["date"])} == {row["chip"]: row["usd"] for row in listed} == {
        "H100 SXM": 11.06, "TPU v5e": 1.20, "TPU v5p": 4.20, "TPU v6e": 2.70}
    assert all("2025-01-01" <= row["date"] <= "2025-03-31" for row in listed)


def test_estimates_of_chatgpt_agree_with_each_other():
    """Servers, users and questions give the cost of a query that the essay prints."""
    chatgpt = {quantity: row["value"] for (service, quantity), row in ROWS.items() if service == "ChatGPT"}
    assert chatgpt["servers"] * 8 * 24 * chatgpt["rent"] == pytest.approx(694_444, rel=1e-4)
    assert 694_444 / (chatgpt["users a day"] * chatgpt["answers of a user a day"]) == pytest.approx(0.0036, abs=5e-5)
