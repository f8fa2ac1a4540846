// What pages do by themselves: live parts, questions answered by one key, dialogs, place pickers. Nothing is sent without a person's act.
"use strict";

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

const seen = new WeakMap();

// Somebody is choosing or writing in there.
const busy = (part) => part.querySelector("dialog[open]") !== null || (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));

// New content, the focus where it was; if the work went on a stage, the forms beside it are other ones: a whole new page.
function refresh(part, text) {
  const focus = document.activeElement?.id;
  part.innerHTML = text;
  seen.set(part, text);
  const stage = part.querySelector("[data-stage]")?.dataset.stage;
  if (part.dataset.stageNow !== undefined && stage !== part.dataset.stageNow && document.querySelector("dialog[open]") === null) {
    location.reload();
    return;
  }
  wire(part);
  if (focus && part.querySelector(`#${CSS.escape(focus)}`)) document.getElementById(focus).focus({ preventScroll: true });
  else if (document.activeElement === document.body) part.querySelector(".question")?.focus({ preventScroll: true });
}

// A part with data-live is fetched again every second while it says data-open (something is still to come), else every five.
function keepLive(part) {
  let failed = 0;
  const look = async () => {
    let pause = part.querySelector("[data-open]") ? 1000 : 5000;
    if (!document.hidden && !busy(part)) {
      try {
        const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" }, redirect: "manual" });
        if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
        if (!answer.ok) throw new Error(answer.status);
        const text = await answer.text();
        if (text !== seen.get(part)) refresh(part, text);
        failed = 0;
        part.classList.remove("stale");
      } catch {
        failed += 1;
        if (failed > 2) part.classList.add("stale");
        pause = Math.min(1000 * 2 ** failed, 15000);
      }
    }
    setTimeout(look, pause);
  };
  setTimeout(look, part.querySelector("[data-open]") ? 1000 : 5000);
}

// An uncertain label's question: Y or 1 it came out, N or 2 it did not. The focused question is asked, else the first.
function answerByKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  const side = { y: "yes", 1: "yes", n: "no", 2: "no" }[event.key.toLowerCase()];
  if (!side) return;
  const question = event.target.closest(".question") ?? document.querySelector(".question");
  const button = question?.querySelector(`button.${side}`);
  if (button && !button.disabled) { event.preventDefault(); button.click(); }
}

async function fillPicker(select, url, chosen) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok && chosen) return select.options.length; // what stands there stays
  const items = answer.ok ? (await answer.json()).items : [];
  select.replaceChildren(new Option(select.dataset.blank, ""), ...items.map((name) => new Option(name, name, false, name === chosen)));
  select.disabled = items.length === 0;
  return items.length;
}

// Without scripts a place is written; with them it is picked. What was there can be sent before the lists have come.
function toPicker(input) {
  if (!input) return null;
  const select = document.createElement("select");
  for (const { name, value } of input.attributes) if (!["type", "value", "maxlength", "autocomplete"].includes(name)) select.setAttribute(name, value);
  select.dataset.chosen = input.value;
  if (input.value) select.append(new Option(input.value, input.value, true, true));
  input.replaceWith(select);
  return select;
}

// Province, city, district: each fills the next.
function pickPlaces(form) {
  const [province, city, district] = ["province", "city", "district"].map((name) => toPicker(form.querySelector(`input[name=${name}]`)));
  if (!province) return;
  const url = form.dataset.places;
  const empty = (select) => { select.replaceChildren(new Option(select.dataset.blank, "")); select.disabled = true; };
  const fillDistricts = async (chosen) => {
    if (!chosen) empty(district);
    if (!city.value) return;
    const found = await fillPicker(district, `${url}?${new URLSearchParams({ province: province.value, city: city.value })}`, chosen);
    district.required = found > 0;
  };
  const fillCities = async (chosen) => {
    if (!chosen) empty(city);
    if (province.value) await fillPicker(city, `${url}?${new URLSearchParams({ province: province.value })}`, chosen);
    if (city.options.length === 2) city.selectedIndex = 1;
  };
  province.addEventListener("change", async () => { await fillCities(); await fillDistricts(); });
  city.addEventListener("change", () => fillDistricts());
  (async () => {
    await fillPicker(province, url, province.dataset.chosen);
    if (province.value) { await fillCities(city.dataset.chosen); await fillDistricts(district.dataset.chosen); }
  })();
}

// A one-time sign-in stands behind the #, where no log and no link previewer sees it.
function signInByLink(form) {
  if (location.hash.length < 2) return;
  form.elements.secret.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  form.requestSubmit();
}

