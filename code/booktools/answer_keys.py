"""Answer keys of the exercises, each a function of the core. A reader's package holds their values only, written so that a glance tells none.

`python -m booktools answers` writes them; the sandbox in which submissions run sees neither this file nor those values.
"""
from __future__ import annotations

from datetime import date
from math import comb

import numpy as np

from siliconomics.catalog import Chip, chip, model
from siliconomics.chain import Chain, Share, export_class, joint_survival, load_chain, min_cut, performance_density, remove
from siliconomics.decode import decode, max_batch, mbu, speculative, usd_per_mtok
from siliconomics.fab import bill_of_materials, die_cost, die_yield, dies_per_wafer, harvested_yield, packages_per_wafer, supply
from siliconomics.fleet import (break_even_utilisation, checkpoint_interval, depreciation, goodput, littles_law, mtbf, price_to_match, rent,
                    site_power, system_mtbf, tco)
from siliconomics.markets import gini, h100_equivalents, hhi
from siliconomics.measurements import achieved, measured, reported
from siliconomics.network import all_reduce_seconds, bus_bandwidth, local_sgd_overhead, torus_bisection
from siliconomics.roofline import attainable, critical_batch, memory_floor
from siliconomics.scaling import doubling_time, growth_fit, growth_per_year, kaplan_loss, lifetime_flops, lifetime_optimal, loss, optimal, tokens_for
from siliconomics.systolic import systolic_arrival, systolic_tiles, systolic_utilisation
from siliconomics.tables import table
from siliconomics.training import BYTES_A_PARAM, bubble_fraction, hfu, mfu, train_run, train_step
from siliconomics.units import dtype_bytes

KEYS = {}


def key(id: str):
    """Register the function that gives the answer of exercise `id`."""
    def register(function):
        KEYS[id] = function
        return function
    return register


def values() -> dict[str, float]:
    """Every answer, to nine digits: the same file on every machine."""
    return {id: float(f"{float(function()):.9g}") for id, function in sorted(KEYS.items())}


# --- chapter 01 -----------------------------------------------------------------------------------------------------

@key("01.1")
def rent_of_7000_h100s_in_million_dollars():
    return rent(7000, 90 * 86400, 2.0) / 1e6


@key("01.2")
def cost_of_an_hour_of_a_bought_h100():
    return depreciation(270_000 / 8, 5)


@key("01.3")
def ratio_of_the_63_million_claim():
    return rent(25_000, 95 * 86400, 1.0) / 63e6


@key("01.4")
def seconds_for_140_gb_over_400_gigabit():
    return memory_floor(140e9, chip("H100 SXM").replace(bandwidth=400e9 / 8))


@key("01.5")
def server_price_at_which_the_claim_fails():
    from siliconomics.claims import verdict

    return verdict("S02").inputs["usd_per_server"] / verdict("S02").ratio


@key("01.6")
def share_of_peak_below_which_7000_are_refuted_in_percent():
    from siliconomics.claims import PARTLY, verdict

    found = verdict("S04")
    return 100 * found.inputs["mfu"] * found.ratio / PARTLY


@key("01.7")
def how_much_more_meena_read():
    read = {row["model"]: row["dataset_tokens"] * row["passes"] for row in table("training_runs") if row["dataset_tokens"]}
    return read["Meena"] / read["GPT-3 175B"]


@key("01.8")
def growth_of_a_valuation_per_year():
    (start, before), (end, after) = ((date.fromisoformat(row["date"]), row["value"]) for row in table("company_events")
                                     if row["quantity"] in ("valuation", "valuation before the money"))
    return growth_per_year(before, after, (end - start).days / 365.25)


# --- chapter 02 -----------------------------------------------------------------------------------------------------

@key("02.1")
def intensity_of_axpy():
    return 2 / (3 * dtype_bytes("fp32"))


