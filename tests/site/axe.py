"""axe-core on a page, and what it does not look at: headings in order, tables with headings, nothing that moves."""
from axe_playwright_python.base import AXE_SCRIPT

from sitebook import DRAWN, TYPESET, WAIT

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], "resultTypes": ["violations"],
         "rules": {"label-content-name-mismatch": {"enabled": True}}}  # WCAG 2.5.3, which axe leaves out by default
SHAPES = {**RULES, "rules": {**RULES["rules"], "color-contrast": {"enabled": False}}}  # all but what takes axe most of its time
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}, "resultTypes": ["violations"]}  # all that a theme changes


def ready(page):
    page.wait_for_function(DRAWN, timeout=WAIT)
    page.wait_for_function(TYPESET, timeout=WAIT)
    return page


# Leaves of what a page repeats a hundredfold, rows, code cells and drawings, the first ones: axe takes 15 s for a page of 10,000 elements.
THIN = """() => {
  for (const body of document.querySelectorAll('tbody')) [...body.rows].slice(8).forEach(row => row.remove());
  for (const [kind, kept] of [['.highlight pre', 6], ['.vl-chart', 2], ['dl.py', 12], ['div.citation', 12]])
    [...document.querySelectorAll(kind)].slice(kept).forEach(el => el.remove());
}"""


def violations(page, rules=RULES, whole: bool = False) -> list[str]:
    """What axe finds on a page, one line a place; what a page repeats is thinned out unless it is to be seen whole."""
    if not whole:
        page.evaluate(THIN)
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("rules => axe.run(document, rules)", rules)
    assert found["testEngine"]["version"] and found["violations"] is not None
    return [f"{v['id']}: {node['target']} {node['failureSummary']}" for v in found["violations"] for node in v["nodes"]]


# Lists what is wrong with the headings, tables, charts and moving parts of a page.
STRUCTURE = r"""() => {
  const wrong = [], main = document.querySelector('main');
  const levels = [...main.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => +h.tagName[1]);
  if (levels.filter(l => l === 1).length !== 1 || levels[0] !== 1) wrong.push('not one h1, or not first: ' + levels);
  levels.forEach((l, i) => { if (i && l > levels[i - 1] + 1) wrong.push('a level skipped: heading ' + i); });
  for (const table of main.querySelectorAll('table:not(.indextable)')) { // the index is set in columns by the theme
    if (!table.querySelector('th')) wrong.push('table without headings: ' + table.textContent.trim().slice(0, 40));
    for (const th of table.querySelectorAll('th')) if (!th.scope) wrong.push('heading without scope: ' + th.textContent.trim());
  }
  for (const box of main.querySelectorAll('.pst-scrollable-table-container, .output.text_html:has(table)'))
    if (!/^Table: \S/.test(box.getAttribute('aria-label'))) wrong.push('table without name');
  for (const el of document.querySelectorAll('body *')) {
    const style = getComputedStyle(el);
    if (style.transitionDuration.split(', ').some(t => parseFloat(t) > 0) || style.animationName !== 'none') wrong.push('moves: ' + el.outerHTML.slice(0, 60));
  }
  if (document.documentElement.lang !== 'en') wrong.push('no language');
  return wrong.slice(0, 20);
}"""
