"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const SURPRISE = 10, JUMPS = 5; // nats at which a token's colour is strongest; largest differences that have a button
const both = data.stages.length > 1;
const acting = data.actor === "untrained" ? 1 : 0; // whose actions were done
const tokens = data.decisions.some(decision => decision.pieces);
let episode = 0, place = 0;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function percent(share) {
  if (share > 0 && share < 0.0001) return "<0.01 %";
  return share >= 0.9995 ? "100 %" : (100 * share).toFixed(share >= 0.1 ? 1 : 2) + " %";
}
function signed(value, digits = 3) {
  const text = Math.abs(value).toFixed(digits);
  return (Number(text) === 0 ? "" : value < 0 ? "−" : "+") + text;
}
const minus = (value, digits) => (value < 0 && Number(value.toFixed(digits)) !== 0 ? "−" : "") + Math.abs(value).toFixed(digits);
const moments = () => data.episodes[episode].moments;
const decisionAt = moment => moment.decision === null ? null : data.decisions[moment.decision];
const differenceAt = moment => { const decision = decisionAt(moment); return decision && both ? decision.difference : 0; };

function coloured(piece, logprob) {
  const strength = Math.min(1, -logprob / SURPRISE) * 0.6;
  const shown = piece.replace(/ /g, "·").replace(/\n/g, "⏎");
  return make("span", {class: "token", style: `background: rgba(var(--surprise), ${strength.toFixed(3)})`,
    title: `log-probability ${logprob.toFixed(4)}, probability ${Math.exp(logprob).toPrecision(3)}`},
    shown, make("small", {}, minus(logprob, 2)));
}

function stageRow(decision, action, number) {
  const view = decision.views[number], when = data.stages[number], share = view.probs[action];
  const row = make("div", {class: `stage ${when}`},
    make("span", {class: "who"}, both ? when : ""),
    make("div", {class: "meter", "aria-hidden": "true"}, make("span", {style: `width: ${(100 * share).toFixed(2)}%`})),
    make("span", {class: "share"}, percent(share)));
  if (view.tokens) {
    const detail = make("div", {class: "detail"});
    view.tokens[action].forEach((logprob, index) => detail.append(coloured(decision.pieces[action][index], logprob)));
    detail.append(make("span", {class: "sum"}, `log P ${minus(view.logprobs[action], 2)} · score ${minus(view.scores[action], 3)}`));
    row.append(detail);
  }
  return row;
}

function courseRow(moment, number) {
  const decision = decisionAt(moment), share = percent(decision.views[acting].probs[moment.chosen]);
  const button = make("button", {"aria-label": `go to decision ${number + 1}`}, String(number + 1));
  button.addEventListener("click", () => go(number));
  return make("li", {class: "course"}, button, make("h3", {}, decision.actions[moment.chosen]),
    make("span", {class: "sum"}, `${share} · reward ${signed(moment.reward)}`));
}

function showActions(moment) {
  const decision = decisionAt(moment), list = at("actions");
  list.replaceChildren();
  at("actions-title").textContent = decision ? `${decision.actions.length} actions, the most probable first` : "what was done";
  if (!decision) return list.append(...moments().slice(0, -1).map(courseRow));
  const order = decision.actions.map((_, action) => action).sort((a, b) => decision.views[0].probs[b] - decision.views[0].probs[a]);
  for (const action of order) {
    const chosen = action === moment.chosen;
    const name = make("div", {class: "name"}, make("h3", {}, decision.actions[action]));
    if (chosen) name.append(make("span", {class: "tag"}, "done now"));
    list.append(make("li", chosen ? {class: "chosen"} : {}, name, ...data.stages.map((_, number) => stageRow(decision, action, number))));
  }
}

