/* Shows what a term means while its link is hovered or focused, or after a first tap; a second tap follows the link.
   The note stays as long as pointer or focus rests on the link or on the note itself, and Esc puts it away (WCAG 1.4.13). */
(function () {
  "use strict";
  const store = document.getElementById("book-terms");
  if (!store) return;
  const told = JSON.parse(store.textContent);
  const EDGE = 8, GAP = 6, SHOW = 120, HIDE = 250; // pixels, milliseconds
  const note = document.createElement("div");
  note.id = "term-note";
  note.className = "term-note";
  note.setAttribute("role", "tooltip");
  note.hidden = true;
  document.body.append(note);
  let shown = null, timer = 0, touched = false;

  const key = (link) => decodeURIComponent(link.hash.slice(1));
  const later = (action, wait) => { clearTimeout(timer); timer = setTimeout(action, wait); };

  function fill(link) {
    const [name, definition] = told[key(link)], title = document.createElement("strong"), text = document.createElement("span");
    title.textContent = name;
    text.textContent = definition;
    note.replaceChildren(title, text);
    if (!touched) return;
    const hint = document.createElement("small");
    hint.textContent = "Tap the word again for the glossary.";
    note.append(hint);
  }

  /* Below the line of the link that the pointer or the reader is at, above it where there is no room; never beyond the window. */
  function place(link) {
    const lines = [...link.getClientRects()], line = lines[lines.length - 1], wide = document.documentElement.clientWidth;
    const left = Math.max(EDGE, Math.min(line.left, wide - note.offsetWidth - EDGE));
    const below = line.bottom + GAP, above = lines[0].top - GAP - note.offsetHeight;
    const top = below + note.offsetHeight > innerHeight && above > 0 ? above : below;
    note.style.left = `${left + scrollX}px`;
    note.style.top = `${top + scrollY}px`;
  }

  function show(link) {
    clearTimeout(timer);
    if (shown === link) return;
    hide();
    if (!told[key(link)]) return;
    shown = link;
    fill(link);
    note.hidden = false;
    link.setAttribute("aria-describedby", note.id);
    place(link);
  }

  function hide() {
    clearTimeout(timer);
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    shown = null;
    note.hidden = true;
  }

  const leave = () => later(() => { if (shown !== document.activeElement) hide(); }, HIDE);

  function watch(link) {
    link.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") { touched = false; later(() => show(link), SHOW); } });
    link.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") leave(); });
    link.addEventListener("pointerdown", (event) => (touched = event.pointerType !== "mouse"));
    link.addEventListener("focus", () => { if (!touched) show(link); });
    link.addEventListener("blur", () => later(hide, HIDE));
    link.addEventListener("click", (event) => {
      if (!touched || shown === link || !told[key(link)]) return;
      event.preventDefault();
      show(link);
    });
  }

  document.querySelectorAll("a.book-term").forEach(watch);
  note.addEventListener("pointerenter", () => clearTimeout(timer));
  note.addEventListener("pointerleave", leave);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("pointerdown", (event) => { if (shown && !note.contains(event.target) && !shown.contains(event.target)) hide(); });
  addEventListener("resize", hide);
})();
