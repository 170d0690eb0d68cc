/**
 * Which requests begin alike: prompt caching bills the tokens of a prompt's beginning at a fraction, if another prompt
 * began with as many of the same tokens as its provider caches, or more. What is found is a lower bound, in memory that does not grow with the
 * number of requests.
 *
 * Prompts are followed down a tree of beginnings, each a tenth to a quarter longer than the one before. A request
 * belongs to the longest beginning that another request has as well, and to so much more of it as they all have.
 */
import type { Tokenizer } from '../pricing/tokens/estimate.ts';

/** Shared beginnings of this share of the tokens that are cached at the least are reported as just too short. Ours. */
const NEARLY_CACHED_SHARE = 0.68;

/** Requests that begin alike. */
export interface SharedPrefix {
  endpoint: string;
  model: string;
  requests: number;
  /** Tokens that they have in common, at least. */
  tokens: number;
  /** How many of them are cached at the least. */
  minTokens: number;
  /** The first of them. */
  firstLine: number;
}

export interface PrefixReport {
  /** Those that can be cached, the most tokens first; at most {@link MAX_REPORTED}. */
  shared: SharedPrefix[];
  /** Those that are just too short, likewise. */
  tooShort: SharedPrefix[];
  /** Tokens by model that would be cached if every request but the first of its kind found the cache. */
  cachedTokens: Map<string, number>;
  /** Requests that share enough for that. */
  requests: number;
}

const MAX_REPORTED = 10;

/** Lengths in characters at which beginnings are distinguished. Up to 8,192, the characters between two are kept. */
const RUNGS: readonly number[] = (() => {
  const rungs: number[] = [];
  for (let chars = 512; chars < 4_000_000; chars = Math.floor(chars * (chars < 8_192 ? 1.25 : 1.1)))
    rungs.push(chars);
  return rungs;
})();
const KEPT_CHARS = 8_192;
/** Sizes at which beginnings that only one request has are forgotten. */
const MAX_NODES = 200_000;
const MAX_KEPT_CHARS = 16_000_000;
/** Beginnings of which the tokens are counted; of others they are estimated from their length. */
const MAX_COUNTED = 2_000;
/** Characters of English a token; for beginnings that are not counted. */
const CHARS_PER_TOKEN = 4;

interface Node {
  parent: Node | undefined;
  endpoint: string;
  model: string;
  minTokens: number;
  chars: number;
  /** Requests that begin so. */
  count: number;
  /** What follows in the first of them, up to the next rung, as far as all have it that belong here. */
  next: string | undefined;
  tokens: number | undefined;
  tokensAtChars: number;
  firstLine: number;
}

/** Only requests of one kind share a cache. */
export interface PrefixKind {
  endpoint: string;
  model: string;
  /** Tokens from which beginnings are cached. */
  minTokens: number;
}

/** Finds what the prompts of a file begin with. */
export class SharedPrefixes {
  readonly #tokenizerOf: (model: string) => Tokenizer;
  readonly #maxNodes: number;
  #nodes = new Map<string, Node>();
  #keptChars = 0;
  #counted = 0;

  /** @param options.maxNodes for tests; default 200,000. */
  constructor(tokenizerOf: (model: string) => Tokenizer, options: { maxNodes?: number } = {}) {
    this.#tokenizerOf = tokenizerOf;
    this.#maxNodes = options.maxNodes ?? MAX_NODES;
  }

  /** @param texts of the prompt in the order in which the model reads them. */
  add({ endpoint, model, minTokens }: PrefixKind, texts: readonly string[], line: number): void {
    let chars = 0;
    for (const text of texts) chars += text.length + 1;
    if (chars < RUNGS[0]!) return;
    // A character that no JSON text of a message holds by itself marks where a text ends.
    const prompt = texts.join('\u0000');
    const hash = new RollingHash(`${endpoint} ${model}`);
    const place = { endpoint, model, minTokens, firstLine: line };
    let parent: Node | undefined;
    let from = 0;
    for (let rung = 0; rung < RUNGS.length && RUNGS[rung]! <= prompt.length; rung++) {
      const to = RUNGS[rung]!;
      hash.add(prompt, from, to);
      from = to;
      const key = hash.key();
      const node = this.#nodes.get(key);
      if (node === undefined) {
        if (parent !== undefined && parent.count > 1) this.#stopAt(parent, prompt);
        this.#create(key, prompt, rung, { ...place, parent });
        // What is new from here on is new all the way down.
        for (
          let below = rung + 1, last = this.#nodes.get(key);
          below < RUNGS.length && RUNGS[below]! <= prompt.length;
          below++
        ) {
          hash.add(prompt, RUNGS[below - 1]!, RUNGS[below]!);
          last = this.#create(hash.key(), prompt, below, { ...place, parent: last });
        }
        this.#forget();
        return;
      }
      node.count++;
      parent = node;
    }
    if (parent !== undefined) this.#stopAt(parent, prompt);
  }