@key("02.2")
def speed_up_from_a100_to_h100_at_200():
    return attainable(200, "H100 SXM") / attainable(200, "A100 SXM 80GB")


@key("02.3")
def square_product_of_int8_at_the_ridge_of_a_v5e():
    return (2 * dtype_bytes("int8") + dtype_bytes("bf16")) / 2 * chip("TPU v5e").ridge("int8")


@key("02.4")
def mfu_on_a100_over_that_on_h100():
    return 0.26 * 2 / 0.40


@key("02.5")
def share_of_the_bandwidth_behind_2900_gibibytes_in_percent():
    return 100 * 2900 * 2**30 / chip("H100 SXM").bandwidth


@key("02.6")
def years_until_the_ridge_doubles():
    return 2 * doubling_time(3.0 / 1.6)


@key("02.7")
def share_of_peak_in_grouped_attention_in_percent():
    shape, card = model("Llama 3.1 70B"), chip("H100 SXM")
    flops = shape.attention_flops(1) / shape.layers
    return 100 * attainable(flops / (shape.kv_bytes_per_token("bf16") / shape.layers), card) / card.peak["bf16"]


@key("02.8")
def speed_up_of_a_sweep_in_float32():
    return (7 * dtype_bytes("fp64") + 2) / (7 * dtype_bytes("fp32") + 2)


# --- chapter 03 -----------------------------------------------------------------------------------------------------

@key("03.1")
def one_layer_of_llama_3_8b_in_millions():
    shape = model("Llama 3 8B")
    return (shape.params - shape.embedding_params - shape.d_model) / shape.layers / 1e6


@key("03.2")
def gpt3_training_flops_in_1e23():
    return 300e9 * model("GPT-3 175B").flops_per_token(2048, training=True) / 1e23


@key("03.3")
def latent_cache_against_keys_and_values():
    shape = model("DeepSeek-V3")
    return shape.heads * (shape.head_dim + shape.v_dim) / (shape.kv_rank + shape.rope_dim)


@key("03.4")
def context_at_which_gemma_3_27b_keeps_a_quarter():
    shape = model("Gemma 3 27B")
    return shape.windowed_layers * shape.window / (shape.layers / 4 - shape.full_layers)


@key("03.5")
def batch_that_touches_nine_tenths_of_gpt_oss():
    shape = model("gpt-oss-120b")
    return np.log(0.1) / np.log1p(-shape.experts_active / shape.experts)


@key("03.6")
def cache_of_32768_tokens_of_qwen3_32b_in_gb():
    return model("Qwen3 32B").kv_bytes(32_768) / 1e9


@key("03.7")
def flops_of_positions_that_multiply_nothing():
    shape = model("GPT-2 124M")
    return 1024 * 6 * (shape.params - shape.compute_params) / 1e9


@key("03.8")
def context_where_causal_attention_adds_a_tenth():
    shape = model("Llama 3.1 405B")
    return 0.1 * 2 * shape.compute_params / (shape.attention_flops(2, causal=True) / 2)


# --- chapter 04 -----------------------------------------------------------------------------------------------------

@key("04.1")
def growth_of_the_parameters_that_lowers_the_loss_by_a_tenth():
    sizes = np.geomspace(1e9, 1e10, 100_001)
    return sizes[kaplan_loss(params=sizes) <= 0.9 * kaplan_loss(params=1e9)][0] / 1e9


@key("04.2")
def tokens_for_gpt3s_budget_over_those_it_read():
    return optimal(3.14e23, "besiroglu")[1] / 300e9


@key("04.3")
def tokens_that_bring_35b_to_chinchillas_loss_in_trillions():
    return tokens_for(35e9, loss(70e9, 1.4e12, "besiroglu"), "besiroglu") / 1e12


@key("04.4")
def flop_of_the_row_at_175_billion():
    return lifetime_flops(175e9, 12.0e12)


