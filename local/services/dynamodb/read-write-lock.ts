/** Many readers or one writer, first come first served, so that a writer is not starved. */
export class ReadWriteLock {
  #readers = 0;
  #isWriting = false;
  readonly #waiting: { isWriter: boolean; start: () => void }[] = [];

  /** Runs `work` beside other shared work, never beside exclusive work. */
  async shared<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#enter(false);
    try {
      return await work();
    } finally {
      this.#readers -= 1;
      this.#admit();
    }
  }

  /** Runs `work` alone. */
  async exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#enter(true);
    try {
      return await work();
    } finally {
      this.#isWriting = false;
      this.#admit();
    }
  }

  #enter(isWriter: boolean): Promise<void> {
    return new Promise((start) => {
      this.#waiting.push({ isWriter, start });
      this.#admit();
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#isWriting || (next.isWriter && this.#readers > 0)) return;
      this.#waiting.shift();
      if (next.isWriter) this.#isWriting = true;
      else this.#readers += 1;
      next.start();
    }
  }
}