// The label comes once, by POST, as a blob that no cache keeps; then the browser's own print dialog.
async function openSheet(place) {
  const say = place.querySelector("[role=status]");
  const again = place.querySelector("[data-again]");
  try {
    const answer = await fetch(place.dataset.sheet, { method: "POST", headers: { "X-CSRF-Token": csrf, Accept: "application/json, application/pdf" } });
    if (!answer.ok) {
      const { code = "" } = await answer.json().catch(() => ({}));
      say.className = "note bad";
      say.textContent = code === "pdf.opened" ? place.dataset.opened : place.dataset.failed;
      if (again) again.hidden = code !== "pdf.opened";
      return;
    }
    const frame = document.createElement("iframe");
    frame.className = "sheet";
    frame.title = place.dataset.title;
    frame.src = URL.createObjectURL(await answer.blob());
    const print = () => { frame.contentWindow.focus(); frame.contentWindow.print(); };
    frame.addEventListener("load", print, { once: true });
    place.querySelector("[data-frame]").append(frame);
    const button = document.querySelector("[data-print]");
    button.hidden = false;
    button.addEventListener("click", print);
    say.className = "note good";
    say.textContent = place.dataset.done;
  } catch {
    say.className = "note bad";
    say.textContent = place.dataset.failed;
  }
}

// A label's picture follows the form, so that nobody has to press a button to see what a size does.
function followForm(form) {
  const shown = document.querySelector("[data-previewed]");
  let turn = 0, pause = 0;
  const choose = () => {
    const by = form.querySelector("[name=by_hand]:checked")?.value;
    for (const part of form.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== by;
    for (const row of form.querySelectorAll(".arow")) row.querySelector("[data-words]").hidden = row.querySelector("select").value !== "words";
  };
  const look = async () => {
    const mine = ++turn;
    const answer = await fetch(form.dataset.preview, { method: "POST", body: new FormData(form), headers: { Accept: "text/html" } }).catch(() => null);
    if (mine === turn && answer?.ok) shown.innerHTML = await answer.text();
  };
  choose();
  form.addEventListener("input", () => { choose(); clearTimeout(pause); pause = setTimeout(look, 350); });
}

// A file is checked as soon as it is chosen, and again whenever the form changes; only a good one can be started.
function checkFile(form) {
  const [result, failed, checking, again, start] = ["result", "failed", "checking", "again", "start"].map((name) => form.querySelector(`[data-${name}]`));
  let turn = 0;
  start.disabled = true;
  const check = async () => {
    const mine = ++turn;
    start.disabled = true;
    failed.hidden = true;
    result.replaceChildren();
    if (!form.elements.file.files.length) return;
    checking.hidden = false;
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body: new FormData(form), headers: { Accept: "text/html" }, redirect: "manual" });
      if (mine !== turn) return;
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.status);
      result.innerHTML = await answer.text();
      start.disabled = result.querySelector("[data-good=yes]") === null;
    } catch {
      // Also a file that was changed on the disk since it was chosen: the browser doesn't read it any more.
      if (mine === turn) failed.hidden = false;
    } finally {
      if (mine === turn) { checking.hidden = true; again.hidden = !start.disabled; }
    }
  };
  form.addEventListener("change", check);
  again.addEventListener("click", check);
}

// Hundreds of labels are queued portion by portion; each answer says where to go on. Again is harmless: nothing is printed twice.
function inPortions(form) {
  const [faults, failed, working] = ["faults", "failed", "working"].map((name) => form.querySelector(`[data-${name}]`));
  const list = faults.querySelector("ul");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = new URLSearchParams(new FormData(form));
    list.replaceChildren();
    faults.hidden = failed.hidden = true;
    working.hidden = false;
    try {
      for (let next = 0; next !== null;) {
        sent.set("after", next);
        const answer = await fetch(form.action, { method: "POST", body: sent, headers: { Accept: "application/json" } });
        if (!answer.ok) {
          // The whole page says what is wrong.
          if (answer.status < 500) { form.submit(); return; }
          throw new Error(answer.status);
        }
        const portion = await answer.json();
        for (const { number, said } of portion.faults) {
          const line = document.createElement("li");
          line.textContent = `${number} ${said}`;
          list.append(line);
        }
        next = portion.next;
      }
      if (!list.children.length) location.assign(form.dataset.portions);
    } catch {
      failed.hidden = false;
    }
    working.hidden = true;
    faults.hidden = !list.children.length && failed.hidden;
    form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  });
}

