/** A part of a terminal that is drawn again in place. */

/** Lines at the end of the output; each call of {@link Screen.show} replaces them. */
export class Screen {
  readonly #stream: Pick<NodeJS.WriteStream, 'write'>;
  #drawn = 0;

  constructor(stream: Pick<NodeJS.WriteStream, 'write'>) {
    this.#stream = stream;
  }

  /** @param lines none longer than the terminal is wide, or what is drawn next would be off. */
  show(lines: readonly string[]): void {
    const back = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\x1b[J`;
    this.#drawn = lines.length;
    // In one write: a terminal never shows a screen without its lines.
    this.#stream.write(`${back}${lines.map((line) => `${line}\n`).join('')}`);
  }
}