@key("04.5")
def share_of_the_parameters_when_money_counts_in_percent():
    served = 1e10 * (1000 + 2 * 250)  # at half the utilisation a token of an answer costs as much as two of a prompt
    cheapest = lifetime_optimal(1.947, served, "sardana", 0.5, 0.4, 1.40 / 312, 0.60 / 624)[0]
    return 100 * cheapest / lifetime_optimal(1.947, 0, "sardana")[0]


@key("04.6")
def trillions_of_tokens_until_llama_2_13b_has_paid_off():
    small, large = (13.0e9, 2e12), lifetime_optimal(loss(13.0e9, 2e12, "besiroglu"), 0, "besiroglu")
    served = np.linspace(0, 10e12, 100_001)
    return served[lifetime_flops(*small, served) <= lifetime_flops(*large, served)][0] / 1e12


@key("04.7")
def months_in_which_compute_doubled():
    runs = {row["model"]: row for row in table("training_runs")}
    first, last = runs["GPT-4"], runs["GPT-4.5"]
    days = (date.fromisoformat(last["release"]) - date.fromisoformat(first["release"])).days
    return doubling_time(growth_per_year(first["flop"], last["flop"], days / 365.25)) * 12


@key("04.8")
def budget_that_reads_all_public_text_once_in_1e27():
    budgets = np.geomspace(1e26, 1e28, 40_001)
    return budgets[np.searchsorted(optimal(budgets, "besiroglu")[1], 60e12)] / 1e27


# --- chapter 05 -----------------------------------------------------------------------------------------------------

@key("05.1")
def mfu_of_llama_3_8b_in_percent():
    return 100 * mfu(6514, "Llama 3.1 8B", "H100 SXM")


@key("05.2")
def mfu_of_llama_3_8b_in_fp8_in_percent():
    return 100 * mfu(14_000, "Llama 3.1 8B", "H100 SXM", dtype="fp8")


@key("05.3")
def share_of_the_forward_pass_that_llama_2_70b_repeats_in_percent():
    case = 380, "Llama 2 70B", "A100 SXM 80GB"
    none, whole = mfu(*case), hfu(*case, recompute="full")
    return 100 * (178 / 312 - none) / (whole - none)


@key("05.4")
def mfu_of_deepseek_67b_in_percent():
    at_peak = train_run(67e9, "H800 SXM", 1, 1e12, mfu=1.0).seconds
    return 100 * at_peak / (300_600 * 3600)


@key("05.5")
def a100s_of_40_gb_for_the_state_of_a_70b():
    return np.ceil(model("Llama 3.1 70B").params * sum(BYTES_A_PARAM.values()) / chip("A100 SXM 40GB").memory_bytes)


@key("05.6")
def micro_batches_for_a_bubble_of_5_percent():
    counts = np.arange(1, 1000)
    return counts[bubble_fraction(16, counts, 4) <= 0.05][0]


@key("05.7")
def days_of_a_trillion_with_recomputation():
    done_again = 4 / 3
    return done_again * train_run(1e12, "A100 SXM 80GB", 3072, 450e9, 163e12 / chip("A100 SXM 80GB").peak["fp16"]).seconds / 86400


@key("05.8")
def watts_of_a_chip_of_the_bloom_run():
    bloom, = reported(run="BLOOM 176B")
    return 433_196e3 / bloom["chip_hours"]


# --- chapter 06 -----------------------------------------------------------------------------------------------------

def _llama3_mtbf(chips: float) -> float:
    """Minutes between interruptions of that many chips, at the rate of Llama 3."""
    seen = {(row["quantity"], row["cause"]): row for row in table("failures") if row["run"] == "Llama 3 405B"}
    count, watched = seen["interruptions", "unexpected"], seen["watched", None]["value"]
    return system_mtbf(mtbf(count["value"], watched / 60, count["chips"]), chips)


@key("06.1")
def megawatts_of_16384_h100():
    return site_power(16_384, 10_200 / 8, load=0.9, pue=1.12) / 1e6


