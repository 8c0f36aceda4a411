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

const WORDS = {
  401: "You are no longer logged in: log in to Airflow, then try again",
  403: "Airflow refuses: you may not trigger this DAG",
  404: "Airflow has no such DAG, or has not read it yet",
  400: "Airflow refuses what was asked for",
  409: "Airflow refuses: the DAG cannot be triggered now",
};

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
    const link = document.createElement("a");
    link.href = `${airflow}/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(content.dag_run_id)}`;
    link.target = "_top";
    link.dataset.leave = "";
    link.textContent = "See its run; an approval waits there as a required action";
    output.replaceChildren("Triggered. ", link);
  } catch (error) {
    output.textContent = `Airflow did not answer: ${error.message}`;
    button.disabled = false;
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.trigger) return;
  event.preventDefault();
  trigger(event.target);
});
