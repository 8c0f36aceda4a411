"use strict";

// What HTML alone cannot do: follow Airflow's theme, leave its frame, trigger a DAG. Everything else works without.

// Inside the UI the parent is Airflow's own page, of this origin. Anywhere else there is none to follow.
const airflowWindow = (() => {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
})();

const system = window.matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const classes = airflowWindow?.document.documentElement.classList;
  if (classes?.contains("dark")) return "dark";
  if (classes?.contains("light")) return "light";
  const chosen = localStorage.getItem("theme");
  return chosen === "dark" || chosen === "light" ? chosen : system.matches ? "dark" : "light";
}

// The colours that Airflow's page has at this moment, so that a theme of the administrator's is followed too.
const COLOURS = ["bg", "bg-subtle", "bg-muted", "bg-emphasized", "fg", "fg-muted", "border", "brand-solid", "brand-fg", "brand-muted",
  "brand-contrast"];

function wear() {
  const root = document.documentElement;
  root.dataset.theme = theme();
  if (!airflowWindow) return;
  const theirs = airflowWindow.getComputedStyle(airflowWindow.document.documentElement);
  for (const name of COLOURS) {
    const value = theirs.getPropertyValue(`--chakra-colors-${name}`);
    if (value) root.style.setProperty(`--${name}`, value);
    else root.style.removeProperty(`--${name}`);
  }
}

wear();
system.addEventListener("change", wear);
window.addEventListener("storage", wear);
if (airflowWindow) {
  new MutationObserver(wear).observe(airflowWindow.document.documentElement, { attributeFilter: ["class"] });
}

// The frame's sandbox forbids both _top and _blank. A link of Airflow's own page may go where it likes.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-leave]");
  if (!link || !airflowWindow) return;
  event.preventDefault();
  const theirs = airflowWindow.document.createElement("a");
  theirs.href = link.href;
  if (event.ctrlKey || event.metaKey || event.shiftKey) theirs.target = "_blank";
  airflowWindow.document.body.append(theirs);
  theirs.click();
  theirs.remove();
});

function leaving(address, words) {
  const link = document.createElement("a");
  link.href = address;
  link.target = "_top";
  link.dataset.leave = "";
  link.textContent = words;
  return link;
}

const WORDS = {
  401: "You are no longer logged in: log in to Airflow, then try again",
  403: "Airflow refuses: you may not trigger this DAG",
  404: "Airflow has no such DAG, or has not read it yet",
  400: "Airflow refuses what was asked for",
  409: "Airflow refuses: the DAG cannot be triggered now",
};

// What is said of a request for promotion until its approval is wanted, which is said then.
function untilItWaits(run) {
  const told = document.createElement("span");
  told.dataset.until = run;
  told.textContent = "; once its checks have passed, the approval waits there as a required action";
  return told;
}

// Airflow's own API does it, so that Airflow checks the permission and writes down who it was.
async function trigger(form) {
  const airflow = document.body.dataset.airflow;
  const dag = form.dataset.trigger;
  const output = form.querySelector("output");
  const button = form.querySelector("button");
  button.disabled = true;
  output.textContent = "…";
  try {
    const answer = await fetch(`${airflow}/api/v2/dags/${dag}/dagRuns`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ logical_date: null, conf: Object.fromEntries(new FormData(form)) }),
    });
    const content = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      const detail = typeof content.detail === "string" ? ` (${content.detail.slice(0, 300)})` : "";
      output.textContent = `${WORDS[answer.status] ?? `Airflow answered ${answer.status}`}${detail}`;
      button.disabled = false;
      return;
    }
    output.replaceChildren("Triggered. ", leaving(
      `${airflow}/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(content.dag_run_id)}`, "See its run"));
    if (dag === "promote_model_dag") output.append(untilItWaits(content.dag_run_id));
    form.dataset.sent = "";
  } catch (error) {
    output.textContent = `Airflow did not answer: ${error.message}`;
    button.disabled = false;
  }
}

