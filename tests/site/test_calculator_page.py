"""The calculator of the first page in a real browser: what it shows is what the core computes, with and without a server."""
import json
import math
import random
import re
from urllib.parse import parse_qsl, urlencode

import pytest

import siliconomics as si
from booktools import calculator
from sitebook import DESKTOP, PHONE, WAIT

PAGE = "book/index"
CHOICE = {**calculator.FIRST, "model": "DeepSeek-V3", "chip": "B200 SXM", "chips": 8, "batch": 64, "usd": 2.5}


def shown(page, choice: dict) -> None:
    """Wait until the page shows the answer to `choice`."""
    page.wait_for_function("wanted => { const s = JSON.parse(document.querySelector('.calculator').dataset.shown || '{}'); "
                           "return Object.entries(wanted).every(([name, value]) => s[name] === value); }", arg=choice, timeout=WAIT)


def choose(page, choice: dict) -> None:
    for name, value in choice.items():
        if name == "usd":
            page.locator("#calc-usd").fill(str(value))
        else:
            page.get_by_label(calculator.LABELS[name], exact=True).select_option(str(value))
    shown(page, choice)


def random_choices(count: int) -> list[dict]:
    draw, found = random.Random(20261126), []
    while len(found) < count:
        one = {"model": draw.choice(calculator.MODELS), "chip": draw.choice(calculator.CHIPS), "usd": round(draw.uniform(0.5, 9), 2)}
        one |= {name: draw.choice(values) for name, values in calculator.AXES.items()}
        if one["context"] <= calculator.MODEL_LENGTH[one["model"]]:
            found.append(one)
    return found


def step(choice: dict, stack: str):
    return si.decode(**{k: v for k, v in choice.items() if k != "usd"}, usd_per_chip_hour=choice["usd"], stack=stack)


def column(choice: dict, stack: str) -> list[str]:
    """What one column of the page's table should say, from the core."""
    if stack == "calibrated" and choice["chips"] > 1 and math.isnan(si.chip(choice["chip"]).link_bandwidth):
        return ["–"] * 6
    s = step(choice, stack)
    return [si.fmt(s.seconds, "s"), si.fmt(s.tokens_per_second_per_user), si.fmt(s.tokens_per_second), si.fmt(s.mbu, "%"), si.fmt(s.mfu, "%"),
            si.fmt(s.usd_per_mtok, "$")]


def cells(page, number: int) -> list[str]:
    return page.locator(f".calculator tbody td:nth-child({number})").all_inner_texts()


def test_random_choices_show_the_numbers_of_the_core(visit):
    at = visit(viewport=DESKTOP)
    page = at.open(PAGE)
    for choice in random_choices(12):
        choose(page, choice)
        assert (cells(page, 2), cells(page, 4)) == (column(choice, "calibrated"), column(choice, "roofline")), choice
        bound = step(choice, "roofline")
        said = page.locator(".calc-memory").inner_text()
        assert said.startswith("It fits" if bound.fits else "It does not fit") and f"need {si.fmt(bound.memory_bytes, 'B')} of" in said
        estimate = "–" not in cells(page, 2)
        assert ("n the roofline: " in page.locator(".calculator .calc-sentence").inner_text()) != estimate
        over = page.locator(".calc-bound").inner_text()
        assert ("arithmetic" in over.partition(".")[0]) == (bound.bound == "compute"), choice
        line = page.locator(".calc-python pre").inner_text()
        assert si.fmt(eval(line, {"si": si}).seconds, "s") in (cells(page, 2)[0], cells(page, 4)[0])
    assert (at.messages, at.foreign) == ([], [])


def test_the_interval_is_that_of_the_core(visit):
    page = visit(viewport=DESKTOP).open(PAGE)
    choose(page, CHOICE)
    core = step(CHOICE, "calibrated")
    assert cells(page, 3)[0] == f"{si.fmt(core.low, 's')} to {si.fmt(core.high, 's')}"
    assert cells(page, 3)[1] == f"{si.fmt(1 / core.high)} to {si.fmt(1 / core.low)}"