function showNumbers(moment) {
  const decision = decisionAt(moment);
  const numbers = [["return so far", signed(moment.total)], ["step", String(moment.step)]];
  if (moment.reward !== null) numbers.push(["reward now", signed(moment.reward)]);
  if (decision && decision.value !== undefined) numbers.push(["critic's value", signed(decision.value)]);
  if (decision && both) numbers.push(["difference", decision.difference.toFixed(3)]);
  at("numbers").replaceChildren(...numbers.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function words(moment) {
  const decision = decisionAt(moment), whole = data.episodes[episode];
  if (!decision) return `End: ${whole.ending}. Return ${signed(moment.total)}.`;
  const shares = data.stages.map((when, number) => `${percent(decision.views[number].probs[moment.chosen])} ${both ? when : ""}`);
  return `Decision ${place + 1} of ${moments().length - 1}. ${decision.prompt}: ${decision.actions[moment.chosen]}, ` +
    `${shares.join(", ").trim()}. Return so far ${signed(moment.total)}.`;
}

function show() {
  const moment = moments()[place], decision = decisionAt(moment), last = moments().length - 1, whole = data.episodes[episode];
  at("title").textContent = whole.title;
  at("where").textContent = decision ? `decision ${place + 1} of ${last}` : `end, after ${last}`;
  at("slider").max = last; at("slider").value = place;
  at("slider").setAttribute("aria-valuetext", decision ? `decision ${place + 1} of ${last}` : "end of the episode");
  at("back").disabled = place === 0; at("next").disabled = place === last;
  const picture = at("picture");
  picture.hidden = moment.picture === null;
  if (moment.picture !== null) {
    picture.src = data.pictures[moment.picture];
    picture.alt = decision ? `The situation before decision ${place + 1}: ${decision.prompt}` : "The situation at the episode's end";
  }
  at("ending").hidden = Boolean(decision);
  at("ending").textContent = decision ? "" : whole.ending;
  at("ending").className = whole.success ? "good" : "bad";
  at("prompt").hidden = at("prompt-title").hidden = !decision;
  at("prompt").textContent = decision ? decision.prompt + " …" : "";
  showNumbers(moment);
  showActions(moment);
  [...at("timeline").children].forEach((bar, number) => bar.classList.toggle("now", number === place));
  at("live").textContent = words(moment);
  history.replaceState(null, "", `#${episode + 1}.${place + 1}`);
}

function largest() {
  return moments().map((moment, number) => [differenceAt(moment), number]).filter(([size]) => size > 0)
    .sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, JUMPS);
}

function showEpisode() {
  at("episode").value = episode;
  at("timeline").replaceChildren(...moments().map(moment => make("i", {}, make("b", {style: `height: ${(100 * differenceAt(moment)).toFixed(1)}%`}))));
  const jumps = largest();
  at("timeline").setAttribute("aria-label", jumps.length
    ? "How far the probabilities before and after training differ. Largest at: " + jumps.map(([size, number]) => `decision ${number + 1}, ${size.toFixed(2)}`).join("; ")
    : "The decisions of the episode");
  at("timeline").hidden = at("differ").hidden = !both;
  at("jumps").replaceChildren(...(both && jumps.length ? ["they differ most at"] : []), ...(both ? jumps : []).map(([size, number]) => {
    const button = make("button", {title: `probability that moved: ${size.toFixed(3)}`}, `decision ${number + 1}: ${size.toFixed(2)}`);
    button.addEventListener("click", () => go(number));
    return button;
  }));
}

function go(number) { place = Math.max(0, Math.min(moments().length - 1, number)); show(); }
function goEpisode(number) { episode = Math.max(0, Math.min(data.episodes.length - 1, number)); place = 0; showEpisode(); show(); }
function nextDifference() {
  const order = largest().map(([, number]) => number);
  if (order.length) go(order[(order.indexOf(place) + 1) % order.length]);
}

at("facts").append(...data.facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
if (data.optimum !== null) at("facts").append(make("div", {}, make("dt", {}, "best possible return"), make("dd", {}, signed(data.optimum, 4))));
data.episodes.forEach((each, number) => {
  const end = each.moments[each.moments.length - 1];
  at("episode").append(make("option", {value: number},
    `Episode ${number + 1} of ${data.episodes.length}: ${each.ending}, return ${signed(end.total)}, ${each.moments.length - 1} decisions`));
});
at("help").textContent = (both ? "Two agents are compared: the trained one (after) and the same before training. The bars above the slider, " +
  "and the number “difference”, say how much probability moved between them, from 0 to 1 (total variation distance). " : "") +
  (tokens ? "log P is the sum over an action's tokens; the score is log P after the norm, and the probabilities are the softmax of the scores." : "");
at("colours").hidden = !tokens;
if (tokens) at("scale").append(...[0, -1, -2, -5, -10].map(logprob => coloured("", logprob)));
at("slider").addEventListener("input", () => go(Number(at("slider").value)));
at("episode").addEventListener("change", () => goEpisode(Number(at("episode").value)));
at("back").addEventListener("click", () => go(place - 1));
at("next").addEventListener("click", () => go(place + 1));
at("differ").addEventListener("click", nextDifference);
at("timeline").addEventListener("click", event => {
  const box = at("timeline").getBoundingClientRect();
  go(Math.floor((event.clientX - box.left) / box.width * moments().length));
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const actions = {
    ArrowLeft: () => go(place - 1), ArrowRight: () => go(place + 1), Home: () => go(0), End: () => go(moments().length - 1),
    ArrowUp: () => goEpisode(episode - 1), ArrowDown: () => goEpisode(episode + 1), d: nextDifference,
  };
  if (actions[event.key]) { actions[event.key](); event.preventDefault(); }
});
const asked = /^#(\d+)\.(\d+)$/.exec(location.hash);
goEpisode(asked ? asked[1] - 1 : 0);
if (asked) go(asked[2] - 1);
