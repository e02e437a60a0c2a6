/* Puts a copy button beside each citation of a figure. Without a clipboard the text is selected, ready for the reader's own copy. */
(function () {
  "use strict";
  function select(element) {
    const range = document.createRange(), selection = window.getSelection();
    range.selectNodeContents(element);
    selection.removeAllRanges();
    selection.addRange(range);
  }

  async function copy(element) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return "Copied";
    } catch {
      select(element); // no clipboard on this page, or not allowed
      return document.execCommand("copy") ? "Copied" : "Selected";
    }
  }

  function button(element) {
    const made = document.createElement("button"), said = element.tagName === "PRE" ? "Copy BibTeX" : "Copy citation";
    made.type = "button";
    made.className = "cite-copy";
    made.textContent = said;
    made.setAttribute("aria-live", "polite");
    made.addEventListener("click", async () => {
      made.textContent = await copy(element);
      setTimeout(() => (made.textContent = said), 2000);
    });
    element.after(made);
  }

  document.querySelectorAll(".cite-text").forEach(button);
})();