@key("06.2")
def gpus_that_are_interrupted_once_an_hour():
    return _llama3_mtbf(1) / 60


@key("06.3")
def youngs_interval_of_opt_in_minutes():
    restarts = sum(row["value"] for row in table("failures") if (row["run"], row["quantity"]) == ("OPT-175B", "restarts"))
    return checkpoint_interval(mtbf(restarts, 60 * 24 * 60), 2.0)


@key("06.4")
def share_of_faulty_gpus_in_percent():
    causes = {row["cause"]: row["value"] for row in table("failures") if row["quantity"] == "unexpected interruptions"}
    return 100 * causes["faulty GPU"] / sum(causes.values())


@key("06.5")
def line_for_405b_in_gigabit():
    return local_sgd_overhead(405e9 * dtype_bytes("bf16"), 1e9 / 8, 5.0, 100) / 0.05


@key("06.6")
def minutes_of_work_for_70b_on_the_lines_of_intellect_1():
    run, = (row for row in table("distributed_runs") if (row["run"], row["setting"]) == ("INTELLECT-1", "global"))
    line = bus_bandwidth(run["params"] * run["bytes_per_param"], run["sync_seconds"], run["sites"])
    return all_reduce_seconds(70e9 * 0.5, 30, line) / 0.10 / 60


@key("06.7")
def watts_behind_a_token_in_fp8():
    return 2.46 / train_run(175e9, "H100 SXM", 1, 1, mfu=0.395, dtype="fp8").seconds


@key("06.8")
def most_chips_at_a_goodput_of_80_percent():
    chips = np.arange(1_000, 200_000, 10.0)
    between = _llama3_mtbf(chips)
    kept = goodput(checkpoint_interval(between, 0.5, "exact"), 0.5, between, 5.0)
    return chips[kept >= 0.8][-1]


# --- chapter 07 -----------------------------------------------------------------------------------------------------

@key("07.1")
def floor_of_8b_on_a_4090_in_ms():
    return 1e3 * memory_floor(model("Llama 3.1 8B").weight_bytes("bf16"), "RTX 4090")


@key("07.2")
def mbu_of_mistral_in_percent():
    return 100 * mbu(1 / 40, "Mistral 7B v0.1", "A100 SXM 40GB", context=4000)


@key("07.3")
def cache_tokens_beside_70b_on_one_h100():
    return max_batch("Llama 2 70B", "H100 SXM", 1, context=1, weights="int8")


@key("07.4")
def h100s_for_405b_at_30_tokens():
    chips = np.arange(1, 65)
    step = decode("Llama 3.1 405B", "H100 SXM", chips, context=0, weights="fp8")
    return chips[step.fits & (0.6 * step.tokens_per_second >= 30)][0]


@key("07.5")
def sequences_beside_70b_in_int4_on_four_v5e():
    return (4 * chip("TPU v5e").memory_bytes - 70e9 * dtype_bytes("int4")) / (81e3 * 8192)


@key("07.6")
def mbu_of_mixtral_in_percent():
    row, = measured(model="Mixtral 8x7B", chips=8, weights="bf16")
    return 100 * mbu(row["seconds"], row["model"], row["chip"], row["chips"])


@key("07.7")
def context_where_cache_equals_weights_of_7b():
    shape = model("Llama 2 7B")
    return shape.weight_bytes("bf16") / shape.kv_bytes(1, "bf16")


@key("07.8")
def batch_at_which_deepseeks_experts_turn_compute_bound():
    shape = model("DeepSeek-V3")
    return critical_batch("H200 SXM", "fp8") * shape.experts / shape.experts_active


# --- chapter 08 -----------------------------------------------------------------------------------------------------

def _of_the_day(quantity: str) -> float:
    return next(row["value"] for row in table("services") if (row["service"], row["quantity"]) == ("DeepSeek-V3/R1", quantity))


