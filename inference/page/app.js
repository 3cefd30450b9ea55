// The page: a playlist in hand, its continuation from POST /predict. No framework, and no text of the catalogue is ever
// parsed as HTML: everything goes through textContent.

const FIRST = 10;
const MOST = 50;
const HOW = { uri: "matched", name: "by name", text: "by text", none: "not known" };

const $ = (id) => document.getElementById(id);
// An entry is a track of the playlist and how the catalogue knew it, once that is answered.
const state = { title: "", entries: [], wanted: FIRST, diversity: 0, ordered: true, found: [], active: -1 };
let searching = new AbortController();
let continuing = new AbortController();

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function say(text) {
  $("status").textContent = text;
}

// Puts new items into a list; the keyboard stays where it was, on the button of the same place.
function replaceItems(list, items) {
  const place = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...items);
  if (place < 0) return;
  const buttons = list.querySelectorAll("button");
  (buttons[Math.min(place, buttons.length - 1)] ?? $("search")).focus();
}

function later(delay, action) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(action, delay); };
}

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  options.signal?.throwIfAborted();  // another request has taken its place while the answer came
  if (response.ok) return body;
  throw Object.assign(new Error(body.detail ?? response.statusText), { status: response.status });
}

// ---- the playlist ----

const named = (track) => (track.artist_name ? `${track.track_name}, ${track.artist_name}` : track.track_name);
const key = (track) => track.track_uri ?? `${track.track_name}\n${track.artist_name ?? ""}`;

function add(track) {
  if (state.entries.some((entry) => key(entry.track) === key(track))) {
    say(`${named(track)} is already in the playlist.`);
    return;
  }
  state.entries.push({ track });
  say(`Added ${named(track)}.`);
  changed();
}

function remove(index) {
  const [{ track }] = state.entries.splice(index, 1);
  say(`Removed ${named(track)}.`);
  changed();
}

function changed() {
  state.wanted = FIRST;
  showPlaylist();
  continueLater();
}

function trackText(track) {
  const text = element("span", {}, element("span", { className: "name", textContent: track.track_name }));
  if (track.artist_name) text.append(element("span", { className: "artist", textContent: track.artist_name }));
  return text;
}

function roundButton(sign, label, action) {
  const button = element("button", { className: "round", type: "button", textContent: sign, onclick: action });
  button.setAttribute("aria-label", label);
  return button;
}

function howBadge(how) {
  if (!how) return element("span");
  const badge = element("span", { className: "how", textContent: HOW[how] });
  badge.dataset.how = how;
  return badge;
}

function showPlaylist() {
  replaceItems($("tracks"), state.entries.map(({ track, how }, index) => element("li", {},
    element("span", { className: "rank", textContent: index + 1 }),
    trackText(track),
    howBadge(how),
    roundButton("×", `Remove ${named(track)}`, () => remove(index)),
  )));
  $("suggestions").hidden = state.entries.length > 0 || !$("popular").children.length;
  $("continue").disabled = !state.entries.length && !state.title.trim();
}

// ---- search as you type ----

function closeResults() {
  searching.abort();
  state.found = [];
  state.active = -1;
  $("results").hidden = true;
  $("search").setAttribute("aria-expanded", "false");
  $("search").removeAttribute("aria-activedescendant");
}

function byText(text) {
  const [, artist, title] = text.match(/^(.+?) - (.+)$/) ?? [];
  return title ? { track_name: title, artist_name: artist } : { track_name: text };
}

function option(entry, index) {
  const item = element("li", { id: `result-${index}` });
  item.setAttribute("role", "option");
  if (entry.text) {
    item.append(element("span", { className: "name", textContent: `Add “${named(entry.track)}” as text` }),
      element("span", { className: "artist", textContent: "The catalogue may lack it; its words help all the same." }));
  } else {
    item.append(...trackText(entry.track).childNodes);
  }
  item.onpointerdown = (event) => event.preventDefault();  // keep the focus in the search box
  item.onclick = () => choose(index);
  return item;
}

function activate(index) {
  state.active = index;
  [...$("results").children].forEach((item, i) => item.setAttribute("aria-selected", String(i === index)));
  const item = $("results").children[index];
  if (item) {
    $("search").setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  } else {
    $("search").removeAttribute("aria-activedescendant");
  }
}

function choose(index) {
  const { track } = state.found[index];
  $("search").value = "";
  closeResults();
  add(track);
}

async function search() {
  const text = $("search").value.trim();
  closeResults();
  if (!text || document.activeElement !== $("search")) return;
  searching = new AbortController();
  try {
    const { tracks } = await ask(`/tracks?limit=8&q=${encodeURIComponent(text)}`, { signal: searching.signal });
    state.found = [...tracks.map((track) => ({ track })), { track: byText(text), text: true }];
    $("results").replaceChildren(...state.found.map(option));
    $("results").hidden = false;
    $("search").setAttribute("aria-expanded", "true");
    activate(0);
    say(tracks.length === 1 ? "1 track found." : `${tracks.length} tracks found.`);
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error);
  }
}

function searchKey(event) {
  const count = state.found.length;
  if (event.key === "Escape") closeResults();
  if (event.key === "Enter" && state.active >= 0) choose(state.active);
  if (count && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    activate((state.active + (event.key === "ArrowDown" ? 1 : count - 1)) % count);
  }
}

// ---- the continuation ----

