// What happened in a run, from the events of its log. Knows nothing about where they come from or how they are shown.

const MOST = 400; // points of the training loss that are drawn

/** The events of one run, as one run however often it went on. */
export class History {
  constructor() {
    // `after` is the id of the last event, from which the run is followed further.
    Object.assign(this, { start: null, steps: [], epochs: [], samples: [], end: null, after: 0 });
  }

  /** Take in an event of the log; a `start` takes the place of what lay beyond it. */
  add(event) {
    if (event.event === "start") this.begin(event);
    else if (event.event === "step" && event.loss !== null) this.steps.push(event);
    else if (event.event === "epoch") this.epochs.push(event);
    else if (event.event === "sample") this.samples.push(event);
    else if (event.event === "end") this.end = event;
  }

  begin(event) {
    const keep = (each) => event.step > 0 && each.step <= event.step;
    for (const name of ["steps", "epochs", "samples"]) this[name] = this[name].filter(keep);
    Object.assign(this, { start: event, end: null });
  }

  /** The steps that the run takes in all. */
  get length() {
    return this.start?.steps ?? this.steps.at(-1)?.step ?? 0;
  }

  /** Tokens per second, the mean of the last steps. */
  get speed() {
    const last = this.steps.slice(-20).filter((step) => step.tokens_per_second);
    return last.length ? last.reduce((sum, step) => sum + step.tokens_per_second, 0) / last.length : null;
  }

  /** The training loss as {step, epoch, loss, smooth}, few enough to draw: means of neighbours, and wider ones. */
  training() {
    const size = Math.ceil(this.steps.length / MOST);
    const points = [];
    for (let i = 0; i < this.steps.length; i += size) {
      const some = this.steps.slice(i, i + size);
      const mean = some.reduce((sum, step) => sum + step.loss, 0) / some.length;
      points.push({ step: some.at(-1).step, epoch: some.at(-1).epoch, loss: mean });
    }
    const reach = Math.min(8, Math.floor(points.length / 30));
    points.forEach((point, n) => {
      const near = points.slice(Math.max(0, n - reach), n + reach + 1);
      point.smooth = near.reduce((sum, each) => sum + each.loss, 0) / near.length;
    });
    return points;
  }

  /** The validation loss as {step, epoch, loss}. */
  validation() {
    return this.epochs
      .filter((epoch) => epoch.val_loss !== null && epoch.val_loss !== undefined)
      .map((epoch) => ({ step: epoch.step, epoch: epoch.epoch, loss: epoch.val_loss }));
  }
}