@key("08.1")
def price_on_a_server_of_eight():
    return usd_per_mtok(8 * 2.5, 3000)


@key("08.2")
def conversations_on_one_h200():
    return max_batch("Llama 3.1 8B", "H200 SXM", 1, 32_768)


@key("08.3")
def requests_in_flight():
    return littles_law(per_second=15, seconds=1.5 + 400 * 0.030)


@key("08.4")
def speed_up_of_the_best_draft():
    return speculative(0.6, np.arange(1, 11), 0.2)[1].max()


@key("08.5")
def deepseeks_margin_on_revenue_in_percent():
    return 100 * (1 - _of_the_day("cost") / _of_the_day("revenue"))


@key("08.6")
def least_price_at_100_tokens():
    step = decode("Llama 3.1 70B", "H100 SXM", np.array([[2], [4], [8]]), np.arange(1, 2049), 8192, "fp8", "fp8", usd_per_chip_hour=2)
    return step.usd_per_mtok[step.fits & (step.tokens_per_second_per_user >= 100)].min()


@key("08.7")
def price_of_input_that_was_computed():
    missed = 1 - _of_the_day("input tokens from cache") / _of_the_day("input tokens")
    return usd_per_mtok(_of_the_day("chips per node") * _of_the_day("rent"), _of_the_day("input rate of a node") * missed)


@key("08.8")
def rent_at_which_h100_and_v6e_are_equal():
    def full(chip, chips, price):
        return decode("Llama 3.1 70B", chip, chips, max_batch("Llama 3.1 70B", chip, chips, 4096), 4096, usd_per_chip_hour=price).usd_per_mtok

    return full("TPU v6e", 16, 2.70) / full("H100 SXM", 8, 1.0)


# --- chapter 09 -----------------------------------------------------------------------------------------------------

def _dense_errors():
    from siliconomics.fit_serving import built_up, served

    rows = [row for row in served() if not row["experts"]]
    return np.abs(built_up(rows)["host of the engine"] / np.array([row["tpot_seconds"] for row in rows]) - 1)


@key("09.1")
def bound_misses_gpt_fast_by_percent():
    row, = measured(id="DE001")
    step = decode(row["model"], row["chip"], batch=row["batch"], context=row["context"], weights=row["weights"], stack="overlap")
    return 100 * abs(step.seconds / row["seconds"] - 1)


@key("09.2")
def share_of_peak_of_a_large_product_in_percent():
    row, = (r for r in table("gemm") if r["set"] == "aiconfigurator" and (r["chip"], r["dtype"], r["m"], r["n"], r["k"])
            == ("H200 SXM", "fp8", 8192, 8192, 8192))
    return 100 * 2 * row["m"] * row["n"] * row["k"] / row["seconds"] / chip("H200 SXM").peak["fp8"]


@key("09.3")
def rows_that_double_the_time_of_one():
    from siliconomics.calibrate import gemm_seconds

    rows = np.arange(1, 4097)
    return rows[np.searchsorted(gemm_seconds("H100 SXM", rows, 8192, 8192), 2 * gemm_seconds("H100 SXM", 1, 8192, 8192))]


@key("09.4")
def prompt_tokens_in_a_step():
    return (64 - 1) / 512 * 4096


@key("09.5")
def users_at_20_ms():
    from siliconomics.serving import serve

    users = np.arange(1, 129)
    served = serve("Llama 3.1 70B", "H100 SXM", 4, users, 1024, 1024, "fp8", "fp8", software="vllm")
    return users[served.seconds_per_output_token <= 0.020][-1]


@key("09.6")
def chance_of_seven_inside_or_fewer_in_percent():
    return 100 * sum(comb(14, k) * 0.8**k * 0.2 ** (14 - k) for k in range(8))


@key("09.7")
def geometric_mean_error_in_percent():
    return 100 * np.exp(np.log(_dense_errors()).mean())