// To this page's own API: notes, tags. A field named by data-key is the end of the address.
async function send(form) {
  const output = form.querySelector("output");
  const fields = Object.fromEntries(new FormData(form));
  const key = form.dataset.key;
  const end = key ? encodeURIComponent(fields[key]) : "";
  if (key) delete fields[key];
  output.textContent = "…";
  try {
    const answer = await fetch(`${document.body.dataset.root}${form.dataset.path}${end}`, {
      method: form.dataset.send,
      ...(form.dataset.send === "DELETE" ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) }),
    });
    if (answer.ok) return location.reload();
    const content = await answer.json().catch(() => ({}));
    output.textContent = told(content.detail) ?? `The server answered ${answer.status}`;
  } catch (error) {
    output.textContent = `The server did not answer: ${error.message}`;
  }
}

const told = (detail) => (typeof detail === "string" ? detail : Array.isArray(detail) ? detail.map((one) => one.msg).join("; ") : null);

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.trigger && !form.dataset.send) return;
  event.preventDefault();
  if (form.dataset.trigger) trigger(form);
  else send(form);
});

// Requests for promotion that wait for an answer, which Airflow alone knows; who may not see them is told nothing.
async function pending(place) {
  const airflow = document.body.dataset.airflow;
  const answer = await fetch(`${airflow}/api/v2/dags/promote_model_dag/dagRuns/~/hitlDetails?response_received=false&limit=100`).catch(() => null);
  if (!answer?.ok) return;
  const { hitl_details: found = [] } = await answer.json();
  const own = found.filter((one) => one.subject?.includes(place.dataset.pending));
  for (const told of document.querySelectorAll("[data-until]")) {
    if (own.some((one) => one.task_instance.dag_run_id === told.dataset.until)) told.remove();
  }
  place.replaceChildren(...own.map((one) => {
    const told = document.createElement("p");
    told.className = "banner warn";
    const run = one.task_instance.dag_run_id;
    told.append("Approval wanted: ", one.subject, " ",
      leaving(`${airflow}/dags/promote_model_dag/runs/${encodeURIComponent(run)}/tasks/approve/required_actions`, "Answer it"));
    return told;
  }));
}

// What was decided or published meanwhile is shown without a click, unless somebody is filling in a form. A form that was
// sent is none of these: what came of it is what its sender waits to see.
const isBusy = () => [...document.querySelectorAll("main input:not([type=hidden]):not([type=checkbox]), main textarea")]
  .some((field) => field.value !== field.defaultValue && !field.closest("[data-sent]"))
  || [...document.querySelectorAll("details[open], output:not(:empty), input:checked")]
    .some((one) => !one.closest("[data-sent]") && !one.querySelector("[data-sent]"));

// Some browsers put back into a page's forms what they held; what was sent must not be there again.
function loadAgain() {
  for (const form of document.querySelectorAll("[data-sent]")) form.reset();
  location.reload();
}

async function refresh() {
  if (document.hidden) return;
  for (const place of document.querySelectorAll("[data-pending]")) pending(place);
  const answer = await fetch(`${document.body.dataset.root}/api/v1/index`).catch(() => null);
  if (!answer?.ok) return;
  const { seen } = await answer.json();
  if (`${seen}` === document.body.dataset.seen) return;
  if (!isBusy()) return loadAgain();
  if (document.querySelector("#news")) return;
  const news = document.createElement("p");
  news.id = "news";
  news.className = "banner";
  news.setAttribute("role", "status");
  const again = document.createElement("a");
  again.href = `${location.pathname}${location.search}`; // with its #… the link would lead to a place in this page
  again.textContent = "Load this page again";
  news.append("Something was recorded meanwhile. ", again);
  document.querySelector("main").prepend(news);
}

// Of the ticked versions two can be compared: said before the button is pressed. A browser that goes back ticks again.
function countTicked() {
  const form = document.querySelector("form[data-two]");
  if (!form) return;
  const ticked = form.querySelectorAll("input:checked").length;
  form.querySelector("button").disabled = ticked !== 2;
  form.querySelector("[role=status]").textContent = ["Tick two versions to compare them.", "Tick one more to compare.", ""][ticked]
    ?? `${ticked} are ticked, and two can be compared.`;
}

document.addEventListener("change", countTicked);
window.addEventListener("pageshow", countTicked);

document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("[data-pending]")) pending(place);
  if (document.body.dataset.seen) setInterval(refresh, 5000);
});
