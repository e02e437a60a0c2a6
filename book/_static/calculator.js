/* The calculator of the first page. It picks points of grids that the core computed when the book was built; nothing is
   interpolated. What it works out itself are quotients of those numbers: tokens over seconds, the seconds that reading or
   arithmetic take at full speed over the seconds of the step (MBU, MFU), and price times chips over tokens. */
(function () {
  "use strict";
  const box = document.querySelector(".calculator");
  const facts = JSON.parse(box.querySelector(".calc-facts").textContent);
  const form = box.querySelector("form"), result = box.querySelector(".calc-result"), rent = box.querySelector("#calc-rent");
  const folder = new URL("calculator/", document.currentScript.src).href;
  const NAMES = ["model", "chip", "chips", "batch", "context", "weights", "kv"];
  const MTOK_OVER_HOUR = 1e6 / 3600; // tokens of a million over seconds of an hour
  const grids = {}; // file -> promise of its arrays
  const arrived = {};
  let ownPrice = false; // the reader typed one

  // --- numbers as text, as siliconomics.fmt writes them ---------------------------------------------------------------
  const PREFIX = { "-12": "p", "-9": "n", "-6": "µ", "-3": "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P" };
  const wholeDigits = (value) => (Math.abs(value) >= 1 ? Math.floor(Math.log10(Math.abs(value))) + 1 : 0);

  function digits(value, count) {
    const rounded = Number(value.toPrecision(count));
    const decimals = rounded ? Math.max(0, count - 1 - Math.floor(Math.log10(Math.abs(rounded)))) : 0;
    return rounded.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }

  function scaled(value, unit) {
    const power = Math.max(-12, 3 * Math.floor(Math.log10(Number(value.toPrecision(3))) / 3));
    return `${digits(value / 10 ** power, 3)} ${PREFIX[power]}${unit}`;
  }

  const plainNumber = (value) => digits(value, Math.max(3, wholeDigits(value)));
  const FORMAT = {
    s: (value) => scaled(value, "s"), B: (value) => (value ? scaled(value, "B") : "0 B"),
    "%": (value) => `${digits(100 * value, 3)} %`, $: (value) => `$${plainNumber(value)}`, rate: plainNumber,
  };
  const whole = (value) => Math.round(value).toLocaleString("en-US");

  // --- grids ------------------------------------------------------------------------------------------------------------
  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const floats = new Float32Array(await new Response(stream).arrayBuffer()), arrays = {};
    let start = 0;
    for (const [name, axes] of Object.entries(facts.parts)) {
      const size = axes.reduce((product, axis) => product * facts.axes[axis].length, 1);
      arrays[name] = floats.subarray(start, (start += size));
    }
    return arrays;
  }

  window.calculatorGrid = (name, text) => { arrived[name] = unpacked(text); };

  function load(name) {
    grids[name] ||= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${folder}${name}.js`;
      script.onload = () => resolve(arrived[name]);
      script.onerror = () => { delete grids[name]; reject(new Error(name)); };
      document.head.append(script);
    });
    return grids[name];
  }

  function at(arrays, name, choice) {
    const place = facts.parts[name].reduce((sum, axis) => sum * facts.axes[axis].length + facts.axes[axis].indexOf(choice[axis]), 0);
    return arrays[name][place];
  }

  // --- choices ------------------------------------------------------------------------------------------------------------
  function chosen() {
    const values = Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value]));
    for (const name of ["chips", "batch", "context"]) values[name] = Number(values[name]);
    const typed = form.elements.usd;
    return { ...values, usd: typed.value === "" || !typed.validity.valid ? null : Number(typed.value) };
  }

  function restore() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (!wanted.has("model")) return false;
    for (const name of NAMES) {
      const option = [...form.elements[name].options].find((one) => one.value === wanted.get(name));
      if (option) option.selected = true;
    }
    if (wanted.has("usd")) { form.elements.usd.value = wanted.get("usd"); ownPrice = true; }
    return true;
  }

  function remember(choice) {
    const words = new URLSearchParams(NAMES.map((name) => [name, choice[name]]));
    if (ownPrice && choice.usd !== null) words.set("usd", choice.usd);
    history.replaceState(null, "", `#${words}`);
  }

  /* A context longer than the model's own cannot be chosen, and the menu says why. */
  function limitContext() {
    const limit = facts.models[form.elements.model.value].context, menu = form.elements.context;
    for (const option of menu.options) {
      option.disabled = Number(option.value) > limit;
      option.textContent = whole(Number(option.value)) + (option.disabled ? ` (the model takes ${whole(limit)})` : "");
    }
    if (menu.selectedOptions[0].disabled) [...menu.options].filter((option) => !option.disabled).pop().selected = true;
  }

  function presetRent() {
    const known = facts.chips[form.elements.chip.value].price;
    if (!ownPrice) form.elements.usd.value = known ? known.usd : "";
    const from = known && element("a", { href: facts.links.prices }, `${known.provider}, ${known.terms}, ${known.date}`);
    rent.replaceChildren(...(ownPrice ? ["Rent: your figure."] : known ? ["Rent: ", from, ". Type your own."]
      : ["The data hold no rent for this chip. Type one to see dollars."]));
  }

  // --- the answer -----------------------------------------------------------------------------------------------------------
  /* Everything shown about a step that takes `seconds`. */
  function figures(choice, parts, seconds) {
    const rate = choice.batch / seconds;
    return {
      seconds, rate, perUser: 1 / seconds, mbu: (parts.weights + parts.cache) / seconds, mfu: parts.arithmetic / seconds,
      usd: choice.usd === null ? NaN : (choice.usd * choice.chips * MTOK_OVER_HOUR) / rate,
    };
  }

  function answer(arrays, choice) {
    const parts = { weights: at(arrays, "weight_seconds", choice), cache: at(arrays, "cache_seconds", choice), arithmetic: at(arrays, "arithmetic_seconds", choice) };
    const of = (name) => figures(choice, parts, at(arrays, name, choice));
    return {
      parts, roofline: of("roofline"), expected: of("expected"), low: of("low"), high: of("high"),
      held: at(arrays, "memory_bytes", choice), there: choice.chips * facts.chips[choice.chip].memory_bytes,
    };
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  }

  const calibrated = (found) => Number.isFinite(found.expected.seconds);
  const best = (found) => (calibrated(found) ? found.expected : found.roofline);
  const machine = (choice) => (choice.chips === 1 ? `one ${choice.chip}` : `${choice.chips} × ${choice.chip}`);

  function sentence(choice, found) {
    const f = best(found), users = choice.batch === 1 ? "one user" : `each of ${choice.batch} users`;
    const both = choice.batch === 1 ? "" : ` for each, ${FORMAT.rate(f.rate)} together`;
    const cost = Number.isFinite(f.usd) ? `. A million tokens cost ${FORMAT.$(f.usd)}` : "";
    const start = [...(found.held > found.there ? ["if it fitted"] : []), ...(calibrated(found) ? [] : ["on the roofline"])].join(", ");
    return `${start && `${start[0].toUpperCase()}${start.slice(1)}: `}${choice.model} on ${machine(choice)} writes a token for ${users} every ${FORMAT.s(f.seconds)}: ` +
      `${FORMAT.rate(f.perUser)} tokens/s${both}${cost}.`;
  }

  function memory(choice, found) {
    const spare = found.there - found.held, verdict = spare >= 0 ? "It fits" : "It does not fit";
    return element("p", { class: `calc-memory ${spare >= 0 ? "fits" : "full"}` }, element("strong", {}, `${verdict}: `),
      `weights and caches need ${FORMAT.B(found.held)} of the ${FORMAT.B(found.there)} on ${machine(choice)}, ` +
      `${FORMAT.B(Math.abs(spare))} ${spare >= 0 ? "to spare" : "too much"}.`);
  }

  const ROWS = [["time per output token", "seconds", "s"], ["tokens/s for each user", "perUser", "rate"], ["tokens/s of all users", "rate", "rate"],
    ["MBU, share of memory bandwidth", "mbu", "%"], ["MFU, share of peak arithmetic", "mfu", "%"], ["dollars per million tokens", "usd", "$"]];

  function table(found) {
    const show = (value, unit) => (Number.isFinite(value) ? FORMAT[unit](value) : "–");
    const rows = ROWS.map(([label, name, unit]) => {
      const ends = [found.low[name], found.high[name]].sort((a, b) => a - b);
      const span = ends.every(Number.isFinite) ? ends.map((end) => FORMAT[unit](end)).join(" to ") : "–";
      return element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, show(found.expected[name], unit)), element("td", {}, span),
        element("td", {}, show(found.roofline[name], unit)));
    });
    const heads = ["", "expected", "80 % interval", "roofline"].map((text) => element(text ? "th" : "td", text ? { scope: "col" } : {}, text));
    return element("div", { class: "calc-scroll", tabindex: "0", role: "group", "aria-label": "Figures of one step" },
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)));
  }

  /* Bars of one length scale: what each resource alone would take, the roofline, and the expected time with its interval. */
  function bars(found) {
    const rows = [["read the weights", found.parts.weights, "memory"], ["read the caches", found.parts.cache, "memory"], ["arithmetic", found.parts.arithmetic, "compute"],
      ["roofline", found.roofline.seconds, "bound"]];
    if (calibrated(found)) rows.push(["expected", found.expected.seconds, "expected"]);
    const longest = Math.max(found.high.seconds || 0, ...rows.map((row) => row[1])), share = (value) => `${(100 * value) / longest}%`;
    const list = rows.map(([label, seconds, kind]) => {
      const track = element("span", { class: "calc-track" }, element("span", { class: `calc-bar ${kind}`, style: `width: ${share(seconds)}` }));
      if (kind === "expected") track.append(element("span", { class: "calc-span", style: `left: ${share(found.low.seconds)}; right: calc(100% - ${share(found.high.seconds)})` }));
      return element("li", {}, element("span", { class: "calc-name" }, label), track, element("span", { class: "calc-value" }, FORMAT.s(seconds)));
    });
    return element("ul", { class: "calc-bars", "aria-label": "Seconds of one step, part by part" }, ...list);
  }

  function limits(choice, found) {
    const { weights, cache, arithmetic } = found.parts, computes = facts.chips[choice.chip].computes[choice.weights];
    const which = arithmetic > weights + cache ? "arithmetic" : weights >= cache ? "reading the weights" : "reading the caches";
    const unit = computes === choice.weights ? "" : ` The chip has no ${choice.weights} arithmetic, so it computes in ${computes}.`;
    return `What bounds the step: ${which}.${unit}`;
  }

  const BASIS = { chip: "kernels measured on this chip", family: "kernels measured on a sister of this chip", vendor: "kernels measured on other chips of the vendor",
    memory: "kernels of other vendors' chips with the same kind of memory; none of this vendor's were measured, so the interval is widened by a rule",
    all: "kernels of other chips; none like it was measured, so the interval is widened by a rule" };
  const EXTRA = { "its own ceilings": "the best product or read of the chip itself was measured", "fp8 for fp4": "fp8 kernels stand for fp4" };

  function basisText(basis) {
    const [step, ...more] = basis.split(", ");
    const kind = step.split(" ")[0], tested = ["chip", "family", "vendor"].includes(kind);
    return [BASIS[kind], ...more.map((part) => EXTRA[part] || part)].join("; ") +
      (tested ? ". Its interval held 80 % of the measured passes that the fit had not seen" : "");
  }

  function trust(choice, found) {
    const link = (to, text) => element("a", { href: to }, text);
    const basis = facts.chips[choice.chip].basis[choice.weights];
    const known = calibrated(found) ? `Expected rests on ${basisText(basis)}. The host time of a serving engine and waiting for prompts come on top.`
      : `No expected time: the data hold no link bandwidth for ${choice.chip}, so traffic between chips cannot be timed.`;
    return element("p", { class: "calc-note" }, `${known} Roofline is the same step at full bandwidth and peak, chips talking for free. The menus hold the points that the core computed; nothing between them is guessed. `,
      link(facts.links.mbu, "Chapter 7"), " explains MBU and the roofline of a token, ", link(facts.links.wrong, "chapter 9"), " how wrong such times are. Data: ",
      link(`${facts.links.chips}#${facts.chips[choice.chip].row}`, choice.chip), ", ", link(`${facts.links.models}#${facts.models[choice.model].row}`, choice.model), ".");
  }

  function pythonLine(choice, found) {
    const numbers = ["chips", "batch", "context"].map((name) => `${name}=${choice[name]}`);
    const money = choice.usd === null ? [] : [`usd_per_chip_hour=${choice.usd}`];
    return `si.decode(${[`"${choice.model}"`, `"${choice.chip}"`, ...numbers, `weights="${choice.weights}"`, `kv="${choice.kv}"`,
      `stack="${calibrated(found) ? "calibrated" : "roofline"}"`, ...money].join(", ")})`;
  }

  /* Copying works without a server too, where the clipboard of the browser is closed to scripts. */
  async function copy(code, button) {
    try { await navigator.clipboard.writeText(code.textContent); } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  function python(choice, found) {
    const code = element("code", {}, pythonLine(choice, found)), button = element("button", { type: "button", "aria-label": "Copy the Python line" }, "Copy");
    button.addEventListener("click", () => copy(code, button));
    return element("div", { class: "calc-python" }, element("p", {}, "The same numbers from the core, after ", element("code", {}, "import siliconomics as si"), ":"),
      element("pre", { tabindex: "0" }, code), button);
  }

  async function update() {
    const choice = chosen();
    try {
      const found = answer(await load(facts.files[choice.model][choice.chip]), choice);
      if (JSON.stringify(chosen()) !== JSON.stringify(choice)) return; // the reader was quicker
      said.replaceChildren(element("p", { class: "calc-sentence" }, sentence(choice, found)), memory(choice, found));
      more.replaceChildren(table(found), bars(found), element("p", { class: "calc-bound" }, limits(choice, found)), trust(choice, found), python(choice, found));
      box.dataset.shown = JSON.stringify(choice);
    } catch (error) {
      said.textContent = `The numbers of this pair could not be loaded (${error.message}).`;
    }
  }

  const said = element("div", { "aria-live": "polite", "aria-atomic": "true" }), more = element("div", { class: "calc-more" });
  said.append(...result.children);
  result.replaceChildren(said, more);
  restore();
  limitContext();
  presetRent();
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "usd") ownPrice = event.target.value !== "";
    limitContext();
    if (event.target.name === "chip" || event.target.name === "usd") presetRent();
    remember(chosen());
    update();
  });
  window.addEventListener("hashchange", () => { if (restore()) { limitContext(); presetRent(); update(); } });
  requestAnimationFrame(() => setTimeout(update)); // after the page has been painted
})();