@key("09.8")
def days_for_a_trillion_tokens():
    step = train_step("Llama 3.1 70B", "H100 SXM", 512, 4 * 2**20, 8192, tensor=8, pipeline=4, stack="calibrated")
    return 1e12 / (4 * 2**20) * step.seconds / 86400


# --- chapter 10 -----------------------------------------------------------------------------------------------------

@key("10.1")
def utilisation_of_a_small_product_in_percent():
    return 100 * systolic_utilisation(100, 300, 500)


@key("10.2")
def microseconds_of_a_small_layer_on_the_first_tpu():
    last = systolic_arrival(systolic_tiles(512, 512, 256) - 1, 255, 255, 1000, 256)
    return 1e6 * (last + 1000) / 700e6


@key("10.3")
def utilisation_of_an_eighth_of_a_block_in_percent():
    return 100 * systolic_utilisation(4096, 4096, model("Llama 2 7B").d_ff / 8, 256)


@key("10.4")
def terabytes_across_a_slice():
    return torus_bisection([8, 16, 16], chip("TPU v5p").link_bandwidth / 6) / 1e12


@key("10.5")
def millions_of_dollars_for_1e24_flop():
    return rent(1, 1e24 / (0.40 * chip("TPU v5e").peak["bf16"]), 1.20) / 1e6


@key("10.6")
def price_of_an_h100_at_which_it_costs_the_same():
    slow, fast = (decode("Llama 2 70B", card, n, users, 8192, "int8", "int8", compute="bf16", usd_per_chip_hour=usd)
                  for card, n, users, usd in (("TPU v5e", 8, 32, 1.20), ("H100 SXM", 2, 33, 1.0)))
    return slow.usd_per_mtok / fast.usd_per_mtok


@key("10.7")
def mfu_that_a_v6e_needs_in_percent():
    return 100 * break_even_utilisation(0.40, 2.70 / 10.80, chip("TPU v6e").peak["bf16"] / chip("H100 SXM").peak["bf16"])


@key("10.8")
def rows_that_fill_an_array_of_256():
    rows = np.arange(1, 2049)
    return rows[systolic_utilisation(rows, 1024, 1024, 256) >= 0.95][0]


# --- chapter 11 -----------------------------------------------------------------------------------------------------

@key("11.1")
def products_of_mi355x_over_b300():
    best = {row["chip"]: row["value"] for row in table("device_peaks") if (row["quantity"], row["dtype"]) == ("matmul_flops", "bf16")}
    return best["MI355X"] / best["B300 SXM"]


@key("11.2")
def tax_of_mi325x_against_h200_in_percent():
    served = {name: achieved(name, "Llama 2 70B offline", "2025-09") for name in ("MI325X", "H200 SXM")}
    paper = chip("MI325X").bandwidth / chip("H200 SXM").bandwidth
    return 100 * (1 - served["MI325X"] / served["H200 SXM"] / paper)


@key("11.3")
def share_of_software_in_the_gain_of_rubin_in_percent():
    before, after = (achieved("GB200 (per GPU)", "DeepSeek-R1 offline", date) for date in ("2025-09", "2026"))
    return 100 * np.log(after / before) / np.log(achieved("Rubin (per GPU)", "DeepSeek-R1 offline", "2026") / before)


@key("11.4")
def most_a_chip_of_nine_tenths_may_cost():
    return price_to_match(0.9, 26_268, 7_000, 7_000, 3_000)


@key("11.5")
def h100s_that_pay_for_rivals():
    return 500e6 / (0.05 * 26_268)


@key("11.6")
def power_of_groq_over_mi300x_that_hold_405b():
    weights = model("Llama 3.1 405B").weight_bytes("int8")
    watts = {name: np.ceil(weights / chip(name).memory_bytes) * chip(name).tdp_watts for name in ("Groq LPU v1", "MI300X")}
    return watts["Groq LPU v1"] / watts["MI300X"]