function showProblem(error) {
  $("problem").textContent = error ? `That did not work: ${error.message}` : "";
  $("problem").hidden = !error;
}

function showWhy(matched) {
  const counts = { uri: 0, name: 0, text: 0, none: 0 };
  for (const { how } of matched) counts[how] += 1;
  const reasons = Object.entries(counts).filter(([, count]) => count).map(([how, count]) => {
    const badge = howBadge(how);
    badge.textContent = `${count} ${HOW[how]}`;
    return badge;
  });
  if (state.title.trim()) reasons.push(element("span", { className: "how", textContent: "by title" }));
  $("why").replaceChildren(...(reasons.length ? ["Because of", ...reasons] : []));
}

// Tells the service that a recommended track was taken up. Whether that arrives is nothing to hold a listener up with.
function tell(impression, track) {
  const body = JSON.stringify({ events: [{ impression_id: impression, track_uri: track.track_uri, event: "add" }] });
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  fetch("/feedback", { method: "POST", headers, body, keepalive: true }).catch(() => {});
}

function recommendation({ score, ...track }, index, share, impression) {
  const bar = element("i");
  bar.style.setProperty("--share", share.toFixed(3));
  const fit = element("span", { className: "score", title: "Scores compare within one list" }, bar,
    element("b", {}, element("span", { className: "unseen", textContent: "score " }), score.toFixed(2).replace("-0.00", "0.00")));
  return element("li", {},
    element("span", { className: "rank", textContent: index + 1 }),
    trackText(track),
    fit,
    roundButton("+", `Add ${named(track)} to the playlist`, () => { tell(impression, track); add(track); }),
  );
}

function showContinuation({ recommended_tracks: tracks, matched, impression_id: impression }, entries) {
  const scores = tracks.map((track) => track.score);
  const low = Math.min(...scores);
  const span = Math.max(...scores) - low;
  const share = (score) => (span > 0 ? 0.08 + 0.92 * (score - low) / span : 1);
  replaceItems($("recommended"), tracks.map((track, i) => recommendation(track, i, share(track.score), impression)));
  entries.forEach((entry, i) => { entry.how = matched[i].how; });
  showPlaylist();
  showWhy(matched);
  $("empty").hidden = true;
  $("more").hidden = tracks.length < state.wanted || state.wanted >= MOST;
}

function clearContinuation() {
  $("recommended").replaceChildren();
  $("why").replaceChildren();
  $("more").hidden = true;
  $("empty").hidden = false;
  $("recommended").removeAttribute("aria-busy");  // a request that was under way is not waited for
}

async function proceed() {
  continuing.abort();
  showProblem(null);
  const title = state.title.trim();
  const entries = [...state.entries];
  if (!entries.length && !title) {
    clearContinuation();
    return;
  }
  continuing = new AbortController();
  $("recommended").setAttribute("aria-busy", "true");
  const body = JSON.stringify({ tracks: entries.map(({ track }) => track), name: title || null, k: state.wanted,
    diversity: state.diversity, ordered: state.ordered });
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body, signal: continuing.signal };
  try {
    const answer = await ask("/predict", options);
    showContinuation(answer, entries);
    say(`${answer.recommended_tracks.length} tracks recommended.`);
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblem(error);
    if (error.status === 503) continueSoon();
  }
  $("recommended").removeAttribute("aria-busy");
}

const continueLater = later(200, proceed);
const continueSoon = later(1000, proceed);

// ---- which model answers ----

function showModel(model) {
  $("environment").textContent = model.environment;
  $("digest-short").textContent = model.digest.replace("sha256:", "").slice(0, 12);
  $("version").textContent = model.version ? `v${model.version}` : "";
  $("verdict").textContent = model.verdict ?? "not judged";
  $("verdict").dataset.verdict = model.verdict ?? "";
  $("synthetic").hidden = !model.synthetic;
  const facts = {
    Model: model.digest, Version: model.version, Verdict: model.verdict ?? "not judged", Reason: model.reason,
    Environment: model.environment, Tracks: model.tracks.toLocaleString("en"), Dataset: model.lineage.dataset,
    Commit: model.lineage.commit, Run: model.lineage.run,
  };
  $("model-facts").replaceChildren(...Object.entries(facts).filter(([, fact]) => fact).flatMap(([name, fact]) =>
    [element("dt", { textContent: name }), element("dd", { textContent: fact })]));
  $("model").hidden = false;
}

async function begin() {
  try {
    showModel(await ask("/model"));
    const { tracks } = await ask("/tracks?limit=6");
    $("popular").replaceChildren(...tracks.map((track) => element("li", {},
      element("button", { type: "button", textContent: named(track), onclick: () => { add(track); $("search").focus(); } }))));
    showProblem(null);
    showPlaylist();
  } catch (error) {
    showProblem(error);
    setTimeout(begin, 1000);
  }
}

$("title").addEventListener("input", () => { state.title = $("title").value; changed(); });
$("diversity").addEventListener("input", () => { state.diversity = $("diversity").valueAsNumber; continueLater(); });
$("unordered").addEventListener("change", () => { state.ordered = !$("unordered").checked; continueLater(); });
$("search").addEventListener("input", later(120, search));
$("search").addEventListener("keydown", searchKey);
$("search").addEventListener("blur", closeResults);
$("continue").addEventListener("click", proceed);
$("more").addEventListener("click", () => { state.wanted = Math.min(MOST, state.wanted + 20); proceed(); });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("model").open = false; });
begin();
