"use strict";
// All text goes in by textContent: nothing that a client chose becomes markup.

const EVERY = 5000, SHOWN = 50, LIVE_ROWS = 20;
let token = location.hash.slice(1) || sessionStorage.getItem("amp-token") || "";
let about = null, period = "hour", chosen = null;
const at = (id) => document.getElementById(id);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// base units are up to 64 bits: never a float
function tokens(units) {
  if (units === null || units === undefined) return "?";
  const digits = String(units).padStart(about.decimals + 1, "0");
  const cut = digits.length - about.decimals;
  const fraction = digits.slice(cut).replace(/0+$/, "");
  return digits.slice(0, cut) + (fraction ? "." + fraction : "");
}

const short = (key) => key.slice(0, 4) + "…" + key.slice(-4);
const moment = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const cell = (text, attributes) => element("td", text, attributes);
const amount = (units) => cell(tokens(units), { class: "amount" });
const key = (text) => cell(short(text), { class: "key", title: text });

function left(seconds) {
  if (seconds <= 0) return "over";
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  return `${hours} h ${String(minutes).padStart(2, "0")} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
}

async function ask(path, options = {}) {
  const headers = { ...options.headers, Authorization: "Bearer " + token };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) throw new Error("token");
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

const read = async (path) => (await ask(path)).json();

function row(cells) {
  const made = element("tr");
  made.append(...cells);
  return made;
}

function figures(summary) {
  const standing = summary.standing;
  const grace = standing.first_grace_ends === null ? "" : `, first in ${left(standing.first_grace_ends - standing.now)}`;
  const all = [
    [tokens(summary.charged), "charged in all"],
    [tokens(summary.settled), "settled in all"],
    [tokens(standing.unsettled), "unsettled"],
    [tokens(standing.at_risk), "at risk" + grace, standing.at_risk !== "0" ? "bad" : ""],
    [tokens(standing.given_up), "given up", standing.given_up !== "0" ? "bad" : ""],
    [`${standing.open}`, `open; ${standing.stopped} stopped, ${standing.closing} closing`],
  ];
  at("figures").replaceChildren(...all.map(([value, what, mark]) => {
    const box = element("div");
    box.append(element("b", value, { class: mark || "" }), element("span", what));
    return box;
  }));
  at("about").textContent = `${summary.network} · ${short(summary.recipient)} · token ${short(summary.mint)}`;
}

function earnings(periods) {
  const box = at("earnings");
  if (!periods.length) return box.replaceChildren(element("p", "Nothing was charged yet."));
  const space = "http://www.w3.org/2000/svg", width = 1100, height = 150, length = period === "day" ? 86400 : 3600;
  const first = periods[0].start, count = Math.max(24, (periods.at(-1).start - first) / length + 1);
  const highest = periods.reduce((most, one) => Math.max(most, Number(one.charged), Number(one.settled)), 1);
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  const draw = (name, attributes, text) => {
    const made = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    svg.append(made);
    return made;
  };
  const step = width / count, tall = (units) => Math.max(Number(units) / highest * (height - 30), Number(units) ? 1 : 0);
  for (const one of periods) {
    const x = (one.start - first) / length * step, wide = Math.max(step * .42, 1);
    const said = `${new Date(one.start * 1000).toLocaleString()}: charged ${tokens(one.charged)} for ${one.calls} calls, settled ${tokens(one.settled)}`;
    for (const [offset, units, kind] of [[0, one.charged, "charged"], [wide, one.settled, "settled"]]) {
      const bar = draw("rect", { x: x + offset, y: height - 15 - tall(units), width: wide, height: tall(units), class: kind });
      const title = document.createElementNS(space, "title");
      title.textContent = said;
      bar.append(title);
    }
  }
  draw("text", { x: 0, y: 12 }, `highest: ${tokens(String(highest))} · charged blue, settled green`);
  draw("text", { x: 0, y: height - 2 }, new Date(first * 1000).toLocaleString());
  box.replaceChildren(svg);
}

function channels(found, books) {
  const sums = new Map(books.channels.map((one) => [one.channel + one.opened_slot, one]));
  at("shown").textContent = `${found.sessions.length} of ${found.total}`;
  at("channels").replaceChildren(...found.sessions.map((session) => {
    const chain = session.on_chain, sum = sums.get(session.channel + session.opened_slot);
    const calls = session.signers.reduce((all, signer) => all + signer.calls, 0);
    const holds = !sum ? cell("?") : cell(sum.adds_up ? "add up" : "do not add up", { class: sum.adds_up ? "good" : "bad" });
    const made = row([key(session.channel), cell(session.state), amount(chain?.deposited), amount(session.spent),
      amount(chain?.claimed), amount(session.unsettled), cell(calls), holds]);
    made.tabIndex = 0;
    made.onclick = () => { chosen = session.channel; detail(); };
    made.onkeydown = (event) => { if (event.key === "Enter") made.onclick(); };
    return made;
  }));
  at("books").textContent = books.adds_up ? "The books add up." : "The books do not add up: see the channels marked below.";
  at("books").className = books.adds_up ? "good" : "bad";
  const closing = found.sessions.filter((session) => session.state === "closing" || session.grace_ends !== null);
  at("closings-section").hidden = !closing.length;
  at("closings").replaceChildren(...closing.map((session) => {
    const time = cell("", { class: session.at_risk !== "0" ? "bad" : "" });
    time.dataset.ends = session.grace_ends ?? session.on_chain?.closable_from ?? "";
    return row([key(session.channel), session.on_chain ? key(session.on_chain.funder) : cell("?"), amount(session.unsettled), time]);
  }));
  count();
}

// the chain's clock, as the last summary had it
let ahead = 0;
function count() {
  for (const time of document.querySelectorAll("[data-ends]")) {
    time.textContent = time.dataset.ends ? left(Number(time.dataset.ends) - Date.now() / 1000 - ahead) : "";
  }
}

function link(signature) {
  if (!signature) return cell("in another's transaction");
  const made = cell();
  const url = about.explorer.replace("{}", encodeURIComponent(signature));
  made.append(element("a", short(signature), { href: url, rel: "noreferrer", target: "_blank", class: "key" }));
  return made;
}

function transfers(found) {
  at("transfers").replaceChildren(...found.transfers.map((one) =>
    row([cell(moment(one.at)), key(one.channel), amount(one.paid), one.kind === "gathered" ? cell("booked together") : link(one.signature)])));
}

function charge(one) {
  const seq = one.is_gathered ? "booked together" : one.seq;
  return row([cell(moment(one.at)), key(one.channel), cell(seq), amount(one.cost)]);
}

async function detail() {
  if (!chosen) return;
  const found = await read("/api/sessions/" + encodeURIComponent(chosen));
  const box = at("detail");
  box.hidden = false;
  const lines = element("table");
  lines.append(...found.reconciliation.lines.map((line) =>
    row([cell(line.what), amount(line.left), amount(line.right), cell(line.holds ? "holds" : "does not hold", { class: line.holds ? "good" : "bad" })])));
  const signers = element("table");
  const head = row([["signer"], ["seq"], ["signed for", "amount"], ["charged", "amount"], ["calls"]].map(([text, kind]) => element("th", text, { class: kind || "" })));
  signers.append(head, ...(found.session?.signers ?? []).map((signer) =>
    row([key(signer.signer), cell(signer.seq), amount(signer.ceiling), amount(signer.spent), cell(signer.calls)])));
  const title = element("h2", "Channel ");
  title.append(element("code", chosen));
  const adds = element("p", found.reconciliation.adds_up ? "Its books add up." : "Its books do not add up.",
    { class: found.reconciliation.adds_up ? "good" : "bad" });
  const refund = element("p", found.reconciliation.refund === null ? "" : `Goes back to the funder: ${tokens(found.reconciliation.refund)}`);
  box.replaceChildren(title, adds, lines, refund, signers);
}

async function refresh() {
  const [summary, found, books, moved, periods] = await Promise.all([
    read("/api/summary"), read(`/api/sessions?limit=${SHOWN}`), read(`/api/reconciliation?limit=${SHOWN}`),
    read("/api/transfers?limit=20"), read(`/api/analytics?period=${period}`)]);
  about = summary;
  ahead = summary.standing.now - Date.now() / 1000;
  figures(summary);
  channels(found, books);
  transfers(moved);
  earnings(periods.periods);
  await detail();
}

// EventSource sends no headers
async function follow() {
  const live = at("live");
  for (;;) {
    try {
      const answer = await ask("/api/charges/stream");
      live.className = "live";
      const recent = await read(`/api/charges?limit=${LIVE_ROWS}`);
      at("charges").replaceChildren(...recent.charges.map(charge));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "";;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
          const lines = text.slice(0, end).split("\n");
          const field = (name) => lines.find((line) => line.startsWith(name + ":"))?.slice(name.length + 1).trim();
          if (field("event") !== "charged") continue;
          at("charges").prepend(charge(JSON.parse(field("data"))));
          while (at("charges").rows.length > LIVE_ROWS) at("charges").deleteRow(-1);
        }
      }
    } catch (error) {
      if (error.message === "token") return;
    }
    live.className = "live off";
    await new Promise((resume) => setTimeout(resume, EVERY));
  }
}

async function begin() {
  try {
    await refresh();
  } catch (error) {
    at("login").hidden = false;
    at("main").hidden = true;
    at("refused").textContent = token && error.message === "token" ? "That is not the token." : error.message === "token" ? "" : error.message;
    return;
  }
  sessionStorage.setItem("amp-token", token);
  history.replaceState(null, "", location.pathname);
  at("login").hidden = true;
  at("main").hidden = false;
  follow();
  setInterval(() => refresh().catch(() => { at("books").textContent = "The gateway does not answer."; at("books").className = "bad"; }), EVERY);
  setInterval(count, 1000);
}

document.addEventListener("DOMContentLoaded", () => {
  at("login").onsubmit = (event) => { event.preventDefault(); token = at("token").value.trim(); begin(); };
  for (const button of document.querySelectorAll("[data-period]")) {
    button.setAttribute("aria-pressed", button.dataset.period === period);
    button.onclick = () => {
      period = button.dataset.period;
      document.querySelectorAll("[data-period]").forEach((one) => one.setAttribute("aria-pressed", one === button));
      refresh().catch(() => {});
    };
  }
  begin();
});