  report(): PrefixReport {
    const nodes = [...this.#nodes.values()].filter(({ count }) => count > 1);
    // A request belongs to the longest beginning that it shares.
    const own = new Map(nodes.map((node) => [node, node.count]));
    for (const node of nodes) {
      if (node.parent !== undefined) own.set(node.parent, (own.get(node.parent) ?? 0) - node.count);
    }
    const found = nodes
      .map((node) => ({ node, requests: own.get(node)!, tokens: tokensOf(node) }))
      .filter(({ requests }) => requests > 0);
    const report: PrefixReport = { shared: [], tooShort: [], cachedTokens: new Map(), requests: 0 };
    for (const { node, requests, tokens } of found) {
      const { endpoint, model, minTokens, firstLine } = node;
      const prefix = { endpoint, model, requests, tokens, minTokens, firstLine };
      if (tokens >= minTokens) {
        report.shared.push(prefix);
        report.requests += requests;
        // The first request of all with this beginning fills the cache; where others went further down, they did.
        const hits = node.count > requests ? requests : requests - 1;
        report.cachedTokens.set(model, (report.cachedTokens.get(model) ?? 0) + hits * tokens);
      } else if (tokens >= minTokens * NEARLY_CACHED_SHARE) report.tooShort.push(prefix);
    }
    const byTokens = (a: SharedPrefix, b: SharedPrefix): number =>
      b.requests * b.tokens - a.requests * a.tokens || a.firstLine - b.firstLine;
    report.shared = report.shared.sort(byTokens).slice(0, MAX_REPORTED);
    report.tooShort = report.tooShort.sort(byTokens).slice(0, MAX_REPORTED);
    return report;
  }

  #create(
    key: string,
    prompt: string,
    rung: number,
    place: Pick<Node, 'parent' | 'firstLine'> & PrefixKind,
  ): Node {
    const chars = RUNGS[rung]!;
    const next = chars < KEPT_CHARS ? prompt.slice(chars, RUNGS[rung + 1]) : undefined;
    this.#keptChars += next?.length ?? 0;
    const node = { ...place, chars, count: 1, next, tokens: undefined, tokensAtChars: 0 };
    this.#nodes.set(key, node);
    return node;
  }

  /**
   * A request shares this beginning and, of longer ones, at most what it has in common with those that stopped here.
   */
  #stopAt(node: Node, prompt: string): void {
    if (node.next !== undefined) {
      let common = 0;
      while (common < node.next.length && node.next[common] === prompt[node.chars + common]) common++;
      this.#keptChars -= node.next.length - common;
      node.next = node.next.slice(0, common);
    }
    if (node.tokens !== undefined || this.#counted >= MAX_COUNTED) return;
    this.#counted++;
    node.tokensAtChars = node.chars + (node.next?.length ?? 0);
    const tokenizer = this.#tokenizerOf(node.model);
    node.tokens = prompt
      .slice(0, node.tokensAtChars)
      .split('\u0000')
      .reduce((sum, text) => sum + tokenizer(text), 0);
  }

  /** Beginnings that only one request has make room for others. */
  #forget(): void {
    if (this.#nodes.size <= this.#maxNodes && this.#keptChars <= MAX_KEPT_CHARS) return;
    for (const [key, node] of this.#nodes) {
      if (node.count > 1) continue;
      this.#nodes.delete(key);
      this.#keptChars -= node.next?.length ?? 0;
    }
    if (this.#nodes.size <= this.#maxNodes) return;
    // All are shared: the rarest go, from the longest on, since a longer one is never more frequent.
    const rarest = [...this.#nodes].sort(([, a], [, b]) => a.count - b.count || b.chars - a.chars);
    for (const [key, node] of rarest.slice(0, Math.ceil(this.#maxNodes / 2))) {
      this.#nodes.delete(key);
      this.#keptChars -= node.next?.length ?? 0;
    }
  }
}

function tokensOf(node: Node): number {
  const chars = node.chars + (node.next?.length ?? 0);
  if (node.tokens === undefined) return Math.floor(chars / CHARS_PER_TOKEN);
  return Math.floor((node.tokens * chars) / node.tokensAtChars);
}

/** 64 bits of a text that grows: FNV-1a over its UTF-16 units, twice. */
class RollingHash {
  #a = 0x811c9dc5;
  #b = 0x9747b28c;

  constructor(seed: string) {
    this.add(seed, 0, seed.length);
  }

  add(text: string, from: number, to: number): void {
    let [a, b] = [this.#a, this.#b];
    for (let at = from; at < to; at++) {
      const unit = text.charCodeAt(at);
      a = Math.imul(a ^ unit, 0x01000193);
      b = Math.imul(b ^ unit, 0x85ebca6b) ^ (b >>> 15);
    }
    [this.#a, this.#b] = [a, b];
  }

  key(): string {
    return `${this.#a >>> 0}.${this.#b >>> 0}`;
  }
}