function wire(root) {
  for (const button of root.querySelectorAll("[data-dialog]")) {
    button.addEventListener("click", () => document.getElementById(button.dataset.dialog).showModal());
  }
  for (const button of root.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  for (const form of root.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", () => setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; })));
  }
  for (const box of root.querySelectorAll("[data-enables]")) {
    box.addEventListener("change", () => { document.getElementById(box.dataset.enables).disabled = !box.checked; });
  }
  for (const select of root.querySelectorAll("form:not([data-steps]) select[data-goes]")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
}

// A form in steps: what is chosen decides what it asks next. It comes anew within the page, with all that was typed meanwhile.
const steps = new WeakMap();

async function step(form, button) {
  const turn = (steps.get(form) ?? 0) + 1;
  steps.set(form, turn);
  const sent = new FormData(form);
  if (button) sent.set(button.name, button.value);
  form.setAttribute("aria-busy", "true");
  form.inert = button !== null; // a button makes something: nothing else is asked for meanwhile
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(sent), headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("form[data-steps]");
    if (steps.get(form) !== turn) return; // chosen anew meanwhile: that answer counts
    if (!fresh) throw new Error(answer.status);
    for (const field of form.querySelectorAll("input[type=text], input[type=tel]")) {
      // An answer that doesn't show a field keeps it hidden: what was typed goes there.
      const named = `input[name=${CSS.escape(field.name)}]`;
      const same = fresh.querySelector(`${named}:not([type=hidden])`) ?? fresh.querySelector(named);
      if (same && field.value !== sent.get(field.name)) same.value = field.value;
    }
    for (const box of form.querySelectorAll("input[type=checkbox]")) {
      const same = fresh.querySelector(`input[type=checkbox][name=${CSS.escape(box.name)}]`);
      if (same && box.checked !== sent.has(box.name)) same.checked = box.checked;
    }
    // Who types just now goes on typing in the same field, where the caret stood.
    const before = document.activeElement;
    const typing = form.contains(before) && before.matches("input[type=text], input[type=tel]");
    const caret = typing ? [before.selectionStart, before.selectionEnd] : null;
    form.replaceChildren(...fresh.childNodes);
    form.removeAttribute("aria-busy");
    form.inert = false;
    wire(form);
    pickPlaces(form);
    const again = before.id ? document.getElementById(before.id) : null;
    ((typing ? again : null) ?? form.querySelector(".note.bad") ?? again ?? form.querySelector("select[data-goes]"))?.focus();
    if (typing) again?.setSelectionRange(...caret);
  } catch {
    if (steps.get(form) !== turn) return;
    // The whole page says what is wrong.
    form.dataset.steps = "whole";
    form.inert = false;
    form.noValidate = true;
    form.querySelectorAll("button").forEach((one) => { one.disabled = false; });
    form.requestSubmit(button);
  }
}

function inSteps(form) {
  form.addEventListener("change", (event) => { if (event.target.matches("[data-goes]")) step(form, null); });
  form.addEventListener("submit", (event) => {
    if (form.dataset.steps === "whole" || !event.submitter?.matches("[data-step]")) return;
    event.preventDefault();
    step(form, event.submitter);
  });
}

// A part that may take its time: the page doesn't wait for it.
async function load(part) {
  const answer = await fetch(part.dataset.load, { headers: { Accept: "text/html" }, redirect: "manual" }).catch(() => null);
  if (answer?.ok) part.innerHTML = await answer.text();
}

wire(document);
document.addEventListener("keydown", answerByKey);
document.querySelectorAll("[data-live]").forEach(keepLive);
document.querySelectorAll("[data-load]").forEach(load);
document.querySelectorAll("form[data-places]").forEach(pickPlaces);
document.querySelectorAll("form[data-check]").forEach(checkFile);
document.querySelectorAll("form[data-portions]").forEach(inPortions);
document.querySelectorAll("form[data-steps]").forEach(inSteps);
document.querySelectorAll("form[data-preview]").forEach(followForm);
document.querySelectorAll("form[data-sign-in]").forEach((form) => {
  signInByLink(form);
  addEventListener("hashchange", () => signInByLink(form));
});
document.querySelectorAll("[data-sheet]").forEach(openSheet);
document.querySelector(".question")?.focus({ preventScroll: true });
// What was done is said once, not again at a reload.
if (location.search.includes("done=")) {
  const url = new URL(location);
  url.searchParams.delete("done");
  history.replaceState(null, "", url);
}
// A page that comes back by the Back button has its buttons again.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
