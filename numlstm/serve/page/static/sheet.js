// A sheet: one text by one model, streamed as it is written, plain or coloured by surprise.

import { Away, Refused, events, send } from "./api.js";
import { copy, say } from "./dialogs.js";
import { h, shown } from "./elements.js";
import { marked, readable } from "./surprise.js";
import { brief, duration, t, whole } from "./words.js";

const ALTERNATIVES = 4;

/** One text with its caption, status and buttons. `keep` is called with the seed to keep. */
export class Sheet {
  constructor(keep) {
    this.asked = null; // the request, without the fields that `write` adds
    this.tokens = [];
    this.plain = "";
    this.caption = h("h2", { class: "caption" });
    this.text = h("div", { class: "written empty" });
    this.readout = h("p", { class: "readout", role: "status" });
    this.status = h("p", { class: "facts" });
    this.copyButton = h("button", {
      type: "button",
      class: "plain",
      onclick: () => copy(this.asked.prompt + this.plain),
    });
    this.keepButton = h("button", { type: "button", class: "plain", onclick: () => keep(this.asked.seed) });
    this.element = h(
      "article",
      { class: "sheet" },
      this.caption,
      this.text,
      this.readout,
      h("div", { class: "foot" }, this.status, this.keepButton, this.copyButton),
    );
    readable(this.text, this.readout);
    this.draw();
  }

  get writing() {
    return Boolean(this.stopper);
  }

  /** True if the text has tokens with probabilities. */
  get weighed() {
    return this.tokens.length > 0;
  }

  /** Write a new text. Errors are shown on the sheet. */
  async write(asked, coloured) {
    this.stop();
    const stopper = (this.stopper = new AbortController());
    Object.assign(this, { asked, tokens: [], plain: "", finish: "", began: performance.now(), error: "" });
    this.text.replaceChildren(h("span", { class: "prompt" }, asked.prompt));
    this.readout.textContent = "";
    this.draw(coloured);
    try {
      const json = { ...asked, stream: true, ...(coloured ? { logprobs: ALTERNATIVES } : {}) };
      const response = await send("POST", "v1/completions", { json, signal: stopper.signal });
      for await (const message of events(response)) {
        if (stopper.signal.aborted) break;
        if (message.data !== "[DONE]") this.take(JSON.parse(message.data));
      }
      this.finish ||= "cut";
    } catch (error) {
      if (this.stopper === stopper) this.fail(error, stopper.signal.aborted);
    } finally {
      if (this.stopper === stopper) this.end();
    }
  }

  take(chunk) {
    if (chunk.error) throw new Refused(500, chunk.error);
    const choice = chunk.choices[0];
    if (!choice) return;
    if (choice.logprobs) this.weigh(choice.logprobs);
    else if (choice.text) this.text.append(choice.text);
    this.plain += choice.text;
    this.finish = choice.finish_reason ?? this.finish;
    this.count();
  }

  weigh({ tokens, token_logprobs: weights, top_logprobs: tops }) {
    const added = tokens.map((text, n) => ({
      text,
      logprob: weights[n] ?? 0,
      top: Object.entries(tops?.[n] ?? {}).sort((a, b) => b[1] - a[1]),
    }));
    this.tokens.push(...added);
    this.text.append(...added.map(marked));
  }

  fail(error, stopped) {
    if (stopped) this.finish = "halted";
    else {
      this.finish = "failed";
      this.error = error instanceof Refused ? explained(error) : t("sheet.lost");
      if (!(error instanceof Refused) && !(error instanceof Away) && error.name !== "TypeError") console.error(error);
    }
  }

  end() {
    this.stopper = null;
    this.draw(this.weighed);
    const n = whole([...this.plain].length);
    say(this.error || t("sheet.said", { n, model: this.asked.model, seed: this.asked.seed }));
  }

  /** Stop writing; the text so far stays. */
  stop() {
    this.stopper?.abort();
  }

  count() {
    const seconds = (performance.now() - this.began) / 1000;
    const n = [...this.plain].length;
    this.status.textContent = t(this.writing ? "sheet.writing" : `sheet.${this.finish}`, {
      n: whole(n),
      time: duration(seconds),
    });
  }

  /** Draw everything around the text. */
  draw(coloured = this.weighed) {
    const { asked } = this;
    this.caption.textContent = asked
      ? t("sheet.caption", { model: asked.model, temperature: brief(asked.temperature), seed: asked.seed })
      : t("sheet.empty.title");
    if (!asked) this.text.textContent = t("sheet.empty");
    this.text.classList.toggle("empty", !asked);
    this.text.classList.toggle("failed", Boolean(this.error));
    this.text.setAttribute("aria-busy", this.writing);
    this.readable(Boolean(asked) && coloured);
    shown(this.copyButton, Boolean(asked));
    shown(this.keepButton, Boolean(asked));
    this.copyButton.textContent = t("sheet.copy");
    this.keepButton.textContent = t("sheet.keep", { seed: asked?.seed });
    if (this.error) this.status.textContent = this.error;
    else if (asked && (this.writing || this.finish)) this.count();
  }

  /** Turn keyboard navigation of the tokens on or off. */
  readable(yes) {
    shown(this.readout, yes);
    this.text.classList.toggle("coloured", yes);
    if (yes) {
      const attributes = { tabindex: 0, role: "application", "aria-label": t("sheet.coloured") };
      for (const [name, value] of Object.entries(attributes)) this.text.setAttribute(name, value);
      this.readout.textContent ||= t("sheet.point");
    } else for (const name of ["tabindex", "role", "aria-label"]) this.text.removeAttribute(name);
  }
}

/** Return the server's message; for unknown characters, with the page's advice in place of the API's. */
function explained({ code, message }) {
  if (code !== "unknown_characters") return message;
  return `${message.replace(/; leave them out .*$/, ".")} ${t("sheet.unknown")}`;
}