def test_a_result_can_be_linked(visit):
    page = visit(viewport=DESKTOP).open(PAGE)
    choose(page, CHOICE)
    kept = dict(parse_qsl(page.evaluate("location.hash.slice(1)")))
    assert kept == {name: str(value) for name, value in CHOICE.items()}
    before = page.locator(".calculator .calc-sentence").inner_text()
    again = visit(viewport=DESKTOP)
    again.page.goto(f"{again.address}{PAGE}.html#{urlencode(kept)}")
    shown(again.page, CHOICE)
    assert again.page.locator(".calculator .calc-sentence").inner_text() == before


def test_a_context_that_the_model_does_not_take_cannot_be_chosen(visit):
    page = visit(viewport=DESKTOP).open(PAGE)
    choose(page, {"context": 131072})
    choose(page, {"model": "Llama 2 70B"})
    shown(page, {"context": 2048})
    assert page.locator("#calc-context option:disabled").all_inner_texts() == [f"{c:,} (the model takes 4,096)" for c in calculator.AXES["context"][1:]]


def test_it_works_from_a_disk(chrome, site):
    context = chrome.new_context(viewport=DESKTOP)
    page, messages = context.new_page(), []
    page.on("console", lambda message: messages.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto((site / f"{PAGE}.html").as_uri())
    choose(page, CHOICE)
    assert cells(page, 2) == column(CHOICE, "calibrated")
    assert messages == []
    context.close()


def test_without_scripts_the_page_says_a_result_and_its_python_line(visit):
    page = visit(viewport=DESKTOP, java_script_enabled=False).open(PAGE)
    assert page.locator(".calculator form").is_hidden()
    said, line = page.locator(".calculator .calc-sentence").inner_text(), page.locator(".calculator pre").inner_text()
    assert str(eval(line, {"si": si})) == said


def test_it_fits_a_phone_and_the_keyboard_moves_it(visit):
    page = visit(viewport=PHONE, is_mobile=True).open(PAGE)
    choose(page, {"model": "Llama 3.1 405B", "chip": "MI300X", "chips": 8, "batch": 128, "context": 131072})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("(() => { const t = document.querySelector('.calc-scroll'); return t.scrollWidth - t.clientWidth })()") <= 1
    page.locator("#calc-batch").focus()
    page.keyboard.press("ArrowUp")
    shown(page, {"batch": 64})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(visit, scheme):
    page = visit(viewport=DESKTOP, color_scheme=scheme).open(PAGE)
    shown(page, {"model": calculator.FIRST["model"]})
    colours = page.evaluate("""() => [...document.querySelectorAll('.calculator :is(p, td, th, label, legend, select, input)')].map(el =>
        [getComputedStyle(el).color, getComputedStyle(document.body).backgroundColor])""")
    assert colours and all(contrast(*pair) >= 4.5 for pair in colours)


def contrast(*colours: str) -> float:
    """Ratio of WCAG 2.2 between two CSS colours."""
    light, dark = sorted((sum(share * linear(int(part) / 255) for share, part in zip((0.2126, 0.7152, 0.0722), re.findall(r"\d+", colour)))
                          for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def test_every_control_has_a_name_and_the_answer_is_announced(visit):
    page = visit(viewport=DESKTOP).open(PAGE)
    shown(page, {"model": calculator.FIRST["model"]})
    assert page.evaluate("() => [...document.querySelectorAll('.calculator :is(select, input)')].every(el => el.labels.length === 1)")
    assert "Llama 3.1 70B on 4 × H100 SXM" in page.locator(".calculator [aria-live]").inner_text()
    assert json.loads(page.locator(".calculator").get_attribute("data-shown"))["batch"] == calculator.FIRST["batch"]