@key("11.7")
def bound_of_deepseek_on_wafers():
    deepseek = model("DeepSeek-V3")
    return 1 / memory_floor(deepseek.weight_bytes_read(1, "int8") + deepseek.kv_bytes(32_768, "bf16"), "Cerebras WSE-3")


@key("11.8")
def tokens_for_one_user_of_a_sohu():
    return 1 / memory_floor(70e9, Chip("Sohu", {"fp8": 1.0}, 144e9, 6.03e12))


@key("11.9")
def price_cut_that_meets_mi300x_in_percent():
    return 100 * (1 - 12_247 / 0.841 / 26_268)


@key("11.10")
def users_of_70b_on_576_groq_chips():
    return max_batch("Llama 2 70B", "Groq LPU v1", 576, context=4096, weights="int8")


# --- chapter 12 -----------------------------------------------------------------------------------------------------

@key("12.1")
def tpus_in_h100_by_bandwidth():
    return h100_equivalents(100_000, "TPU v5p", "bandwidth")


@key("12.2")
def hhi_of_four_makers():
    return hhi([62.0, 14.9, 14.5, 8.6])


@key("12.3")
def gini_of_three_owners():
    return gini([5, 3, 2])


@key("12.4")
def small_makers_beside_the_total():
    return (500_000 + 400_000) / (3.85e6 - 3.76e6)


@key("12.5")
def months_of_a_doubling():
    return 12 * doubling_time(growth_per_year(1.577, 19.52, 2))


@key("12.6")
def gpt4s_of_a_tenth_of_google():
    seconds = 90 * 86400
    return 5.05e6 / 10 * chip("H100 SXM").peak["bf16"] * 0.35 * seconds / 2.15e25


@key("12.7")
def rent_that_recovers_a_tpu():
    return (depreciation(25_000, 5) + 0.45) / 0.7


@key("12.8")
def width_of_errors_in_common():
    quarters = np.array([64, 183, 316, 443])
    return quarters.sum() / np.hypot.reduce(quarters)


# --- chapter 13 -----------------------------------------------------------------------------------------------------

@key("13.1")
def dies_of_the_largest_size():
    return dies_per_wafer(858)


@key("13.2")
def yield_of_a_725_mm2_die_in_percent():
    return 100 * die_yield(725, 0.12, "poisson")


@key("13.3")
def yield_of_ten_layers_in_percent():
    return 100 * die_yield(814, 0.1 / 10, "bose_einstein", layers=10)


@key("13.4")
def dollars_a_harvested_die():
    return die_cost(13_400, 67, harvested_yield(814, 0.2, 144, 132, 0.6))


@key("13.5")
def defect_density_behind_the_ratio():
    cost = lambda area, d0: die_cost(1, dies_per_wafer(area), die_yield(area, d0, "poisson"))
    d0 = np.linspace(0.01, 0.3, 2901)
    return float(np.interp(-0.5, -4 * cost(213, d0) / cost(777, d0), d0))


@key("13.6")
def reticles_of_the_largest_of_nine():
    reticles = np.linspace(3, 7, 4001)
    return reticles[packages_per_wafer(858 * reticles) >= 9][-1]


@key("13.7")
def margin_of_a_b200_in_percent():
    return 100 * (1 - bill_of_materials("B200 SXM").usd.sum() / 35_000)


@key("13.8")
def packages_from_a_thousand_stacks():
    needs = {"B200": {"CoWoS": 1 / 16, "HBM": 8}}
    return 1000 * supply(needs, {"CoWoS": 20_000, "HBM": 2_400_000}).shadow_prices["HBM"]


@key("13.9")
def stacks_at_which_the_mix_ends_in_millions():
    return 147_000 * 29 * 141 / 16 / 1e6


# --- chapter 14 -----------------------------------------------------------------------------------------------------

@key("14.1")
def hhi_of_memory():
    return hhi([62, 21, 17])


