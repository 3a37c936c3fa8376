// The history of a training run, from the events of its log.

const MOST = 400; // maximum number of training loss points to draw

/** The events of one run, including all its resumptions. */
export class History {
  constructor() {
    // `after` is the id of the last event received, where the event stream resumes.
    Object.assign(this, { start: null, steps: [], epochs: [], samples: [], end: null, after: 0 });
  }

  /** Add an event of the log. A `start` replaces all events after its step. */
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

  /** The total number of steps. */
  get length() {
    return this.start?.steps ?? this.steps.at(-1)?.step ?? 0;
  }

  /** Tokens per second, averaged over the last 20 steps. */
  get speed() {
    const last = this.steps.slice(-20).filter((step) => step.tokens_per_second);
    return last.length ? last.reduce((sum, step) => sum + step.tokens_per_second, 0) / last.length : null;
  }

  /** Return at most MOST points {step, epoch, loss, smooth}: means of neighbouring steps, and wider running means. */
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

  /** Return the validation losses as {step, epoch, loss}. */
  validation() {
    return this.epochs
      .filter((epoch) => epoch.val_loss !== null && epoch.val_loss !== undefined)
      .map((epoch) => ({ step: epoch.step, epoch: epoch.epoch, loss: epoch.val_loss }));
  }
}