@key("14.2")
def highest_hhi_with_an_unknown_rest():
    return hhi([74, 26])


@key("14.3")
def operations_per_mm2_of_an_h100():
    return performance_density("H100 SXM") / 8


@key("14.4")
def fastest_free_chip_of_600_mm2():
    points = np.arange(1.0, 4800.0)
    return points[export_class(points, points / 600) == "free"][-1] / 8


@key("14.5")
def density_of_sparse_rates():
    return performance_density(Chip("any", {"fp8": 2000e12 / 2}, 1.0, 1.0), 700)


@key("14.6")
def ten_years_of_two_links_one_double_in_percent():
    dutch, one_source = (joint_survival("ai_server", {country: p}) ** 10 for country, p in (("NLD", 0.03), ("TWN", 0.02)))
    return 100 * dutch * (1 - (1 - one_source) ** 2)


@key("14.7")
def minimal_cuts_of_a_product():
    facts = dict.fromkeys("XYZP", {"name": "", "kind": "part"})
    made = [Share(part, None, country, share) for part, held in {"X": {"A": 0.7, "B": 0.3}, "Y": {"B": 0.6, "C": 0.4}, "Z": {"D": 0.85, "B": 0.15}}.items()
            for country, share in held.items()]
    return len(min_cut("P", chain=Chain(facts, tuple((part, "P", "feeds") for part in "XYZ"), tuple(made))))


@key("14.8")
def nodes_lost_without_wafers():
    own = load_chain()
    dry = Chain(own.nodes, own.edges, (Share("wafer", None, "all", 1.0),))
    return len(remove(country="all", chain=dry, variants="any").lost) - 1


# --- chapter 15 -----------------------------------------------------------------------------------------------------

OWNED = {"watts_per_chip": 1389, "usd_per_kwh": 0.083, "load": 0.8, "pue": 1.25, "usd_per_kw_month": 120, "upkeep": 0.02}


@key("15.1")
def gross_margin_of_half_busy_servers_in_percent():
    return 100 * (1 - 2 * decode("Llama 2 70B", "H100 SXM", 8, batch=32, context=4096, usd_per_chip_hour=2).usd_per_mtok / 3)


@key("15.2")
def hour_of_an_eighth_of_a_dgx():
    return depreciation(269_010 / 8, 5)


@key("15.3")
def hour_with_interest_and_a_residual():
    return depreciation(31_250, 5, residual=5000, interest=0.08)


@key("15.4")
def tokens_of_13b_on_an_m1_ultra():
    device, = (row for row in table("devices") if row["device"] == "Mac Studio 2022")
    return device["bandwidth"] / (13e9 * dtype_bytes("fp16"))


@key("15.5")
def yearly_fall_of_a_token_price():
    return 1 / growth_per_year(20, 0.40, 1.5)


@key("15.6")
def use_at_which_owning_equals_renting_in_percent():
    return 100 * tco(31_250, 5, **OWNED).usd_per_hour / 3.00


@key("15.7")
def largest_model_of_a_laptop_in_billions():
    return 0.6 / memory_floor(dtype_bytes("int4"), Chip("laptop", {"int4": 1.0}, 1.0, 100e9)) / 10 / 1e9


@key("15.8")
def seconds_a_token_from_memory_and_storage():
    memory, storage = (Chip(name, {"int4": 1.0}, 1.0, rate) for name, rate in (("memory", 50e9), ("storage", 5e9)))
    return memory_floor(20e9, memory) + memory_floor(70e9 * dtype_bytes("int4") - 20e9, storage)


@key("15.9")
def chance_of_three_of_ten_in_percent():
    return 100 * sum(comb(10, held) * 0.6**held * 0.4 ** (10 - held) for held in range(4))


@key("15.10")
def upper_end_of_the_factor_of_three_prices():
    return growth_fit([0, 1, 2], [4.00, 3.00, 2.60])[2]
